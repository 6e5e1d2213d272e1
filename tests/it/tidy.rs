//! The house rules that a text search can check.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file in lines; tests and tables may be longer.
const FILE_LINES_MAX: usize = 700;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a source directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(sources(&path)),
            false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
            false => {}
        }
    }
    files
}

/// Lines of code in `part` that hold one of `words`, as `file:line: text`.
fn lines_with(part: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in sources(&root().join("src").join(part)) {
        let text = fs::read_to_string(&path).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{}: {code}", path.display(), number + 1));
            }
        }
    }
    found
}

#[test]
fn the_core_is_synchronous() {
    for part in ["model", "storage", "promql"] {
        let found = lines_with(part, &["tokio::", "hyper::", "axum::", "tracing_subscriber"]);
        assert!(found.is_empty(), "{part} must not use these:\n{}", found.join("\n"));
    }
}

#[test]
fn imports_point_one_way() {
    let outer = ["crate::http", "crate::app", "crate::cli", "crate::config", "crate::ingest"];
    for (part, sibling) in [("storage", "crate::promql"), ("promql", "crate::storage")] {
        let found = lines_with(part, &[&outer[..], &[sibling]].concat());
        assert!(found.is_empty(), "{part} must not know these:\n{}", found.join("\n"));
    }
    let found = lines_with("model", &[&outer[..], &["crate::storage", "crate::promql"]].concat());
    assert!(found.is_empty(), "model must not know these:\n{}", found.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    // Split, so that this file does not find itself.
    let words = [
        concat!("FIX", "ME"),
        concat!("dbg", "!("),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
    ];
    let found = lines_with("", &words);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn files_stay_readable() {
    let mut long = Vec::new();
    for path in sources(&root().join("src")) {
        let lines = fs::read_to_string(&path).expect("a source file").lines().count();
        let is_test = path.to_string_lossy().contains("tests");
        if lines > FILE_LINES_MAX && !is_test {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert!(long.is_empty(), "split these by idea:\n{}", long.join("\n"));
}
