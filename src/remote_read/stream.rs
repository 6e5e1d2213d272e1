//! The streamed form of a remote-read answer: frames with chunks of one series each.
//!
//! In: queries and the store. Out: frames, a block of them at a time, so that memory holds one
//! series and one block. Never here: HTTP, waiting.
//!
//! A frame is its length (base-128), the CRC-32C of its content (big-endian), and its content, a
//! `prometheus.ChunkedReadResponse`. A long series takes several frames.

use std::fmt;
use std::sync::Arc;

use crate::model::histogram::Histogram;
use crate::model::source::SeriesData;
use crate::model::{Interrupt, Selector, SeriesSet, SeriesSource, SourceError};

use super::query::ReadQuery;
use super::{crc32c, histogram_chunk, writer, xor};

/// Largest content of a frame in bytes, but for one chunk more (as in Prometheus).
const FRAME_BYTES_MAX: usize = 1 << 20;
/// How many bytes of frames are made at a time.
const BLOCK_BYTES: usize = 1 << 20;

const CHUNK_XOR: u64 = 1;
const CHUNK_HISTOGRAM: u64 = 2;
const CHUNK_FLOAT_HISTOGRAM: u64 = 3;

/// An answer being made.
pub struct Frames {
    source: Arc<dyn SeriesSource>,
    queries: Vec<ReadQuery>,
    /// The query being answered.
    query: usize,
    /// Its series, once selected.
    set: Option<Box<dyn SeriesSet>>,
    /// The series to be written.
    series: usize,
    data: SeriesData,
    /// What of `data` is written; `None` when the series was not read yet.
    written: Option<Written>,
    /// Chunks of the frame being made.
    chunks: Vec<u8>,
}

/// How many floats and histograms of a series are written.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    floats: usize,
    histograms: usize,
}

impl Frames {
    /// The beginning of an answer; nothing is read yet.
    pub fn new(source: Arc<dyn SeriesSource>, queries: Vec<ReadQuery>) -> Frames {
        Frames {
            source,
            queries,
            query: 0,
            set: None,
            series: 0,
            data: SeriesData::default(),
            written: None,
            chunks: Vec::new(),
        }
    }

    /// The next block of whole frames; `None` at the end.
    ///
    /// # Errors
    /// The store could not be read or the work is interrupted; the answer is cut short.
    pub fn next_block(&mut self, interrupt: &Interrupt) -> Result<Option<Vec<u8>>, SourceError> {
        let mut block = Vec::new();
        while block.len() < BLOCK_BYTES && self.query < self.queries.len() {
            interrupt.check()?;
            self.step(&mut block, interrupt)?;
        }
        Ok(if block.is_empty() { None } else { Some(block) })
    }

    /// Does the next thing: select, read a series, or write one frame.
    fn step(&mut self, block: &mut Vec<u8>, interrupt: &Interrupt) -> Result<(), SourceError> {
        let Some(set) = &self.set else {
            let query = &self.queries[self.query];
            let (start, end) = (query.start, query.end);
            let selector = Selector { matchers: &query.matchers, start, end, interrupt };
            self.set = Some(self.source.select(&selector)?);
            return Ok(());
        };
        if self.series == set.len() {
            (self.query, self.series, self.set) = (self.query + 1, 0, None);
            return Ok(());
        }
        let Some(mut written) = self.written else {
            set.read(self.series, &mut self.data)?;
            self.written = Some(Written::default());
            return Ok(());
        };
        let labels = set.labels(self.series).as_packed();
        self.chunks.clear();
        while labels.len() + self.chunks.len() < FRAME_BYTES_MAX {
            if !append_chunk(&mut self.chunks, &self.data, &mut written) {
                break;
            }
        }
        if self.chunks.is_empty() {
            (self.series, self.written) = (self.series + 1, None);
            return Ok(());
        }
        self.written = Some(written);
        append_frame(block, labels, &self.chunks, self.query);
        Ok(())
    }
}

/// Appends the next chunk of the series in the order of time; `false` when there is none.
fn append_chunk(out: &mut Vec<u8>, data: &SeriesData, written: &mut Written) -> bool {
    let timestamps = &data.timestamps[written.floats..];
    let next_histogram = data.histograms.get(written.histograms);
    let bound = next_histogram.map_or(i64::MAX, |point| point.timestamp);
    let floats = timestamps.iter().take(xor::SAMPLES_MAX).take_while(|t| **t <= bound).count();
    if floats > 0 {
        let end = written.floats + floats;
        let timestamps = &timestamps[..floats];
        let chunk = xor::encode(timestamps, &data.values[written.floats..end]);
        push_chunk(out, (timestamps[0], timestamps[floats - 1]), CHUNK_XOR, &chunk);
        written.floats = end;
        return true;
    }
    let Some(point) = next_histogram else { return false };
    let kind = match point.histogram {
        Histogram::Int(_) => CHUNK_HISTOGRAM,
        Histogram::Float(_) => CHUNK_FLOAT_HISTOGRAM,
    };
    let time = (point.timestamp, point.timestamp);
    push_chunk(out, time, kind, &histogram_chunk::encode(point));
    written.histograms += 1;
    true
}

/// Appends a `Chunk` as field 2 of a `ChunkedSeries`.
fn push_chunk(out: &mut Vec<u8>, (first, last): (i64, i64), kind: u64, data: &[u8]) {
    writer::nested(out, 2, |out| {
        writer::integer(out, 1, first.cast_unsigned());
        writer::integer(out, 2, last.cast_unsigned());
        writer::integer(out, 3, kind);
        writer::bytes(out, 4, data);
    });
}

/// Appends a frame with a `ChunkedReadResponse` of one series. Packed labels already are field 1
/// of a `ChunkedSeries`.
fn append_frame(block: &mut Vec<u8>, labels: &[u8], chunks: &[u8], query: usize) {
    let mut content = Vec::with_capacity(labels.len() + chunks.len() + 16);
    writer::delimited(&mut content, 1, labels.len() + chunks.len());
    content.extend_from_slice(labels);
    content.extend_from_slice(chunks);
    writer::integer(&mut content, 2, query as u64);
    writer::varint(block, content.len() as u64);
    block.extend_from_slice(&crc32c::checksum(&content).to_be_bytes());
    block.append(&mut content);
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frames {{ query: {}, series: {} }}", self.query, self.series)
    }
}
