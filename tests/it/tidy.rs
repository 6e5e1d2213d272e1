//! The house rules that a text search can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tidewatch::http::ROUTES;

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
    for part in ["model", "storage", "promql", "rules"] {
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
    let found = lines_with("rules", &[&outer[..], &["crate::storage"]].concat());
    assert!(found.is_empty(), "rules must not know these:\n{}", found.join("\n"));
    let found = lines_with("alias", &[&outer[..], &["crate::storage"]].concat());
    assert!(found.is_empty(), "alias must not know these:\n{}", found.join("\n"));
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

/// Files that hold other characters than ASCII, each with the reason; the path ends so.
const NOT_ASCII: [(&str, &str); 0] = [];

#[test]
fn sources_are_ascii() {
    let mut found = Vec::new();
    let parts = ["src", "tests", "benches", "fuzz/fuzz_targets"];
    for path in parts.iter().flat_map(|part| sources(&root().join(part))) {
        let text = fs::read_to_string(&path).expect("a source file");
        let allowed = NOT_ASCII.iter().any(|(end, _)| path.ends_with(end));
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_ascii()) {
            if !allowed {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "write an escape, or list the file:\n{}", found.join("\n"));
}

/// The crates of `Cargo.toml`, those of the tests included.
fn dependencies() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            names.insert(name.to_owned());
        }
    }
    names
}

/// What stands in backquotes in the first column of the table under `## Dependencies`.
fn explained_dependencies() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map");
    let (_, section) = text.split_once("\n## Dependencies\n").expect("a list of dependencies");
    let rows = section.lines().take_while(|line| !line.starts_with("## "));
    let rows = rows.filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let names = rows.flat_map(|column| column.split(", "));
    names.map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_dependency_is_meant() {
    let (real, explained) = (dependencies(), explained_dependencies());
    assert!(real.len() > 20, "Cargo.toml was not understood: {real:?}");
    let unexplained: Vec<_> = real.difference(&explained).collect();
    assert!(unexplained.is_empty(), "docs/ARCHITECTURE.md does not say why: {unexplained:?}");
    let gone: Vec<_> = explained.difference(&real).collect();
    assert!(gone.is_empty(), "docs/ARCHITECTURE.md explains what is not used: {gone:?}");
}

/// Routes that are served are listed, and what is listed is served: the golden files are held
/// against the list.
#[test]
fn every_route_is_listed() {
    let listed: BTreeSet<&str> = ROUTES.iter().map(|(_, path)| *path).collect();
    let mut served = BTreeSet::new();
    for path in sources(&root().join("src/http")) {
        let text = fs::read_to_string(&path).expect("a source file");
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        let routes = code.split(".route(\"").skip(1);
        served.extend(routes.filter_map(|rest| rest.split('"').next().map(str::to_owned)));
    }
    assert!(served.len() > 20, "the routes were not found: {served:?}");
    let served: BTreeSet<&str> = served.iter().map(String::as_str).collect();
    let difference: Vec<_> = served.symmetric_difference(&listed).collect();
    assert!(difference.is_empty(), "served or listed, but not both: {difference:?}");
}
