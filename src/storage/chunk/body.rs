//! A whole chunk: all samples of one series in one window but the timestamps of its floats, which
//! live in a shared column (see [`crate::storage::columns`]).
//!
//! In: [`SeriesData`]. Out: bytes and [`Parts`], which say what is in them.

use super::bytes::{ByteReader, put_varint};
use super::{CodecError, SAMPLES_PER_CHUNK_MAX, histograms, ints, values};
use crate::model::SeriesData;

/// What a chunk holds besides float values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

impl Parts {
    /// Float values only: the chunk is one value column.
    pub const FLOATS: Parts = Parts(0);
    const STARTS: u8 = 1;
    const HISTOGRAMS: u8 = 2;

    /// The number stored in a directory.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The parts with this number.
    ///
    /// # Errors
    /// A number that no encoder writes.
    pub fn from_number(number: i64) -> Result<Parts, CodecError> {
        match u8::try_from(number) {
            Ok(n) if n <= Parts::STARTS | Parts::HISTOGRAMS => Ok(Parts(n)),
            _ => Err(CodecError::Corrupted("parts of a chunk")),
        }
    }

    /// Whether a column of start timestamps is there.
    pub fn has_starts(self) -> bool {
        self.0 & Parts::STARTS != 0
    }

    /// Whether histograms are there.
    pub fn has_histograms(self) -> bool {
        self.0 & Parts::HISTOGRAMS != 0
    }
}

/// Appends values, start timestamps (unless all are 0) and histograms of `data` to `out`.
///
/// # Errors
/// [`CodecError::LimitExceeded`] beyond the limits of [`super`]; `out` is then to be thrown away.
pub fn encode(data: &SeriesData, out: &mut Vec<u8>) -> Result<Parts, CodecError> {
    let count = data.values.len() as u64;
    CodecError::check_limit("samples in a chunk", count, SAMPLES_PER_CHUNK_MAX)?;
    let has_starts = data.start_timestamps.iter().any(|s| *s != 0);
    let has_histograms = !data.histograms.is_empty();
    if !has_starts && !has_histograms {
        values::encode(&data.values, out);
        return Ok(Parts::FLOATS);
    }
    let mut column = Vec::new();
    values::encode(&data.values, &mut column);
    put_varint(out, column.len() as u64);
    out.extend_from_slice(&column);
    if has_starts {
        ints::encode(&data.start_timestamps, out);
    }
    if has_histograms {
        histograms::encode(&data.histograms, out)?;
    }
    let starts = if has_starts { Parts::STARTS } else { 0 };
    Ok(Parts(starts + if has_histograms { Parts::HISTOGRAMS } else { 0 }))
}

/// Appends the samples of a chunk to `out`; its floats were taken at `timestamps`.
///
/// # Errors
/// Bytes that [`encode`] does not write for that many floats. `out` is then as before.
pub fn decode(
    bytes: &[u8],
    parts: Parts,
    timestamps: &[i64],
    out: &mut SeriesData,
) -> Result<(), CodecError> {
    let before = [out.values.len(), out.start_timestamps.len(), out.histograms.len()];
    let result = decode_parts(bytes, parts, timestamps, out);
    if result.is_ok() {
        out.timestamps.extend_from_slice(timestamps);
        if !out.start_timestamps.is_empty() {
            out.start_timestamps.resize(out.timestamps.len(), 0);
        }
    } else {
        out.values.truncate(before[0]);
        out.start_timestamps.truncate(before[1]);
        out.histograms.truncate(before[2]);
    }
    result
}

fn decode_parts(
    bytes: &[u8],
    parts: Parts,
    timestamps: &[i64],
    out: &mut SeriesData,
) -> Result<(), CodecError> {
    let count = timestamps.len();
    if parts == Parts::FLOATS {
        return values::decode(bytes, count, &mut out.values);
    }
    let mut reader = ByteReader::new(bytes);
    let length = reader.count(bytes.len(), "bytes of a value column")?;
    values::decode(reader.bytes(length, "value column")?, count, &mut out.values)?;
    if parts.has_starts() {
        out.start_timestamps.resize(out.timestamps.len(), 0);
        ints::decode(&mut reader, count, &mut out.start_timestamps)?;
    }
    if parts.has_histograms() {
        histograms::read(&mut reader, &mut out.histograms)?;
    }
    reader.expect_end("end of a chunk")
}

/// The timestamps of the histograms in a chunk of `floats` floats: strictly ascending ms.
///
/// # Errors
/// Bytes that [`encode`] does not write for that many floats.
pub fn histogram_times(bytes: &[u8], parts: Parts, floats: usize) -> Result<Vec<i64>, CodecError> {
    if !parts.has_histograms() {
        return Ok(Vec::new());
    }
    let mut reader = ByteReader::new(bytes);
    let length = reader.count(bytes.len(), "bytes of a value column")?;
    reader.bytes(length, "value column")?;
    if parts.has_starts() {
        ints::decode(&mut reader, floats, &mut Vec::new())?;
    }
    histograms::read_times(&mut reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{Histogram, IntHistogram};
    use crate::model::source::HistogramPoint;

    fn floats(starts: &[i64]) -> SeriesData {
        SeriesData {
            timestamps: vec![10, 20, 30],
            values: vec![1.0, 2.5, -0.0],
            start_timestamps: starts.to_vec(),
            histograms: Vec::new(),
        }
    }

    fn append(data: &SeriesData, out: &mut SeriesData) {
        let mut bytes = Vec::new();
        let parts = encode(data, &mut bytes).unwrap();
        decode(&bytes, parts, &data.timestamps, out).unwrap();
    }

    #[test]
    fn start_timestamps_join_chunks_without_any() {
        let mut out = SeriesData::default();
        append(&floats(&[]), &mut out);
        assert!(out.start_timestamps.is_empty());
        append(&floats(&[5, 5, 25]), &mut out);
        append(&floats(&[0, 0, 0]), &mut out);
        assert_eq!(out.start_timestamps, [0, 0, 0, 5, 5, 25, 0, 0, 0]);
        assert_eq!(out.timestamps.len(), 9);
        assert_eq!(out.values.len(), 9);
    }

    #[test]
    fn times_of_histograms_are_found_behind_what_comes_before_them() {
        let point = |timestamp| HistogramPoint {
            timestamp,
            start_timestamp: 0,
            histogram: Histogram::Int(IntHistogram::default()),
        };
        let alone = SeriesData { histograms: vec![point(5)], ..SeriesData::default() };
        let beside = |starts: &[i64]| SeriesData {
            histograms: vec![point(15), point(25)],
            ..floats(starts)
        };
        let cases = [(alone, &[5][..]), (beside(&[]), &[15, 25]), (beside(&[1, 2, 4]), &[15, 25])];
        for (data, times) in cases {
            let mut bytes = Vec::new();
            let parts = encode(&data, &mut bytes).unwrap();
            assert_eq!(histogram_times(&bytes, parts, data.values.len()).unwrap(), times);
            assert!(histogram_times(&bytes[..1], parts, data.values.len()).is_err());
        }
        assert!(histogram_times(&[], Parts::FLOATS, 3).unwrap().is_empty());
    }

    #[test]
    fn a_failed_decode_leaves_the_buffer_as_it_was() {
        let mut bytes = Vec::new();
        let parts = encode(&floats(&[1, 2, 4]), &mut bytes).unwrap();
        for end in 0..bytes.len() {
            let mut out = SeriesData::default();
            assert!(decode(&bytes[..end], parts, &[10, 20, 30], &mut out).is_err());
            assert!(out.is_empty() && out.values.is_empty() && out.start_timestamps.is_empty());
        }
    }
}
