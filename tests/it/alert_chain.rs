//! The whole chain in one process: the shipped rules on the scripted bad day fire, are grouped, reach
//! a Slack-shaped and a mail receiver with their runbooks, and are told resolved.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use tidewatch::model::{Selector, SeriesData, SeriesSource, Timestamp};
use tidewatch::promql::memory::MemorySource;
use tidewatch::promql::{Engine, EngineOptions, script};

use super::shipped::{BAD, HEALTHY};
use super::support::remote_write::{self, TimeSeries};
use super::support::{Client, Server, Sink, now_ms, wait_for};

/// The scripted days end here on their own clock.
const END_MS: i64 = 10 * 24 * 3_600_000;
/// How long all messages may take; generous, for a busy machine.
const TOLD_MAX: Duration = Duration::from_secs(90);
/// Series of one request.
const SERIES_MAX: usize = 20;

fn config(rules: &Path, slack: &Sink, mail: &Sink) -> String {
    let (rules, slack, mail) = (rules.display(), slack.port(), mail.port());
    format!(
        r##"
rule_files: ['{rules}']
alertmanager:
  global:
    smtp_smarthost: 127.0.0.1:{mail}
    smtp_from: tidewatch@example.org
    smtp_require_tls: false
  route:
    receiver: support
    group_by: [alertname, airflow]
    group_wait: 1s
    group_interval: 2s
  receivers:
    - name: support
      slack_configs:
        - api_url: http://127.0.0.1:{slack}/slack
          channel: '#airflow'
          send_resolved: true
          text: '{{{{ range .Alerts }}}}{{{{ .Annotations.summary }}}}{{{{ end }}}}'
      email_configs:
        - to: support@example.org
          send_resolved: true
          html: ''
          text: "{{{{ range .Alerts }}}}{{{{ .Labels.alertname }}}}\n{{{{ .Annotations.runbook }}}}{{{{ end }}}}"
"##
    )
}

/// The shipped rules; what takes minutes there takes seconds here. (That nothing else fires is shown
/// with the times they ship with, in [`super::shipped`].)
fn rules() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/airflow/rules.yml");
    let text = fs::read_to_string(path).expect("the shipped rules");
    let hurried = |line: &str| match line.trim_start().split_once(": ") {
        Some(("for", _)) => line.replace(line.trim_start(), "for: 0s"),
        Some(("interval", _)) => line.replace(line.trim_start(), "interval: 2s"),
        _ => line.to_owned(),
    };
    text.lines().map(|line| hurried(line) + "\n").collect()
}

/// The bad day, ending now.
fn bad_day(now: i64) -> Vec<TimeSeries> {
    let mut source = MemorySource::new();
    let text = format!("{HEALTHY}\n{BAD}");
    let script = script::parse(&text).expect("series that can be read");
    script::run(&script, &Engine::new(EngineOptions::default()), &mut source);
    let selector = Selector::new(&[], Timestamp::MIN, Timestamp::MAX);
    let found = source.select(&selector).expect("selected");
    let mut data = SeriesData::default();
    let mut all = Vec::new();
    for index in 0..found.len() {
        found.read(index, &mut data).expect("read");
        let times = data.timestamps.iter().map(|time| time - END_MS + now);
        let samples: Vec<(i64, f64)> = times.zip(data.values.iter().copied()).collect();
        let labels: Vec<(String, String)> =
            found.labels(index).iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        all.push(remote_write::series(&labels, &samples));
    }
    all
}

fn write(client: &Client, series: &[TimeSeries]) {
    for some in series.chunks(SERIES_MAX) {
        let answer = client.write(some).expect("an answer");
        assert_eq!(answer.status / 100, 2, "{}", answer.body);
    }
}

/// Names of the alerts of the shipped file, with the first line of the runbook of each.
fn expected() -> Vec<(String, String)> {
    let file: Json = serde_saphyr::from_str(&rules()).expect("YAML");
    let groups = file["groups"].as_array().expect("groups").iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
    rules
        .map(|rule| {
            let runbook = rule["annotations"]["runbook"].as_str().expect("a runbook");
            let first = runbook.lines().next().expect("a line");
            (rule["alert"].as_str().expect("a name").to_owned(), first.to_owned())
        })
        .collect()
}

/// Titles of the Slack messages.
fn titles(slack: &Sink) -> BTreeSet<String> {
    let title = |body: &str| {
        let message: Json = serde_json::from_str(body).expect("JSON");
        message["attachments"][0]["title"].as_str().expect("a title").to_owned()
    };
    slack.received().iter().map(|request| title(&request.body)).collect()
}

/// The text of a mail: quoted-printable, as mails are.
fn text_of(mail: &str) -> String {
    let joined = mail.replace("=\n", "");
    joined.replace("=3D", "=").replace("=\r\n", "")
}

#[test]
fn a_bad_day_reaches_slack_and_mail_with_its_runbooks_and_is_told_resolved() {
    let (slack, mail) = (Sink::http(), Sink::mail());
    let temp = TempDir::new().expect("a temporary directory");
    let rules_file = temp.path().join("rules.yml");
    fs::write(&rules_file, rules()).expect("written");
    let config_file = temp.path().join("tidewatch.yml");
    fs::write(&config_file, config(&rules_file, &slack, &mail)).expect("written");
    let mut server = Server::new(temp.path(), &["--config", &config_file.display().to_string()]);
    server.restart();
    let client = server.client();
    write(&client, &bad_day(now_ms()));

    let expected = expected();
    assert!(expected.len() > 30, "the rules were not found");
    let missing = || -> Vec<String> {
        let titles = titles(&slack);
        let mails: Vec<String> = mail.received().iter().map(|mail| text_of(&mail.body)).collect();
        let told = |name: &str, runbook: &str| {
            titles.iter().any(|title| title.starts_with("[FIRING:1]") && title.contains(name))
                && mails.iter().any(|mail| mail.contains(name) && mail.contains(runbook))
        };
        let missing = expected.iter().filter(|(name, runbook)| !told(name, runbook));
        missing.map(|(name, _)| name.clone()).collect()
    };
    let start = std::time::Instant::now();
    while !missing().is_empty() && start.elapsed() < TOLD_MAX {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(missing(), [] as [String; 0], "told: {:?}\n{}", titles(&slack), server.log());

    let labels = [("__name__", "airflow_import_errors"), ("airflow", "bad")];
    write(&client, &[remote_write::series(&labels, &[(now_ms(), 0.0)])]);
    wait_for("the end of the import errors to be told", TOLD_MAX, || {
        let titles = titles(&slack);
        titles
            .iter()
            .any(|t| t.starts_with("[RESOLVED]") && t.contains("ImportError"))
            .then_some(())
    });
    server.assert_alive();
}
