//! `tidewatch test rules FILE...`: runs unit tests of rules, as promtool does.
//!
//! In: test files. Out: `SUCCESS` or what is not as expected, for each file, and an exit code.
//! Never here: what a test means (`rules::unit_test`).

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use regex::Regex;

use super::CliError;
use super::serve::features;
use crate::config::glob;
use crate::model::{Clock, SystemClock, pattern};
use crate::rules::GoTemplates;
use crate::rules::unit_test::{FileReport, MismatchReport, TestOptions, TestReport, run_file};

/// Arguments of `tidewatch test rules`.
#[derive(Args, Clone, Debug)]
pub struct TestRulesArgs {
    /// Unit test files, as promtool reads them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run only tests whose name matches this regular expression; may be repeated
    #[arg(long = "run", value_name = "REGEX")]
    chosen: Vec<String>,
    /// Show what differs line by line
    #[arg(long)]
    diff: bool,
    /// Also print every sample of each test
    #[arg(long)]
    debug: bool,
    /// Pass over keys that there are not
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Optional parts of PromQL, as of `tidewatch serve`
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    enable_feature: Vec<String>,
}

/// Largest compiled size of an expression of `--run`, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// Characters of a time up to whole seconds.
const TIME_CHARS: usize = "2006-01-02T15:04:05".len();

/// Runs the tests; succeeds when everything is as expected.
pub(super) fn run(args: &TestRulesArgs) -> Result<ExitCode, CliError> {
    let chosen =
        args.chosen.iter().map(|text| pattern::searching(text, REGEX_BYTES_MAX)).map(|regex| {
            regex.map_err(|e| CliError::Usage(format!("--run: {}", pattern::reason(&e))))
        });
    let chosen: Vec<Regex> = chosen.collect::<Result<_, _>>()?;
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|re| re.is_match(name));
    let features = features(&args.enable_feature)?;
    let templates = GoTemplates::default();
    let options = TestOptions {
        features: &features,
        templates: &templates,
        ignore_unknown_fields: args.ignore_unknown_fields,
        is_chosen: &is_chosen,
        with_samples: args.debug,
    };
    let mut all = Vec::new();
    for file in &args.files {
        println!("Unit Testing:  {}", file.display());
        let report = run_file(file, options, &|pattern| glob(pattern));
        print(&report, args.diff);
        all.push((file.display().to_string(), report));
    }
    if let Some(path) = &args.junit {
        let now: String = SystemClock.now().to_string().chars().take(TIME_CHARS).collect();
        std::fs::write(path, junit(&all, &now)).map_err(|error| {
            CliError::Failed(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    let is_success = all.iter().all(|(_, report)| report.is_success());
    Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &FileReport, diff: bool) {
    for warning in &report.warnings {
        eprintln!("  WARNING: {warning}");
    }
    for line in report.tests.iter().flat_map(|test| &test.samples) {
        println!("DEBUG: {line}");
    }
    if report.is_success() {
        println!("  SUCCESS");
    } else {
        eprintln!("  FAILED:");
        report.errors.iter().for_each(|error| eprintln!("{error}"));
        for mismatch in report.tests.iter().flat_map(|test| &test.mismatches) {
            eprintln!("{}", if diff { with_diff(mismatch) } else { mismatch.message.clone() });
        }
    }
    println!();
}

/// The message with the two sides line by line instead of one after the other.
fn with_diff(mismatch: &MismatchReport) -> String {
    let Some((expected, got)) = &mismatch.sides else { return mismatch.message.clone() };
    let head = mismatch.message.split("\n        exp:").next().unwrap_or_default();
    let (expected, got) = (expected.replace("}, {", "},\n{"), got.replace("}, {", "},\n{"));
    let (expected, got): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), got.lines().collect());
    let mut out = format!("{head}\n        diff (-expected +got):");
    for (sign, line) in diff_lines(&expected, &got) {
        let _ = write!(out, "\n        {sign} {line}"); // writing to a string does not fail
    }
    out
}

/// Most lines of a side that are compared in full; longer sides are shown one after the other.
const DIFF_LINES_MAX: usize = 2000;

/// The lines of both with ` `, `-` or `+`: the longest common subsequence stays.
fn diff_lines<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    if old.len().max(new.len()) > DIFF_LINES_MAX {
        let old = old.iter().map(|line| ('-', *line));
        return old.chain(new.iter().map(|line| ('+', *line))).collect();
    }
    // common[i][j]: length of the longest common subsequence of old[i..] and new[j..].
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    lines
}

/// The results as JUnit XML, as promtool writes them: a suite a file, a case a test; what keeps a
/// file's tests from being run is the error of a case `unknown`. `now` is when they were run.
fn junit(all: &[(String, FileReport)], now: &str) -> String {
    let mut out = "<testsuites>".to_owned();
    for (file, report) in all {
        let (file, errors) = (xml(file), usize::from(!report.errors.is_empty()));
        let tests = report.tests.len() + errors;
        let failures: usize = report.tests.iter().map(|test| test.mismatches.len()).sum();
        let _ = write!(
            out,
            "<testsuite name=\"{file}\" tests=\"{tests}\" failures=\"{failures}\" \
             errors=\"{errors}\" skipped=\"0\" timestamp=\"{now}\">"
        ); // writing to a string does not fail
        if errors > 0 {
            let why = xml(&report.errors.join("\n"));
            let _ = write!(out, "<testcase name=\"unknown\"><error>{why}</error></testcase>");
        }
        report.tests.iter().for_each(|test| out.push_str(&junit_case(test)));
        out.push_str("</testsuite>");
    }
    out.push_str("</testsuites>\n");
    out
}

fn junit_case(test: &TestReport) -> String {
    let name = match test.name.as_str() {
        "" => format!("unnamed#{}", test.index),
        name => xml(name),
    };
    let failures = test.mismatches.iter();
    let failures = failures.map(|m| format!("<failure>{}</failure>", xml(&m.message)));
    format!("<testcase name=\"{name}\">{}</testcase>", failures.collect::<String>())
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && !matches!(c, '\n' | '\t' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_lines_of_a_diff_stay() {
        let text = |old: &[&str], new: &[&str]| {
            let lines = diff_lines(old, new).into_iter();
            lines.map(|(sign, line)| format!("{sign}{line}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(&["a", "b", "c"], &["a", "x", "c"]), " a -b +x  c");
        assert_eq!(text(&[], &["a"]), "+a");
        assert_eq!(text(&["a", "b"], &["b"]), "-a  b");
    }

    #[test]
    fn results_are_sound_xml() {
        let mismatch = MismatchReport { message: "a < b & \"c\"".to_owned(), sides: None };
        let test = TestReport {
            name: String::new(),
            index: 3,
            mismatches: vec![mismatch],
            samples: vec![],
        };
        let wrong = FileReport { tests: vec![test], ..FileReport::default() };
        let errors = vec!["a".to_owned(), "b".to_owned()];
        let unread = FileReport { errors, ..FileReport::default() };
        assert_eq!(
            junit(&[("f".to_owned(), wrong), ("g".to_owned(), unread)], "now"),
            "<testsuites><testsuite name=\"f\" tests=\"1\" failures=\"1\" errors=\"0\" \
             skipped=\"0\" timestamp=\"now\"><testcase name=\"unnamed#3\"><failure>a &lt; b &amp; \
             &quot;c&quot;</failure></testcase></testsuite><testsuite name=\"g\" tests=\"1\" \
             failures=\"0\" errors=\"1\" skipped=\"0\" timestamp=\"now\"><testcase \
             name=\"unknown\"><error>a\nb</error></testcase></testsuite></testsuites>\n"
        );
    }
}
