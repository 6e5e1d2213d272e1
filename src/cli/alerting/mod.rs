//! `tidewatch alert`, `silence` and `routes`: what amtool does, against this server or any
//! Alertmanager.
//!
//! In: arguments. Out: requests of Alertmanager's API v2, and tables or JSON. `routes` also works
//! on a file alone.

mod alert;
mod client;
mod routes;
mod silence;
mod table;

pub use alert::AlertCommand;
pub use routes::RoutesCommand;
pub use silence::SilenceCommand;

pub(super) use alert::run as run_alert;
pub(super) use routes::run as run_routes;
pub(super) use silence::run as run_silence;

use clap::{Args, ValueEnum};

use super::CliError;
use crate::model::{Clock, SystemClock, Timestamp, parse_duration_ms};

/// Where to ask and how to print.
#[derive(Clone, Debug, Args)]
struct Target {
    /// The server
    #[arg(
        long = "alertmanager.url",
        visible_alias = "url",
        env = "ALERTMANAGER_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9090"
    )]
    url: String,
    /// How to print the answer
    #[arg(long, short = 'o', value_enum, default_value = "simple")]
    output: Output,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// The most important columns
    Simple,
    /// All columns
    Extended,
    /// The API's answer
    Json,
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// A time: RFC 3339, or `2h` for in two hours.
fn time(text: &str) -> Result<Timestamp, CliError> {
    if let Ok(ms) = parse_duration_ms(text) {
        return Ok(now().saturating_add(ms));
    }
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.map(|at| Timestamp(at.as_millisecond())).map_err(|_| {
        CliError::Usage(format!("{text:?} is no time such as 2026-11-21T10:00:00Z or 2h"))
    })
}

fn duration(text: &str) -> Result<i64, CliError> {
    parse_duration_ms(text).map_err(|error| CliError::Usage(error.to_string()))
}

/// Matchers; a bare first word is the value of `alertname`.
fn with_alertname(matchers: &[String]) -> Vec<String> {
    let mut all = matchers.to_vec();
    if let Some(first) = all.first_mut().filter(|first| !first.contains(['=', '~', '!', '{'])) {
        *first = format!("alertname={}", crate::model::labels::Quoted(first));
    }
    all
}

/// `name=value`, the value perhaps in quotes.
fn pair(text: &str) -> Result<(String, String), CliError> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(CliError::Usage(format!("{text:?} is not NAME=VALUE")));
    };
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Ok((name.to_owned(), bare.unwrap_or(value).to_owned()))
}
