//! `tidewatch completions SHELL`.

use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, CliError};

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell to complete for
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Result<ExitCode, CliError> {
    clap_complete::generate(args.shell, &mut Cli::command(), "tidewatch", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}
