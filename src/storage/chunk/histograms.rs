//! Histograms of one series.
//!
//! In: histogram points, strictly ascending in time. Out: bytes that know their own count.
//! Consecutive histograms of equal [`Layout`] form a run, which stores the layout once; within a
//! run every number (sum, count, each bucket) is a column over time. Everything comes back exactly:
//! integer or float form, hints, thresholds, spans, custom bounds.

mod layout;
mod run;

use super::bytes::{ByteReader, put_varint};
use super::{
    CodecError, HISTOGRAM_CELLS_PER_CHUNK_MAX, HISTOGRAMS_PER_CHUNK_MAX, ints, timestamps,
};
use crate::model::source::HistogramPoint;
use layout::Layout;

/// No histogram has a start timestamp.
const WITHOUT_STARTS: u8 = 0;
/// A column of start timestamps follows.
const WITH_STARTS: u8 = 1;

/// Appends histograms to `out`.
///
/// # Errors
/// [`CodecError::LimitExceeded`] beyond [`HISTOGRAMS_PER_CHUNK_MAX`] histograms,
/// [`HISTOGRAM_CELLS_PER_CHUNK_MAX`] buckets in all, or the model's limit of buckets in one;
/// `out` is then to be thrown away.
pub fn encode(points: &[HistogramPoint], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let max = HISTOGRAMS_PER_CHUNK_MAX;
    CodecError::check_limit("histograms in a chunk", points.len() as u64, max)?;
    put_varint(out, points.len() as u64);
    timestamps::encode(&points.iter().map(|p| p.timestamp).collect::<Vec<_>>(), out);
    let starts: Vec<i64> = points.iter().map(|p| p.start_timestamp).collect();
    if starts.iter().any(|s| *s != 0) {
        out.push(WITH_STARTS);
        ints::encode(&starts, out);
    } else {
        out.push(WITHOUT_STARTS);
    }
    let mut budget = CellBudget::new();
    for run in points.chunk_by(|a, b| Layout::same(&a.histogram, &b.histogram)) {
        let layout = Layout::of(&run[0].histogram);
        budget.spend(layout.cells(), run.len())?;
        put_varint(out, run.len() as u64);
        layout.write(out)?;
        run::encode(&layout, run, out);
    }
    Ok(())
}

/// Appends the histograms that `reader` comes to next.
///
/// # Errors
/// Bytes that [`encode`] does not write; `out` may then hold some histograms more than before.
pub fn read(reader: &mut ByteReader<'_>, out: &mut Vec<HistogramPoint>) -> Result<(), CodecError> {
    let times = read_times(reader)?;
    let count = times.len();
    let mut starts = Vec::new();
    match reader.byte("start timestamps of histograms")? {
        WITHOUT_STARTS => starts.resize(count, 0),
        WITH_STARTS => ints::decode(reader, count, &mut starts)?,
        _ => return Err(CodecError::Corrupted("start timestamps of histograms")),
    }
    let mut budget = CellBudget::new();
    let mut done = 0;
    while done < count {
        let length = reader.count(count - done, "histograms in a run")?;
        if length == 0 {
            return Err(CodecError::Corrupted("length of a run of histograms"));
        }
        let layout = Layout::read(reader)?;
        budget.spend(layout.cells(), length)?;
        let next = done + length;
        run::read(reader, &layout, &times[done..next], &starts[done..next], out)?;
        done = next;
    }
    Ok(())
}

/// The timestamps of the histograms that `reader` comes to next; what else they are it leaves unread.
///
/// # Errors
/// Bytes that [`encode`] does not write.
pub fn read_times(reader: &mut ByteReader<'_>) -> Result<Vec<i64>, CodecError> {
    let count = reader.count(HISTOGRAMS_PER_CHUNK_MAX, "histograms in a chunk")?;
    let mut times = Vec::new();
    timestamps::read(reader, count, &mut times)?;
    Ok(times)
}

/// Appends the histograms encoded in `bytes` to `out`.
///
/// # Errors
/// As [`read`], and when bytes are left over.
pub fn decode(bytes: &[u8], out: &mut Vec<HistogramPoint>) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(bytes);
    read(&mut reader, out)?;
    reader.expect_end("end of a histogram chunk")
}

/// What is left of [`HISTOGRAM_CELLS_PER_CHUNK_MAX`].
struct CellBudget {
    spent: u64,
}

impl CellBudget {
    fn new() -> CellBudget {
        CellBudget { spent: 0 }
    }

    /// Counts a run of `length` histograms of `cells` numbers each.
    fn spend(&mut self, cells: usize, length: usize) -> Result<(), CodecError> {
        self.spent += cells as u64 * length as u64;
        let max = HISTOGRAM_CELLS_PER_CHUNK_MAX;
        CodecError::check_limit("histogram buckets in a chunk", self.spent, max)
    }
}

#[cfg(test)]
mod tests;
