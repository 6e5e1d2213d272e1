//! `tidewatch check ...`: files are read and judged, nothing is started.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{CliError, check_rules};
use crate::config::{self, Config, Overrides};
use crate::statsd::Mapper;

/// What to check.
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Check configuration files
    Config(ConfigArgs),
    /// Check rule files
    Rules(check_rules::RulesArgs),
}

/// Which files.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Exit code 0 when every file is right, else 1.
pub(super) fn run(command: &CheckCommand) -> Result<ExitCode, CliError> {
    match command {
        CheckCommand::Config(args) => run_config(args),
        CheckCommand::Rules(args) => check_rules::run(args),
    }
}

fn run_config(args: &ConfigArgs) -> Result<ExitCode, CliError> {
    let mut all_right = true;
    for file in &args.files {
        println!("Checking {}", file.display());
        let loaded = config::load(Some(file), &Overrides::default());
        match loaded.map_err(|error| error.to_string()).and_then(with_mapping) {
            Ok(config) => print_right(file, &config),
            Err(error) => {
                all_right = false;
                eprintln!("  FAILED: {error}");
            }
        }
        println!();
    }
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks the StatsD mapping file that the configuration names, too.
fn with_mapping(config: Config) -> Result<Config, String> {
    if let Some(path) = &config.statsd.mapping_config {
        Mapper::load(path).map_err(|error| error.to_string())?;
    }
    Ok(config)
}

fn print_right(file: &std::path::Path, config: &Config) {
    for warning in &config.warnings {
        println!("  WARNING: {warning}");
    }
    println!(" SUCCESS: {} is valid configuration file syntax", file.display());
}
