//! Unit tests of rules, in the files that promtool reads.
//!
//! In: a test file, and the rule files it names. Out: for each test what is not as expected, in
//! promtool's words. Never here: the command line.

mod file;
mod histogram_text;
mod raw;
mod run;
pub(in crate::rules) mod store;
mod text;

pub use histogram_text::histogram_text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{ReadOptions, read};
use super::spec::GroupSpec;
use super::templates::Templates;
use crate::promql::Features;

/// How tests are run.
#[derive(Clone, Copy)]
pub struct TestOptions<'a> {
    /// Which parts of PromQL are on.
    pub features: &'a Features,
    /// What texts of alerts are expanded with.
    pub templates: &'a dyn Templates,
    /// Whether keys that there are not are passed over, in tests and rules.
    pub ignore_unknown_fields: bool,
    /// Says by its name whether a test is to be run.
    pub is_chosen: &'a dyn Fn(&str) -> bool,
    /// Whether every sample of a test is told, too.
    pub with_samples: bool,
}

/// What a file's tests found.
#[derive(Debug, Default)]
pub struct FileReport {
    /// What stands out and is no failure.
    pub warnings: Vec<String>,
    /// Why no test could be run; empty when they could.
    pub errors: Vec<String>,
    /// The tests that were chosen.
    pub tests: Vec<TestReport>,
}

impl FileReport {
    /// Whether everything is as expected.
    pub fn is_success(&self) -> bool {
        self.errors.is_empty() && self.tests.iter().all(|test| test.mismatches.is_empty())
    }
}

/// What one test found.
#[derive(Debug)]
pub struct TestReport {
    /// Its name; may be empty.
    pub name: String,
    /// Its place among the tests of the file, those that were not chosen among them.
    pub index: usize,
    /// What is not as expected.
    pub mismatches: Vec<MismatchReport>,
    /// Every sample of the test, when that was asked for.
    pub samples: Vec<String>,
}

/// Something that is not as expected.
#[derive(Debug)]
pub struct MismatchReport {
    /// In promtool's words.
    pub message: String,
    /// What was expected and what was found, over several lines, when it is a comparison.
    pub sides: Option<(String, String)>,
}

/// Runs the tests of a file. `find` gives the files that match a pattern, ascending.
pub fn run_file(
    path: &Path,
    options: TestOptions<'_>,
    find: &dyn Fn(&Path) -> Result<Vec<PathBuf>, String>,
) -> FileReport {
    let mut report = FileReport::default();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            report.errors.push(format!("cannot read {}: {error}", path.display()));
            return report;
        }
    };
    let base = path.parent().unwrap_or(Path::new(""));
    let file = match file::parse(&text, base, options.ignore_unknown_fields) {
        Ok(file) => file,
        Err(errors) => {
            report.errors.extend(errors.iter().map(|error| format!("{}: {error}", path.display())));
            return report;
        }
    };
    let specs = read_rules(&file.rule_files, options, find, &mut report);
    if !report.errors.is_empty() {
        return report;
    }
    let tests = file.tests.iter().enumerate();
    for (index, test) in tests.filter(|(_, test)| (options.is_chosen)(&test.name)) {
        let run = run::run(&file, test, &specs, *options.features, options.with_samples);
        let mismatches = run.errors.into_iter();
        let mismatches = mismatches.map(|m| MismatchReport { message: m.message, sides: m.sides });
        report.tests.push(TestReport {
            name: test.name.clone(),
            index,
            mismatches: mismatches.collect(),
            samples: run.dump,
        });
    }
    report
}

fn read_rules(
    patterns: &[PathBuf],
    options: TestOptions<'_>,
    find: &dyn Fn(&Path) -> Result<Vec<PathBuf>, String>,
    report: &mut FileReport,
) -> Vec<Arc<GroupSpec>> {
    let read_options = ReadOptions {
        features: options.features,
        templates: options.templates,
        ignore_unknown_fields: options.ignore_unknown_fields,
    };
    let mut groups = Vec::new();
    for pattern in patterns {
        let files = match find(pattern) {
            Ok(files) => files,
            Err(why) => {
                report.errors.push(why);
                continue;
            }
        };
        if files.is_empty() {
            report.warnings.push(format!("no file match pattern {}", pattern.display()));
        }
        for path in files {
            match read(&path, read_options) {
                Ok(read) => groups.extend(read.into_iter().map(Arc::new)),
                Err(errors) => report.errors.extend(errors.iter().map(ToString::to_string)),
            }
        }
    }
    groups
}
