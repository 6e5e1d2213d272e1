//! The command line: one file a sub-command.
//!
//! In: arguments. Out: an exit code (0 good, 1 failed, 2 wrong usage, 3 lint). Never here: what the
//! commands do; they call the library.

mod alerting;
mod check;
mod check_rules;
mod completions;
mod query;
mod receiver;
mod serve;
mod test_promql;
mod test_rules;

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "tidewatch", version, about, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: receive, store and answer queries
    Serve(Box<serve::ServeArgs>),
    /// Check files without starting anything
    #[command(subcommand)]
    Check(check::CheckCommand),
    /// Query a server, or the data directory of a stopped one
    #[command(subcommand)]
    Query(query::QueryCommand),
    /// Try out who is notified of alerts
    #[command(subcommand)]
    Receiver(receiver::ReceiverCommand),
    /// Run tests
    #[command(subcommand)]
    Test(TestCommand),
    /// List and report alerts
    #[command(subcommand)]
    Alert(alerting::AlertCommand),
    /// List, create and end silences
    #[command(subcommand)]
    Silence(alerting::SilenceCommand),
    /// Show and test the routing tree
    #[command(subcommand)]
    Routes(alerting::RoutesCommand),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// What to test.
#[derive(Debug, Subcommand)]
enum TestCommand {
    /// Run scripts in the promqltest language
    Promql(test_promql::TestPromqlArgs),
    /// Run unit tests of rules, as promtool does
    Rules(test_rules::TestRulesArgs),
}

/// Why a command failed.
#[derive(Debug)]
pub enum CliError {
    /// The arguments or the configuration make no sense: exit code 2.
    Usage(String),
    /// The work could not be done: exit code 1.
    Failed(String),
}

impl CliError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            CliError::Usage(_) => 2,
            CliError::Failed(_) => 1,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Usage(why) | CliError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CliError {}

/// Runs the command that was asked for.
///
/// # Errors
/// It could not be done; the error is a sentence for the user.
pub fn run(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Check(command) => check::run(&command),
        Command::Query(command) => query::run(command),
        Command::Receiver(command) => receiver::run(command),
        Command::Test(TestCommand::Promql(args)) => Ok(test_promql::run(&args)),
        Command::Test(TestCommand::Rules(args)) => test_rules::run(&args),
        Command::Alert(command) => alerting::run_alert(&command),
        Command::Silence(command) => alerting::run_silence(&command),
        Command::Routes(command) => alerting::run_routes(&command),
        Command::Completions(args) => completions::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_needs_no_arguments() {
        assert!(Cli::try_parse_from(["tidewatch", "serve"]).is_ok());
        assert!(Cli::try_parse_from(["tidewatch", "serve", "--no-such-flag"]).is_err());
    }
}
