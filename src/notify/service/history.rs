//! The history as it is stored: blocks of lines, and questions about them.
//!
//! A block holds up to [`BLOCK_EVENTS_MAX`] lines of one commit as compressed JSON, so that a storm
//! of a hundred thousand alerts is some hundred small values.

use std::io::Read;

use crate::model::Matcher;
use crate::notify::event::{Event, EventKind};
use crate::storage::{HistoryBlock, StorageError, Store};

/// Most lines of one block: what a question has to unpack at a time.
const BLOCK_EVENTS_MAX: usize = 200;
/// Largest block, unpacked, in bytes; what is larger was not written by this program.
const BLOCK_BYTES_MAX: u64 = 64 << 20;
/// Fast: blocks are small and written while alerts wait.
const COMPRESSION_LEVEL: i32 = 1;
/// Most lines of one answer.
pub const HISTORY_LINES_MAX: usize = 10_000;
/// Most blocks one question looks at; a question that finds too little says where to go on.
const BLOCKS_READ_MAX: usize = 20_000;

/// Which lines of the history are wanted.
#[derive(Clone, Debug, Default)]
pub struct HistoryQuery {
    /// From here on (ms since the epoch).
    pub from: i64,
    /// Up to and with here (ms).
    pub until: i64,
    /// Lines whose labels match all of these.
    pub matchers: Vec<Matcher>,
    /// Lines about this receiver.
    pub receiver: Option<String>,
    /// Lines of these kinds; of all when empty.
    pub kinds: Vec<EventKind>,
    /// Lines about this alert.
    pub fingerprint: Option<crate::notify::fingerprint::Fingerprint>,
    /// Most lines; at most [`HISTORY_LINES_MAX`].
    pub limit: usize,
    /// Where an earlier answer ended.
    pub before: Option<Place>,
}

/// A place in the history: lines before it are older. The time of a block, and how many of the lines
/// of that time were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Time of the block (ms).
    pub at: i64,
    /// How many lines of blocks of that time were seen.
    pub seen: usize,
}

/// An answer: lines from new to old, and where to go on if there may be more.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// The lines.
    pub events: Vec<Event>,
    /// Where the next page begins.
    pub next: Option<Place>,
}

/// Packs lines into blocks.
pub(super) fn blocks(events: &[Event]) -> Vec<HistoryBlock> {
    let packed = events.chunks(BLOCK_EVENTS_MAX).map(|lines| {
        let json = serde_json::to_vec(lines).expect("BUG: events have only texts as keys");
        let packed = zstd::bulk::compress(&json, COMPRESSION_LEVEL);
        (lines[0].at, packed.expect("BUG: compressing into memory cannot fail"))
    });
    packed.collect()
}

fn unpacked(block: &[u8]) -> Option<Vec<Event>> {
    let mut json = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(block).ok()?;
    decoder.take(BLOCK_BYTES_MAX).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Answers a question; blocks that cannot be read are left out.
pub(super) fn read(store: &Store, query: &HistoryQuery) -> Result<HistoryPage, StorageError> {
    let limit = query.limit.clamp(1, HISTORY_LINES_MAX);
    let mut page = HistoryPage::default();
    let mut place = query.before.unwrap_or(Place { at: i64::MAX, seen: 0 });
    let mut skip = place.seen;
    let mut blocks = 0;
    // A block may begin before the time that is asked for: lines of one commit are of one moment
    // but for outcomes, which take their place in it.
    let until = query.until.min(place.at);
    store.notify_history(query.from, until, &mut |at, block| {
        if at != place.at {
            place = Place { at, seen: 0 };
            skip = 0;
        }
        blocks += 1;
        let lines = unpacked(block).unwrap_or_default();
        for event in lines.into_iter().rev() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if page.events.len() == limit {
                page.next = Some(place);
                return false;
            }
            place.seen += 1;
            if query.wants(&event) {
                page.events.push(event);
            }
        }
        if blocks == BLOCKS_READ_MAX {
            page.next = Some(place);
        }
        page.next.is_none()
    })?;
    Ok(page)
}

impl HistoryQuery {
    fn wants(&self, event: &Event) -> bool {
        let receiver = self.receiver.as_deref().is_none_or(|name| *event.receiver == *name);
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        let one = self
            .fingerprint
            .is_none_or(|one| event.fingerprint == Some(one) || event.alerts.contains(&one));
        receiver && kind && one && self.matches(event)
    }

    fn matches(&self, event: &Event) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches_labels(&event.labels))
    }
}
