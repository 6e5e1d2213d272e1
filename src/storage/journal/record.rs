//! Journal records: what a batch looks like on its way to disk.
//!
//! A journal file is a stream of records, cut into blocks. Each record is
//!
//! ```text
//! kind u8 | body length u32 | crc32 of the body u32 | body        (little-endian)
//! ```
//!
//! with kind 1 series (a series' number in this file and its labels, before its first sample), kind
//! 2 samples. The windows of the samples stand first, so that recovery need not decode those that
//! were flushed. Numbers are those of the head which wrote the file and mean nothing outside it.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::model::source::HistogramPoint;
use crate::model::{Exemplar, Labels, Sample, Timestamp};
use crate::storage::chunk::bytes::{put_varint, unzigzag, zigzag};
use crate::storage::chunk::{self, CodecError};
use crate::storage::window::Window;

const KIND_SERIES: u8 = 1;
const KIND_SAMPLES: u8 = 2;
/// Bytes before a record's body.
pub const HEADER_BYTES: usize = 9;
/// Largest body; a request's decoded size is far below it.
pub const BODY_BYTES_MAX: usize = 256 << 20;
/// Fast and good enough: it halves the bytes at under 20 ns a sample.
const ZSTD_LEVEL: i32 = 1;
/// Bodies below this stay as they are.
const COMPRESS_FROM_BYTES: usize = 256;

/// What is said of a series record whose labels are not a valid label set.
pub const INVALID_LABELS: &str = "series record holds invalid labels";

thread_local! {
    // Their tables take longer to set up than a usual batch takes to go through them.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The samples of one batch; `*_series[i]` is the number of the series of entry `i`.
#[derive(Debug, Default, PartialEq)]
pub struct SamplesRecord {
    /// Series of the float samples.
    pub series: Vec<u32>,
    /// Float samples.
    pub samples: Vec<Sample>,
    /// Series of the histogram samples.
    pub histogram_series: Vec<u32>,
    /// Histogram samples.
    pub histograms: Vec<HistogramPoint>,
    /// Series of the exemplars.
    pub exemplar_series: Vec<u32>,
    /// Exemplars.
    pub exemplars: Vec<Exemplar>,
}

/// As [`SamplesRecord`], borrowed from a batch; the series [`u32::MAX`] marks what is left out.
#[derive(Clone, Copy, Debug)]
pub struct SamplesRef<'a> {
    /// Series of the float samples.
    pub series: &'a [u32],
    /// Float samples.
    pub samples: &'a [Sample],
    /// Series of the histogram samples.
    pub histogram_series: &'a [u32],
    /// Histogram samples.
    pub histograms: &'a [HistogramPoint],
    /// Series of the exemplars.
    pub exemplar_series: &'a [u32],
    /// Exemplars.
    pub exemplars: &'a [Exemplar],
}

/// A decoded record.
#[derive(Debug, PartialEq)]
pub enum Record {
    /// A series and its number.
    Series(u32, Labels),
    /// Samples of series declared before.
    Samples(SamplesRecord),
}

/// Appends the record that declares a series.
pub fn encode_series(number: u32, labels: &Labels, out: &mut Vec<u8>) {
    let start = begin(KIND_SERIES, out);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(labels.as_packed());
    finish(start, out);
}

/// Appends a samples record. Entries of the series [`u32::MAX`] are left out; `windows` are those of
/// the others, ascending.
///
/// # Errors
/// A histogram is beyond the limits of its codec.
pub fn encode_samples(
    record: &SamplesRef<'_>,
    windows: &[Window],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let body = encode_columns(record)?;
    let start = begin(KIND_SAMPLES, out);
    encode_windows(windows, out);
    let compressed = if body.len() >= COMPRESS_FROM_BYTES {
        compress(&body).filter(|small| small.len() < body.len())
    } else {
        None
    };
    match compressed {
        Some(small) => {
            put_varint(out, body.len() as u64);
            out.extend_from_slice(&small);
        }
        None => {
            put_varint(out, 0);
            out.extend_from_slice(&body);
        }
    }
    finish(start, out);
    Ok(())
}

fn encode_windows(windows: &[Window], out: &mut Vec<u8>) {
    put_varint(out, windows.len() as u64);
    let mut previous = 0i64;
    for window in windows {
        put_varint(out, zigzag(window.number().wrapping_sub(previous)));
        previous = window.number();
    }
}

/// The body compressed; `None` when it cannot be, which only costs space.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|shared| {
        if shared.is_none() {
            *shared = Compressor::new(ZSTD_LEVEL).ok();
        }
        shared.as_mut()?.compress(body).ok()
    })
}

fn begin(kind: u8, out: &mut Vec<u8>) -> usize {
    out.push(kind);
    out.extend_from_slice(&[0; HEADER_BYTES - 1]);
    out.len()
}

fn finish(start: usize, out: &mut [u8]) {
    let (head, body) = out.split_at_mut(start);
    let header = &mut head[start - HEADER_BYTES + 1..];
    header[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
}

fn encode_columns(record: &SamplesRef<'_>) -> Result<Vec<u8>, CodecError> {
    let kept = |series: &&u32| **series != u32::MAX;
    let count = record.series.iter().filter(kept).count();
    let mut out = Vec::with_capacity(count * 12 + 16);
    put_varint(&mut out, count as u64);
    push_numbers(record.series, &mut out);
    let samples = || record.series.iter().zip(record.samples).filter(|(series, _)| kept(series));
    let mut previous = 0i64;
    for (_, sample) in samples() {
        put_varint(&mut out, zigzag(sample.timestamp.0.wrapping_sub(previous)));
        previous = sample.timestamp.0;
    }
    for (_, sample) in samples() {
        out.extend_from_slice(&sample.value.to_bits().to_le_bytes());
    }
    let starts = samples().any(|(_, sample)| sample.start_timestamp != 0);
    out.push(u8::from(starts));
    if starts {
        for (_, sample) in samples() {
            put_varint(&mut out, zigzag(sample.start_timestamp));
        }
    }
    encode_rare(record, &mut out)?;
    Ok(out)
}

fn encode_rare(record: &SamplesRef<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let histograms: Vec<(u32, &HistogramPoint)> = pairs(record.histogram_series, record.histograms);
    put_varint(out, histograms.len() as u64);
    for (series, point) in histograms {
        let mut bytes = Vec::new();
        chunk::histograms::encode(std::slice::from_ref(point), &mut bytes)?;
        put_varint(out, u64::from(series));
        put_varint(out, bytes.len() as u64);
        out.extend_from_slice(&bytes);
    }
    let exemplars: Vec<(u32, &Exemplar)> = pairs(record.exemplar_series, record.exemplars);
    put_varint(out, exemplars.len() as u64);
    for (series, exemplar) in exemplars {
        put_varint(out, u64::from(series));
        put_varint(out, exemplar.labels.as_packed().len() as u64);
        out.extend_from_slice(exemplar.labels.as_packed());
        out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
        put_varint(out, zigzag(exemplar.timestamp.0));
    }
    Ok(())
}

fn pairs<'a, T>(series: &[u32], items: &'a [T]) -> Vec<(u32, &'a T)> {
    series.iter().copied().zip(items).filter(|(series, _)| *series != u32::MAX).collect()
}

/// Series numbers as differences: neighbours in a request are mostly neighbours in the head.
fn push_numbers(series: &[u32], out: &mut Vec<u8>) {
    let mut previous = 0i64;
    for number in series.iter().filter(|number| **number != u32::MAX) {
        put_varint(out, zigzag(i64::from(*number) - previous));
        previous = i64::from(*number);
    }
}

/// Length in bytes of the first record of `stream`; `None` when the stream ends before it does.
///
/// # Errors
/// It cannot be a record.
pub fn length(stream: &[u8]) -> Result<Option<usize>, &'static str> {
    let Some(header) = stream.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let body = u32::from_le_bytes(array(&header[1..5])) as usize;
    if body > BODY_BYTES_MAX {
        return Err("record length is out of range");
    }
    Ok((stream.len() >= HEADER_BYTES + body).then_some(HEADER_BYTES + body))
}

/// The windows a whole samples record has samples of; `None` for another kind of record, and when
/// they cannot be read, which decoding the record then tells.
pub fn windows(record: &[u8]) -> Option<Vec<Window>> {
    match record.split_at_checked(HEADER_BYTES)? {
        ([KIND_SAMPLES, ..], body) => decode_windows(&mut Input(body)).ok(),
        _ => None,
    }
}

fn decode_windows(input: &mut Input<'_>) -> Result<Vec<Window>, &'static str> {
    let mut number = 0i64;
    let count = input.count(1)?;
    let next = |_| {
        number = number.wrapping_add(unzigzag(input.varint()?));
        Ok(Window::from_number(number))
    };
    (0..count).map(next).collect()
}

/// Number and packed labels, not yet validated, of a whole series record; `None` for another kind.
///
/// # Errors
/// What is wrong with the bytes.
pub fn series(record: &[u8]) -> Result<Option<(u32, &[u8])>, &'static str> {
    match record.split_at_checked(HEADER_BYTES) {
        Some((header @ [KIND_SERIES, ..], body)) => {
            check(header, body)?;
            let (number, packed) = body.split_at_checked(4).ok_or("series record is too short")?;
            Ok(Some((u32::from_le_bytes(array(number)), packed)))
        }
        _ => Ok(None),
    }
}

fn check(header: &[u8], body: &[u8]) -> Result<(), &'static str> {
    match crc32fast::hash(body) == u32::from_le_bytes(array(&header[5..9])) {
        true => Ok(()),
        false => Err("record checksum does not match"),
    }
}

/// The first record of `stream` and its length in bytes; `None` when the stream ends before it does.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode(stream: &[u8]) -> Result<Option<(Record, usize)>, &'static str> {
    let Some(length) = length(stream)? else { return Ok(None) };
    let (header, body) = stream[..length].split_at(HEADER_BYTES);
    check(header, body)?;
    let record = match header[0] {
        KIND_SERIES => decode_series(&stream[..length])?,
        KIND_SAMPLES => Record::Samples(decode_samples(body)?),
        _ => return Err("record kind is not known"),
    };
    Ok(Some((record, length)))
}

fn decode_series(record: &[u8]) -> Result<Record, &'static str> {
    let (number, packed) = series(record)?.expect("BUG: the kind was looked at");
    let labels = Labels::from_packed(packed).map_err(|_| INVALID_LABELS)?;
    Ok(Record::Series(number, labels))
}

fn decode_samples(body: &[u8]) -> Result<SamplesRecord, &'static str> {
    let mut input = Input(body);
    decode_windows(&mut input)?;
    let size = usize::try_from(input.varint()?).map_err(|_| "samples record is too large")?;
    if size == 0 {
        return decode_columns(input);
    }
    if size > BODY_BYTES_MAX {
        return Err("samples record is too large");
    }
    let raw = DECOMPRESSOR.with_borrow_mut(|shared| {
        if shared.is_none() {
            *shared = Decompressor::new().ok();
        }
        let decompressor = shared.as_mut().ok_or("there is no memory to decompress with")?;
        decompressor.decompress(input.0, size).map_err(|_| "samples do not decompress")
    })?;
    decode_columns(Input(&raw))
}

fn decode_columns(mut input: Input<'_>) -> Result<SamplesRecord, &'static str> {
    let count = input.count(9)?;
    let mut record = SamplesRecord { series: input.numbers(count)?, ..SamplesRecord::default() };
    let timestamps = input.sums(count, 0)?;
    let (values, _) = input.take(8 * count)?.as_chunks();
    let sample = |(timestamp, value): (&i64, &[u8; 8])| {
        Sample::new(Timestamp(*timestamp), f64::from_le_bytes(*value))
    };
    record.samples = timestamps.iter().zip(values).map(sample).collect();
    if input.array::<1>()? != [0] {
        for sample in &mut record.samples {
            sample.start_timestamp = unzigzag(input.varint()?);
        }
    }
    decode_rare(&mut input, &mut record)?;
    Ok(record)
}

fn decode_rare(input: &mut Input<'_>, record: &mut SamplesRecord) -> Result<(), &'static str> {
    for _ in 0..input.count(2)? {
        record.histogram_series.push(input.number()?);
        let length = input.count(1)?;
        let bytes = input.take(length)?;
        let before = record.histograms.len();
        chunk::histograms::decode(bytes, &mut record.histograms)
            .map_err(|_| "histogram does not decode")?;
        if record.histograms.len() != before + 1 {
            return Err("histogram record holds no single histogram");
        }
    }
    for _ in 0..input.count(11)? {
        record.exemplar_series.push(input.number()?);
        let length = input.count(1)?;
        let labels = Labels::from_packed(input.take(length)?)
            .map_err(|_| "exemplar holds invalid labels")?;
        let value = f64::from_bits(u64::from_le_bytes(input.array()?));
        let timestamp = Timestamp(unzigzag(input.varint()?));
        record.exemplars.push(Exemplar { labels, value, timestamp });
    }
    Ok(())
}

/// Bytes not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or("record ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        Ok(array(self.take(N)?))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, &'static str> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("number is too long")
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        u32::try_from(self.varint()?).map_err(|_| "series number is out of range")
    }

    /// A count of items of at least `bytes` bytes each, so that it cannot exceed what is left.
    fn count(&mut self, bytes: usize) -> Result<usize, &'static str> {
        let count = usize::try_from(self.varint()?).map_err(|_| "count is out of range")?;
        if count > self.0.len() / bytes { Err("count exceeds the record") } else { Ok(count) }
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<u32>, &'static str> {
        let number = |sum: i64| u32::try_from(sum).map_err(|_| "series number is out of range");
        self.sums(count, 1)?.into_iter().map(number).collect()
    }

    /// Numbers stored as differences; `usual` (-64 to 63) is the one that most have.
    fn sums(&mut self, count: usize, usual: i64) -> Result<Vec<i64>, &'static str> {
        const TOGETHER: usize = 8;
        let usually = [zigzag(usual) as u8; TOGETHER];
        let mut sums = Vec::with_capacity(count);
        let mut sum = 0i64;
        while sums.len() < count {
            if count - sums.len() >= TOGETHER && self.0.starts_with(&usually) {
                sums.extend((1..=TOGETHER as i64).map(|i| sum.wrapping_add(i * usual)));
                sum = sum.wrapping_add(TOGETHER as i64 * usual);
                self.0 = &self.0[TOGETHER..];
            } else {
                sum = sum.wrapping_add(unzigzag(self.varint()?));
                sums.push(sum);
            }
        }
        Ok(sums)
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("BUG: the slice was cut to this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn borrowed(record: &SamplesRecord) -> SamplesRef<'_> {
        SamplesRef {
            series: &record.series,
            samples: &record.samples,
            histogram_series: &record.histogram_series,
            histograms: &record.histograms,
            exemplar_series: &record.exemplar_series,
            exemplars: &record.exemplars,
        }
    }

    fn sample(i: i64) -> Sample {
        Sample::new(Timestamp(1_700_000_000_000 + i), i as f64 * 0.1)
    }

    #[test]
    fn records_come_back_and_skipped_entries_do_not() {
        let labels = Labels::from_pairs([("__name__", "up")]).expect("valid");
        let mut stream = Vec::new();
        encode_series(7, &labels, &mut stream);
        let mut record = SamplesRecord {
            series: (0..500).collect(),
            samples: (0..500).map(sample).collect(),
            ..SamplesRecord::default()
        };
        record.series[3] = u32::MAX;
        record.samples[5].start_timestamp = 12;
        record.exemplar_series = vec![4];
        record.exemplars =
            vec![Exemplar { labels: labels.clone(), value: 1.5, timestamp: Timestamp(-1) }];
        let windows = [Window::from_number(-3), Window::from_number(7)];
        let start = stream.len();
        encode_samples(&borrowed(&record), &windows, &mut stream).expect("within limits");
        assert_eq!(super::windows(&stream[start..]), Some(windows.to_vec()));
        assert_eq!(super::windows(&stream), None, "a series record has none");

        let (series, used) = decode(&stream).expect("valid").expect("whole");
        assert_eq!(series, Record::Series(7, labels));
        let (back, _) = decode(&stream[used..]).expect("valid").expect("whole");
        record.series.remove(3);
        record.samples.remove(3);
        assert_eq!(back, Record::Samples(record));
    }

    #[test]
    fn every_prefix_is_incomplete_and_every_flip_is_noticed() {
        let mut stream = Vec::new();
        let record = SamplesRecord {
            series: vec![1, 2],
            samples: vec![sample(1), sample(2)],
            ..SamplesRecord::default()
        };
        encode_samples(&borrowed(&record), &[], &mut stream).expect("within limits");
        for cut in 0..stream.len() {
            assert_eq!(decode(&stream[..cut]), Ok(None), "prefix of {cut} bytes");
        }
        for i in HEADER_BYTES..stream.len() {
            let mut damaged = stream.clone();
            damaged[i] ^= 1;
            assert!(decode(&damaged).is_err(), "byte {i} flipped");
        }
    }
}
