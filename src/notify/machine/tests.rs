//! Single promises, one a test; the simulation mixes all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::query::AlertView;
use super::*;
use crate::model::{Labels, Matcher};
use crate::notify::config;
use crate::notify::deliver::{Failure, FailureKind, Outcome, Reason};
use crate::notify::silence::SilenceDraft;

const START: Timestamp = Timestamp(1_767_225_600_000); // a Thursday, 00:00 UTC

/// A machine with its time, and helpers to tell it things.
struct Bench {
    machine: Machine,
    now: Timestamp,
    events: Vec<Event>,
    rows: BTreeMap<RowKey, Vec<u8>>,
}

fn parsed(text: &str) -> Arc<AlertConfig> {
    Arc::new(config::parse(Path::new("f"), text).expect(text))
}

const SIMPLE: &str = "route: {receiver: a, group_by: [alertname], group_wait: 30s, \
    group_interval: 5m, repeat_interval: 1h}\n\
    receivers: [{name: a, webhook_configs: [{url: 'http://a'}]}, {name: b, webhook_configs: [{url: 'http://b'}]}]\n";

impl Bench {
    fn new(text: &str) -> Bench {
        let machine = Machine::new(parsed(text), 7, START);
        Bench { machine, now: START, events: Vec::new(), rows: BTreeMap::new() }
    }

    fn report(&mut self, labels: &str, ends_in_s: i64) {
        let pairs = labels.split(' ').filter_map(|pair| pair.split_once('='));
        let alert = Alert {
            labels: Labels::from_pairs(pairs).expect("valid"),
            annotations: Default::default(),
            starts_at: self.now,
            ends_at: self.now.saturating_add(ends_in_s * 1000),
            generator_url: "".into(),
        };
        self.machine
            .receive(Incoming { alert, timeout: false, is_repeated: false }, self.now)
            .expect("taken");
    }

    fn fire(&mut self, labels: &str) {
        self.report(labels, 100_000);
    }

    fn resolve(&mut self, labels: &str) {
        self.report(labels, 0);
    }

    /// Lets time pass and returns what is to be told.
    fn pass(&mut self, seconds: i64) -> Vec<Send> {
        self.now = self.now.saturating_add(seconds * 1000);
        self.machine.tick(self.now);
        let effects = self.machine.take_effects();
        for (key, row) in effects.rows {
            match row {
                Some(row) => drop(self.rows.insert(key, row)),
                None => drop(self.rows.remove(&key)),
            }
        }
        self.events.extend(effects.events);
        effects.sends
    }

    /// The same, and every message is delivered: receiver, reason, firing, resolved.
    fn told(&mut self, seconds: i64) -> Vec<(String, Reason, usize, usize)> {
        let sends = self.pass(seconds);
        let mut told = Vec::new();
        for send in sends {
            let firing = send.notification.alerts.iter().filter(|alert| alert.is_firing()).count();
            let resolved = send.notification.alerts.len() - firing;
            let name = send.notification.receiver.name.clone();
            told.push((name, send.notification.reason, firing, resolved));
            self.deliver(send);
        }
        self.pass(0);
        told
    }

    fn deliver(&mut self, send: Send) {
        let outcome = Outcome::Delivered { data: None, note: "200".to_owned() };
        self.machine.outcome(send.number, outcome, self.now);
    }

    fn silence(&mut self, label: &str, value: &str, from_s: i64, to_s: i64) -> Arc<str> {
        let draft = SilenceDraft {
            id: None,
            matchers: vec![Matcher::equal(label, value)],
            starts_at: self.now.saturating_add(from_s * 1000),
            ends_at: self.now.saturating_add(to_s * 1000),
            created_by: "me".to_owned(),
            comment: "why".to_owned(),
            annotations: BTreeMap::new(),
        };
        self.machine.set_silence(draft, self.now).expect("valid")
    }

    fn reload(&mut self, text: &str) {
        self.machine.reload(parsed(text), self.now);
    }

    /// The process ends and comes back after a while.
    fn restart(&mut self, text: &str, seconds: i64) {
        self.now = self.now.saturating_add(seconds * 1000);
        let (machine, faults) = Machine::restore(parsed(text), 8, self.now, self.rows.clone());
        assert!(faults.is_empty(), "{faults:?}");
        self.machine = machine;
    }

    fn kinds(&self) -> Vec<EventKind> {
        self.events.iter().map(|event| event.kind).collect()
    }

    fn shown(&self) -> Vec<AlertView> {
        self.machine.alerts(self.now, &|_| true, |_| true, |_| true)
    }
}

fn told(
    receiver: &str,
    reason: Reason,
    firing: usize,
    resolved: usize,
) -> (String, Reason, usize, usize) {
    (receiver.to_owned(), reason, firing, resolved)
}

#[test]
fn a_group_waits_tells_repeats_and_resolves() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A host=1");
    assert_eq!(bench.told(10), []);
    bench.fire("alertname=A host=2");
    assert_eq!(bench.told(20), [told("a", Reason::First, 2, 0)]);
    bench.fire("alertname=A host=3");
    assert_eq!(bench.told(299), []);
    assert_eq!(bench.told(1), [told("a", Reason::NewAlerts, 3, 0)]);
    bench.resolve("alertname=A host=1");
    assert_eq!(bench.told(300), [told("a", Reason::SomeResolved, 2, 1)]);
    for _ in 0..11 {
        assert_eq!(bench.told(300), []);
    }
    assert_eq!(bench.told(300), [told("a", Reason::Repeat, 2, 0)]);
    bench.resolve("alertname=A host=2");
    bench.resolve("alertname=A host=3");
    assert_eq!(bench.told(300), [told("a", Reason::AllResolved, 0, 2)]);
    assert_eq!((bench.machine.alert_count(), bench.machine.group_count()), (0, 0));
    assert!(bench.rows.is_empty(), "nothing is left: {:?}", bench.rows.keys());
}

#[test]
fn a_repeat_interval_that_is_a_multiple_of_the_group_interval_is_kept_exactly() {
    let mut bench = Bench::new(&SIMPLE.replace("repeat_interval: 1h", "repeat_interval: 10m"));
    bench.fire("alertname=A");
    assert_eq!(bench.told(30).len(), 1);
    assert_eq!(bench.told(300), []);
    assert_eq!(bench.told(300), [told("a", Reason::Repeat, 1, 0)]);
}

#[test]
fn what_was_resolved_before_it_was_told_is_noted_and_not_told() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    bench.pass(10);
    bench.resolve("alertname=A");
    assert_eq!(bench.told(20), []);
    assert_eq!(bench.kinds(), [EventKind::Firing, EventKind::Resolved, EventKind::NeverTold]);
}

#[test]
fn an_alert_ends_when_nobody_reports_it_any_more() {
    let mut bench = Bench::new(SIMPLE);
    bench.report("alertname=A", 120);
    assert_eq!(bench.told(30).len(), 1);
    bench.pass(60);
    bench.report("alertname=A", 120);
    bench.pass(119);
    assert_eq!(bench.shown().len(), 1);
    bench.pass(1);
    assert_eq!(bench.shown().len(), 0);
    assert_eq!(bench.told(120), [told("a", Reason::AllResolved, 0, 1)]);
}

#[test]
fn told_firing_means_told_resolved_through_a_silence() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A host=1");
    bench.fire("alertname=A host=2");
    assert_eq!(bench.told(30).len(), 1);
    bench.silence("host", "1", 0, 10_000);
    bench.resolve("alertname=A host=1");
    assert_eq!(bench.told(300), [told("a", Reason::SomeResolved, 1, 1)]);
}

#[test]
fn told_firing_means_told_resolved_through_an_inhibition() {
    let rules = "inhibit_rules: [{source_matchers: [s=crit], target_matchers: [s=warn]}]\n";
    let mut bench = Bench::new(&format!("{SIMPLE}{rules}"));
    bench.fire("alertname=A s=warn");
    assert_eq!(bench.told(30), [told("a", Reason::First, 1, 0)]);
    bench.fire("alertname=B s=crit");
    assert_eq!(bench.told(30), [told("a", Reason::First, 1, 0)]);
    assert!(bench.shown().iter().any(|alert| alert.inhibited_by.is_some()));
    bench.resolve("alertname=A s=warn");
    assert_eq!(bench.told(270), [told("a", Reason::AllResolved, 0, 1)]);
}

const NIGHT: &str = "route:\n  receiver: a\n  group_wait: 30s\n  group_interval: 5m\n  repeat_interval: 4h\n  routes:\n  \
    - {matchers: [x=1], receiver: b, mute_time_intervals: [night]}\n\
    time_intervals: [{name: night, time_intervals: [{times: [{start_time: '01:00', end_time: '02:00'}]}]}]\n\
    receivers: [{name: a, webhook_configs: [{url: 'http://a'}]}, {name: b, webhook_configs: [{url: 'http://b'}]}]\n";

#[test]
fn a_mute_that_ends_wakes_its_groups_at_once() {
    let mut bench = Bench::new(NIGHT);
    bench.fire("alertname=A x=1");
    assert_eq!(bench.told(30).len(), 1);
    // At 01:02 another one fires; at 01:59:50 it is still quiet.
    bench.pass(3_690);
    bench.fire("alertname=B x=1");
    for _ in 0..11 {
        assert_eq!(bench.told(300), []);
    }
    let views = bench.machine.groups(bench.now, &|_| true, |_| true, |_| true);
    assert_eq!(views[0].alerts[0].muted_by, ["night".into()]);
    let to_the_end = (START.0 + 7_200_000 - bench.now.0) / 1000;
    assert!(to_the_end < 300, "the group's own turn comes later");
    assert_eq!(bench.told(to_the_end), [told("b", Reason::NewAlerts, 2, 0)]);
    let quiet = bench.events.iter().filter(|event| event.kind == EventKind::Suppressed);
    assert!(quiet.clone().all(|event| *event.suppressed_by == *"mute_time_interval"));
    assert_eq!(quiet.count(), 2);
}

#[test]
fn a_silence_that_ends_wakes_its_groups_at_once() {
    let mut bench = Bench::new(SIMPLE);
    bench.silence("host", "2", 0, 400);
    bench.fire("alertname=A host=1");
    bench.fire("alertname=A host=2");
    assert_eq!(bench.told(30), [told("a", Reason::First, 1, 0)]);
    assert_eq!(bench.told(310), []);
    assert_eq!(bench.told(60), [told("a", Reason::NewAlerts, 2, 0)]);
    assert!(bench.kinds().contains(&EventKind::SilenceExpired));
    let suppressed = bench.events.iter().find(|event| event.kind == EventKind::Suppressed);
    assert_eq!(&*suppressed.expect("noted").suppressed_by, "silence");
}

#[test]
fn a_pending_silence_begins_at_its_time() {
    let mut bench = Bench::new(SIMPLE);
    bench.silence("alertname", "A", 60, 400);
    bench.fire("alertname=A");
    assert!(bench.shown()[0].silenced_by.is_empty());
    bench.pass(60);
    assert_eq!(bench.shown()[0].silenced_by.len(), 1);
}

#[test]
fn told_firing_means_told_resolved_through_a_route_edit() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    assert_eq!(bench.told(30), [told("a", Reason::First, 1, 0)]);
    bench.reload(&SIMPLE.replace("receiver: a,", "receiver: b,"));
    assert_eq!(bench.told(30), [told("b", Reason::First, 1, 0)]);
    bench.resolve("alertname=A");
    let mut ends = bench.told(300);
    ends.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(ends, [told("a", Reason::AllResolved, 0, 1), told("b", Reason::AllResolved, 0, 1)]);
    assert_eq!(bench.machine.group_count(), 0);
}

#[test]
fn a_receiver_that_is_gone_cannot_be_told_and_the_history_says_so() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    assert_eq!(bench.told(30).len(), 1);
    bench.reload("route: {receiver: c}\nreceivers: [{name: c}]\n");
    bench.pass(1);
    assert!(bench.kinds().contains(&EventKind::CannotTell));
}

#[test]
fn an_unchanged_group_keeps_its_time_over_a_reload() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    assert_eq!(bench.told(30).len(), 1);
    bench.fire("alertname=A host=2");
    bench.pass(200);
    bench.reload(SIMPLE);
    assert_eq!(bench.told(99), []);
    assert_eq!(bench.told(1), [told("a", Reason::NewAlerts, 2, 0)]);
}

#[test]
fn nothing_is_forgotten_over_a_restart() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    bench.silence("alertname", "B", 0, 10_000);
    assert_eq!(bench.told(30).len(), 1);
    bench.fire("alertname=B");
    bench.pass(1);
    bench.restart(SIMPLE, 60);
    assert_eq!(bench.shown().len(), 2);
    assert_eq!(bench.machine.silences().len(), 1);
    // Told already, and not told again; its end is told.
    assert_eq!(bench.told(300), []);
    bench.resolve("alertname=A");
    assert_eq!(bench.told(300), [told("a", Reason::AllResolved, 0, 1)]);
}

#[test]
fn turns_that_tell_nothing_write_nothing_and_a_restart_keeps_the_interval() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A host=1");
    assert_eq!(bench.told(31), [told("a", Reason::First, 1, 0)]);
    let rows = bench.rows.clone();
    assert_eq!(bench.told(300), []);
    assert_eq!(bench.rows, rows);
    bench.fire("alertname=A host=2");
    bench.pass(1);
    bench.restart(SIMPLE, 60);
    let more = |firing| [told("a", Reason::NewAlerts, firing, 0)];
    assert_eq!(bench.told(0), more(2), "it was told long enough ago");
    bench.fire("alertname=A host=3");
    bench.pass(1);
    bench.restart(SIMPLE, 60);
    assert_eq!(bench.told(0), []);
    assert_eq!(bench.told(200), []);
    assert_eq!(bench.told(40), more(3));
}

#[test]
fn new_texts_are_stored_at_once_unless_their_sender_repeats_them() {
    let mut bench = Bench::new(SIMPLE);
    let mut report = |summary: &str, ends_in_ms: i64, is_repeated| {
        let alert = Alert {
            labels: Labels::from_pairs([("alertname", "A")]).expect("valid"),
            annotations: [("summary", summary)].into_iter().collect(),
            starts_at: START,
            ends_at: START.saturating_add(ends_in_ms),
            generator_url: "".into(),
        };
        let incoming = Incoming { alert, timeout: false, is_repeated };
        bench.machine.receive(incoming, START).expect("taken");
        let rows = bench.machine.take_effects().rows;
        let text = |(_, row): (RowKey, Option<Vec<u8>>)| String::from_utf8(row?).ok();
        rows.into_iter().filter_map(text).any(|row| row.contains(summary))
    };
    assert!(report("one", 60_000, true));
    assert!(!report("two", 60_000, true));
    assert!(report("three", 60_000, false));
    assert!(!report("three", 60_000, false));
    assert!(report("four", 60_001 + ENDS_AT_DRIFT_MS, true), "not for ever");
    let shown = bench.shown();
    assert_eq!(shown[0].annotations.get("summary"), Some("four"));
}

#[test]
fn an_alert_whose_time_ran_out_while_nobody_could_report_it_gets_another_chance() {
    let mut bench = Bench::new(SIMPLE);
    bench.report("alertname=A", 120);
    assert_eq!(bench.told(30).len(), 1);
    bench.restart(SIMPLE, 3_000);
    assert_eq!(bench.told(1), []);
    assert_eq!(bench.shown().len(), 1, "the resolve timeout runs from the restart");
    bench.pass(299);
    assert_eq!(bench.shown().len(), 0);
    assert_eq!(bench.told(300), [told("a", Reason::AllResolved, 0, 1)]);
}

#[test]
fn a_delivery_cut_off_by_a_crash_is_made_again_and_resolved() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    assert_eq!(bench.pass(30).len(), 1, "handed over, and no outcome comes");
    bench.restart(SIMPLE, 1);
    assert_eq!(bench.told(1), [told("a", Reason::First, 1, 0)]);
    // The other way round: it is resolved before it can be told again.
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    assert_eq!(bench.pass(30).len(), 1);
    bench.restart(SIMPLE, 1);
    bench.resolve("alertname=A");
    assert_eq!(bench.told(1), [told("a", Reason::AllResolved, 0, 1)]);
}

#[test]
fn deliveries_are_tried_again_with_growing_pauses_and_fresh_content() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A host=1");
    let send = bench.pass(30).remove(0);
    let failure = |maybe_delivered| Failure {
        kind: FailureKind::ServerError,
        message: "500".to_owned(),
        maybe_delivered,
    };
    let retry = |after| Outcome::Retry { failure: failure(false), after };
    bench.machine.outcome(send.number, retry(None), bench.now);
    assert_eq!(bench.pass(0).len(), 0);
    let due = bench.machine.next_due().0 - bench.now.0;
    assert!((250..=750).contains(&due), "half a second, give or take: {due}");
    bench.fire("alertname=A host=2");
    let again = bench.pass(1).remove(0);
    assert_eq!(again.notification.alerts.len(), 2, "the state of now, not of then");
    // The receiver asks for a pause: all its groups keep it.
    bench.machine.outcome(again.number, retry(Some(Duration::from_secs(90))), bench.now);
    bench.fire("alertname=B");
    assert_eq!(bench.pass(89).len(), 0);
    assert_eq!(bench.pass(1).len(), 2);
    assert_eq!(bench.kinds().iter().filter(|kind| **kind == EventKind::NotifyFailed).count(), 2);
}

#[test]
fn a_refused_delivery_is_tried_at_the_groups_next_turn() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    let send = bench.pass(30).remove(0);
    let failure = Failure {
        kind: FailureKind::ClientError,
        message: "400".to_owned(),
        maybe_delivered: false,
    };
    bench.machine.outcome(send.number, Outcome::Failed(failure), bench.now);
    assert_eq!(bench.told(299), []);
    assert_eq!(bench.told(1), [told("a", Reason::First, 1, 0)]);
}

#[test]
fn a_slow_receiver_gets_a_few_messages_at_a_time() {
    let each = SIMPLE.replace("[alertname]", "['...']");
    let mut bench = Bench::new(&each);
    for host in 0..50 {
        bench.fire(&format!("alertname=A host={host}"));
    }
    let first = bench.pass(30);
    assert_eq!(first.len(), send::INTEGRATION_IN_FLIGHT_MAX);
    assert_eq!(bench.machine.queue_lengths(), (48, 2));
    // While they wait, 40 of them end: nobody hears of those.
    for host in 10..50 {
        bench.resolve(&format!("alertname=A host={host}"));
    }
    first.into_iter().for_each(|send| bench.deliver(send));
    let mut count = 2;
    while let [_, ..] = &bench.pass(1)[..].iter().map(|send| send.number).collect::<Vec<_>>()[..] {
        let numbers: Vec<u64> = bench.machine.in_flight.keys().copied().collect();
        count += numbers.len();
        for number in numbers {
            let outcome = Outcome::Delivered { data: None, note: String::new() };
            bench.machine.outcome(number, outcome, bench.now);
        }
    }
    assert_eq!(count, 10);
}

#[test]
fn the_message_lists_alerts_by_job_and_instance() {
    let mut bench = Bench::new(SIMPLE);
    for labels in
        ["alertname=A job=b instance=1", "alertname=A job=a instance=2", "alertname=A z=1"]
    {
        bench.fire(labels);
    }
    let send = bench.pass(30).remove(0);
    let jobs: Vec<&str> =
        send.notification.alerts.iter().map(|alert| alert.labels.value("job")).collect();
    assert_eq!(jobs, ["", "a", "b"]);
    assert_eq!(&*send.notification.group_key, r#"{}:{alertname="A"}"#);
}

#[test]
fn what_cannot_be_stored_is_not_told_and_comes_again() {
    let mut bench = Bench::new(SIMPLE);
    bench.fire("alertname=A");
    bench.machine.tick(bench.now.saturating_add(30_000));
    let effects = bench.machine.take_effects();
    assert_eq!(effects.sends.len(), 1);
    let rows = effects.rows.len();
    bench.machine.return_effects(effects);
    let again = bench.machine.take_effects();
    assert_eq!((again.sends.len(), again.rows.len()), (1, rows));
}

#[test]
fn after_a_start_an_alert_waits_for_the_first_evaluation_of_its_rule() {
    let mut bench = Bench::new(SIMPLE);
    bench.report("alertname=A host=1 severity=page", 240);
    bench.report("alertname=A host=2 severity=warn", 240);
    assert_eq!(bench.told(30), [told("a", Reason::First, 2, 0)]);
    // Away for longer than both were valid; the rule of the first is evaluated in half an hour.
    bench.restart(SIMPLE, 600);
    let labels = [("alertname", "A"), ("severity", "page")];
    let until = bench.now.saturating_add(1_800_000);
    bench.machine.hold(&[(Labels::from_pairs(labels).expect("valid"), until)], bench.now);
    // Nobody says anything of the second: it is over after the resolve timeout.
    assert_eq!(bench.told(299), []);
    assert_eq!(bench.told(301), [told("a", Reason::SomeResolved, 1, 1)]);
    assert_eq!(bench.told(1_199), []);
    bench.report("alertname=A host=1 severity=page", 240);
    assert_eq!(bench.told(200), []);
    bench.resolve("alertname=A host=1 severity=page");
    assert_eq!(bench.told(300), [told("a", Reason::AllResolved, 0, 1)]);
}
