//! The log: one line an event on stderr.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message and `key=value` fields, for people.
    #[default]
    Text,
    /// The same without colour or alignment, for files and journals.
    Plain,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFormat, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "plain" => Ok(LogFormat::Plain),
            other => Err(format!("unknown log format {other:?}, expected text or plain")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Plain => "plain",
        })
    }
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a list such as `info,tidewatch::statsd=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Starts logging to stderr. Called once, by the command that runs long; a second call changes
/// nothing.
///
/// # Errors
/// The level is not one.
pub fn init(options: &LogOptions) -> Result<(), String> {
    let filter = EnvFilter::try_new(&options.level)
        .map_err(|error| format!("log level {:?}: {error}", options.level))?;
    let colour = options.format == LogFormat::Text && io::stderr().is_terminal();
    // An error means a test or an embedding program has already set up logging: theirs stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .try_init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_back_what_they_print() {
        for format in [LogFormat::Text, LogFormat::Plain] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("xml".parse::<LogFormat>().is_err());
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        let options = LogOptions { level: "tidewatch=loud".to_owned(), ..Default::default() };
        assert!(init(&options).expect_err("no level").contains("tidewatch=loud"));
    }
}
