//! `tidewatch alert query` and `alert add`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::{CliError, Output, Target, now, pair, table, time, with_alertname};

/// What to do with alerts.
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// List alerts that fire
    Query(QueryArgs),
    /// Report an alert
    Add(AddArgs),
}

/// `alert query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// Matchers such as severity="page"; a bare first word is the alert's name
    matchers: Vec<String>,
    /// Show inhibited alerts
    #[arg(long, short)]
    inhibited: bool,
    /// Show silenced alerts
    #[arg(long, short)]
    silenced: bool,
    /// Show active alerts, which is the default
    #[arg(long, short)]
    active: bool,
    /// Accepted; there are no such alerts
    #[arg(long, short)]
    unprocessed: bool,
    /// Only alerts of receivers that match this regular expression
    #[arg(long, short, value_name = "REGEX")]
    receiver: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// `alert add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Labels as NAME=VALUE; a bare first word is the alert's name
    #[arg(required = true)]
    labels: Vec<String>,
    /// Annotations as NAME=TEXT
    #[arg(long, value_name = "NAME=TEXT")]
    annotation: Vec<String>,
    /// Where the alert comes from
    #[arg(long, value_name = "URL")]
    generator_url: Option<String>,
    /// Since when it fires [default: now]
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// When it ends [default: after the server's resolve timeout]
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Runs one of them.
pub(in super::super) fn run(command: &AlertCommand) -> Result<ExitCode, CliError> {
    match command {
        AlertCommand::Query(args) => query(args),
        AlertCommand::Add(args) => add(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn query(args: &QueryArgs) -> Result<(), CliError> {
    // Without a choice only active alerts are shown.
    let active = args.active || !(args.silenced || args.inhibited || args.unprocessed);
    let mut query: Vec<(&str, String)> = vec![
        ("active", active.to_string()),
        ("silenced", args.silenced.to_string()),
        ("inhibited", args.inhibited.to_string()),
        ("unprocessed", args.unprocessed.to_string()),
    ];
    query.extend(with_alertname(&args.matchers).into_iter().map(|text| ("filter", text)));
    query.extend(args.receiver.clone().map(|name| ("receiver", name)));
    let alerts = Client::new(&args.target.url).get("/alerts", &query)?;
    print(&alerts, args.target.output);
    Ok(())
}

fn print(alerts: &Value, output: Output) {
    let all: Vec<&Value> = alerts.as_array().into_iter().flatten().collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match output {
        Output::Json => println!("{alerts}"),
        Output::Simple => {
            let row = |alert: &&Value| {
                let summary = &alert["annotations"]["summary"];
                let shown = [&alert["labels"]["alertname"], &alert["startsAt"], summary];
                let shown = shown.into_iter().chain([&alert["status"]["state"]]);
                shown.map(text).collect()
            };
            let rows: Vec<Vec<String>> = all.iter().map(row).collect();
            table::print(&["Alertname", "Starts At", "Summary", "State"], &rows);
        }
        Output::Extended => {
            let row = |alert: &&Value| {
                let mut row = vec![pairs(&alert["labels"]), pairs(&alert["annotations"])];
                let rest = ["startsAt", "endsAt", "generatorURL"].map(|key| text(&alert[key]));
                row.extend(rest);
                row.push(text(&alert["status"]["state"]));
                row
            };
            let rows: Vec<Vec<String>> = all.iter().map(row).collect();
            let header =
                ["Labels", "Annotations", "Starts At", "Ends At", "Generator URL", "State"];
            table::print(&header, &rows);
        }
    }
}

fn pairs(map: &Value) -> String {
    let all = map.as_object().into_iter().flatten();
    let all = all.map(|(name, value)| format!("{name}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

fn add(args: &AddArgs) -> Result<(), CliError> {
    let mut labels = Map::new();
    for (at, text) in args.labels.iter().enumerate() {
        let (name, value) = match at {
            0 if !text.contains('=') => ("alertname".to_owned(), text.clone()),
            _ => pair(text)?,
        };
        labels.insert(name, value.into());
    }
    let mut annotations = Map::new();
    for text in &args.annotation {
        let (name, value) = pair(text)?;
        annotations.insert(name, value.into());
    }
    let mut alert = json!({"labels": labels, "annotations": annotations});
    let start = args.start.as_deref().map(time).transpose()?.unwrap_or_else(now);
    alert["startsAt"] = start.to_string().into();
    if let Some(end) = &args.end {
        alert["endsAt"] = time(end)?.to_string().into();
    }
    if let Some(url) = &args.generator_url {
        alert["generatorURL"] = url.as_str().into();
    }
    Client::new(&args.target.url).post("/alerts", &json!([alert])).map(drop)
}
