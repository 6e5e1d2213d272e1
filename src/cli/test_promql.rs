//! `tidewatch test promql FILE...`: runs PromQL test scripts.
//!
//! In: script files. Out: one line for each evaluation that gave something else than expected, the
//! counts, and an exit code. Never here: what a script means (`promql::script`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::app::{Placement, ScriptDisk};
use crate::promql::memory::MemorySource;
use crate::promql::script::{self, Report, Script};

/// Arguments of `tidewatch test promql`.
#[derive(Args, Clone, Debug)]
pub struct TestPromqlArgs {
    /// Scripts in the promqltest language.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Where the series are kept: in memory, or in a store in a temporary directory.
    #[arg(long, value_enum, default_value_t = StoreKind::Memory, value_name = "KIND")]
    pub store: StoreKind,
    /// Also print the counts of each file.
    #[arg(long)]
    pub summary: bool,
}

/// Where the series of a script are kept.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum StoreKind {
    /// In maps, without limits.
    Memory,
    /// In partition files, as a server keeps all but the newest.
    Disk,
    /// In the head and the journal, as a server keeps the newest.
    Head,
    /// The earlier half in partition files, the later one in the head.
    Both,
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
        let counts = run_file(file, args.store);
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
fn run_file(file: &Path, store: StoreKind) -> Counts {
    let name = file.display();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            println!("{name}: cannot read the script: {error}");
            return Counts { passed: 0, failed: 1 };
        }
    };
    let parsed = match script::parse(&text) {
        Err(error) => {
            println!("{name}:{}: {}", error.line, error.message);
            return Counts { passed: 0, failed: 1 };
        }
        Ok(parsed) => parsed,
    };
    match run_script(&parsed, store) {
        Err(message) => {
            println!("{name}: cannot open a store: {message}");
            Counts { passed: 0, failed: 1 }
        }
        Ok(report) => {
            for failure in &report.failures {
                println!("{name}:{}: {}", failure.line, failure.message);
            }
            Counts { passed: report.passed, failed: report.failures.len() }
        }
    }
}

fn run_script(parsed: &Script, store: StoreKind) -> Result<Report, String> {
    let engine = script::engine();
    let placement = match store {
        StoreKind::Memory => return Ok(script::run(parsed, &engine, &mut MemorySource::new())),
        StoreKind::Disk => Placement::Partitions,
        StoreKind::Head => Placement::Head,
        StoreKind::Both => Placement::Both,
    };
    Ok(script::run(parsed, &engine, &mut ScriptDisk::new(placement)?))
}
