use super::AlertState::{Firing, Inactive, Pending};
use super::*;

const MIN: i64 = 60_000;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
}

fn one() -> Labels {
    labels(&[("alertname", "A"), ("i", "1")])
}

fn candidate(labels: &Labels, value: f64) -> Candidate {
    let annotations = [("summary", format!("is {value}"))].into_iter().collect();
    Candidate { labels: labels.clone(), annotations, value, sample: None, known: None }
}

/// One alert whose evaluations are written down as they come.
struct Life {
    set: AlertSet,
    timing: Timing,
}

impl Life {
    fn new(hold_ms: i64, keep_firing_ms: i64) -> Life {
        Life {
            set: AlertSet::default(),
            timing: Timing { hold_ms, keep_firing_ms, ..Timing::default() },
        }
    }

    /// Evaluates with or without the alert; what it is then.
    fn at(&mut self, ts: i64, is_there: bool) -> Option<AlertState> {
        let candidates = is_there.then(|| candidate(&one(), ts as f64)).into_iter().collect();
        self.set.evaluate(Timestamp(ts), candidates, &self.timing).expect("no twins");
        self.set.alerts.get(&one()).map(|alert| alert.state)
    }

    fn alert(&self) -> &ActiveAlert {
        self.set.alerts.get(&one()).expect("it is there")
    }

    /// What is sent at `ts`: whether it is resolved by then, with its times.
    fn sent(&mut self, ts: i64) -> Option<(bool, i64, i64)> {
        let due = self.set.take_due(Timestamp(ts), MIN);
        let alert = self.set.to_send(*due.first()?, 4 * MIN, &"url".into()).expect("it is due");
        Some((alert.is_resolved_at(Timestamp(ts)), alert.starts_at.0, alert.ends_at.0))
    }

    fn series(&self) -> (Vec<String>, Vec<String>) {
        let text = |labels: &Labels, state: Option<AlertState>| {
            format!("{} {}", labels.value("i"), state.map_or("for", AlertState::as_str))
        };
        let (mut told, mut ended) = (Vec::new(), Vec::new());
        self.set.tell(|labels, state, active_at| {
            told.push(format!("{} since {active_at}", text(labels, Some(state))));
        });
        self.set.end(|(labels, state)| ended.push(text(labels, state)));
        told.sort();
        ended.sort();
        (told, ended)
    }
}

#[test]
fn without_a_hold_it_fires_at_once_with_a_short_one_at_the_second_evaluation() {
    assert_eq!(Life::new(0, 0).at(MIN, true), Some(Firing));
    let mut short = Life::new(15_000, 0);
    assert_eq!(short.at(MIN, true), Some(Pending));
    assert_eq!(short.at(2 * MIN, true), Some(Firing));
    assert_eq!((short.alert().active_at, short.alert().fired_at), (MIN, 2 * MIN));
}

#[test]
fn it_fires_when_the_hold_is_reached_exactly() {
    let mut life = Life::new(3 * MIN, 0);
    let states: Vec<_> = (0..=4).map(|minute| life.at(minute * MIN, true)).collect();
    assert_eq!(states, [Pending, Pending, Pending, Firing, Firing].map(Some));
}

#[test]
fn a_pending_one_that_goes_is_forgotten_and_never_sent() {
    let mut life = Life::new(MIN, 0);
    assert_eq!(life.at(0, true), Some(Pending));
    assert_eq!(life.sent(0), None);
    assert_eq!(life.at(MIN, false), None);
    assert_eq!(life.sent(MIN), None);
    assert_eq!(life.at(2 * MIN, true), Some(Pending));
    assert_eq!(life.alert().active_at, 2 * MIN, "it begins anew");
}

#[test]
fn resolved_ones_are_kept_for_fifteen_minutes() {
    let mut life = Life::new(0, 0);
    life.at(0, true);
    assert_eq!(life.at(MIN, false), Some(Inactive));
    assert_eq!(life.alert().resolved_at, MIN);
    assert_eq!(life.at(16 * MIN, false), Some(Inactive), "not longer than 15 minutes yet");
    assert_eq!(life.at(16 * MIN + 1, false), None);
}

#[test]
fn one_that_comes_back_is_a_new_one() {
    let mut life = Life::new(0, 0);
    life.at(0, true);
    assert_eq!(life.sent(0), Some((false, 0, 4 * MIN)));
    life.at(MIN, false);
    assert_eq!(life.at(2 * MIN, true), Some(Firing));
    let alert = life.alert();
    assert_eq!((alert.active_at, alert.resolved_at, alert.last_sent_at), (2 * MIN, NEVER, NEVER));
    assert_eq!(life.sent(2 * MIN), Some((false, 2 * MIN, 6 * MIN)));
}

#[test]
fn the_resend_delay_is_passed_and_not_only_reached() {
    let mut life = Life::new(0, 0);
    let mut sent = Vec::new();
    for minute in 0..=6 {
        life.at(minute * MIN, true);
        sent.extend(life.sent(minute * MIN).map(|_| minute));
    }
    assert_eq!(sent, [0, 2, 4, 6]);
    // Resolved: at once, and again, until it is forgotten.
    let mut resolved = Vec::new();
    for minute in 7..=30 {
        life.at(minute * MIN, false);
        if let Some((is_resolved, starts_at, ends_at)) = life.sent(minute * MIN) {
            assert_eq!((is_resolved, starts_at, ends_at), (true, 0, 7 * MIN));
            resolved.push(minute);
        }
    }
    assert_eq!(resolved, [7, 9, 11, 13, 15, 17, 19, 21]);
}

#[test]
fn it_is_kept_firing_and_a_return_starts_that_anew() {
    let mut life = Life::new(MIN, 2 * MIN);
    assert_eq!(life.at(0, true), Some(Pending));
    assert_eq!(life.at(MIN / 2, false), None, "a pending one is not kept");
    life.at(MIN, true);
    assert_eq!(life.at(2 * MIN, true), Some(Firing));
    assert_eq!(life.at(3 * MIN, false), Some(Firing));
    assert_eq!(life.alert().keep_firing_since, 3 * MIN);
    assert_eq!(life.alert().value, (2 * MIN) as f64, "as it was last");
    assert_eq!(life.at(4 * MIN, true), Some(Firing));
    assert_eq!(life.alert().keep_firing_since, NEVER);
    assert_eq!(life.at(5 * MIN, false), Some(Firing));
    assert_eq!(life.at(6 * MIN, false), Some(Firing));
    assert_eq!(life.at(7 * MIN, false), Some(Inactive));
}

#[test]
fn a_raised_hold_puts_it_back() {
    let mut life = Life::new(0, 0);
    life.at(0, true);
    life.sent(0);
    life.timing.hold_ms = 5 * MIN;
    assert_eq!(life.at(MIN, true), Some(Pending));
    let alert = life.alert();
    assert_eq!((alert.active_at, alert.fired_at, alert.last_sent_at), (0, NEVER, NEVER));
    assert_eq!(life.at(5 * MIN, true), Some(Firing));
}

#[test]
fn only_value_and_texts_of_a_lasting_one_change() {
    let mut life = Life::new(5 * MIN, 0);
    life.at(0, true);
    life.at(MIN, true);
    let alert = life.alert();
    assert_eq!((alert.value, alert.annotations.get("summary")), (MIN as f64, Some("is 60000")));
    assert_eq!(alert.active_at, 0);
}

#[test]
fn twins_fail_the_whole_rule_and_change_nothing() {
    let mut life = Life::new(MIN, 0);
    life.at(0, true);
    let twins = vec![candidate(&one(), 1.0), candidate(&one(), 2.0)];
    let error = life.set.evaluate(Timestamp(MIN), twins, &life.timing).expect_err("twins");
    assert!(error.starts_with("vector contains metrics with the same labelset"), "{error}");
    assert_eq!((life.alert().state, life.alert().value), (Pending, 0.0));
}

#[test]
fn past_the_limit_all_are_forgotten_and_their_series_end_later() {
    let mut life = Life::new(0, 0);
    life.timing.limit = 1;
    life.at(0, true);
    life.set.told(true);
    let two = labels(&[("alertname", "A"), ("i", "2")]);
    let both = vec![candidate(&one(), 1.0), candidate(&two, 1.0)];
    let error = life.set.evaluate(Timestamp(MIN), both, &life.timing).expect_err("a limit of one");
    assert_eq!(error, "exceeded limit of 1 with 2 alerts");
    assert_eq!(life.set.len(), 0);
    assert_eq!(life.sent(MIN), None);
    assert_eq!(life.at(2 * MIN, false), None);
    assert_eq!(life.series().1, ["1 firing", "1 for"]);
    life.set.told(true);
    assert_eq!(life.series().1, Vec::<String>::new());
}

#[test]
fn series_follow_the_state_and_end_with_it() {
    let mut life = Life::new(MIN, 0);
    life.at(0, true);
    assert_eq!(life.series(), (vec!["1 pending since 0".to_owned()], vec![]));
    life.set.told(true);
    life.at(MIN, true);
    let (told, ended) = life.series();
    assert_eq!((told, ended), (vec!["1 firing since 0".into()], vec!["1 pending".to_owned()]));
    // Not written: both are still to be told.
    life.at(2 * MIN, false);
    let (told, ended) = life.series();
    assert_eq!((told, ended), (vec![], vec!["1 for".to_owned(), "1 pending".to_owned()]));
    life.set.told(true);
    assert_eq!(life.series(), (vec![], vec![]));
}

#[test]
fn what_changed_is_kept_once() {
    let mut life = Life::new(MIN, 0);
    let changes = |set: &AlertSet| {
        let mut found = Vec::new();
        let alerts = set.changed();
        found.extend(alerts.iter().map(|labels| set.get(labels).map(|alert| alert.state)));
        found
    };
    life.at(0, true);
    assert_eq!(changes(&life.set), [Some(Pending)]);
    life.set.saved();
    life.at(MIN / 2, true);
    assert_eq!(changes(&life.set), [], "a new value is no change");
    life.at(MIN, true);
    life.sent(MIN);
    assert_eq!(changes(&life.set), [Some(Firing)]);
    life.set.saved();
    life.at(4 * MIN, true);
    assert!(life.sent(4 * MIN).is_some());
    assert_eq!(changes(&life.set), [], "a repetition is no change");
    life.at(5 * MIN, false);
    assert_eq!(changes(&life.set), [Some(Inactive)]);
    life.set.saved();
    life.at(30 * MIN, false);
    assert_eq!(changes(&life.set), [None]);
    life.at(31 * MIN, true);
    assert_eq!(changes(&life.set), [Some(Pending)], "kept again and not removed");
}
