//! Lines kept for people who ask why something is missing: the last ones, refused ones by reason,
//! and events.
//!
//! In: lines as they pass. Out: a few of them. Few and short, so that keeping them costs nothing.

use std::collections::VecDeque;

use super::line::Reason;
use super::notice::Notice;
use crate::model::Timestamp;

/// Lines kept for each reason.
const REFUSED_MAX: usize = 5;
/// Refused lines looked at in one batch for each reason: a flood of them must stay cheap.
const REFUSED_PER_BATCH_MAX: u8 = 2;
/// Lines kept of those that passed; one a batch.
const SEEN_MAX: usize = 20;
/// Events kept.
const NOTICES_MAX: usize = 50;
/// Bytes kept of a text.
const TEXT_BYTES_MAX: usize = 512;

/// A kept line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When it came.
    pub at: Timestamp,
    /// The line, cut at 512 bytes, what is not UTF-8 replaced.
    pub line: String,
}

/// A kept event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptNotice {
    /// When it came.
    pub at: Timestamp,
    /// Its title, cut.
    pub title: String,
    /// Its text, cut.
    pub text: String,
    /// Its alert type.
    pub alert_type: String,
    /// Its tags as sent, cut.
    pub tags: String,
}

/// What is kept.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    refused: [VecDeque<Kept>; Reason::ALL.len()],
    in_batch: [u8; Reason::ALL.len()],
    seen: VecDeque<Kept>,
    notices: VecDeque<KeptNotice>,
}

impl Samples {
    /// Begins a batch of lines.
    pub(super) fn start_batch(&mut self) {
        self.in_batch = [0; Reason::ALL.len()];
    }

    pub(super) fn refused(&mut self, reason: Reason, line: &[u8], at: Timestamp) {
        let in_batch = &mut self.in_batch[reason as usize];
        if *in_batch < REFUSED_PER_BATCH_MAX {
            *in_batch += 1;
            push(&mut self.refused[reason as usize], kept(line, at), REFUSED_MAX);
        }
    }

    pub(super) fn seen(&mut self, line: &[u8], at: Timestamp) {
        if !line.is_empty() {
            push(&mut self.seen, kept(line, at), SEEN_MAX);
        }
    }

    pub(super) fn noticed(&mut self, notice: &Notice<'_>, at: Timestamp) {
        let kept = KeptNotice {
            at,
            title: cut(notice.title.as_bytes()),
            text: cut(notice.text.as_bytes()),
            alert_type: cut(notice.alert_type.as_bytes()),
            tags: cut(notice.tags.as_bytes()),
        };
        push(&mut self.notices, kept, NOTICES_MAX);
    }

    /// Lines refused for `reason`, oldest first.
    pub fn refused_for(&self, reason: Reason) -> impl Iterator<Item = &Kept> {
        self.refused[reason as usize].iter()
    }

    /// Lines that came, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &Kept> {
        self.seen.iter()
    }

    /// Events that came, oldest first.
    pub fn notices(&self) -> impl Iterator<Item = &KeptNotice> {
        self.notices.iter()
    }
}

fn push<T>(kept: &mut VecDeque<T>, new: T, max: usize) {
    if kept.len() >= max {
        kept.pop_front();
    }
    kept.push_back(new);
}

fn kept(line: &[u8], at: Timestamp) -> Kept {
    Kept { at, line: cut(line) }
}

fn cut(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(TEXT_BYTES_MAX)]).into_owned()
}
