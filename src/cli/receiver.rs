//! `tidewatch receiver ...`: receivers are told of an alert that there is not.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::CliError;
use crate::config::{self, Overrides, glob_all};
use crate::model::{Annotations, Clock, LabelsBuilder, SystemClock, Timestamp};
use crate::notify::config::{AlertConfig, Integration, Receiver};
use crate::notify::deliver::{Deliver, Notification, NotifiedAlert, Outcome, Reason};
use crate::notify::fingerprint::Fingerprint;
use crate::notify::receivers::{Preview, Receivers, templates};

/// Since when the alert of a test fires, before now, in milliseconds.
const FIRING_MS: i64 = 5 * 60 * 1000;

/// What to do with receivers.
#[derive(Debug, Subcommand)]
pub enum ReceiverCommand {
    /// Send a test notification to a receiver, or show what would be sent
    Test(TestArgs),
}

/// Which receiver, and of what it is told.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The receiver's name
    name: String,
    /// Alertmanager's configuration file
    #[arg(
        long = "alertmanager.config",
        visible_alias = "alertmanager-config",
        value_name = "FILE"
    )]
    alertmanager_config: Option<PathBuf>,
    /// The server's configuration file, when it has a section `alertmanager`
    #[arg(long, value_name = "FILE", conflicts_with = "alertmanager_config")]
    config: Option<PathBuf>,
    /// Show what would be sent, secrets masked, and send nothing
    #[arg(long, visible_alias = "dry-run")]
    preview: bool,
    /// Tell of an alert that is resolved
    #[arg(long)]
    resolved: bool,
    /// A label of the alert; may be given several times
    #[arg(long = "label", short = 'l', value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// An annotation of the alert; may be given several times
    #[arg(long = "annotation", short = 'a', value_name = "NAME=VALUE", value_parser = pair)]
    annotations: Vec<(String, String)>,
    /// The URL under which users reach the server
    #[arg(long = "web.external-url", value_name = "URL", default_value = "http://localhost:9090")]
    external_url: String,
    /// How long a delivery may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

/// Exit code 0 when every integration of the receiver has taken the notification, else 1.
pub(super) fn run(command: ReceiverCommand) -> Result<ExitCode, CliError> {
    let ReceiverCommand::Test(args) = command;
    let config = load(&args)?;
    let Some(receiver) = config.receiver(&args.name) else {
        let known: Vec<&str> = config.receivers.iter().map(|r| r.name.as_str()).collect();
        let known = known.join(", ");
        return Err(CliError::Usage(format!("no receiver {:?}; there are: {known}", args.name)));
    };
    if receiver.integrations.is_empty() {
        println!("receiver {} has no integrations: it tells nobody", receiver.name);
        return Ok(ExitCode::SUCCESS);
    }
    let files = glob_all(&config.templates).map_err(CliError::Usage)?;
    let templates = templates::load(&files).map_err(|e| CliError::Usage(e.to_string()))?;
    let receivers = Receivers::new(templates, args.external_url.as_str(), Arc::new(SystemClock));
    let mut all_right = true;
    for integration in &receiver.integrations {
        let notification = notification(&args, receiver, integration)?;
        println!("{}/{}[{}]", receiver.name, integration.kind(), integration.index);
        all_right &= match args.preview {
            true => preview(&receivers, &notification),
            false => send(&receivers, &notification, Duration::from_secs(args.timeout)),
        };
    }
    Ok(if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(args: &TestArgs) -> Result<Arc<AlertConfig>, CliError> {
    let usage = |why: String| CliError::Usage(why);
    if let Some(path) = &args.alertmanager_config {
        let loaded = crate::notify::config::load(path);
        return loaded.map(Arc::new).map_err(|error| usage(error.to_string()));
    }
    let loaded = config::load(args.config.as_deref(), &Overrides::default());
    let loaded = loaded.map_err(|error| usage(error.to_string()))?;
    loaded
        .alertmanager
        .ok_or_else(|| usage("there are no receivers: give --alertmanager.config FILE".to_owned()))
}

fn notification(
    args: &TestArgs,
    receiver: &Arc<Receiver>,
    integration: &Arc<Integration>,
) -> Result<Notification, CliError> {
    let now = SystemClock.now();
    let mut labels = LabelsBuilder::new();
    for (name, value) in [("alertname", "TidewatchTest"), ("severity", "info")] {
        labels.set(name, value);
    }
    for (name, value) in &args.labels {
        labels.set(name, value);
    }
    let labels = labels.build().map_err(|error| CliError::Usage(error.to_string()))?;
    let annotations = [
        ("summary", "[TEST] A test notification"),
        ("description", "Somebody tries out whether notifications arrive. Nothing is wrong."),
    ];
    let own = args.annotations.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let annotations: Annotations = annotations.into_iter().chain(own).collect();
    let group_labels = labels.filter(|name| name == "alertname");
    let fingerprint = Fingerprint::of(&labels);
    let alert = NotifiedAlert {
        labels,
        annotations,
        starts_at: Timestamp(now.as_millis() - FIRING_MS),
        resolved_at: args.resolved.then_some(now),
        generator_url: args.external_url.as_str().into(),
        fingerprint,
    };
    Ok(Notification {
        receiver: Arc::clone(receiver),
        integration: Arc::clone(integration),
        group_key: format!("{{}}:{group_labels}").into(),
        group_labels,
        route_labels: Arc::default(),
        alerts: vec![alert],
        unlisted: 0,
        reason: Reason::Test,
        now,
        receiver_data: Default::default(),
    })
}

fn send(receivers: &Receivers, notification: &Notification, timeout: Duration) -> bool {
    match receivers.deliver(notification, timeout) {
        Outcome::Delivered { note, .. } => {
            println!("  delivered: {note}");
            true
        }
        Outcome::Retry { failure, after } => {
            let pause = after.map(|after| format!(", not before {after:?}")).unwrap_or_default();
            eprintln!("  FAILED, would be tried again{pause}: {failure}");
            false
        }
        Outcome::Failed(failure) => {
            eprintln!("  FAILED: {failure}");
            false
        }
    }
}

fn preview(receivers: &Receivers, notification: &Notification) -> bool {
    match receivers.preview(notification) {
        Ok(previews) => {
            previews.iter().for_each(print);
            true
        }
        Err(failure) => {
            eprintln!("  FAILED: {failure}");
            false
        }
    }
}

fn print(preview: &Preview) {
    println!("  {} {}", preview.method, preview.url);
    for (name, value) in &preview.headers {
        println!("  {name}: {value}");
    }
    println!();
    match serde_json::from_str::<serde_json::Value>(&preview.body) {
        Ok(json) => println!("{json:#}"),
        Err(_) => println!("{}", preview.body),
    }
    println!();
}
