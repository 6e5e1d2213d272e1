//! `tidewatch check rules FILE...`: rule files are read and judged, as promtool does.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::CliError;
use super::serve::features;
use crate::config::glob;
use crate::model::labels::Quoted;
use crate::rules::file::{self, FILE_BYTES_MAX, FileError, ReadOptions, lint};
use crate::rules::{GoTemplates, GroupSpec};

/// Exit code when something is likely a mistake and that is to fail.
const LINT_FAILED: u8 = 3;

/// Which files, and how strictly.
#[derive(Debug, Args)]
pub struct RulesArgs {
    /// Rule files or patterns of such; standard input without any
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is likely a mistake: all, duplicate-rules, none; several with commas
    #[arg(long, default_value = "duplicate-rules", value_name = "CHECK", value_delimiter = ',')]
    lint: Vec<String>,
    /// Fail with exit code 3 when something is likely a mistake
    #[arg(long)]
    lint_fatal: bool,
    /// Pass over keys that there are not
    #[arg(long)]
    ignore_unknown_fields: bool,
    /// Optional parts of PromQL, as of `tidewatch serve`
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    enable_feature: Vec<String>,
}

/// How a file did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Right,
    Suspect,
    Wrong,
}

/// Exit code 0 when every file is right, 1 when one is wrong, 3 when one is suspect and that is to
/// fail.
pub(super) fn run(args: &RulesArgs) -> Result<ExitCode, CliError> {
    let features = features(&args.enable_feature)?;
    let templates = GoTemplates::default();
    let options = ReadOptions {
        features: &features,
        templates: &templates,
        ignore_unknown_fields: args.ignore_unknown_fields,
    };
    let looks_for_twins = looks_for_twins(&args.lint);
    let mut worst = Verdict::Right;
    for path in paths(&args.files)? {
        println!(
            "Checking {}",
            path.as_ref().map_or("standard input".into(), |p| p.display().to_string())
        );
        let read = match &path {
            Some(path) => file::read(path, options),
            None => read_input(options)?,
        };
        worst = worst.max(judge(read, looks_for_twins));
        println!();
    }
    Ok(match worst {
        Verdict::Wrong => ExitCode::FAILURE,
        Verdict::Suspect if args.lint_fatal => ExitCode::from(LINT_FAILED),
        _ => ExitCode::SUCCESS,
    })
}

/// Whether duplicate rules are looked for; names of checks that there are not are told, as promtool
/// does.
fn looks_for_twins(checks: &[String]) -> bool {
    for check in checks {
        if !["", "all", "duplicate-rules", "none"].contains(&check.as_str()) {
            println!("WARNING: unknown lint option: {}", Quoted(check));
        }
    }
    checks.iter().any(|check| matches!(check.as_str(), "all" | "duplicate-rules"))
}

/// The files; `None` is the standard input.
fn paths(patterns: &[PathBuf]) -> Result<Vec<Option<PathBuf>>, CliError> {
    if patterns.is_empty() {
        return Ok(vec![None]);
    }
    let mut paths = Vec::new();
    for pattern in patterns {
        // A file whose name looks like a pattern is that file.
        let found = match pattern.exists() {
            true => vec![pattern.clone()],
            false => glob(pattern).map_err(CliError::Usage)?,
        };
        if found.is_empty() {
            return Err(CliError::Failed(format!("path '{}' does not exist", pattern.display())));
        }
        paths.extend(found.into_iter().map(Some));
    }
    Ok(paths)
}

fn read_input(
    options: ReadOptions<'_>,
) -> Result<Result<Vec<GroupSpec>, Vec<FileError>>, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| CliError::Failed(format!("cannot read the standard input: {error}")))?;
    let name = Path::new("standard input").display().to_string();
    Ok(file::parse(&name.into(), &text, options))
}

fn judge(read: Result<Vec<GroupSpec>, Vec<FileError>>, looks_for_twins: bool) -> Verdict {
    let groups = match read {
        Ok(groups) => groups,
        Err(errors) => {
            eprintln!("  FAILED:");
            errors.iter().for_each(|error| eprintln!("{error}"));
            return Verdict::Wrong;
        }
    };
    let twice = if looks_for_twins { lint::duplicates(&groups) } else { Vec::new() };
    if twice.is_empty() {
        let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
        println!("  SUCCESS: {rules} rules found");
        return Verdict::Right;
    }
    eprintln!("  FAILED:");
    eprintln!("lint error {} duplicate rule(s) found.", twice.len());
    for duplicate in twice {
        eprintln!("Metric: {}", duplicate.name);
        eprintln!("Label(s):");
        for (name, value) in duplicate.labels {
            eprintln!("\t{name}: {value}");
        }
    }
    eprintln!("Might cause inconsistency while recording expressions");
    Verdict::Suspect
}
