//! Rule files and their unit tests as promtool sees them, alerts over time as the specification of
//! alert generators says, and a server that is killed while alerts are active.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value as Json;
use tempfile::TempDir;
use tidewatch::model::{Labels, Matcher};
use tidewatch::promql::ast::Expr;
use tidewatch::promql::memory::MemorySource;
use tidewatch::rules::RuleKind;
use tidewatch::rules::alert::AlertState;
use tidewatch::rules::rule::Rule;

use super::support::{RuleWorld, Server, rule_groups, wait_for};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rules").join(name)
}

/// The shared data's directory of rules, when it is there.
fn shared() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("TIDEWATCH_SHARED_DATA").map(PathBuf::from);
    let places = [shared, Some(here.join("../shared/data")), Some(here.join("../../shared/data"))];
    let found = places.into_iter().flatten().map(|dir| dir.join("rules")).find(|dir| dir.is_dir());
    if found.is_none() {
        println!("skipped: no rules in the shared data");
    }
    found
}

fn tidewatch(args: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    command.args(args).arg(file).output().expect("the tidewatch binary starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_verdicts_are_those_of_promtool() {
    for (args, file, expected) in [
        (&["test", "rules"][..], "right_test.yml", 0),
        (&["test", "rules"], "classic_test.yml", 0),
        (&["test", "rules"], "newer_test.yml", 0),
        (&["test", "rules"], "classic_wrong_test.yml", 1),
        (&["test", "rules"], "nothing_test.yml", 1),
        (&["check", "rules"], "right.yml", 0),
        (&["check", "rules"], "lifecycle.yml", 0),
        (&["check", "rules"], "bad.yml", 1),
        (&["check", "rules"], "duplicates.yml", 0),
        (&["check", "rules", "--lint-fatal"], "duplicates.yml", 3),
        (&["check", "rules", "--lint-fatal", "--lint", "none"], "duplicates.yml", 0),
        (&["check", "rules", "--lint-fatal", "--lint", "none,all"], "duplicates.yml", 3),
        (&["check", "rules", "--lint-fatal", "--lint", "unheard-of"], "duplicates.yml", 0),
        (&["check", "rules", "--lint-fatal", "--lint", ""], "duplicates.yml", 0),
    ] {
        let output = tidewatch(args, &fixture(file));
        assert_eq!(code(&output), expected, "{args:?} {file}: {}", errors(&output));
    }
    let bad = errors(&tidewatch(&["check", "rules"], &fixture("bad.yml")));
    for hint in [
        ":5:15: group \"g\", rule 1, \"A\": could not parse expression: 1:5: ",
        ":6:17: ",
        ":11:26: ",
    ] {
        let hint = hint.replacen(':', "bad.yml: ", 1);
        assert!(bad.contains(&hint), "{hint} is not in\n{bad}");
    }
    let wrong = errors(&tidewatch(&["test", "rules"], &fixture("classic_wrong_test.yml")));
    for hint in [
        "    alertname: Down, time: 3m, \n        exp:[\n            0:\n              Labels:{",
        "severity=\"ticket\"}",
        "exp: {alertstate=\"pending\"} 2E+00\n        got: {alertstate=\"pending\"} 1E+00",
    ] {
        assert!(wrong.contains(hint), "{hint} is not in\n{wrong}");
    }
}

#[test]
fn tests_are_chosen_by_name_and_told_to_machines() {
    let temp = TempDir::new().expect("a temporary directory");
    let junit = temp.path().join("junit.xml");
    let run = |name: &str| {
        let args = ["test", "rules", "--run", name, "--junit", junit.to_str().expect("UTF-8")];
        let output = tidewatch(&args, &fixture("right_test.yml"));
        assert_eq!(code(&output), 0, "{}", errors(&output));
        fs::read_to_string(&junit).expect("written")
    };
    assert!(run("kept").contains("<testcase name=\"from down to kept firing\"></testcase>"));
    assert!(!run("nothing").contains("testcase"));
}

#[test]
fn the_shared_rule_files_load_and_their_tests_pass() {
    let Some(shared) = shared() else { return };
    for file in [
        "promtool/rules.yml",
        "promtool/rules_duplicates.yml",
        "anomaly/adaptive.yml",
        "anomaly/robust.yml",
        "sloth/getting-started.generated.yml",
        "vmalert/rules.yaml",
        "compliance/alert_generator_rules.yaml",
    ] {
        assert!(!rule_groups(&shared.join(file)).is_empty(), "{file}");
    }
    let output = tidewatch(&["test", "rules"], &shared.join("promtool/unittest.yml"));
    assert_eq!(code(&output), 0, "{}", errors(&output));
    let output = tidewatch(&["test", "rules"], &shared.join("promtool/rules_run.yml"));
    assert_eq!(code(&output), 1);
    assert!(errors(&output).contains("name: wrong test"), "{}", errors(&output));
    let args = ["test", "rules", "--run", "correct"];
    assert_eq!(code(&tidewatch(&args, &shared.join("promtool/rules_run.yml"))), 0);
}

#[test]
fn an_installed_promtool_agrees() {
    let promtool =
        |args: &[&str], file: &Path| Command::new("promtool").args(args).arg(file).output();
    if promtool(&["--version"], Path::new("")).is_err() {
        println!("skipped: promtool is not installed");
        return;
    }
    let mut files: Vec<(&[&str], PathBuf)> = Vec::new();
    let check = &["check", "rules"][..];
    let fatal = &["check", "rules", "--lint-fatal"][..];
    for name in ["classic.yml", "lifecycle.yml", "bad.yml", "duplicates.yml"] {
        files.extend([(check, fixture(name)), (fatal, fixture(name))]);
    }
    for name in ["classic_test.yml", "classic_wrong_test.yml"] {
        files.push((&["test", "rules"], fixture(name)));
    }
    if let Some(shared) = shared() {
        let names = ["promtool/rules.yml", "promtool/rules_duplicates.yml", "vmalert/rules.yaml"];
        files.extend(names.map(|name| (fatal, shared.join(name))));
        let other = ["anomaly/robust.yml", "sloth/getting-started.yml", "alertmanager/simple.yml"];
        files.extend(other.map(|name| (check, shared.join(name))));
        files.push((&["test", "rules"], shared.join("promtool/rules_run.yml")));
    }
    for (args, file) in files {
        let theirs = promtool(args, &file).expect("promtool starts");
        let ours = tidewatch(args, &file);
        let shown = file.display();
        assert_eq!(
            code(&ours),
            code(&theirs),
            "{args:?} {shown}:\n{}\n{}",
            errors(&ours),
            errors(&theirs)
        );
        // What is wrong with a test is told in the same words, but for blank lines.
        let lines = |output: &Output| {
            let text = errors(output);
            let lines = text.lines().filter(|line| !line.is_empty() && !line.contains("name: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        if args[0] == "test" {
            assert_eq!(lines(&ours), lines(&theirs), "{shown}");
        }
    }
}

const STEP_MS: i64 = 30_000;
const RESEND_MS: i64 = 60_000;
const RETENTION_MS: i64 = 15 * 60_000;

/// Values of a rule's series by the number of the step: above every threshold, or below.
fn is_high(step: i64) -> bool {
    // Up for 12 minutes; a short return long after; up once more within the retention of that.
    (4..28).contains(&step) || (80..83).contains(&step) || (100..140).contains(&step)
}

/// The alert that a rule should have, as the specification tells it.
#[derive(Default)]
struct Expected {
    active_at: Option<i64>,
    fired_at: Option<i64>,
    resolved_at: Option<i64>,
    sent_at: Option<i64>,
}

impl Expected {
    /// The state at `ts`, and what is sent: start and end.
    fn step(&mut self, ts: i64, is_there: bool, hold_ms: i64) -> (AlertState, Option<(i64, i64)>) {
        if is_there {
            if self.active_at.is_none() {
                *self = Expected { active_at: Some(ts), ..Expected::default() };
            }
            let active_at = self.active_at.expect("just set");
            if self.fired_at.is_none() && ts - active_at >= hold_ms {
                self.fired_at = Some(ts);
            }
        } else if self.active_at.take().is_some() {
            self.resolved_at = self.fired_at.map(|_| ts);
        }
        if self.resolved_at.is_some_and(|at| ts - at > RETENTION_MS) {
            *self = Expected::default();
        }
        let state = match (self.active_at, self.fired_at) {
            (None, _) => AlertState::Inactive,
            (Some(_), None) => AlertState::Pending,
            (Some(_), Some(_)) => AlertState::Firing,
        };
        (state, self.sent(ts))
    }

    fn sent(&mut self, ts: i64) -> Option<(i64, i64)> {
        let fired_at = self.fired_at?;
        let is_new = self.resolved_at.is_some_and(|at| self.sent_at.is_none_or(|sent| at > sent));
        let is_due = self.sent_at.is_none_or(|sent| ts - sent > RESEND_MS);
        if !is_new && !is_due {
            return None;
        }
        self.sent_at = Some(ts);
        Some((fired_at, self.resolved_at.unwrap_or(ts + 4 * RESEND_MS)))
    }
}

/// The series that a rule's only selector asks for by name; none for a rule over `ALERTS`.
fn input(rule: &Rule) -> Option<Vec<(String, String)>> {
    fn find(expr: &Expr) -> Option<&[Matcher]> {
        match expr {
            Expr::VectorSelector(selector) => Some(&selector.matchers),
            other => other.children().into_iter().find_map(find),
        }
    }
    let matchers = find(&rule.spec().expr).expect("a selector");
    let pair = |m: &Matcher| (m.name().to_owned(), m.value().to_owned());
    let pairs: Vec<_> = matchers.iter().map(pair).collect();
    let is_alerts = pairs.iter().any(|(name, value)| name == "__name__" && value == "ALERTS");
    (!is_alerts).then_some(pairs)
}

/// Runs a file's rules over an hour and a half and holds each against the specification.
fn lives_as_specified(file: &Path) -> RuleWorld {
    let world = RuleWorld::new(rule_groups(file), MemorySource::new());
    let ids = |id: &str| Labels::from_pairs([("__name__", "ids"), ("id", id)]).expect("valid");
    let rules: Vec<&Rule> = world.groups.iter().flat_map(|group| group.rules()).collect();
    let mut expected: Vec<[Expected; 2]> = rules.iter().map(|_| Default::default()).collect();
    for step in 0..190 {
        let ts = 1_700_000_000_000 + step * STEP_MS;
        ["2", "1"].into_iter().for_each(|id| world.write(&ids(id), ts, 7.0));
        let value = if is_high(step) { 50.0 } else { 5.0 };
        for pairs in rules.iter().filter_map(|rule| input(rule)) {
            for variant in ["one", "two"] {
                let pairs = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()));
                let labels = Labels::from_pairs(pairs.chain([("variant", variant)]));
                world.write(&labels.expect("valid"), ts, value);
            }
        }
        world.sent.lock().expect("no panic before").clear();
        world.evaluate(ts);
        let mut before_fires = false;
        for (rule, expected) in rules.iter().zip(&mut expected) {
            let RuleKind::Alerting { hold_ms, .. } = rule.spec().kind else { panic!("no alert") };
            let variants = if input(rule).is_some() { 2 } else { 1 };
            for expected in &mut expected[..variants] {
                // A rule over another's alerts sees them in the same evaluation.
                let is_there = match variants {
                    2 => value > threshold(rule),
                    _ => before_fires,
                };
                let (state, sent) = expected.step(ts, is_there, hold_ms);
                check(&world, rule, ts, state, sent);
                before_fires = state == AlertState::Firing;
            }
        }
    }
    world
}

fn threshold(rule: &Rule) -> f64 {
    let (_, number) = rule.spec().query.rsplit_once("> ").expect("a comparison");
    number.parse().expect("a number")
}

/// One rule at one time: its state, its series, what was sent.
fn check(world: &RuleWorld, rule: &Rule, ts: i64, state: AlertState, sent: Option<(i64, i64)>) {
    let name = &rule.spec().name;
    assert_eq!(rule.alerts().state(), state, "{name} at {ts}");
    let series = world.query(&format!("ALERTS{{alertname=\"{name}\"}}"), ts);
    let states: Vec<&str> = series.iter().map(|(labels, _)| labels.value("alertstate")).collect();
    let is_active = state != AlertState::Inactive;
    assert_eq!(states.is_empty(), !is_active, "{name} at {ts}: {series:?}");
    assert!(states.iter().all(|own| *own == state.as_str()), "{name} at {ts}: {series:?}");
    let all = world.sent.lock().expect("no panic before");
    let own = all.iter().filter(|alert| alert.labels.value("alertname") == &**name);
    let times: Vec<_> = own.map(|alert| (alert.starts_at.0, alert.ends_at.0)).collect();
    assert_eq!(times.is_empty(), sent.is_none(), "{name} at {ts}: {times:?}, not {sent:?}");
    assert!(times.iter().all(|own| Some(*own) == sent), "{name} at {ts}: {times:?}, not {sent:?}");
}

/// The annotations of the first alert of a rule at the end, when it is active.
fn texts(world: &RuleWorld, alertname: &str) -> Vec<String> {
    let rules = world.groups.iter().flat_map(|group| group.rules());
    let rule = rules.into_iter().find(|rule| *rule.spec().name == *alertname).expect("the rule");
    let alerts = rule.alerts();
    let texts = alerts.active().next().map(|(_, alert)| {
        alert.annotations.iter().map(|(name, text)| format!("{name}: {text}")).collect()
    });
    texts.unwrap_or_default()
}

const NUMBERS: &str = "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC";
const TEXTS: &str = "This Part IS TESTING the strings. ::1 127.0.0.1. 7815. replaced text. .";

#[test]
fn alerts_live_as_specified_and_their_texts_come_out() {
    let world = lives_as_specified(&fixture("lifecycle.yml"));
    // Up once more, to look at the texts.
    let ts = 1_700_100_000_000;
    for rule in ["Slow", "ZeroFor", "SmallFor"] {
        let pairs = [("__name__", "life"), ("rule", rule), ("variant", "one")];
        world.write(&Labels::from_pairs(pairs).expect("valid"), ts, 50.0);
    }
    for id in ["2", "1"] {
        let pairs = [("__name__", "ids"), ("id", id)];
        world.write(&Labels::from_pairs(pairs).expect("valid"), ts, 7.0);
    }
    world.evaluate(ts);
    assert_eq!(
        texts(&world, "ZeroFor"),
        [
            format!("numbers: {NUMBERS}"),
            "query: Args are: foo bar 99. first_id:1,1:7,2:7,".to_owned()
        ]
    );
    assert_eq!(texts(&world, "SmallFor"), [format!("texts: {TEXTS}")]);
    assert_eq!(texts(&world, "Slow"), ["description: is 50"]);
}

#[test]
fn the_rules_of_the_compliance_suite_behave_as_it_says() {
    let Some(shared) = shared() else { return };
    lives_as_specified(&shared.join("compliance/alert_generator_rules.yaml"));
}

/// A directory with a configuration and a rule file that fires quickly.
fn configured(rule: &str) -> TempDir {
    let temp = TempDir::new().expect("a temporary directory");
    fs::create_dir(temp.path().join("rules")).expect("created");
    let config = "global: {evaluation_interval: 200ms}\nrule_files: ['rules/*.yml']\n";
    fs::write(temp.path().join("tidewatch.yml"), config).expect("written");
    write_rule(&temp, rule);
    temp
}

fn write_rule(temp: &TempDir, rule: &str) {
    let text = format!("groups: [{{name: g, rules: [{rule}]}}]\n");
    fs::write(temp.path().join("rules/r.yml"), text).expect("written");
}

/// The only alert of a server, once there is one in `state`.
fn alert(server: &Server, state: &str) -> Json {
    wait_for(&format!("an alert that is {state}"), Duration::from_secs(20), || {
        let answer = server.client().get("/api/v1/alerts").ok()?;
        let json: Json = serde_json::from_str(&answer.body).ok()?;
        let found = json["data"]["alerts"].as_array()?.first()?.clone();
        (found["state"] == state).then_some(found)
    })
}

/// Waits for the end of an evaluation: what the API showed before it is on disk.
fn evaluated(server: &Server) {
    let last = || {
        let answer = server.client().get("/api/v1/rules").ok()?;
        let json: Json = serde_json::from_str(&answer.body).ok()?;
        Some(json["data"]["groups"][0]["lastEvaluation"].clone())
    };
    let before = last();
    wait_for("an evaluation", Duration::from_secs(20), || {
        last().filter(|now| before.as_ref() != Some(now))
    });
}

#[test]
fn a_killed_server_goes_on_with_its_alerts() {
    let temp = configured("{alert: A, expr: vector(1), for: 1s}");
    let config = temp.path().join("tidewatch.yml");
    let args = ["--web.enable-lifecycle", "--config", config.to_str().expect("UTF-8")];
    let mut server = Server::new(temp.path(), &args);
    server.restart();
    let before = alert(&server, "firing");
    evaluated(&server);
    server.kill();
    server.restart();
    assert_eq!(alert(&server, "firing")["activeAt"], before["activeAt"]);
    // A changed rule keeps its alert, a wrong file changes nothing.
    write_rule(&temp, "{alert: A, expr: vector(2) > 1, for: 500ms}");
    let reload = || server.client().post("/-/reload", &[], b"").expect("an answer");
    assert_eq!(reload().status, 200);
    assert_eq!(alert(&server, "firing")["activeAt"], before["activeAt"]);
    write_rule(&temp, "{alert: A, expr: 'vector('}, {alert: B}");
    let answer = reload();
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("could not parse expression"), "{}", answer.body);
    assert!(answer.body.contains("rule 2, \"B\": field 'expr' must be set"), "{}", answer.body);
    assert_eq!(alert(&server, "firing")["activeAt"], before["activeAt"]);
}

#[test]
fn the_api_filters_and_pages() {
    let temp =
        configured("{alert: A, expr: vector(1), labels: {team: x}}, {record: r, expr: vector(2)}");
    fs::write(temp.path().join("rules/s.yml"), "groups: [{name: h, rules: []}, {name: i, rules: [{record: s, expr: r, labels: {team: y}}]}]\n").expect("written");
    let config = temp.path().join("tidewatch.yml");
    let mut server = Server::new(temp.path(), &["--config", config.to_str().expect("UTF-8")]);
    server.restart();
    alert(&server, "firing");
    let groups = |query: &str| {
        let answer = server.client().get(&format!("/api/v1/rules?{query}")).expect("an answer");
        let json: Json = serde_json::from_str(&answer.body).expect("JSON");
        let mut shown = Vec::new();
        for group in json["data"]["groups"].as_array().unwrap_or_else(|| panic!("{}", answer.body))
        {
            let rules = group["rules"].as_array().expect("rules").iter();
            let rules: Vec<_> = rules.map(|rule| rule["name"].as_str().expect("a name")).collect();
            shown.push(format!("{}:{}", group["name"].as_str().expect("a name"), rules.join(",")));
        }
        (shown.join(" "), json["data"]["groupNextToken"].as_str().map(str::to_owned))
    };
    let all = |query: &str| groups(query).0;
    assert_eq!(all(""), "g:A,r i:s", "a group without rules is left out");
    assert_eq!(all("type=alert"), "g:A");
    assert_eq!(all("type=record"), "g:r i:s");
    assert_eq!(all("rule_name[]=s&rule_name[]=A"), "g:A i:s");
    assert_eq!(all("rule_group[]=i&rule_group[]=g&rule_name[]=r"), "g:r");
    let file = temp.path().join("rules/s.yml");
    assert_eq!(all(&format!("file[]={}", file.display())), "i:s");
    assert_eq!(all("match[]=%7Bteam=%22y%22%7D"), "i:s");
    assert_eq!(all("match[]=%7Bteam=~%22x%7Cy%22%7D&type=alert"), "g:A");
    let (first, token) = groups("group_limit=1");
    assert_eq!(first, "g:A,r");
    let token = token.expect("there is more");
    let key = format!("{};i", file.display());
    let hash = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(token, hash, "as Prometheus has it");
    assert_eq!(
        groups(&format!("group_limit=1&group_next_token={token}")),
        ("i:s".to_owned(), None)
    );
    let with = |query: &str| {
        server.client().get(&format!("/api/v1/rules?{query}")).expect("an answer").body
    };
    assert!(with("type=alert").contains("\"alerts\":[{"));
    assert!(with("type=alert&exclude_alerts=true").contains("\"alerts\":null"));
    assert!(with("group_limit=2&group_next_token=x").contains("were rule groups changed?"));
}
