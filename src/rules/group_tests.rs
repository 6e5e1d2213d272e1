//! Groups over time, in memory: what is written, kept, sent and restored.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::model::{Alert, ManualClock, Sample, SeriesSource, WriteBatch, is_stale_nan};
use crate::promql::{Engine, EngineOptions, Features};
use crate::rules::alert::{ActiveAlert, AlertState};
use crate::rules::file::{ReadOptions, parse};
use crate::rules::go_templates::GoTemplates;
use crate::rules::metrics::RuleMetrics;
use crate::rules::reload::change;
use crate::rules::seams::{AlertSink, Externals, SampleSink, Written};
use crate::rules::unit_test::store::TestStore;

const MIN: i64 = 60_000;

/// A store that can fail.
#[derive(Default)]
struct Samples {
    store: TestStore,
    fails: Mutex<bool>,
}

impl SampleSink for Samples {
    fn submit(&self, batch: &WriteBatch<'_>) -> Result<Written, String> {
        if *lock(&self.fails) {
            return Ok(Box::new(|| Err("the disk is full".to_owned())));
        }
        self.store.submit(batch)
    }
}

/// What was sent, as `name firing|resolved start end`.
#[derive(Default)]
struct Sent(Mutex<Vec<String>>);

impl AlertSink for Sent {
    fn send(&self, alerts: &[Alert]) {
        let text = |alert: &Alert| {
            let (name, starts_at) = (alert.labels.value("alertname"), alert.starts_at.0);
            format!("{name} {starts_at} {}", alert.ends_at.0)
        };
        lock(&self.0).extend(alerts.iter().map(text));
    }
}

/// A state store in memory that counts its commits.
#[derive(Default)]
struct Kept {
    map: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    commits: Mutex<usize>,
    fails: Mutex<bool>,
}

impl StateStore for Kept {
    fn load(&self, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), String> {
        let map = lock(&self.map);
        let found = map.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        found.for_each(|(key, value)| each(key, value));
        Ok(())
    }

    fn change(&self, changes: Vec<Change>) -> Result<(), String> {
        if *lock(&self.fails) {
            return Err("the disk is full".to_owned());
        }
        *lock(&self.commits) += 1;
        let mut map = lock(&self.map);
        for (key, value) in changes {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        Ok(())
    }
}

struct World {
    engine: Engine,
    samples: Samples,
    sent: Sent,
    kept: Kept,
    externals: Externals,
    metrics: RuleMetrics,
    clock: ManualClock,
}

impl World {
    fn new() -> World {
        World {
            engine: Engine::new(EngineOptions::default()),
            samples: Samples::default(),
            sent: Sent::default(),
            kept: Kept::default(),
            externals: Externals::default(),
            metrics: RuleMetrics::default(),
            clock: ManualClock::default(),
        }
    }

    fn environment(&self) -> Environment<'_> {
        Environment {
            engine: &self.engine,
            source: &self.samples.store,
            samples: &self.samples,
            alerts: &self.sent,
            state: &self.kept,
            externals: &self.externals,
            clock: &self.clock,
            elapsed: &|| Duration::ZERO,
            resend_delay_ms: MIN,
            metrics: &self.metrics,
            cancel: None,
        }
    }

    fn write(&self, text: &str, ts: i64, value: f64) {
        let labels = crate::promql::parser::parse_metric(text).expect("labels");
        let mut batch = WriteBatch::default();
        batch.push_sample(&labels, Sample::new(Timestamp(ts), value));
        drop(self.samples.store.submit(&batch).expect("written"));
    }

    /// Evaluates each group at each time.
    fn run(&self, groups: &[Arc<Group>], times: impl IntoIterator<Item = i64>) {
        for ts in times {
            self.clock.set(Timestamp(ts));
            groups.iter().for_each(|group| group.evaluate(&self.environment(), Timestamp(ts)));
        }
    }

    /// What a query gives at a time, one element a line.
    fn query(&self, text: &str, ts: i64) -> Vec<String> {
        let samples = self.environment().query_text(text, Timestamp(ts)).expect("a result");
        let text = |sample: crate::promql::VectorSample| match sample.value {
            crate::promql::PointValue::Float(value) => format!("{} {value}", sample.labels),
            crate::promql::PointValue::Histogram(_) => format!("{} histogram", sample.labels),
        };
        let mut lines: Vec<String> = samples.into_iter().map(text).collect();
        lines.sort();
        lines
    }

    fn sent(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.sent.0))
    }

    /// Whether a series has the mark of its end at a time.
    fn is_ended(&self, text: &str, ts: i64) -> bool {
        let labels = crate::promql::parser::parse_metric(text).expect("labels");
        let matchers: Vec<_> =
            labels.iter().map(|(n, v)| crate::model::Matcher::equal(n, v)).collect();
        let at = Timestamp(ts);
        let selector = crate::model::Selector::new(&matchers, at, at);
        let found = self.samples.store.select(&selector).expect("answers");
        let mut data = crate::model::SeriesData::default();
        (0..found.len()).any(|index| {
            found.read(index, &mut data).is_ok() && data.values.iter().any(|v| is_stale_nan(*v))
        })
    }
}

fn specs(text: &str) -> Vec<GroupSpec> {
    let (features, templates) = (Features::default(), GoTemplates::default());
    let options =
        ReadOptions { features: &features, templates: &templates, ignore_unknown_fields: false };
    parse(&"f.yml".into(), text, options).expect("a rule file")
}

/// Groups that need no restoration.
fn groups(text: &str) -> Vec<Arc<Group>> {
    let new = |spec| Arc::new(Group::new(Arc::new(spec), Settings::default(), true));
    specs(text).into_iter().map(new).collect()
}

fn one_rule(rule: &str) -> String {
    format!("groups: [{{name: g, rules: [{rule}]}}]\n")
}

#[test]
fn a_rule_reads_what_the_one_before_wrote_in_the_same_evaluation() {
    let world = World::new();
    let text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: vector(1)}\n  \
        - {record: b, expr: a + 1, labels: {x: y}}\n  - {alert: C, expr: b > 1}\n  \
        - {alert: D, expr: 'ALERTS{alertname=\"C\"} == 1', labels: {alertstate: '', x: ''}}\n";
    world.run(&groups(text), [0]);
    assert_eq!(world.query("b", 0), [r#"{__name__="b", x="y"} 2"#]);
    assert_eq!(
        world.query("ALERTS", 0),
        [
            r#"{__name__="ALERTS", alertname="C", alertstate="firing", x="y"} 1"#,
            r#"{__name__="ALERTS", alertname="D", alertstate="firing"} 1"#,
        ]
    );
    assert_eq!(world.query("ALERTS_FOR_STATE", 0).len(), 2);
}

#[test]
fn labels_override_and_empty_ones_are_removed() {
    let world = World::new();
    world.write(r#"m{a="1",b="2",alertname="no"}"#, 0, 7.0);
    let text = one_rule(
        "{alert: A, expr: m, labels: {a: '', c: '{{ $value }}{{ .Labels.b }}', alertname: x}, \
         annotations: {n: '{{ $labels.__name__ }}', broken: '{{ $labels.b | humanize }}', e: ''}}",
    );
    let groups = groups(&text);
    world.run(&groups, [0]);
    let alerts = groups[0].rules()[0].alerts();
    let (labels, alert) = alerts.active().next().expect("an alert");
    assert_eq!(labels.to_string(), r#"{alertname="A", b="2", c="72"}"#);
    let texts: Vec<_> = alert.annotations.iter().collect();
    assert_eq!(texts[1..], [("e", ""), ("n", "m")]);
    assert_eq!(texts[0], ("broken", "2"));
}

#[test]
fn texts_are_made_anew_when_what_they_depend_on_has_changed() {
    let world = World::new();
    let text = one_rule(
        "{alert: A, expr: m, labels: {own: x, size: '{{ if gt $value 9.0 }}big{{ else }}small{{ end }}'}, \
         annotations: {l: '{{ $labels.own }}', v: '{{ $value }}', q: '{{ query \"n\" | first | value }}'}}",
    );
    let groups = groups(&text);
    let expanded = |ts: i64| {
        let before = groups[0].rules()[0].expansions.total.get();
        world.run(&groups, [ts]);
        let alerts = groups[0].rules()[0].alerts();
        let firing = |(_, alert): &(&Labels, &ActiveAlert)| alert.state == AlertState::Firing;
        let texts = |(labels, alert): (&Labels, &ActiveAlert)| {
            let texts: Vec<&str> = alert.annotations.iter().map(|(_, text)| text).collect();
            format!("{} {}", labels.value("size"), texts.join(" "))
        };
        let shown: Vec<String> = alerts.active().filter(firing).map(texts).collect();
        (shown.join(", "), groups[0].rules()[0].expansions.total.get() - before)
    };
    world.write("m{own=\"a\"}", 0, 1.0);
    world.write("n", 0, 7.0);
    assert_eq!(expanded(0), ("small a 7 1".to_owned(), 4));
    assert_eq!(expanded(MIN), ("small a 7 1".to_owned(), 1), "only the one that queries");
    world.write("n", 2 * MIN, 8.0);
    assert_eq!(expanded(2 * MIN), ("small a 8 1".to_owned(), 1));
    world.write("m{own=\"a\"}", 3 * MIN, 2.0);
    assert_eq!(expanded(3 * MIN), ("small a 8 2".to_owned(), 3), "all but that of labels");
    world.write("m{own=\"a\"}", 4 * MIN, 10.0);
    assert_eq!(expanded(4 * MIN).0, "big a 8 10");
    // Another series, whose alert has the same labels.
    world.write("m{own=\"a\"}", 5 * MIN, crate::model::stale_nan());
    world.write("m{own=\"b\"}", 5 * MIN, 10.0);
    assert_eq!(expanded(5 * MIN), ("big b 8 10".to_owned(), 4));
    assert_eq!(expanded(6 * MIN), ("big b 8 10".to_owned(), 1));
}

#[test]
fn a_reload_makes_texts_anew() {
    let world = World::new();
    world.write("m", 0, 1.0);
    let with = |text: &str| one_rule(&format!("{{alert: A, expr: m, annotations: {{a: {text}}}}}"));
    let before = groups(&with("one"));
    world.run(&before, [0, MIN]);
    let after =
        change(&before, specs(&with("two")), Settings::default(), &world.kept, false).groups;
    world.run(&after, [2 * MIN]);
    let alerts = after[0].rules()[0].alerts();
    let (_, alert) = alerts.active().next().expect("an alert");
    assert_eq!((alert.annotations.get("a"), alert.active_at), (Some("two"), 0));
}

#[test]
fn a_template_that_fails_says_so_and_the_alert_fires() {
    let world = World::new();
    let text =
        one_rule("{alert: A, expr: vector(5), annotations: {a: '{{ query \"x\" | first }}'}}");
    let groups = groups(&text);
    world.run(&groups, [0]);
    let rule = &groups[0].rules()[0];
    let alerts = rule.alerts();
    let (_, alert) = alerts.active().next().expect("an alert");
    let text = alert.annotations.get("a").expect("a text");
    let expected = "<error expanding template: error executing template __alert_A: template: \
                    __alert_A:1:15: executing \"__alert_A\" at <first>: error calling first: \
                    first() called on vector with no elements>";
    assert_eq!(text, expected);
    assert_eq!((alert.state, rule.expansions.failed.get()), (AlertState::Firing, 1));
}

#[test]
fn the_query_offset_moves_query_and_samples_but_not_alerts() {
    let world = World::new();
    world.write("m", 0, 1.0);
    let text = "groups:\n- name: g\n  query_offset: 5m\n  rules:\n  - {record: r, expr: m}\n  \
        - {alert: A, expr: m, annotations: {at: '{{ now }}'}}\n";
    let groups = groups(text);
    world.run(&groups, [10 * MIN - 1]);
    assert_eq!(world.query("timestamp(r)", 5 * MIN - 1), ["{} 299.999"]);
    assert_eq!(world.query("ALERTS", 5 * MIN - 1).len(), 1);
    let alerts = groups[0].rules()[1].alerts();
    let (_, alert) = alerts.active().next().expect("an alert");
    assert_eq!((alert.active_at, alert.annotations.get("at")), (10 * MIN - 1, Some("599.999")));
}

#[test]
fn series_that_vanish_are_marked_and_those_of_a_failed_evaluation_are_not() {
    let world = World::new();
    world.write(r#"m{i="1"}"#, 0, 1.0);
    world.write(r#"m{i="2"}"#, 0, 1.0);
    let text = "groups:\n- name: g\n  rules:\n  - {record: r, expr: 'm'}\n  \
        - {alert: A, expr: m, for: 1m}\n";
    let groups = groups(text);
    world.run(&groups, [0]);
    world.write(r#"m{i="2"}"#, MIN, f64::from_bits(crate::model::STALE_NAN_BITS));
    world.run(&groups, [MIN]);
    assert!(world.is_ended(r#"r{i="2"}"#, MIN) && !world.is_ended(r#"r{i="1"}"#, MIN));
    let alert = |i, state| format!(r#"ALERTS{{alertname="A",i="{i}",alertstate="{state}"}}"#);
    assert!(world.is_ended(&alert(2, "pending"), MIN), "it is gone");
    assert!(world.is_ended(&alert(1, "pending"), MIN), "it fires now");
    assert!(world.is_ended(r#"ALERTS_FOR_STATE{alertname="A",i="2"}"#, MIN));
    assert!(!world.is_ended(r#"ALERTS_FOR_STATE{alertname="A",i="1"}"#, MIN));
    // Two series make one: the rule fails, and nothing of it is touched.
    let text = one_rule("{record: r, expr: m, labels: {i: ''}}");
    let failing = self::groups(&text);
    world.write(r#"m{i="2"}"#, 2 * MIN, 1.0);
    world.run(&failing, [2 * MIN]);
    let outcome = failing[0].rules()[0].outcome();
    let error = outcome.last_error.clone().expect("a failure");
    assert!(error.contains("same labelset after applying rule labels"), "{error}");
    assert_eq!((outcome.health(), failing[0].metrics.failures.get()), ("err", 1));
    assert_eq!(world.query("r", 2 * MIN).len(), 1, "the one from before");
}

#[test]
fn limits_hold_for_series_and_alerts() {
    let world = World::new();
    world.write(r#"m{i="1"}"#, 0, 1.0);
    world.write(r#"m{i="2"}"#, 0, 1.0);
    let text = "groups:\n- name: g\n  limit: 1\n  rules:\n  - {record: r, expr: m}\n  \
        - {alert: A, expr: m}\n";
    let groups = groups(text);
    world.run(&groups, [0]);
    let error = |rule: usize| groups[0].rules()[rule].outcome().last_error.expect("a failure");
    assert_eq!(error(0), "exceeded limit of 1 with 2 series");
    assert_eq!(error(1), "exceeded limit of 1 with 2 alerts");
    assert_eq!((world.query("r", 0).len(), world.sent().len()), (0, 0));
}

#[test]
fn ranges_and_texts_are_no_results() {
    let world = World::new();
    let text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: 'm[5m]'}\n  \
        - {record: b, expr: '\"x\"'}\n  - {record: c, expr: 1}\n";
    let groups = groups(text);
    world.run(&groups, [0]);
    for rule in &groups[0].rules()[..2] {
        let error = rule.outcome().last_error.expect("a failure");
        assert_eq!(error, "rule result is not a vector or scalar");
    }
    assert_eq!(world.query("c", 0), [r#"{__name__="c"} 1"#]);
}

#[test]
fn alerts_are_sent_with_their_times() {
    let world = World::new();
    world.write("m", 0, 1.0);
    let groups = groups(&one_rule("{alert: A, expr: m, for: 1m}"));
    world.run(&groups, [0]);
    assert_eq!(world.sent(), Vec::<String>::new(), "pending");
    world.run(&groups, [MIN, 2 * MIN]);
    assert_eq!(world.sent(), [format!("A {MIN} {}", 5 * MIN)]);
    world.write("m", 2 * MIN + 1, f64::from_bits(crate::model::STALE_NAN_BITS));
    world.run(&groups, [3 * MIN]);
    assert_eq!(world.sent(), [format!("A {MIN} {}", 3 * MIN)]);
}

#[test]
fn a_write_that_fails_shows_and_marks_are_written_later() {
    let world = World::new();
    world.write("m", 0, 1.0);
    let groups = groups(&one_rule("{alert: A, expr: m, for: 1m}"));
    world.run(&groups, [0]);
    *lock(&world.samples.fails) = true;
    world.run(&groups, [MIN]);
    let rule = &groups[0].rules()[0];
    assert_eq!(rule.outcome().last_error.as_deref(), Some("the disk is full"));
    assert_eq!(world.sent().len(), 1, "the alert is sent all the same");
    *lock(&world.samples.fails) = false;
    world.run(&groups, [2 * MIN]);
    assert_eq!(rule.outcome().health(), "ok");
    assert!(world.is_ended(r#"ALERTS{alertname="A",alertstate="pending"}"#, 2 * MIN));
}

#[test]
fn state_is_kept_in_one_commit_and_only_when_it_changed() {
    let world = World::new();
    world.write("m", 0, 1.0);
    let groups = groups(&one_rule("{alert: A, expr: m}, {alert: B, expr: m}"));
    world.run(&groups, [0]);
    assert_eq!((*lock(&world.kept.commits), lock(&world.kept.map).len()), (1, 3));
    world.run(&groups, [MIN, 2 * MIN, 3 * MIN]);
    assert_eq!(*lock(&world.kept.commits), 1, "they only go on firing");
    *lock(&world.kept.fails) = true;
    world.run(&groups, [10 * MIN]);
    let error = groups[0].rules()[0].outcome().last_error.expect("a failure");
    assert_eq!(error, "the state of alerts is not kept: the disk is full");
    assert_eq!(groups[0].metrics.state_failures.get(), 1);
    *lock(&world.kept.fails) = false;
    world.run(&groups, [11 * MIN]);
    assert_eq!(*lock(&world.kept.commits), 2);
    world.run(&groups, [30 * MIN]);
    assert_eq!(lock(&world.kept.map).len(), 1, "resolved ones are forgotten in the end");
}

/// Groups as a start of the process makes them.
fn started(world: &World, text: &str) -> Vec<Arc<Group>> {
    change(&[], specs(text), Settings::default(), &world.kept, true).groups
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let world = World::new();
    (0..20).for_each(|minute| world.write("m", minute * MIN, 1.0));
    let text = one_rule("{alert: A, expr: m, for: 3m, keep_firing_for: 2m}");
    let before = started(&world, &text);
    world.run(&before, [0, MIN]);
    drop(before);
    let after = started(&world, &text);
    assert!(after[0].rules()[0].is_restored(), "its own state is known");
    world.run(&after, [2 * MIN]);
    assert_eq!(world.sent(), Vec::<String>::new());
    world.run(&after, [3 * MIN]);
    assert_eq!(
        world.sent(),
        [format!("A {} {}", 3 * MIN, 7 * MIN)],
        "three minutes after it began"
    );
    assert!(world.is_ended(r#"ALERTS{alertname="A",alertstate="pending"}"#, 3 * MIN));
    // While nobody looked it ended: whoever was told is told that, too.
    world.write("m", 3 * MIN + 1, f64::from_bits(crate::model::STALE_NAN_BITS));
    let resolved = World { samples: Samples::default(), ..world };
    let again = started(&resolved, &text);
    resolved.run(&again, [4 * MIN, 5 * MIN, 6 * MIN]);
    let sent = resolved.sent();
    assert_eq!(sent.last(), Some(&format!("A {} {}", 3 * MIN, 6 * MIN)), "{sent:?}");
    assert!(resolved.is_ended(r#"ALERTS{alertname="A",alertstate="firing"}"#, 6 * MIN));
}

#[test]
fn the_time_of_an_outage_is_not_time_pending() {
    let world = World::new();
    (0..60).for_each(|minute| world.write("m", minute * MIN, 1.0));
    let text = one_rule("{alert: A, expr: m, for: 5m}");
    world.run(&started(&world, &text), [0, MIN, 2 * MIN]);
    let after = started(&world, &text);
    world.run(&after, (32..=33).map(|minute| minute * MIN));
    assert_eq!(world.sent(), Vec::<String>::new(), "four minutes");
    world.run(&after, [34 * MIN]);
    assert_eq!(world.sent().len(), 1);
}

#[test]
fn nothing_ends_in_the_first_evaluation_after_an_outage() {
    let world = World::new();
    world.write("m", 0, 1.0);
    world.write("m", 33 * MIN, 1.0);
    let text = one_rule("{alert: A, expr: m}, {alert: B, expr: m, for: 3m}");
    world.run(&started(&world, &text), [0, MIN]);
    let after = started(&world, &text);
    world.sent();
    world.run(&after, [32 * MIN]);
    assert_eq!(world.sent(), [format!("A 0 {}", 36 * MIN)], "its samples may be on their way");
    assert_eq!(after[0].rules()[1].alerts().state(), AlertState::Pending);
    world.run(&after, [33 * MIN]);
    assert_eq!(after[0].rules()[1].alerts().state(), AlertState::Firing);
    world.run(&after, [40 * MIN]);
    assert!(world.sent().contains(&format!("A 0 {}", 40 * MIN)));
}

#[test]
fn state_is_restored_from_series_after_the_second_evaluation() {
    let world = World::new();
    (0..100).for_each(|minute| world.write(r#"m{i="1"}"#, minute * MIN, 1.0));
    let state = r#"ALERTS_FOR_STATE{alertname="A",i="1",s="x"}"#;
    (0..20).for_each(|minute| world.write(state, minute * MIN, 0.0));
    let text =
        one_rule("{alert: A, expr: m, for: 30m, labels: {s: x}}, {alert: B, expr: m, for: 9m}");
    let after = started(&world, &text);
    world.run(&after, [40 * MIN]);
    assert_eq!(world.query(r#"ALERTS"#, 40 * MIN).len(), 0, "nothing is told before");
    world.run(&after, [41 * MIN]);
    let active_at = |rule: usize| {
        let alerts = after[0].rules()[rule].alerts();
        let (_, alert) = alerts.active().next().expect("an alert");
        alert.active_at / MIN
    };
    // Nineteen of thirty minutes had passed; the outage does not count.
    assert_eq!(active_at(0), 41 - 19);
    assert_eq!(active_at(1), 40, "shorter than the grace period: begins anew");
    world.run(&after, [42 * MIN]);
    assert_eq!(world.query(r#"ALERTS"#, 42 * MIN).len(), 2);
}

#[test]
fn a_reload_keeps_what_did_not_change_and_the_alerts_of_what_did() {
    let world = World::new();
    (0..20).for_each(|minute| world.write("m", minute * MIN, 1.0));
    let text = "groups:\n- name: a\n  rules:\n  - {alert: A, expr: m}\n\
        - name: b\n  rules:\n  - {alert: B, expr: m, for: 2m}\n  - {record: r, expr: m}\n\
        - name: c\n  rules:\n  - {record: s, expr: m}\n";
    let before = started(&world, text);
    world.run(&before, [0, MIN]);
    let text = "\ngroups:\n- name: a\n  rules:\n  - {alert: A, expr: m}\n\
        - name: b\n  rules:\n  - {alert: B, expr: m > 0, for: 3m, annotations: {new: x}}\n";
    let changed = change(&before, specs(text), Settings::default(), &world.kept, false);
    assert!(Arc::ptr_eq(&changed.groups[0], &before[0]), "untouched");
    assert_eq!((changed.groups.len(), changed.removed.len()), (2, 1));
    world.run(&before[1..], [2 * MIN]);
    assert_eq!(world.query("timestamp(s)", 2 * MIN), ["{} 60"], "the old ones have ended");
    world.run(&changed.groups, [2 * MIN]);
    assert!(world.is_ended("r", 2 * MIN), "a deleted rule");
    let alerts = changed.groups[1].rules()[0].alerts();
    let (_, alert) = alerts.active().next().expect("kept");
    assert_eq!((alert.active_at, alert.state), (0, AlertState::Pending));
    assert_eq!(alert.annotations.iter().next(), Some(("new", "x")));
    drop(alerts);
    world.run(&changed.groups, [3 * MIN]);
    assert_eq!(changed.groups[1].rules()[0].alerts().state(), AlertState::Firing);
    // The removed group's series end when it was removed, two intervals later.
    changed.removed[0].end_series(&world.environment(), Timestamp(2 * MIN));
    assert!(world.is_ended("s", 2 * MIN));
    let keys = lock(&world.kept.map).len();
    assert_eq!(keys, 4, "two groups, two alerts");
}

#[test]
fn a_series_that_another_group_took_over_does_not_end() {
    let world = World::new();
    (0..5).for_each(|minute| world.write("m", minute * MIN, 1.0));
    let before = started(&world, "groups: [{name: a, rules: [{record: r, expr: m}]}]\n");
    world.run(&before, [0]);
    let renamed = specs("groups: [{name: b, rules: [{record: r, expr: m}]}]\n");
    let changed = change(&before, renamed, Settings::default(), &world.kept, false);
    world.run(&changed.groups, [MIN, 2 * MIN]);
    changed.removed[0].end_series(&world.environment(), Timestamp(MIN / 2));
    assert!(!world.is_ended("r", MIN / 2));
}

#[test]
fn alerts_that_share_a_series_do_not_end_it_for_each_other() {
    let world = World::new();
    for state in ["x", "y"] {
        world.write(&format!(r#"m{{alertstate="{state}"}}"#), 0, 1.0);
    }
    let groups = groups(&one_rule("{alert: A, expr: m}"));
    world.run(&groups, [0]);
    assert_eq!(world.query("ALERTS", 0).len(), 1);
    let gone = f64::from_bits(crate::model::STALE_NAN_BITS);
    world.write(r#"m{alertstate="x"}"#, MIN, gone);
    world.run(&groups, [MIN]);
    assert_eq!(world.query("ALERTS", MIN).len(), 1, "the other is still there");
}

#[test]
fn a_group_says_until_when_its_alerts_wait_for_it() {
    let text = "groups:\n- name: g\n  interval: 1h\n  rules:\n  - {record: r, expr: m}\n  \
        - {alert: A, expr: m, labels: {severity: page, host: '{{ $labels.host }}', x: ''}}\n";
    let group = &groups(text)[0];
    let now = Timestamp(1_700_000_000_000);
    let expected = group.expected(now, MIN);
    let [(labels, until)] = &expected[..] else { panic!("one rule has alerts: {expected:?}") };
    assert_eq!(labels.to_string(), r#"{alertname="A", severity="page"}"#);
    assert_eq!(*until, group.slots().next_after(now).saturating_add(4 * 60 * MIN));
}
