//! `tidewatch check ...`: files are read and judged, nothing is started.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{CliError, check_rules};
use crate::app::load_rules;
use crate::config::{self, Config, Overrides};
use crate::notify::config::{self as notify, AlertConfig};
use crate::promql::Features;
use crate::statsd::Mapper;

/// What to check.
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Check configuration files
    Config(ConfigArgs),
    /// Check rule files
    Rules(check_rules::RulesArgs),
    /// Check Alertmanager's configuration files
    Alertmanager(ConfigArgs),
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
        CheckCommand::Alertmanager(args) => run_alertmanager(args),
    }
}

fn run_config(args: &ConfigArgs) -> Result<ExitCode, CliError> {
    let mut all_right = true;
    for file in &args.files {
        println!("Checking {}", file.display());
        let loaded = config::load(Some(file), &Overrides::default());
        match loaded.map_err(|error| error.to_string()).and_then(with_files) {
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

fn run_alertmanager(args: &ConfigArgs) -> Result<ExitCode, CliError> {
    let mut all_right = true;
    for file in &args.files {
        print!("Checking '{}'", file.display());
        match notify::load(file) {
            Ok(config) => print_found(&config),
            Err(error) => {
                all_right = false;
                println!("  FAILED: {error}");
            }
        }
        println!();
    }
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_found(config: &AlertConfig) {
    println!("  SUCCESS");
    println!("Found:\n - global config\n - route");
    for (count, what) in [
        (config.inhibit_rules.len(), "inhibit rules"),
        (config.receivers.len(), "receivers"),
        (config.templates.len(), "templates"),
    ] {
        println!(" - {count} {what}");
    }
    config.warnings.iter().for_each(|warning| println!("  WARNING: {warning}"));
}

/// Checks the StatsD mapping file and the rule files that the configuration names, too.
fn with_files(config: Config) -> Result<Config, String> {
    let groups = load_rules(&config, &Features::default())?;
    let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
    if rules > 0 {
        println!("  SUCCESS: {rules} rules found");
    }
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
