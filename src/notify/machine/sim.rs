//! Simulation: seeded scenarios with a manual clock, and what must hold in all of them.
//!
//! Alerts flap; receivers are slow, refuse, or fall silent after having taken a message; the process
//! is killed at any moment, also between a delivery and the note of it; configurations are reloaded;
//! the clock is set back and forth. What must hold:
//!
//! - an alert that fires long enough is told to every receiver it is routed to;
//! - nobody is told that an alert is resolved who was not, or perhaps was not, told that it fires;
//! - nobody is told the same again before the repeat interval is over;
//! - who was told that an alert fires is told when it is resolved.
//!
//! `TIDEWATCH_SIM_SEEDS` sets the number of scenarios, `TIDEWATCH_SIM_FIRST` the first seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rayon::prelude::*;

use super::*;
use crate::model::{Annotations, Labels, Matcher};
use crate::notify::config;
use crate::notify::deliver::{Failure, FailureKind, Outcome, Reason};
use crate::notify::silence::SilenceDraft;

const SEEDS: u64 = 2_000;
const STEPS: usize = 60;
const GROUP_INTERVAL_MS: i64 = 60_000;
const REPEAT_MS: i64 = 600_000;

/// Routes that differ between configurations; receivers stay.
const ROUTES: [&str; 3] = [
    "  - {matchers: [team=x], receiver: x, group_by: [alertname], continue: true}\n  \
     - {matchers: [team=~\"x|y\"], receiver: quiet, mute_time_intervals: [odd]}\n",
    "  - {matchers: [team=x], receiver: x, group_by: [alertname, host]}\n",
    "  - {matchers: [team=x, alertname=~\"A.*\"], receiver: quiet, group_by: ['...']}\n  \
     - {matchers: ['team!=z'], receiver: x, active_time_intervals: [odd]}\n",
];

fn configs() -> Vec<Arc<AlertConfig>> {
    let parse = |routes: &&str| {
        let text = format!(
            "route:\n  receiver: root\n  group_by: [team]\n  group_wait: 10s\n  group_interval: 1m\n  \
             repeat_interval: 10m\n  routes:\n{routes}\
             inhibit_rules: [{{source_matchers: [alertname=A1], target_matchers: [alertname=A2], equal: [host]}}]\n\
             time_intervals: [{{name: odd, time_intervals: [{{times: [{{start_time: '00:10', end_time: '00:20'}}, {{start_time: '00:40', end_time: '00:50'}}]}}]}}]\n\
             receivers:\n- {{name: root, webhook_configs: [{{url: 'http://r'}}, {{url: 'http://s', send_resolved: false}}]}}\n\
             - {{name: x, webhook_configs: [{{url: 'http://x'}}]}}\n\
             - {{name: quiet, webhook_configs: [{{url: 'http://q'}}]}}\n"
        );
        Arc::new(config::parse(Path::new("f"), &text).expect("valid"))
    };
    ROUTES.iter().map(parse).collect()
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// Receiver, integration, group.
type Place = (String, usize, Arc<str>);

/// What a receiver knows of one group.
#[derive(Default)]
struct Known {
    /// Alerts of which it was told, or perhaps told, that they fire, and not that they are resolved.
    maybe_firing: BTreeSet<Fingerprint>,
    /// Alerts of which it was certainly told last that they fire.
    firing: BTreeSet<Fingerprint>,
    /// The last message whose delivery was acknowledged: when, and which alerts fired.
    last: Option<(Timestamp, BTreeSet<Fingerprint>)>,
}

struct World {
    dice: Dice,
    configs: Vec<Arc<AlertConfig>>,
    config: usize,
    now: Timestamp,
    machine: Machine,
    /// What is on the disk.
    disk: BTreeMap<RowKey, Vec<u8>>,
    /// Handed over, and when its outcome comes.
    under_way: Vec<(Timestamp, Send)>,
    known: BTreeMap<Place, Known>,
    /// Alerts that fire now, by number.
    firing: BTreeSet<u64>,
    healthy: bool,
    /// Clock steps forward make repeats early.
    stepped_at: Timestamp,
    events: Vec<Event>,
}

fn labels(number: u64) -> Labels {
    let (name, host) = (format!("A{}", number % 3), format!("h{}", number / 3 % 2));
    let team = ["x", "y", "z"][(number / 6 % 3) as usize];
    Labels::from_pairs([("alertname", &*name), ("host", &host), ("team", team)]).expect("valid")
}

const ALERTS: u64 = 18;

impl World {
    fn new(seed: u64, configs: &[Arc<AlertConfig>]) -> World {
        let now = Timestamp(1_700_000_000_000);
        World {
            dice: Dice(seed),
            machine: Machine::new(Arc::clone(&configs[0]), seed, now),
            configs: configs.to_vec(),
            config: 0,
            now,
            disk: BTreeMap::new(),
            under_way: Vec::new(),
            known: BTreeMap::new(),
            firing: BTreeSet::new(),
            healthy: false,
            stepped_at: Timestamp::MIN,
            events: Vec::new(),
        }
    }

    /// Stores what changed, then hands over what is to be told.
    fn commit(&mut self) {
        let effects = self.machine.take_effects();
        for (key, row) in effects.rows {
            match row {
                Some(row) => drop(self.disk.insert(key, row)),
                None => drop(self.disk.remove(&key)),
            }
        }
        self.events.extend(effects.events);
        for send in effects.sends {
            let delay = if self.healthy { 10 } else { self.dice.roll(90_000) as i64 };
            self.under_way.push((self.now.saturating_add(delay), send));
        }
    }

    /// The receiver takes a message: now it knows.
    fn arrive(&mut self, send: &Send, certain: bool) {
        let notification = &send.notification;
        let place = place(send);
        let known = self.known.entry(place.clone()).or_default();
        for alert in &notification.alerts {
            let one = alert.fingerprint;
            if alert.is_firing() {
                known.maybe_firing.insert(one);
                known.firing.insert(one);
            } else {
                assert!(known.maybe_firing.contains(&one), "resolved but never fired: {place:?}");
                known.firing.remove(&one);
                if certain {
                    known.maybe_firing.remove(&one);
                }
            }
        }
    }

    /// The receiver's acknowledgement arrives: now it must not be told the same again too soon.
    fn acknowledge(&mut self, send: &Send) {
        let notification = &send.notification;
        let firing: BTreeSet<Fingerprint> = notification
            .alerts
            .iter()
            .filter(|alert| alert.is_firing())
            .map(|alert| alert.fingerprint)
            .collect();
        let place = place(send);
        let all_fire = firing.len() == notification.alerts.len();
        let known = self.known.entry(place.clone()).or_default();
        if let Some((at, before)) = known.last.as_ref().filter(|_| all_fire) {
            let same = firing.is_subset(before);
            let passed = notification.now.0 - at.0;
            let stepped = self.stepped_at >= *at;
            // Who does not hear of resolved alerts is told anew when they fire again.
            let comparable = hears_of_resolved(&place) || notification.reason == Reason::Repeat;
            let early = comparable && same && passed < REPEAT_MS && !stepped;
            assert!(!early, "told the same after {passed} ms: {:?} {place:?}", notification.reason);
            assert!(
                notification.reason != Reason::Repeat || same,
                "a repeat is the same: {place:?}"
            );
        }
        known.last = Some((notification.now, firing));
    }

    fn finish(&mut self, send: Send) {
        let fate = if self.healthy { 0 } else { self.dice.roll(10) };
        let failure = |kind, maybe_delivered| Failure {
            kind,
            message: "simulated".to_owned(),
            maybe_delivered,
        };
        let outcome = match fate {
            0..5 => {
                self.arrive(&send, true);
                self.acknowledge(&send);
                Outcome::Delivered { data: None, note: "200".to_owned() }
            }
            5 => {
                // It was taken, and the answer got lost.
                self.arrive(&send, false);
                Outcome::Retry { failure: failure(FailureKind::Timeout, true), after: None }
            }
            6 => {
                let after = Some(Duration::from_secs(self.dice.roll(200)));
                Outcome::Retry { failure: failure(FailureKind::RateLimited, false), after }
            }
            7 => Outcome::Retry { failure: failure(FailureKind::ServerError, false), after: None },
            _ => Outcome::Failed(failure(FailureKind::ClientError, false)),
        };
        self.machine.outcome(send.number, outcome, self.now);
    }

    fn report(&mut self, number: u64, fires: bool) {
        let ends_at = if fires { self.now.saturating_add(300_000) } else { self.now };
        let alert = Alert {
            labels: labels(number),
            annotations: Annotations::default(),
            starts_at: self.now,
            ends_at,
            generator_url: "".into(),
        };
        let known =
            self.machine.receive(Incoming { alert, timeout: false, is_repeated: false }, self.now);
        known.expect("there are few alerts");
        if fires {
            self.firing.insert(number)
        } else {
            self.firing.remove(&number)
        };
    }

    fn random_change(&mut self) {
        match self.dice.roll(24) {
            0..10 => {
                let number = self.dice.roll(ALERTS);
                let fires = !self.firing.contains(&number) || self.dice.one_in(3);
                self.report(number, fires);
            }
            10..13 => self.silence(),
            13 => {
                let ids: Vec<Arc<str>> =
                    self.machine.silences().iter().map(|s| Arc::clone(&s.id)).collect();
                if !ids.is_empty() {
                    let id = &ids[self.dice.roll(ids.len() as u64) as usize];
                    self.machine.expire_silence(id, self.now).expect("it is there");
                }
            }
            14 => {
                self.config = self.dice.roll(self.configs.len() as u64) as usize;
                self.machine.reload(Arc::clone(&self.configs[self.config]), self.now);
            }
            15 | 16 => self.kill(),
            17 => {
                let step = self.dice.roll(1_200_000) as i64 - 600_000;
                self.now = self.now.saturating_add(step);
                self.stepped_at = self.now.max(self.stepped_at);
                if step < 0 {
                    // What was told "later" than now cannot be compared.
                    self.known.values_mut().for_each(|known| known.last = None);
                }
            }
            _ => {}
        }
    }

    fn silence(&mut self) {
        let value = ["x", "y", "z"][self.dice.roll(3) as usize];
        let draft = SilenceDraft {
            id: None,
            matchers: vec![Matcher::equal("team", value)],
            starts_at: self.now.saturating_add(self.dice.roll(100_000) as i64),
            ends_at: self.now.saturating_add(100_001 + self.dice.roll(400_000) as i64),
            created_by: "sim".to_owned(),
            comment: "sim".to_owned(),
            annotations: BTreeMap::new(),
        };
        self.machine.set_silence(draft, self.now).expect("valid");
    }

    /// The process ends here: what is not on the disk is gone, what is under way may have arrived.
    fn kill(&mut self) {
        if self.dice.one_in(2) {
            self.commit();
        } else {
            // Reports that were not stored were not acknowledged either: their sender repeats them.
            drop(self.machine.take_effects());
        }
        for (_, send) in std::mem::take(&mut self.under_way) {
            // Unless it arrived, the receiver may not be owed anything; to the machine it may be.
            let known = self.known.entry(place(&send)).or_default();
            let fires = send.notification.alerts.iter().filter(|alert| alert.is_firing());
            known.maybe_firing.extend(fires.map(|alert| alert.fingerprint));
            if self.dice.one_in(2) {
                self.arrive(&send, false);
            }
            // It is told again, which nobody can avoid.
            self.known.entry(place(&send)).or_default().last = None;
        }
        let down = self.dice.roll(400_000) as i64;
        self.now = self.now.saturating_add(down);
        self.start();
        let firing: Vec<u64> = self.firing.iter().copied().collect();
        firing.into_iter().for_each(|number| self.report(number, true));
        // Alerts that nobody reports any more end by themselves.
    }

    fn start(&mut self) {
        let rows = self.disk.clone();
        let config = Arc::clone(&self.configs[self.config]);
        let seed = self.dice.roll(u64::MAX);
        let (machine, faults) = Machine::restore(config, seed, self.now, rows);
        assert_eq!(faults, Vec::<String>::new());
        self.machine = machine;
    }

    /// Lets time pass in small steps; alerts that fire are reported every minute.
    fn pass(&mut self, ms: i64) {
        let end = self.now.saturating_add(ms);
        while self.now < end {
            self.now = self.now.saturating_add(5_000).min(end);
            if self.now.0 / 60_000 != (self.now.0 - 5_000) / 60_000 {
                let firing: Vec<u64> = self.firing.iter().copied().collect();
                firing.into_iter().for_each(|number| self.report(number, true));
            }
            let (due, later) = std::mem::take(&mut self.under_way)
                .into_iter()
                .partition(|(at, _): &(Timestamp, Send)| *at <= self.now);
            self.under_way = later;
            for (_, send) in due {
                self.finish(send);
            }
            self.machine.tick(self.now);
            self.commit();
        }
    }

    /// Receivers work again and nothing is silenced: everybody must learn what fires.
    fn check_nothing_is_lost(&mut self) {
        self.healthy = true;
        let ids: Vec<Arc<str>> =
            self.machine.silences().iter().map(|s| Arc::clone(&s.id)).collect();
        for id in ids {
            self.machine.expire_silence(&id, self.now).expect("it is there");
        }
        self.pass(1_900_000 + 3 * GROUP_INTERVAL_MS);
        // Routes whose mute has just ended need a moment.
        let muted: Vec<bool> = self.machine.muted.iter().map(Option::is_some).collect();
        self.pass(GROUP_INTERVAL_MS);
        let routes = RouteTree::new(&self.configs[self.config].route);
        for number in &self.firing {
            let labels = labels(*number);
            let one = Fingerprint::of(&labels);
            let id = self.machine.alerts.find(one).expect("an alert that is reported is known");
            let entry = self.machine.alerts.get(id).expect("found");
            if self.machine.inhibitor_of(id, entry).is_some() {
                continue;
            }
            for at in routes.matching(&labels) {
                let node = routes.node(at);
                if muted[at] || self.machine.muted[at].is_some() {
                    continue;
                }
                let key = node.group_key(&node.group_labels(&labels));
                let told = self.known.iter().any(|(place, known)| {
                    place.0 == *node.receiver && *place.2 == *key && known.firing.contains(&one)
                });
                assert!(told, "{labels} is not told to {}", node.receiver);
            }
        }
    }

    fn check_all_are_resolved(&mut self) {
        for number in self.firing.clone() {
            self.report(number, false);
        }
        self.pass(400_000 + 3 * GROUP_INTERVAL_MS);
        for (place, known) in &self.known {
            let hears_of_it = !(place.0 == "root" && place.1 == 1);
            assert!(
                known.firing.is_empty() || !hears_of_it,
                "told firing, not resolved: {place:?}"
            );
        }
        assert_eq!(self.machine.alerts.len(), 0, "alerts are forgotten once all are told");
        assert_eq!(self.machine.group_count(), 0, "groups end with their alerts");
        let left = self.disk.keys().filter(|key| key.kind != super::super::rows::RowKind::Silence);
        assert_eq!(left.count(), 0, "nothing is left on the disk");
    }
}

fn place(send: &Send) -> Place {
    let notification = &send.notification;
    let key = Arc::clone(&notification.group_key);
    (notification.receiver.name.clone(), notification.integration.index, key)
}

/// The second integration of `root` has `send_resolved: false`.
fn hears_of_resolved(place: &Place) -> bool {
    !(place.0 == "root" && place.1 == 1)
}

fn scenario(seed: u64, configs: &[Arc<AlertConfig>]) {
    let mut world = World::new(seed, configs);
    for _ in 0..STEPS {
        world.random_change();
        let pause = 1_000 + world.dice.roll(90_000) as i64;
        world.pass(pause);
    }
    world.check_nothing_is_lost();
    world.check_all_are_resolved();
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn promises_hold_in_every_scenario() {
    let configs = configs();
    let first = number("TIDEWATCH_SIM_FIRST", 0);
    let seeds = number("TIDEWATCH_SIM_SEEDS", SEEDS);
    (first..first + seeds).into_par_iter().for_each(|seed| {
        let run = std::panic::catch_unwind(|| scenario(seed, &configs));
        assert!(run.is_ok(), "seed {seed} failed");
    });
}
