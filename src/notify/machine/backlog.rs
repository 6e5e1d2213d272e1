//! Lines of the history that are not handed out yet.
//!
//! In: what happened. Out: the same as events, in order. In a storm there is a line for each alert:
//! what an alert and its group share with the machine is kept by reference until it is handed out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::flush::SUPPRESSION_NAMES;
use super::group::{Group, Suppression};
use crate::model::{Labels, Timestamp};
use crate::notify::event::{Event, EventKind};
use crate::notify::fingerprint::Fingerprint;

/// The lines, oldest first.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<Line>);

#[derive(Debug)]
enum Line {
    /// An alert fires or is resolved.
    Alert(OfAlert),
    /// Something about an alert in a group.
    Member(Box<OfMember>),
    /// Anything else.
    Other(Box<Event>),
}

/// What is said of an alert.
#[derive(Clone, Debug)]
pub(super) struct OfAlert {
    pub kind: EventKind,
    pub at: Timestamp,
    pub labels: Labels,
    pub fingerprint: Fingerprint,
}

#[derive(Debug)]
struct OfMember {
    of: OfAlert,
    receiver: Arc<str>,
    group_key: Arc<str>,
    quiet: Option<Suppression>,
}

impl Backlog {
    /// An alert fires or is resolved.
    pub(super) fn alert(&mut self, of: OfAlert) {
        self.0.push_back(Line::Alert(of));
    }

    /// Something about an alert in a group; `quiet` is what keeps it quiet.
    pub(super) fn member(&mut self, of: OfAlert, group: &Group, quiet: Option<Suppression>) {
        let (receiver, group_key) = (Arc::clone(&group.receiver), Arc::clone(&group.key));
        self.0.push_back(Line::Member(Box::new(OfMember { of, receiver, group_key, quiet })));
    }

    /// Anything else.
    pub(super) fn push(&mut self, event: Event) {
        self.0.push_back(Line::Other(Box::new(event)));
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands out up to `max` of the oldest; a storm's memory is given back with the last.
    pub(super) fn take(&mut self, max: usize) -> Vec<Event> {
        let taken = self.0.drain(..max.min(self.0.len())).map(Line::event).collect();
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
        taken
    }
}

impl Line {
    fn event(self) -> Event {
        match self {
            Line::Alert(of) => of.event(),
            Line::Member(member) => member.event(),
            Line::Other(event) => *event,
        }
    }
}

impl OfAlert {
    fn event(&self) -> Event {
        Event::of_alert(self.kind, self.at, &self.labels, self.fingerprint)
    }
}

impl OfMember {
    fn event(&self) -> Event {
        let by = match &self.quiet {
            None => Vec::new(),
            Some(Suppression::Inhibition(source)) => vec![source.to_string().into()],
            Some(
                Suppression::Silence(names)
                | Suppression::MuteInterval(names)
                | Suppression::ActiveInterval(names),
            ) => names.iter().map(|name| name[..].into()).collect(),
        };
        let suppressed_by =
            self.quiet.as_ref().map_or("", |quiet| SUPPRESSION_NAMES[quiet.number()]);
        Event {
            receiver: self.receiver[..].into(),
            group_key: self.group_key[..].into(),
            suppressed_by: suppressed_by.into(),
            by,
            ..self.of.event()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_small_and_come_out_in_order_in_parts() {
        // A storm has a hundred thousand of them.
        assert!(size_of::<Line>() <= 40, "{}", size_of::<Line>());
        let mut backlog = Backlog::default();
        let labels = Labels::from_pairs([("alertname", "A")]).expect("valid");
        for at in 0..3 {
            let (kind, at, labels) = (EventKind::Firing, Timestamp(at), labels.clone());
            backlog.alert(OfAlert { kind, at, labels, fingerprint: Fingerprint(7) });
        }
        backlog.push(Event::new(EventKind::Reloaded, Timestamp(3)));
        let first = backlog.take(3);
        assert_eq!(first.iter().map(|event| event.at).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((&first[0].labels, first[0].fingerprint), (&labels, Some(Fingerprint(7))));
        assert_eq!(backlog.take(3), [Event::new(EventKind::Reloaded, Timestamp(3))]);
        assert!(backlog.is_empty());
    }
}
