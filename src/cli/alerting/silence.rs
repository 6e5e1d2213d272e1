//! `tidewatch silence query|add|update|expire|import`.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::Client;
use super::{CliError, Output, Target, duration, now, pair, table, time, with_alertname};
use crate::model::Timestamp;
use crate::notify::matcher::{Grammar, MatcherText, matcher_of, parse_matchers};
use crate::notify::silence::matcher_parts;

/// Largest file of silences in bytes.
const IMPORT_BYTES_MAX: u64 = 256 << 20;

/// What to do with silences.
#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// List silences
    Query(QueryArgs),
    /// Create a silence; prints its id
    Add(AddArgs),
    /// Change the end or the comment of silences
    Update(UpdateArgs),
    /// End silences
    Expire(ExpireArgs),
    /// Create silences from the JSON that `query -o json` prints
    Import(ImportArgs),
}

/// `silence query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// Matchers the silences have; a bare first word is the alert's name
    matchers: Vec<String>,
    /// Show expired silences instead of the others
    #[arg(long)]
    expired: bool,
    /// Print only ids, one a line
    #[arg(long, short)]
    quiet: bool,
    /// Only silences of this author
    #[arg(long, value_name = "AUTHOR")]
    created_by: Option<String>,
    /// Only the silence with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only silences that end within this time, or ended, with --expired
    #[arg(long, value_name = "DURATION")]
    within: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// `silence add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Matchers such as severity="page"; a bare first word is the alert's name
    #[arg(required = true)]
    matchers: Vec<String>,
    /// Who silences
    #[arg(long, short, env = "USER", default_value = "")]
    author: String,
    /// Why
    #[arg(long, short)]
    comment: String,
    /// For how long
    #[arg(long, short, default_value = "1h", conflicts_with = "end")]
    duration: String,
    /// From when on [default: now]
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Until when, instead of a duration
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Further texts as NAME=TEXT
    #[arg(long, value_name = "NAME=TEXT")]
    annotation: Vec<String>,
    #[command(flatten)]
    target: Target,
}

/// `silence update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Ids of silences
    #[arg(required = true)]
    ids: Vec<String>,
    /// How long from now on, or from its start when it begins later
    #[arg(long, short, conflicts_with = "end")]
    duration: Option<String>,
    /// Until when
    #[arg(long, short, value_name = "TIME")]
    end: Option<String>,
    /// Why
    #[arg(long, short)]
    comment: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// `silence expire`.
#[derive(Debug, Args)]
pub struct ExpireArgs {
    /// Ids of silences
    #[arg(required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    target: Target,
}

/// `silence import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// File with a JSON array of silences [default: standard input]
    file: Option<PathBuf>,
    /// Create new silences instead of changing those with the same ids
    #[arg(long, short)]
    force: bool,
    #[command(flatten)]
    target: Target,
}

/// Runs one of them.
pub(in super::super) fn run(command: &SilenceCommand) -> Result<ExitCode, CliError> {
    match command {
        SilenceCommand::Query(args) => query(args),
        SilenceCommand::Add(args) => add(args),
        SilenceCommand::Update(args) => update(args),
        SilenceCommand::Expire(args) => expire(args),
        SilenceCommand::Import(args) => import(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn query(args: &QueryArgs) -> Result<(), CliError> {
    let query: Vec<(&str, String)> =
        with_alertname(&args.matchers).into_iter().map(|text| ("filter", text)).collect();
    let within = args.within.as_deref().map(duration).transpose()?;
    let all = Client::new(&args.target.url).get("/silences", &query)?;
    let wanted = |silence: &&Value| {
        let expired = silence["status"]["state"] == "expired";
        let ends = at(&silence["endsAt"]);
        let near = within.is_none_or(|ms| match expired {
            true => ends >= now().saturating_sub(ms),
            false => ends <= now().saturating_add(ms),
        });
        let author = args.created_by.as_ref().is_none_or(|name| silence["createdBy"] == **name);
        let id = args.id.as_ref().is_none_or(|id| silence["id"] == **id);
        expired == args.expired && near && author && id
    };
    let found: Vec<&Value> = all.as_array().into_iter().flatten().filter(wanted).collect();
    match (args.quiet, args.target.output) {
        (true, _) => found.iter().for_each(|silence| println!("{}", text(&silence["id"]))),
        (false, Output::Json) => println!("{}", json!(found)),
        (false, Output::Simple) => {
            let row = |silence: &&Value| {
                let mut row = vec![text(&silence["id"]), matchers(silence)];
                row.extend(["endsAt", "createdBy", "comment"].map(|key| text(&silence[key])));
                row
            };
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            table::print(&["ID", "Matchers", "Ends At", "Created By", "Comment"], &rows);
        }
        (false, Output::Extended) => {
            let row = |silence: &&Value| {
                let mut row = vec![text(&silence["id"]), matchers(silence)];
                let keys = ["startsAt", "endsAt", "updatedAt", "createdBy", "comment"];
                row.extend(keys.map(|key| text(&silence[key])));
                row.push(text(&silence["status"]["state"]));
                row
            };
            let rows: Vec<Vec<String>> = found.iter().map(row).collect();
            let header =
                ["ID", "Matchers", "Starts At", "Ends At", "Updated At", "Created By", "Comment"];
            table::print(&[&header[..], &["State"]].concat(), &rows);
        }
    }
    Ok(())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn at(value: &Value) -> Timestamp {
    let at = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    Timestamp(at.map_or(0, |at| at.as_millisecond()))
}

fn matchers(silence: &Value) -> String {
    let one = |matcher: &Value| {
        let is = |key, default| matcher[key].as_bool().unwrap_or(default);
        let (name, value) = (text(&matcher["name"]), text(&matcher["value"]));
        matcher_of(&name, &value, is("isRegex", false), is("isEqual", true))
            .map_or_else(|_| format!("{name}=~{value:?}"), |own| MatcherText(&own).to_string())
    };
    let all: Vec<String> = silence["matchers"].as_array().into_iter().flatten().map(one).collect();
    all.join(" ")
}

fn add(args: &AddArgs) -> Result<(), CliError> {
    let mut matchers = Vec::new();
    for text in with_alertname(&args.matchers) {
        let parsed = parse_matchers(&text, Grammar::Fallback);
        let parsed = parsed.map_err(|error| CliError::Usage(error.to_string()))?;
        for (name, value, is_regex, is_equal) in parsed.matchers.iter().map(matcher_parts) {
            matchers.push(json!({
                "name": name, "value": value, "isRegex": is_regex, "isEqual": is_equal,
            }));
        }
    }
    let start = args.start.as_deref().map(time).transpose()?.unwrap_or_else(now);
    let end = match &args.end {
        Some(end) => time(end)?,
        None => start.saturating_add(duration(&args.duration)?),
    };
    let mut annotations = Map::new();
    for text in &args.annotation {
        let (name, value) = pair(text)?;
        annotations.insert(name, value.into());
    }
    let silence = json!({
        "matchers": matchers, "startsAt": start.to_string(), "endsAt": end.to_string(),
        "createdBy": args.author, "comment": args.comment, "annotations": annotations,
    });
    let answer = Client::new(&args.target.url).post("/silences", &silence)?;
    println!("{}", text(&answer["silenceID"]));
    Ok(())
}

fn update(args: &UpdateArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url);
    for id in &args.ids {
        let mut silence = client.get(&format!("/silence/{id}"), &[])?;
        if let Some(text) = &args.duration {
            let from = at(&silence["startsAt"]).max(now());
            silence["endsAt"] = from.saturating_add(duration(text)?).to_string().into();
        }
        if let Some(end) = &args.end {
            silence["endsAt"] = time(end)?.to_string().into();
        }
        if let Some(comment) = &args.comment {
            silence["comment"] = comment.as_str().into();
        }
        let answer = client.post("/silences", &silence)?;
        println!("{}", text(&answer["silenceID"]));
    }
    Ok(())
}

fn expire(args: &ExpireArgs) -> Result<(), CliError> {
    let client = Client::new(&args.target.url);
    args.ids.iter().try_for_each(|id| client.delete(&format!("/silence/{id}")).map(drop))
}

fn import(args: &ImportArgs) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("reading silences: {error}"));
    let mut content = String::new();
    match &args.file {
        Some(path) if path.as_os_str() != "-" => {
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(IMPORT_BYTES_MAX).read_to_string(&mut content)
        }
        _ => std::io::stdin().take(IMPORT_BYTES_MAX).read_to_string(&mut content),
    }
    .map_err(failed)?;
    let all: Vec<Value> = serde_json::from_str(&content)
        .map_err(|error| CliError::Failed(format!("reading silences: {error}")))?;
    let client = Client::new(&args.target.url);
    for mut silence in all {
        if args.force {
            silence["id"] = Value::Null;
        }
        let answer = client.post("/silences", &silence)?;
        println!("{}", text(&answer["silenceID"]));
    }
    Ok(())
}
