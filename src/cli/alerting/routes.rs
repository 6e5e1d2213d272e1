//! `tidewatch routes show` and `routes test`: the routing tree, and where an alert goes at a time.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::client::Client;
use super::{CliError, now, pair};
use crate::config::{self as server_config, Overrides};
use crate::model::{Labels, Timestamp};
use crate::notify::config::{self, AlertConfig};
use crate::notify::matcher::MatcherText;
use crate::notify::moment::parse_moment;
use crate::notify::route::{Route, RouteTree};

/// What to do with routes.
#[derive(Debug, Subcommand)]
pub enum RoutesCommand {
    /// Print the routing tree
    Show(Source),
    /// Say which receivers an alert goes to
    Test(TestArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct Source {
    /// An alertmanager.yml, or a tidewatch.yml with a section alertmanager [default: the server's]
    #[arg(long = "config.file", visible_alias = "config", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The server
    #[arg(
        long = "alertmanager.url",
        visible_alias = "url",
        env = "ALERTMANAGER_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:9090"
    )]
    url: String,
}

/// `routes test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Labels of the alert as NAME=VALUE
    labels: Vec<String>,
    /// When: "Saturday 03:00", 03:00, 2026-11-21T03:00:00Z; says then what mutes each route
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Time zone of --at [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// Receivers that are expected, comma-separated; exit code 1 when there are others
    #[arg(long = "verify.receivers", value_name = "NAMES")]
    expected: Option<String>,
    /// Print the tree of the routes that match
    #[arg(long)]
    tree: bool,
    #[command(flatten)]
    source: Source,
}

/// Runs one of them.
pub(in super::super) fn run(command: &RoutesCommand) -> Result<ExitCode, CliError> {
    match command {
        RoutesCommand::Show(source) => {
            let tree = RouteTree::new(&load(source)?.route);
            println!("Routing tree:\n{}", drawn(&tree, &|_| true));
            Ok(ExitCode::SUCCESS)
        }
        RoutesCommand::Test(args) => test(args),
    }
}

fn load(source: &Source) -> Result<Arc<AlertConfig>, CliError> {
    let usage = |error: config::AlertConfigError| CliError::Usage(error.to_string());
    let Some(path) = &source.file else {
        let status = Client::new(&source.url).get("/status", &[])?;
        let text = status["config"]["original"].as_str().unwrap_or_default();
        if text.is_empty() {
            return Ok(Arc::new(AlertConfig::none()));
        }
        return config::parse(Path::new(&source.url), text).map(Arc::new).map_err(usage);
    };
    match config::load(path) {
        Ok(config) => Ok(Arc::new(config)),
        // Perhaps it is the server's own file.
        Err(error) => match server_config::load(Some(path), &Overrides::default()) {
            Ok(server_config::Config { alertmanager: Some(config), .. }) => Ok(config),
            _ => Err(usage(error)),
        },
    }
}

fn test(args: &TestArgs) -> Result<ExitCode, CliError> {
    let config = load(&args.source)?;
    let pairs: Vec<(String, String)> =
        args.labels.iter().map(|text| pair(text)).collect::<Result<_, _>>()?;
    if pairs.iter().any(|(name, _)| name.is_empty()) {
        return Err(CliError::Usage("a label needs a name".to_owned()));
    }
    let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)))
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let tree = RouteTree::new(&config.route);
    let found = tree.matching(&labels);
    if args.tree {
        let on_the_way = |at: usize| found.iter().any(|end| is_above(&tree, at, *end));
        println!("Matching routes:\n{}", drawn(&tree, &on_the_way));
    }
    let receivers: Vec<&str> = found.iter().map(|at| &*tree.node(*at).receiver).collect();
    println!("{}", receivers.join(","));
    if let Some(text) = &args.at {
        let at = parse_moment(text, now(), args.timezone.as_deref()).map_err(CliError::Usage)?;
        println!("\nat {at}:");
        found
            .iter()
            .for_each(|node| print!("{}", explained(&config, tree.node(*node), &labels, at)));
    }
    if let Some(expected) = args.expected.as_ref().filter(|text| **text != receivers.join(",")) {
        eprintln!("WARNING: Expected receivers did not match resolved receivers.");
        eprintln!("expected {expected}, found {}", receivers.join(","));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What happens to a new group of that route at that time.
fn explained(config: &AlertConfig, route: &Route, labels: &Labels, at: Timestamp) -> String {
    let within = |name: &&Arc<str>| {
        let intervals = config.time_intervals.get(&***name);
        intervals.is_some_and(|all| all.iter().any(|interval| interval.contains(at)))
    };
    let muting: Vec<&str> = route.mute.iter().filter(within).map(|name| &**name).collect();
    let active = route.active.is_empty() || route.active.iter().any(|name| within(&name));
    let group = route.group_key(&route.group_labels(labels));
    let mut text = String::new();
    let _ = writeln!(text, "  receiver {}: group {group}", route.receiver);
    let first = at.saturating_add(route.timings.wait_ms);
    let verdict = match (muting.is_empty(), active) {
        (false, _) => format!("muted by {}", muting.join(", ")),
        (true, false) => format!("not within {}", route.active.join(", ")),
        (true, true) => format!("told at {first}"),
    };
    let _ = writeln!(text, "    {verdict}");
    text
}

fn is_above(tree: &RouteTree, at: usize, end: usize) -> bool {
    at == end || tree.node(at).children.iter().any(|child| is_above(tree, *child, end))
}

/// The nodes that `shown` takes, as amtool draws them.
fn drawn(tree: &RouteTree, shown: &dyn Fn(usize) -> bool) -> String {
    let mut text = String::from(".\n");
    let _ = writeln!(text, "\u{2514}\u{2500}\u{2500} {}", slug(tree.node(0)));
    draw(tree, 0, "    ", shown, &mut text);
    text
}

fn draw(
    tree: &RouteTree,
    at: usize,
    indent: &str,
    shown: &dyn Fn(usize) -> bool,
    text: &mut String,
) {
    let children: Vec<usize> =
        tree.node(at).children.iter().copied().filter(|child| shown(*child)).collect();
    for (number, child) in children.iter().enumerate() {
        let last = number + 1 == children.len();
        let (branch, below) = match last {
            true => ("\u{2514}\u{2500}\u{2500} ", "    "),
            false => ("\u{251c}\u{2500}\u{2500} ", "\u{2502}   "),
        };
        let _ = writeln!(text, "{indent}{branch}{}", slug(tree.node(*child)));
        draw(tree, *child, &format!("{indent}{below}"), shown, text);
    }
}

fn slug(route: &Route) -> String {
    let matchers: Vec<String> = route.matchers.iter().map(|m| MatcherText(m).to_string()).collect();
    let matchers = match matchers.is_empty() {
        true => "default-route".to_owned(),
        false => format!("{{{}}}", matchers.join(",")),
    };
    let more = if route.continue_matching { "  continue: true" } else { "" };
    format!("{matchers}{more}  receiver: {}", route.receiver)
}
