//! The section `airflow`: which instances are watched and how.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::error::ConfigError;
use super::raw::PromDuration;
use crate::airflow::InstanceOptions;
use crate::airflow::options::{Auth, DagFilter, Patterns, Sla};
use crate::model::Labels;
use crate::secret::Secret;
use crate::web_client::config::{HeaderValues, HttpConfig, TlsConfig};

const POLL_INTERVAL: Duration = Duration::from_secs(15);
const INVENTORY_INTERVAL: Duration = Duration::from_secs(60);
/// Ten times what a loaded Airflow 2 takes for its slowest answers.
const TIMEOUT: Duration = Duration::from_secs(30);
const BACKFILL: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// Most instances; each is a thread.
const INSTANCES_MAX: usize = 200;
/// Labels that say which instance it is, and those of the series themselves.
const RESERVED_LABELS: [&str; 17] = [
    "job",
    "instance",
    "airflow",
    "dag_id",
    "task_id",
    "state",
    "run_type",
    "operator",
    "queue",
    "pool",
    "pool_name",
    "component",
    "owner",
    "paused",
    "tags",
    "sla",
    "le",
];

/// `airflow`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAirflow {
    aliases: Option<bool>,
    #[serde(default)]
    instances: Vec<RawInstance>,
    #[serde(default)]
    slas: Vec<RawSla>,
}

/// One entry of `airflow.instances`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInstance {
    name: String,
    url: String,
    username: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    #[serde(default)]
    tls_config: TlsConfig,
    proxy_url: Option<Secret>,
    #[serde(default)]
    no_proxy: String,
    #[serde(default)]
    proxy_from_environment: bool,
    #[serde(default)]
    proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    #[serde(default)]
    http_headers: BTreeMap<String, HeaderValues>,
    poll_interval: Option<PromDuration>,
    inventory_interval: Option<PromDuration>,
    timeout: Option<PromDuration>,
    backfill: Option<PromDuration>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    dags: Option<RawDags>,
    #[serde(default)]
    slas: Vec<RawSla>,
}

/// `airflow.instances[].dags`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDags {
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
}

/// One entry of `slas`, of all instances or of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSla {
    name: String,
    dags: Vec<String>,
    max_duration: Option<PromDuration>,
    max_after_due: Option<PromDuration>,
}

fn invalid(message: String) -> ConfigError {
    ConfigError::Invalid { key: "airflow", message }
}

/// Whether the names in circulation for Airflow's metrics are answered.
pub(super) fn aliases(raw: Option<&RawAirflow>) -> bool {
    raw.and_then(|raw| raw.aliases).unwrap_or(true)
}

/// Checks the section and builds its values; relative paths start at the directory of the file
/// `path`.
///
/// # Errors
/// A value cannot be used.
pub(super) fn build(
    path: &Path,
    raw: Option<RawAirflow>,
) -> Result<Vec<InstanceOptions>, ConfigError> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let raw = raw.unwrap_or_default();
    if raw.instances.len() > INSTANCES_MAX {
        return Err(invalid(format!("more than {INSTANCES_MAX} instances")));
    }
    let shared: Vec<Sla> = raw.slas.iter().map(sla).collect::<Result<_, _>>()?;
    let mut names = HashSet::new();
    let mut built = Vec::new();
    for mut instance in raw.instances {
        instance.paths().for_each(|file| *file = directory.join(&*file));
        let name = instance.name.clone();
        if name.is_empty() || name.contains('\0') {
            return Err(invalid("an instance needs a name".to_owned()));
        }
        if !names.insert(name.clone()) {
            return Err(invalid(format!("two instances are named {name:?}")));
        }
        let options = build_one(instance, &shared, directory);
        built.push(options.map_err(|why| invalid(format!("instance {name:?}: {why}")))?);
    }
    Ok(built)
}

impl RawInstance {
    /// The files it names.
    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.password_file, &mut self.token_file].into_iter().flatten()
    }

    /// How it is reached; paths start at `directory`.
    fn http(&self, directory: &Path) -> Result<HttpConfig, String> {
        let mut http = HttpConfig {
            tls_config: self.tls_config.clone(),
            proxy_url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            proxy_from_environment: self.proxy_from_environment,
            proxy_connect_header: self.proxy_connect_header.clone(),
            http_headers: self.http_headers.clone(),
            ..HttpConfig::default()
        };
        http.complete(directory)?;
        Ok(http)
    }
}

fn build_one(
    raw: RawInstance,
    shared: &[Sla],
    directory: &Path,
) -> Result<InstanceOptions, String> {
    let (auth, http) = (auth(&raw)?, raw.http(directory)?);
    let mut slas = shared.to_vec();
    for own in &raw.slas {
        let own = sla(own).map_err(|error| error.to_string())?;
        slas.retain(|other| other.name != own.name);
        slas.push(own);
    }
    let dags = raw.dags.unwrap_or_default();
    Ok(InstanceOptions {
        url: url(&raw.url)?,
        auth,
        http,
        poll_interval: positive("poll_interval", raw.poll_interval, POLL_INTERVAL)?,
        inventory_interval: positive(
            "inventory_interval",
            raw.inventory_interval,
            INVENTORY_INTERVAL,
        )?,
        timeout: positive("timeout", raw.timeout, TIMEOUT)?,
        backfill: raw.backfill.map_or(BACKFILL, |duration| duration.0),
        labels: labels(raw.labels)?,
        dags: DagFilter {
            include: dags.include.as_deref().map(Patterns::new).transpose()?,
            exclude: dags.exclude.as_deref().map(Patterns::new).transpose()?,
        },
        slas,
        name: raw.name,
    })
}

fn url(text: &str) -> Result<String, String> {
    let parsed = url::Url::parse(text).map_err(|error| format!("url {text:?}: {error}"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(format!("url {text:?} does not start with http:// or https:// and a host"));
    }
    if !parsed.username().is_empty() || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("url must hold neither a user nor a query; use username".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn auth(raw: &RawInstance) -> Result<Auth, String> {
    let password = secret("password", &raw.password, &raw.password_file, &raw.password_env)?;
    let token = secret("token", &raw.token, &raw.token_file, &raw.token_env)?;
    match (raw.username.clone(), password, token) {
        (None, None, None) => Ok(Auth::None),
        (None, None, Some(token)) => Ok(Auth::Token(token)),
        (Some(username), Some(password), None) => Ok(Auth::Password { username, password }),
        (_, _, Some(_)) => Err("a token and a user exclude each other".to_owned()),
        _ => Err("username and password belong together".to_owned()),
    }
}

fn secret(
    key: &str,
    inline: &Option<String>,
    file: &Option<PathBuf>,
    env: &Option<String>,
) -> Result<Option<Secret>, String> {
    match (inline.clone(), file.clone(), env.clone()) {
        (None, None, None) => Ok(None),
        (Some(text), None, None) => Ok(Some(Secret::Inline(text))),
        (None, Some(path), None) => Ok(Some(Secret::File(path))),
        (None, None, Some(name)) => Ok(Some(Secret::Env(name))),
        _ => Err(format!("only one of {key}, {key}_file and {key}_env can be given")),
    }
}

fn positive(key: &str, value: Option<PromDuration>, default: Duration) -> Result<Duration, String> {
    match value.map_or(default, |duration| duration.0) {
        Duration::ZERO => Err(format!("{key} must be more than 0")),
        duration => Ok(duration),
    }
}

fn labels(labels: BTreeMap<String, String>) -> Result<Vec<(String, String)>, String> {
    if let Some((name, _)) = labels
        .iter()
        .find(|(name, _)| RESERVED_LABELS.contains(&name.as_str()) || name.starts_with("__"))
    {
        return Err(format!("label {name:?} is set by Tidewatch itself"));
    }
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Labels::from_pairs(pairs).map_err(|error| format!("labels: {error}"))?;
    Ok(labels.into_iter().collect())
}

fn sla(raw: &RawSla) -> Result<Sla, ConfigError> {
    let name = raw.name.clone();
    let millis = |duration: Option<PromDuration>| {
        duration.map(|d| i64::try_from(d.0.as_millis()).unwrap_or(i64::MAX))
    };
    if raw.max_duration.is_none() && raw.max_after_due.is_none() {
        let why = format!("service level {name:?} needs max_duration or max_after_due");
        return Err(invalid(why));
    }
    Ok(Sla {
        dags: Patterns::new(&raw.dags).map_err(invalid)?,
        duration_ms: millis(raw.max_duration),
        after_due_ms: millis(raw.max_after_due),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<InstanceOptions>, String> {
        let raw: RawAirflow = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        build(Path::new("/etc/tidewatch/tidewatch.yml"), Some(raw))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_instance_needs_little_and_takes_much() {
        let text = "slas: [{name: quick, dags: ['*'], max_duration: 1h}]\n\
            instances:\n- {name: a, url: 'http://a:8080/'}\n\
            - name: b\n  url: https://b/airflow\n  username: u\n  password_env: B_PASSWORD\n  \
              labels: {env: prod}\n  dags: {include: ['etl_*'], exclude: [etl_test]}\n  \
              slas: [{name: quick, dags: ['*'], max_after_due: 2h}]\n\
            - {name: c, url: 'http://c', token_file: token, tls_config: {ca_file: /ca.pem}}\n";
        let built = parse(text).expect("valid");
        assert_eq!((built[0].url.as_str(), &built[0].auth), ("http://a:8080", &Auth::None));
        assert_eq!(built[0].poll_interval, POLL_INTERVAL);
        assert_eq!(built[0].slas[0].duration_ms, Some(3_600_000));
        let password = Secret::Env("B_PASSWORD".to_owned());
        assert_eq!(built[1].auth, Auth::Password { username: "u".to_owned(), password });
        assert!(built[1].dags.accepts("etl_x") && !built[1].dags.accepts("etl_test"));
        assert_eq!((built[1].slas.len(), built[1].slas[0].duration_ms), (1, None));
        let token = Secret::File(PathBuf::from("/etc/tidewatch/token"));
        assert_eq!(built[2].auth, Auth::Token(token), "beside the configuration");
        assert_eq!(built[2].http.tls_config.ca, Some(Secret::File(PathBuf::from("/ca.pem"))));
        assert_eq!(built[1].labels, [("env".to_owned(), "prod".to_owned())]);
    }

    #[test]
    fn mistakes_name_the_instance() {
        for (entry, hint) in [
            ("{name: a, url: 'ftp://a'}", "http://"),
            ("{name: a, url: 'http://u:p@a'}", "username"),
            ("{name: a, url: 'http://a', username: u}", "belong together"),
            ("{name: a, url: 'http://a', token: t, token_file: f}", "only one of token"),
            ("{name: a, url: 'http://a', labels: {job: x}}", "\"job\""),
            ("{name: a, url: 'http://a', timeout: 0s}", "timeout"),
            ("{name: a, url: 'http://a', proxy_url: 'ftp://x'}", "proxy_url"),
            ("{name: a, url: 'http://a', tls_config: {max_version: TLS10}}", "max_version"),
            ("{name: a, url: 'http://a', slas: [{name: s, dags: ['*']}]}", "max_duration"),
            ("{name: a, url: 'http://a'}\n- {name: a, url: 'http://b'}", "two instances"),
        ] {
            let message = parse(&format!("instances:\n- {entry}\n")).expect_err(entry);
            assert!(message.contains(hint), "{entry}: {message}");
            assert!(message.contains("\"a\""), "{message}");
        }
    }
}
