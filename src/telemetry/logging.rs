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

/// Changes the level of a log that was started.
pub struct LogLevel(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogLevel {
    /// Logs at `level` from now on.
    ///
    /// # Errors
    /// It is no level.
    pub fn set(&self, level: &str) -> Result<(), String> {
        (self.0)(filter(level)?);
        Ok(())
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel").finish_non_exhaustive()
    }
}

/// Checks that `level` is a level or a list of them.
///
/// # Errors
/// It is not; says why.
pub fn check_level(level: &str) -> Result<(), String> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("log level {level:?}: {error}"))
}

/// Starts logging to stderr. Called once, by the command that runs long; a second call changes
/// nothing.
///
/// # Errors
/// The level is not one.
pub fn init(options: &LogOptions) -> Result<LogLevel, String> {
    let colour = options.format == LogFormat::Text && io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .with_env_filter(filter(&options.level)?)
        .with_filter_reloading();
    let handle = log.reload_handle();
    // An error means a test or an embedding program has already set up logging: theirs stays.
    let _ = log.try_init();
    Ok(LogLevel(Box::new(move |filter| {
        // An error means that the log has ended, as when theirs stayed.
        let _ = handle.reload(filter);
    })))
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
