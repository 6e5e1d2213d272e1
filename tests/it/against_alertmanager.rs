//! A real Prometheus sends the same alerts to Debian's Alertmanager and to us, both with the same
//! configuration; what webhook, Slack, PagerDuty and mail receivers are told must agree.
//!
//! Debian's Alertmanager is 0.25, our definition is newer: fields it does not have yet are left out
//! of the comparison, each by name. Each step of the scenario waits until both have told what it
//! leads to, so that the order is not a matter of luck.
//!
//! At the end stands what Alertmanager is known to swallow, and we do not: an alert that was told as
//! firing and ends under a silence.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::server::free_port;
use super::support::{Client, Server, Sink, wait_for};

/// How long one step may take; generous, for a busy machine.
const STEP_MAX: Duration = Duration::from_secs(60);
/// Longer than group_wait, group_interval and an evaluation together: what has not come until then
/// does not come.
const QUIET: Duration = Duration::from_secs(6);

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A child process that ends with the test.
struct Running(Child);

impl Running {
    fn start(program: &Path, args: &[String], log: &Path) -> Running {
        let log = fs::File::options().create(true).append(true).open(log).expect("a log file");
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn();
        Running(child.unwrap_or_else(|why| panic!("{} does not start: {why}", program.display())))
    }

    fn terminate(&mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").arg(id).status().expect("kill(1) runs").success());
        self.0.wait().expect("it ends");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // it may have ended by itself; then there is nothing to kill
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where one of the two sends to.
struct Told {
    web: Sink,
    mail: Sink,
}

impl Told {
    fn new() -> Told {
        Told { web: Sink::http(), mail: Sink::mail() }
    }

    /// What was told by way of `kind`, by group in the order it was told: groups have timers of
    /// their own.
    fn by_group(&self, kind: &str) -> Vec<(String, Value)> {
        let mut told: Vec<(String, Value)> = match kind {
            "mail" => {
                self.mail.received().iter().map(|mail| subject(&mail.to, &mail.body)).collect()
            }
            _ => {
                let received = self.web.received().into_iter();
                let of_kind = received.filter(|request| request.to.ends_with(kind));
                of_kind.map(|request| self.normal(kind, &request.body)).collect()
            }
        };
        told.sort_by(|a, b| a.0.cmp(&b.0)); // stable: within a group the order stays
        told
    }

    /// A notification without what must differ, and the group it is about.
    fn normal(&self, kind: &str, body: &str) -> (String, Value) {
        let own = format!("127.0.0.1:{}", self.web.port());
        let mut told: Value = serde_json::from_str(&body.replace(&own, "SINK")).expect("JSON");
        let fields = told.as_object_mut().expect("an object");
        match kind {
            "webhook" => {
                for newer in ["notification_reason", "routeLabels"] {
                    fields.remove(newer);
                }
                let group = fields["groupKey"].as_str().expect("a text").to_owned();
                (group, told)
            }
            "pagerduty" => {
                // 0.25 gives texts where newer versions give lists
                let details = fields["payload"]["custom_details"].take();
                fields["payload"]["firing"] =
                    details["num_firing"].to_string().replace('"', "").into();
                (fields["dedup_key"].as_str().expect("a text").to_owned(), told)
            }
            "slack" => {
                // the same alert group has the same title but for its state
                let title = told["attachments"][0]["title"].as_str().expect("a text");
                let group = title.split("] ").nth(1).unwrap_or(title).to_owned();
                (group, told)
            }
            other => panic!("no such kind: {other}"),
        }
    }

    fn count(&self) -> usize {
        self.web.received().len() + self.mail.received().len()
    }
}

/// Addressee and subject of a mail.
fn subject(to: &str, mail: &str) -> (String, Value) {
    let line = mail.lines().find_map(|line| line.strip_prefix("Subject: "));
    let line = line.expect("a subject");
    let group = line.split("] ").nth(1).unwrap_or(line).to_owned();
    (group, json!({"to": to, "subject": line}))
}

fn alertmanager_config(told: &Told) -> String {
    let (web, mail) = (told.web.port(), told.mail.port());
    format!(
        r##"
global:
  smtp_smarthost: 127.0.0.1:{mail}
  smtp_from: alerts@example.org
  smtp_require_tls: false
  slack_api_url: http://127.0.0.1:{web}/slack
  pagerduty_url: http://127.0.0.1:{web}/pagerduty
route:
  receiver: everybody
  group_by: [alertname, cluster, name]
  group_wait: 2s
  group_interval: 2s
  repeat_interval: 1h
  routes:
    - matchers: [team="db"]
      receiver: database
inhibit_rules:
  - source_matchers: [severity="critical"]
    target_matchers: [severity="warning"]
    equal: [cluster]
receivers:
  - name: everybody
    webhook_configs: [{{url: 'http://127.0.0.1:{web}/webhook'}}]
    slack_configs:
      - channel: '#ops'
        send_resolved: true
        text: '{{{{ range .Alerts }}}}{{{{ .Labels.node }}}}: {{{{ .Annotations.summary }}}}; {{{{ end }}}}'
    email_configs: [{{to: ops@example.org, send_resolved: true}}]
  - name: database
    webhook_configs: [{{url: 'http://127.0.0.1:{web}/webhook', max_alerts: 1}}]
    pagerduty_configs: [{{routing_key: abc, severity: '{{{{ .CommonLabels.severity }}}}'}}]
"##
    )
}

const RULES: &str = r#"
groups:
  - name: test
    rules:
      - alert: Alarm
        expr: alarm == 1
        labels: {kind: '{{ $labels.name | toUpper }}'}
        annotations: {summary: '"{{ $labels.name }}" <on> {{ $labels.cluster }} is {{ $value }}'}
"#;

fn prometheus_config(rules: &Path, target: u16, alertmanagers: [u16; 2]) -> String {
    let [theirs, ours] = alertmanagers;
    format!(
        "
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: ['{}']
scrape_configs:
  - job_name: alarms
    static_configs: [{{targets: ['127.0.0.1:{target}']}}]
alerting:
  alertmanagers:
    - static_configs: [{{targets: ['127.0.0.1:{theirs}', '127.0.0.1:{ours}']}}]
",
        rules.display()
    )
}

/// The alarms that are on.
#[derive(Default)]
struct Alarms(Vec<&'static str>);

/// Name, cluster, severity, team and node.
const ALARMS: [(&str, [&str; 4]); 6] = [
    ("link", ["a", "critical", "net", "n1"]),
    ("disk", ["a", "warning", "ops", "n1"]),
    ("load", ["b", "warning", "ops", "n2"]),
    ("slow", ["b", "warning", "db", "n3"]),
    ("slow", ["b", "warning", "db", "n4"]),
    ("heat", ["c", "warning", "ops", "n5"]),
];

impl Alarms {
    fn page(&self) -> String {
        let line = |(name, [cluster, severity, team, node]): &(&str, [&str; 4])| {
            let value = u8::from(self.0.contains(name));
            format!(
                "alarm{{name=\"{name}\",cluster=\"{cluster}\",severity=\"{severity}\",\
                 team=\"{team}\",node=\"{node}\"}} {value}\n"
            )
        };
        ALARMS.iter().map(line).collect()
    }
}

struct Scene {
    target: Sink,
    alarms: Alarms,
    theirs: Told,
    ours: Told,
    /// Their API, our API.
    clients: [Client; 2],
}

impl Scene {
    fn switch(&mut self, on: &[&'static str], off: &[&str]) {
        self.alarms.0.retain(|name| !off.contains(name));
        self.alarms.0.extend(on);
        self.target.set_page(&self.alarms.page());
    }

    /// Waits until both have told `more` further notifications, and shows that no more follow.
    fn both_told(&self, before: [usize; 2], more: [usize; 2], what: &str) {
        let counts = || [self.theirs.count(), self.ours.count()];
        let expected = [before[0] + more[0], before[1] + more[1]];
        let enough = |now: [usize; 2]| now[0] >= expected[0] && now[1] >= expected[1];
        let start = std::time::Instant::now();
        while !enough(counts()) && start.elapsed() < STEP_MAX {
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(QUIET);
        assert_eq!(
            counts(),
            expected,
            "{what}: notifications of theirs and ours\n{}",
            self.story()
        );
    }

    fn counts(&self) -> [usize; 2] {
        [self.theirs.count(), self.ours.count()]
    }

    /// A step: what changes, and how many notifications it leads to at each.
    fn step(&mut self, what: &str, on: &[&'static str], off: &[&str], more: [usize; 2]) {
        let before = self.counts();
        self.switch(on, off);
        self.both_told(before, more, what);
    }

    fn story(&self) -> String {
        let mut story = String::new();
        for (who, told) in [("theirs", &self.theirs), ("ours", &self.ours)] {
            for request in told.web.received().iter().chain(&told.mail.received()) {
                let body: String = request.body.chars().take(300).collect();
                story += &format!("{who} {}: {body}\n", request.to);
            }
        }
        story
    }

    /// Silences one alarm at both; returns the silences' ids.
    fn silence(&self, name: &str) -> [String; 2] {
        let time = |offset_ms: i64| {
            let at = super::support::now_ms() + offset_ms;
            jiff::Timestamp::from_millisecond(at).expect("in range").to_string()
        };
        let silence = json!({
            "matchers": [{"name": "name", "value": name, "isRegex": false, "isEqual": true}],
            "startsAt": time(0), "endsAt": time(3_600_000),
            "createdBy": "test", "comment": "a test",
        });
        let headers = [("Content-Type", "application/json")];
        self.clients.each_ref().map(|client| {
            let answer = client
                .post("/api/v2/silences", &headers, silence.to_string().as_bytes())
                .expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
            let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
            answer["silenceID"].as_str().expect("an id").to_owned()
        })
    }

    fn expire(&self, ids: &[String; 2]) {
        for (client, id) in self.clients.iter().zip(ids) {
            let answer = client.delete(&format!("/api/v2/silence/{id}")).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
    }

    fn compare(&self) {
        for kind in ["webhook", "slack", "pagerduty", "mail"] {
            let (theirs, ours) = (self.theirs.by_group(kind), self.ours.by_group(kind));
            assert!(!theirs.is_empty(), "{kind}: nothing was told");
            assert_eq!(theirs.len(), ours.len(), "{kind}");
            for (theirs, ours) in theirs.iter().zip(&ours) {
                assert_eq!(theirs, ours, "{kind}");
            }
        }
    }
}

#[test]
fn receivers_are_told_what_alertmanager_tells_them() {
    let (Some(prometheus), Some(alertmanager)) =
        (program("prometheus"), program("prometheus-alertmanager"))
    else {
        assert!(std::env::var_os("CI").is_none(), "CI installs prometheus and its alertmanager");
        println!("skipped: prometheus and prometheus-alertmanager are not installed");
        return;
    };
    let temp = TempDir::new().expect("a temporary directory");
    let dir = temp.path();
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let (theirs, ours) = (Told::new(), Told::new());
    let external = "--web.external-url=http://alerts.example.org/";

    let their_port = free_port();
    let their_config = file("theirs.yml", &alertmanager_config(&theirs));
    let their_args = [
        format!("--config.file={}", their_config.display()),
        format!("--storage.path={}", dir.join("theirs").display()),
        format!("--web.listen-address=127.0.0.1:{their_port}"),
        "--cluster.listen-address=".to_owned(),
        external.to_owned(),
    ];
    let their_log = dir.join("theirs.log");
    let mut their_process = Running::start(&alertmanager, &their_args, &their_log);

    let our_config = file("ours.yml", &alertmanager_config(&ours));
    let our_flag = format!("--alertmanager.config={}", our_config.display());
    fs::create_dir(dir.join("ours")).expect("a directory");
    let mut our_server = Server::new(&dir.join("ours"), &[&our_flag, external]);
    our_server.restart();

    let target = Sink::http();
    let rules = file("rules.yml", RULES);
    let ports = [their_port, our_server.http_port()];
    let config = file("prometheus.yml", &prometheus_config(&rules, target.port(), ports));
    let prometheus_port = free_port();
    let args = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", dir.join("prometheus").display()),
        format!("--web.listen-address=127.0.0.1:{prometheus_port}"),
        "--web.external-url=http://prometheus.example.org/".to_owned(),
        "--rules.alert.resend-delay=1s".to_owned(),
    ];
    let clients = [Client::new(their_port), our_server.client()];
    wait_for("Alertmanager to be ready", STEP_MAX, || {
        clients[0].get("/-/ready").ok().filter(|answer| answer.status == 200)
    });
    let mut scene = Scene { target, alarms: Alarms::default(), theirs, ours, clients };
    scene.switch(&[], &[]);
    let _prometheus = Running::start(&prometheus, &args, &dir.join("prometheus.log"));

    // each group leads to a webhook, Slack and mail, or, in the database's team, webhook and page
    scene.step("two alerts, one inhibited by the other", &["link", "disk"], &[], [3, 3]);
    scene.step("the source of the inhibition ends", &[], &["link"], [6, 6]);
    scene.step("a group of two, paged", &["slow"], &[], [2, 2]);
    let silenced = scene.silence("load");
    scene.step("a silenced alert", &["load"], &[], [0, 0]);
    let before = scene.counts();
    scene.expire(&silenced);
    scene.both_told(before, [3, 3], "the silence is taken away");

    let before = scene.counts();
    their_process.terminate();
    drop(their_process);
    let _again = Running::start(&alertmanager, &their_args, &their_log);
    our_server.kill();
    our_server.restart();
    scene.both_told(before, [0, 0], "a restart, ours by kill -9");

    scene.step("everything ends", &[], &["disk", "slow", "load"], [8, 8]);
    scene.compare();

    scene.step("an alert", &["heat"], &[], [3, 3]);
    let _silenced = scene.silence("heat");
    // told firing means told resolved: their webhook, Slack and mail never hear of it
    scene.step("it ends under a silence", &[], &["heat"], [0, 3]);
    let told = scene.ours.by_group("webhook");
    let (_, last) = told.iter().rfind(|(group, _)| group.contains("heat")).expect("told");
    assert_eq!(last["status"], "resolved");
    our_server.assert_alive();
}
