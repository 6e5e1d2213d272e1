//! The plain form of a remote-read answer: one `prometheus.ReadResponse` with all samples.
//!
//! In: queries and the store. Out: the message, snappy-compressed. Never here: HTTP.

use std::fmt;

use crate::model::limits::QUERY_SAMPLES_MAX;
use crate::model::source::SeriesData;
use crate::model::{Interrupt, Labels, Selector, SeriesSource, SourceError};

use super::query::ReadQuery;
use super::writer;

/// Largest answer before compression in bytes. Clients that want more take it as a stream.
const RESPONSE_BYTES_MAX: usize = 256 << 20;

/// Why an answer could not be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The store could not be read.
    Source(SourceError),
    /// More samples than one answer may have.
    TooManySamples,
    /// More bytes than one answer may have.
    TooLarge,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Source(error) => error.fmt(f),
            ReadError::TooManySamples => {
                write!(f, "exceeded sample limit ({QUERY_SAMPLES_MAX}), ask for less at a time")
            }
            ReadError::TooLarge => write!(
                f,
                "response has more than {RESPONSE_BYTES_MAX} bytes, accept STREAMED_XOR_CHUNKS or \
                 ask for less at a time"
            ),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<SourceError> for ReadError {
    fn from(error: SourceError) -> ReadError {
        ReadError::Source(error)
    }
}

/// Answers the queries with one compressed `ReadResponse`.
///
/// # Errors
/// See [`ReadError`].
pub fn respond(
    source: &dyn SeriesSource,
    queries: &[ReadQuery],
    interrupt: &Interrupt,
) -> Result<Vec<u8>, ReadError> {
    let mut response = Vec::new();
    let mut samples = 0;
    for query in queries {
        let mut result = Ok(());
        writer::nested(&mut response, 1, |out| {
            result = append_result(source, query, &mut samples, out, interrupt);
        });
        result?;
    }
    let compressed = snap::raw::Encoder::new().compress_vec(&response);
    // The limits keep the response far below snappy's 4 GiB.
    compressed.map_err(|_| ReadError::TooLarge)
}

/// Appends the content of a `QueryResult`.
fn append_result(
    source: &dyn SeriesSource,
    query: &ReadQuery,
    samples: &mut u64,
    out: &mut Vec<u8>,
    interrupt: &Interrupt,
) -> Result<(), ReadError> {
    let (matchers, start, end) = (&query.matchers, query.start, query.end);
    let set = source.select(&Selector { matchers, start, end, interrupt })?;
    let mut data = SeriesData::default();
    for index in 0..set.len() {
        interrupt.check().map_err(SourceError::from)?;
        set.read(index, &mut data)?;
        if data.is_empty() {
            continue;
        }
        *samples += data.len() as u64;
        if *samples > QUERY_SAMPLES_MAX {
            return Err(ReadError::TooManySamples);
        }
        writer::nested(out, 1, |out| append_series(out, set.labels(index), &data));
        if out.len() > RESPONSE_BYTES_MAX {
            return Err(ReadError::TooLarge);
        }
    }
    Ok(())
}

/// Appends the content of a `TimeSeries`. Packed labels already are its field 1.
fn append_series(out: &mut Vec<u8>, labels: &Labels, data: &SeriesData) {
    out.extend_from_slice(labels.as_packed());
    for (timestamp, value) in data.timestamps.iter().zip(&data.values) {
        let timestamp = timestamp.cast_unsigned();
        writer::delimited(out, 2, 10 + writer::varint_len(timestamp));
        writer::double(out, 1, *value);
        writer::integer(out, 2, timestamp);
    }
    for point in &data.histograms {
        writer::nested(out, 4, |out| writer::histogram(out, point));
    }
}
