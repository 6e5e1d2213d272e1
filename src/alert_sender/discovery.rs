//! Where Alertmanagers are that no static list names: files, web servers, names of hosts.
//!
//! In: sources. Out: Alertmanagers, and those that relabelling dropped. A source that fails changes
//! nothing: what it said before holds on.
//!
//! Source of the formats and labels: Prometheus, `file_sd_configs`, `http_sd_configs`,
//! `dns_sd_configs`.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::dns::Resolver;
use super::dns::message::{Record, RecordKind};
use super::{AlertmanagerOptions, WeakSender};
use crate::config::glob;
use crate::model::Labels;
use crate::relabel::{Step, apply};
use crate::secret::MASK;
use crate::web_client::config::HttpConfig;
use crate::web_client::{Client, Request, Tokens, USER_AGENT};

/// Largest file or answer with targets, in bytes.
const LIST_BYTES_MAX: u64 = 16 << 20;
/// Files are looked at this often at least: Prometheus has the system tell it of changes.
const FILES_EVERY_MAX: Duration = Duration::from_secs(5);
/// How long a web server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Targets with labels in common.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TargetGroup {
    targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

/// How targets become Alertmanagers, and where further targets are found.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// What all of them have; its URL is empty.
    pub template: AlertmanagerOptions,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Path of the API.
    pub path: String,
    /// Steps for the targets (`relabel_configs`).
    pub relabel: Vec<Step>,
    /// Where targets are found.
    pub sources: Vec<Source>,
}

/// One place where targets are found.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Which.
    pub kind: SourceKind,
    /// How often it is asked.
    pub every: Duration,
}

/// A place where targets are found.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// Files with lists of groups, by pattern.
    Files(Vec<PathBuf>),
    /// A web server that answers with a list of groups.
    Http {
        /// Where.
        url: String,
        /// How it is reached.
        http: Box<HttpConfig>,
    },
    /// What name servers say of names.
    Dns {
        /// The names.
        names: Vec<String>,
        /// What is asked for.
        record: RecordKind,
        /// The port at all of them, unless the records have their own.
        port: u16,
    },
}

/// What targets have become.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Who is sent to.
    pub alertmanagers: Vec<AlertmanagerOptions>,
    /// URLs that relabelling dropped.
    pub dropped: Vec<String>,
}

impl Discovered {
    /// Makes Alertmanagers of targets.
    ///
    /// # Errors
    /// A sentence: a target or its labels cannot be used.
    pub fn resolve<'a>(
        &self,
        groups: impl Iterator<Item = &'a TargetGroup>,
    ) -> Result<Found, String> {
        let mut found = Found::default();
        for group in groups {
            for address in group.targets.iter().flatten() {
                let own = group.labels.iter().flatten().map(|(n, v)| (n.as_str(), v.as_str()));
                let fixed = [
                    ("__address__", address.as_str()),
                    ("__scheme__", self.scheme),
                    ("__alerts_path__", self.path.as_str()),
                ];
                let labels = Labels::from_pairs(own.chain(fixed)).map_err(|e| e.to_string())?;
                let before = url_of(&labels);
                match apply(&self.relabel, labels).map_err(|error| error.to_string())? {
                    Some(labels) => {
                        let url = url_of(&labels);
                        check_url(&url)?;
                        let own = AlertmanagerOptions { url, ..self.template.clone() };
                        found.alertmanagers.push(own);
                    }
                    None => found.dropped.push(before),
                }
            }
        }
        Ok(found)
    }
}

fn url_of(labels: &Labels) -> String {
    let part = |name| labels.value(name);
    format!("{}://{}{}", part("__scheme__"), part("__address__"), part("__alerts_path__"))
}

fn check_url(url: &str) -> Result<(), String> {
    let parsed = url::Url::parse(url).map_err(|error| format!("address {url:?}: {error}"))?;
    match parsed.scheme() {
        "http" | "https" if parsed.host_str().is_some() => Ok(()),
        _ => Err(format!("address {url:?} is not one of HTTP")),
    }
}

/// The thread that asks the sources; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watch(#[allow(dead_code)] SyncSender<()>);

impl Watch {
    /// Asks the sources of `entries` and tells `sender`; no thread without sources.
    pub fn start(entries: &[Discovered], sender: WeakSender) -> Result<Option<Watch>, String> {
        if entries.is_empty() {
            return Ok(None);
        }
        let entries = entries.to_vec();
        let (own, end) = sync_channel(1);
        let run = move || {
            let mut rounds: Vec<Round> = entries.iter().map(Round::new).collect();
            loop {
                for (index, (entry, round)) in entries.iter().zip(&mut rounds).enumerate() {
                    if let Some(found) = round.turn(entry)
                        && !sender.found(index, entry, found)
                    {
                        return;
                    }
                }
                let next = rounds.iter().filter_map(Round::next).min();
                let left = next.map(|at| at.saturating_duration_since(Instant::now()));
                let pause = end.recv_timeout(left.unwrap_or(FILES_EVERY_MAX));
                if !matches!(pause, Err(RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("tidewatch-discovery".to_owned()).spawn(run);
        thread.map_err(|error| format!("starting a thread: {error}"))?;
        Ok(Some(Watch(own)))
    }
}

/// What the sources of one entry said last, and when they are asked again.
struct Round {
    due: Vec<Instant>,
    said: Vec<BTreeMap<String, Vec<TargetGroup>>>,
    found: Option<Found>,
    tokens: Tokens,
}

impl Round {
    fn new(entry: &Discovered) -> Round {
        let number = entry.sources.len();
        let (due, said) = (vec![Instant::now(); number], vec![BTreeMap::new(); number]);
        Round { due, said, found: None, tokens: Tokens::default() }
    }

    fn next(&self) -> Option<Instant> {
        self.due.iter().min().copied()
    }

    /// Asks those sources whose time has come; what is found when that has changed.
    fn turn(&mut self, entry: &Discovered) -> Option<Found> {
        for (at, source) in entry.sources.iter().enumerate() {
            if Instant::now() >= self.due[at] {
                source.ask(&mut self.said[at], &self.tokens);
                self.due[at] = Instant::now() + source.pause();
            }
        }
        let groups = self.said.iter().flat_map(BTreeMap::values).flatten();
        match entry.resolve(groups) {
            Ok(found) if self.found.as_ref() != Some(&found) => {
                self.found = Some(found.clone());
                Some(found)
            }
            Ok(_) => None,
            Err(why) => {
                tracing::error!("discovery of Alertmanagers: {why}");
                None
            }
        }
    }
}

impl Source {
    fn pause(&self) -> Duration {
        match self.kind {
            SourceKind::Files(_) => self.every.min(FILES_EVERY_MAX),
            SourceKind::Http { .. } | SourceKind::Dns { .. } => self.every,
        }
    }

    /// Asks, and puts the answer in place of what it said before, by file, URL or name.
    fn ask(&self, said: &mut BTreeMap<String, Vec<TargetGroup>>, tokens: &Tokens) {
        let places = match &self.kind {
            SourceKind::Files(patterns) => {
                let files = patterns.iter().flat_map(|pattern| glob(pattern).unwrap_or_default());
                let files = files.map(|path| path.display().to_string());
                files.map(|path| (path.clone(), from_file(&path))).collect()
            }
            SourceKind::Http { url, http } => {
                vec![(url.clone(), from_http(url, http, self.every, tokens))]
            }
            SourceKind::Dns { names, record, port } => {
                let system = (&Resolver::of_system(), addresses as SystemLookUp);
                let asked = |name: &String| (name.clone(), from_dns(system, name, *record, *port));
                names.iter().map(asked).collect::<Vec<_>>()
            }
        };
        said.retain(|place, _| places.iter().any(|(other, _)| other == place));
        for (place, answer) in places {
            match answer {
                Ok(groups) => drop(said.insert(place, groups)),
                Err(why) => {
                    let place = without_login(&place);
                    tracing::error!("discovery of Alertmanagers: {place}: {why}");
                }
            }
        }
    }
}

/// A URL as it may be logged.
fn without_login(place: &str) -> String {
    match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{MASK}@{host}"),
        _ => place.to_owned(),
    }
}

fn labelled(mut groups: Vec<TargetGroup>, name: &str, value: &str) -> Vec<TargetGroup> {
    for group in &mut groups {
        let labels = group.labels.get_or_insert_default();
        labels.insert(name.to_owned(), value.to_owned());
    }
    groups
}

/// JSON is YAML.
fn parse(text: &str) -> Result<Vec<TargetGroup>, String> {
    serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())
}

fn from_file(path: &str) -> Result<Vec<TargetGroup>, String> {
    let file = Path::new(path);
    let bytes = std::fs::metadata(file).map_err(|error| error.to_string())?.len();
    if bytes > LIST_BYTES_MAX {
        return Err(format!("it has {bytes} bytes, more than {LIST_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(labelled(parse(&text)?, "__meta_filepath", path))
}

fn from_http(
    url: &str,
    http: &HttpConfig,
    every: Duration,
    tokens: &Tokens,
) -> Result<Vec<TargetGroup>, String> {
    let until = Instant::now() + TIMEOUT;
    let answer_bytes_max = LIST_BYTES_MAX;
    let client = Client { http, tokens, user_agent: USER_AGENT, until, answer_bytes_max };
    let request = Request::get(url)
        .header("Accept", "application/json")
        .header("X-Prometheus-Refresh-Interval-Seconds", every.as_secs_f64().to_string());
    let reply = client.send(request).map_err(|error| error.to_string())?;
    if reply.status != 200 {
        return Err(format!("unexpected status code {}", reply.status));
    }
    let content_type = reply.content_type.split(';').next().unwrap_or_default().trim();
    if !content_type.eq_ignore_ascii_case("application/json") {
        return Err(format!("unsupported content type {:?}", reply.content_type));
    }
    let groups = serde_json::from_str(&reply.body).map_err(|error| error.to_string())?;
    Ok(labelled(groups, "__meta_url", url))
}

/// How addresses are looked up by other programs of the machine.
type SystemLookUp = fn(&str, RecordKind) -> std::io::Result<Vec<Record>>;

/// Addresses are looked up as other programs of the machine do, which know more than name servers
/// (`/etc/hosts`); when that fails, name servers say whether there is no such name.
fn from_dns(
    (resolver, system): (&Result<Resolver, String>, SystemLookUp),
    name: &str,
    kind: RecordKind,
    port: u16,
) -> Result<Vec<TargetGroup>, String> {
    let asked = || resolver.as_ref().map_err(String::clone)?.look_up(name, kind);
    let records = match kind {
        RecordKind::A | RecordKind::Aaaa => system(name, kind).or_else(|_| asked())?,
        RecordKind::Srv | RecordKind::Mx | RecordKind::Ns => asked()?,
    };
    let mut groups: Vec<TargetGroup> =
        records.iter().filter_map(|record| target_of(record, kind, port)).collect();
    groups.sort_by(|a, b| a.targets.cmp(&b.targets));
    groups.dedup();
    Ok(labelled(groups, "__meta_dns_name", name))
}

fn addresses(name: &str, kind: RecordKind) -> std::io::Result<Vec<Record>> {
    let all = (name, 0).to_socket_addrs()?.map(|address| address.ip());
    let wanted = all.filter(|ip| ip.is_ipv4() == (kind == RecordKind::A));
    Ok(wanted.map(Record::Address).collect())
}

/// The target that a record names, without the last dot, which looks odd in URLs; `None` for the
/// mark that there is none (RFC 2782: a target of `.`).
fn target_of(record: &Record, kind: RecordKind, port: u16) -> Option<TargetGroup> {
    let (target, labels) = match record {
        Record::Address(ip) => (SocketAddr::new(*ip, port).to_string(), vec![]),
        Record::Srv { target, port } => (
            format!("{}:{port}", target.trim_end_matches('.')),
            vec![
                ("__meta_dns_srv_record_target", target.clone()),
                ("__meta_dns_srv_record_port", port.to_string()),
            ],
        ),
        Record::Name(name) => {
            let label = match kind {
                RecordKind::Ns => "__meta_dns_ns_record_target",
                _ => "__meta_dns_mx_record_target",
            };
            let target = format!("{}:{port}", name.trim_end_matches('.'));
            (target, vec![(label, name.clone())])
        }
    };
    let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value));
    let group = TargetGroup { targets: Some(vec![target]), labels: Some(labels.collect()) };
    let is_none =
        matches!(record, Record::Srv { target, .. } | Record::Name(target) if target == ".");
    (!is_none).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert_sender::dns::test_server::{srv, start, wire_name};

    fn targets(groups: &[TargetGroup]) -> Vec<(String, Vec<String>)> {
        let one = |group: &TargetGroup| {
            let labels =
                group.labels.iter().flatten().map(|(name, value)| format!("{name}={value}"));
            (group.targets.iter().flatten().cloned().collect(), labels.collect())
        };
        groups.iter().map(one).collect()
    }

    #[test]
    fn records_become_targets_with_their_labels() {
        let server = start(
            |name, kind| match (name, kind) {
                ("_am._tcp.x.", 33) => Some((
                    0,
                    vec![
                        ("", 33, srv("b.x", 9093)),
                        ("", 33, srv("a.x", 9094)),
                        ("", 33, srv("a.x", 9094)),
                        ("", 33, srv(".", 1)),
                    ],
                )),
                ("x.", 15) => Some((0, vec![("", 15, [&[0, 1][..], &wire_name("m.x")].concat())])),
                ("x.", 2) => Some((0, vec![("", 2, wire_name("n.x"))])),
                ("ip.", 28) => Some((0, vec![("", 28, vec![0; 16])])),
                ("fails.", _) => Some((2, vec![])),
                _ => Some((3, vec![])),
            },
            4096,
        );
        let resolver = Ok(Resolver::of(vec![server]));
        let system: SystemLookUp = |name, _| match name {
            "host" => Ok(vec![Record::Address([10, 0, 0, 1].into())]),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let found = |name, kind| from_dns((&resolver, system), name, kind, 7).map(|g| targets(&g));
        let row = |target: &str, labels: &[&str]| {
            (target.to_owned(), labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>())
        };
        let srv = |host: &str, port: u16| {
            let labels = [
                "__meta_dns_name=_am._tcp.x",
                &format!("__meta_dns_srv_record_port={port}"),
                &format!("__meta_dns_srv_record_target={host}."),
            ];
            row(&format!("{host}:{port}"), &labels)
        };
        let services = Ok(vec![srv("a.x", 9094), srv("b.x", 9093)]);
        assert_eq!(found("_am._tcp.x", RecordKind::Srv), services);
        let mail = row("m.x:7", &["__meta_dns_mx_record_target=m.x.", "__meta_dns_name=x"]);
        assert_eq!(found("x", RecordKind::Mx), Ok(vec![mail]));
        let names = row("n.x:7", &["__meta_dns_name=x", "__meta_dns_ns_record_target=n.x."]);
        assert_eq!(found("x", RecordKind::Ns), Ok(vec![names]));
        let address = row("[::]:7", &["__meta_dns_name=ip"]);
        assert_eq!(found("ip", RecordKind::Aaaa), Ok(vec![address]));
        let host = row("10.0.0.1:7", &["__meta_dns_name=host"]);
        assert_eq!(found("host", RecordKind::A), Ok(vec![host]));
        assert_eq!(found("none", RecordKind::A), Ok(vec![]), "there is no such name");
        assert!(found("fails", RecordKind::Srv).is_err(), "what was known holds on");
        let no_file = Err("no file".to_owned());
        let unknown = from_dns((&no_file, system), "x", RecordKind::Srv, 7);
        assert_eq!(unknown, Err("no file".to_owned()));
    }
}
