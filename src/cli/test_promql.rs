//! `tidewatch test promql FILE...`: runs PromQL test scripts.
//!
//! In: script files. Out: one line for each evaluation that gave something else than expected, the
//! counts, and an exit code. Never here: what a script means (`promql::script`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::promql::memory::MemorySource;
use crate::promql::script;

/// Arguments of `tidewatch test promql`.
#[derive(Args, Clone, Debug)]
pub struct TestPromqlArgs {
    /// Scripts in the promqltest language.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also print the counts of each file.
    #[arg(long)]
    pub summary: bool,
}

/// How many evaluations went which way.
#[derive(Clone, Copy, Default)]
struct Counts {
    passed: usize,
    failed: usize,
}

/// Runs the scripts; succeeds when every evaluation gave what was expected.
pub fn run(args: &TestPromqlArgs) -> ExitCode {
    let mut total = Counts::default();
    for file in &args.files {
        let counts = run_file(file);
        if args.summary {
            println!("{}: {} passed, {} failed", file.display(), counts.passed, counts.failed);
        }
        total.passed += counts.passed;
        total.failed += counts.failed;
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one script and prints its failures. A file that is no script counts as one failure.
fn run_file(file: &Path) -> Counts {
    let name = file.display();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            println!("{name}: cannot read the script: {error}");
            return Counts { passed: 0, failed: 1 };
        }
    };
    match script::parse(&text) {
        Err(error) => {
            println!("{name}:{}: {}", error.line, error.message);
            Counts { passed: 0, failed: 1 }
        }
        Ok(parsed) => {
            let report = script::run(&parsed, &script::engine(), &mut MemorySource::new());
            for failure in &report.failures {
                println!("{name}:{}: {}", failure.line, failure.message);
            }
            Counts { passed: report.passed, failed: report.failures.len() }
        }
    }
}
