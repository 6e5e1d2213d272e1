//! Small scripts, and the scripts of Prometheus where they are at hand.

use std::path::PathBuf;

use super::*;
use crate::promql::memory::MemorySource;

fn report(text: &str) -> Report {
    let script = parse(text).unwrap_or_else(|error| panic!("{error}"));
    run(&script, &engine(), &mut MemorySource::new())
}

#[test]
fn a_failed_evaluation_says_what_was_expected() {
    let report = report(
        "load 1m\n  a{x=\"1\"} 1 2 3\n\neval instant at 1m a\n  a{x=\"1\"} 2\n\n\
         eval instant at 2m a\n  a{x=\"1\"} 4\n\nclear\neval instant at 1m a\n",
    );
    assert_eq!(report.passed, 2, "{report:?}");
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].line, 7);
    let message = &report.failures[0].message;
    assert!(
        message.starts_with("expected Float(4.0) for {__name__=\"a\", x=\"1\"}, got Float(3.0)"),
        "{message}"
    );
}

#[test]
fn lines_that_are_no_commands_are_errors() {
    let error = |text| parse(text).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(error("\nfoo"), Err("line 2: invalid command \"foo\"".to_owned()));
    assert_eq!(
        error("eval instant at 1m sum("),
        Err("line 1: error parsing \"sum(\": 1:5: parse error: unclosed left parenthesis"
            .to_owned())
    );
    assert!(error("eval instant at 1m a\n  expect fail\n  expect fail").is_err());
    assert!(error("load 5m\n  a@st 0s 0s\n  a 1").is_err());
    assert!(error("load 5m\n  a@st 0s\n  a 1\n# comment\nclear").is_ok());
}

/// The directory of Prometheus' own scripts, if it is there.
pub(in crate::promql) fn shared_scripts() -> Option<PathBuf> {
    let root = std::env::var_os("TIDEWATCH_SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let candidates =
        [root.clone(), PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")];
    candidates.into_iter().map(|dir| dir.join("promqltest")).find(|dir| dir.is_dir())
}

#[test]
fn scripts_of_prometheus_parse() {
    let Some(dir) = shared_scripts() else {
        println!("skipped: no promqltest directory in the shared data");
        return;
    };
    let (mut files, mut evals) = (0, 0);
    for entry in std::fs::read_dir(dir).expect("the directory is readable") {
        let path = entry.expect("the directory is readable").path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the script is readable");
        let script = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        files += 1;
        evals += script.commands.iter().filter(|c| matches!(c, Command::Eval(_))).count();
        for command in &script.commands {
            if let Command::Eval(eval) = command {
                assert_prints_back(&eval.text);
            }
        }
    }
    assert!(files > 0 && evals > 1000, "{files} files, {evals} evaluations");
}

/// The printed expression parses to what was printed.
fn assert_prints_back(text: &str) {
    use crate::promql::{Features, parse, pretty};
    let expr = parse(text, &Features::all()).expect("parsed before");
    let printed = expr.to_string();
    for again in [printed.clone(), pretty(&expr)] {
        let parsed = parse(&again, &Features::all());
        let parsed = parsed.unwrap_or_else(|error| panic!("{text} -> {again}: {error}"));
        assert_eq!(parsed.to_string(), printed, "{text}");
    }
}
