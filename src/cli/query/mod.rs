//! `tidewatch query ...`: ask a server, or a stopped server's data directory, and print the answer.
//!
//! Both ways end in the JSON that the HTTP API gives as `data`, so that they print alike.

mod format;
mod local;
mod remote;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::CliError;

/// What to ask.
#[derive(Debug, Subcommand)]
pub enum QueryCommand {
    /// The value of an expression at one time
    Instant(InstantArgs),
    /// The values of an expression over a range of time
    Range(RangeArgs),
    /// What each part of an expression gives and costs: series, samples, time
    Explain(ExplainArgs),
    /// Label names, or the values of one label
    Labels(LabelsArgs),
    /// Series that match selectors
    Series(SeriesArgs),
}

/// Where to ask and how to print.
#[derive(Clone, Debug, Args)]
struct Target {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    url: String,
    /// Data directory of a stopped server, instead of a server
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data_dir: Option<PathBuf>,
    /// How to print the answer
    #[arg(long, short = 'o', value_enum, default_value = "table")]
    format: Format,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// The API's data, as JSON
    Json,
    /// Comma-separated values with a header
    Csv,
}

/// `query instant`.
#[derive(Debug, Args)]
pub struct InstantArgs {
    /// PromQL expression
    expression: String,
    /// Time of evaluation: RFC 3339 or Unix seconds [default: now]
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// `query range`.
#[derive(Debug, Args)]
pub struct RangeArgs {
    /// PromQL expression
    expression: String,
    /// First time: RFC 3339 or Unix seconds [default: an hour before the last]
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Last time [default: now]
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Distance between two times, such as 15s
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    step: String,
    #[command(flatten)]
    target: Target,
}

/// `query explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// PromQL expression
    expression: String,
    /// Time of evaluation: RFC 3339 or Unix seconds [default: now]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["start", "end", "step"])]
    time: Option<String>,
    /// First time of a range [default: an hour before the last]
    #[arg(long, value_name = "TIME", requires = "step")]
    start: Option<String>,
    /// Last time of a range [default: now]
    #[arg(long, value_name = "TIME", requires = "step")]
    end: Option<String>,
    /// Explain it over a range, with this distance between two times, such as 15s
    #[arg(long, value_name = "DURATION")]
    step: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// `query labels`.
#[derive(Debug, Args)]
pub struct LabelsArgs {
    /// Label whose values to list; without it, the label names
    name: Option<String>,
    /// Only of series that match one of these selectors
    #[arg(long = "match", value_name = "SELECTOR")]
    matches: Vec<String>,
    /// Only of series with samples from here on
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Only of series with samples up to here
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// `query series`.
#[derive(Debug, Args)]
pub struct SeriesArgs {
    /// Series that match one of these selectors
    #[arg(long = "match", value_name = "SELECTOR", required = true)]
    matches: Vec<String>,
    /// Only series with samples from here on
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Only series with samples up to here
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// One request in the API's own terms: a path below `/api/v1/` and its parameters.
#[derive(Debug)]
struct Question {
    path: String,
    parameters: Vec<(&'static str, String)>,
}

/// Asks and prints.
pub(super) fn run(command: QueryCommand) -> Result<ExitCode, CliError> {
    let (question, target) = question(command)?;
    let data = match &target.data_dir {
        Some(dir) => local::ask(dir, &question)?,
        None => remote::ask(&target.url, &question)?,
    };
    print(&data, target.format)?;
    Ok(ExitCode::SUCCESS)
}

fn print(data: &Value, format: Format) -> Result<(), CliError> {
    use std::io::Write;
    let text = match format {
        Format::Table => format::table(data),
        Format::Csv => format::csv(data),
        Format::Json => format!("{data:#}\n"),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| CliError::Failed(format!("writing the answer: {error}"))),
    }
}

fn question(command: QueryCommand) -> Result<(Question, Target), CliError> {
    Ok(match command {
        QueryCommand::Instant(args) => {
            let mut parameters = vec![("query", args.expression)];
            parameters.extend(args.time.map(|time| ("time", time)));
            (Question { path: "query".to_owned(), parameters }, args.target)
        }
        QueryCommand::Range(args) => {
            let (start, end) = range_bounds(args.start, args.end)?;
            let parameters = vec![
                ("query", args.expression),
                ("start", start),
                ("end", end),
                ("step", args.step),
            ];
            (Question { path: "query_range".to_owned(), parameters }, args.target)
        }
        QueryCommand::Explain(args) => {
            let mut parameters = vec![("query", args.expression)];
            parameters.extend(args.time.map(|time| ("time", time)));
            if let Some(step) = args.step {
                let (start, end) = range_bounds(args.start, args.end)?;
                parameters.extend([("start", start), ("end", end), ("step", step)]);
            }
            (Question { path: "query_explain".to_owned(), parameters }, args.target)
        }
        QueryCommand::Labels(args) => {
            let path = match args.name {
                Some(name) => format!("label/{}/values", crate::url_text::segment(&name)),
                None => "labels".to_owned(),
            };
            let parameters = selection(args.matches, args.start, args.end);
            (Question { path, parameters }, args.target)
        }
        QueryCommand::Series(args) => {
            let parameters = selection(args.matches, args.start, args.end);
            (Question { path: "series".to_owned(), parameters }, args.target)
        }
    })
}

fn selection(
    matches: Vec<String>,
    start: Option<String>,
    end: Option<String>,
) -> Vec<(&'static str, String)> {
    let mut parameters: Vec<_> = matches.into_iter().map(|text| ("match[]", text)).collect();
    parameters.extend(start.map(|time| ("start", time)));
    parameters.extend(end.map(|time| ("end", time)));
    parameters
}

/// Length of a range whose start is not given, in ms.
const RANGE_MS_DEFAULT: i64 = 60 * 60 * 1000;

fn range_bounds(start: Option<String>, end: Option<String>) -> Result<(String, String), CliError> {
    use crate::http::times::parse_time;
    use crate::model::{Clock, SystemClock};
    let end = end.unwrap_or_else(|| SystemClock.now().as_secs_f64().to_string());
    let start = match start {
        Some(start) => start,
        None => {
            let parsed = parse_time(&end)
                .map_err(|_| CliError::Usage(format!("--end: {end:?} is not a time")))?;
            parsed.saturating_sub(RANGE_MS_DEFAULT).as_secs_f64().to_string()
        }
    };
    Ok((start, end))
}
