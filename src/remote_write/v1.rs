//! Remote write 1.0: reads a `prometheus.WriteRequest` into a [`WriteBatch`].
//!
//! In: the decoded body. Out: series whose labels are slices of that body, their samples,
//! histograms and exemplars, and metadata. Never here: validation of labels and times, which is
//! ingest's; copying of labels, but for messages that spread them over several places.
//!
//! Nearly every series of nearly every request is a run of labels followed by one sample in a
//! fixed shape of 18 bytes; that shape is recognised as a whole. All others take the general way,
//! which accepts every legal encoding.

use std::ops::Range;

use crate::model::labels::decode_pairs;
use crate::model::limits::EXEMPLAR_LABELS_BYTES_MAX;
use crate::model::{
    Exemplar, LabelError, Labels, MetricMetadata, MetricType, Sample, SeriesEntry, Timestamp,
    WriteBatch,
};

use super::element::{
    EXEMPLARS_MAX, METADATA_MAX, Mark, Rejections, SAMPLES_MAX, push_sample, sample, within,
};
use super::histogram;
use super::negotiation::Version;
use super::wire::{Reader, WireError};

const TAG_SERIES: u8 = 0x0a;
const TAG_LABEL: u8 = 0x0a;

/// Reads the request in `decoded` and appends its content to `batch`. Labels are borrowed from
/// `decoded`, or from `spill` where a message did not keep them together.
///
/// Histograms and exemplars that contradict themselves are left out and named in the answer.
///
/// # Errors
/// `decoded` is not such a message, or has too many elements. The batch is then useless.
pub fn parse<'a>(
    decoded: &'a [u8],
    spill: &'a mut Vec<u8>,
    batch: &mut WriteBatch<'a>,
) -> Result<Rejections, WireError> {
    spill.clear();
    let mut rest = Rest { spill, moved: Vec::new(), rejections: Rejections::default() };
    let mut reader = Reader::new(decoded);
    while !reader.is_empty() {
        if reader.rest().first() == Some(&TAG_SERIES) {
            reader.varint()?;
            series(reader.delimited()?, batch, &mut rest)?;
        } else {
            other_field(&mut reader, batch, &mut rest)?;
        }
    }
    let Rest { spill, moved, rejections } = rest;
    let spill: &'a [u8] = spill;
    for (index, range) in moved {
        batch.series[index].labels = &spill[range];
    }
    Ok(rejections)
}

/// What the rare shapes of a series need.
struct Rest<'a> {
    /// Label regions that had to be put together.
    spill: &'a mut Vec<u8>,
    /// Which series have their labels there, and where.
    moved: Vec<(usize, Range<usize>)>,
    rejections: Rejections,
}

#[inline]
fn series<'a>(
    body: &'a [u8],
    batch: &mut WriteBatch<'a>,
    rest: &mut Rest<'a>,
) -> Result<(), WireError> {
    let (labels, tail) = body.split_at(labels_len(body));
    if let Some(sample) = one_sample(tail) {
        within(batch.samples.len(), SAMPLES_MAX, "samples")?;
        batch.push_packed_sample(labels, sample);
        return Ok(());
    }
    any_series(labels, tail, batch, rest)
}

/// Length of the run of labels a series starts with.
#[inline]
fn labels_len(body: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&[TAG_LABEL, len]) = body.get(at..at + 2) {
        let next = if len < 0x80 { at + 2 + usize::from(len) } else { long_label_end(body, at) };
        if next > body.len() {
            break;
        }
        at = next;
    }
    at
}

/// Where the label at `at` ends, when its length takes more than one byte; beyond the body when
/// it is damaged, which the general way then reports.
#[cold]
fn long_label_end(body: &[u8], at: usize) -> usize {
    let mut reader = Reader::new(&body[at + 1..]);
    match reader.delimited() {
        Ok(_) => body.len() - reader.rest().len(),
        Err(_) => usize::MAX,
    }
}

/// The tail of a series with exactly one sample, value and six-byte timestamp:
/// `12 10 09 <value> 10 <timestamp>`. Six bytes hold the times from 2004 to 2109.
#[inline]
fn one_sample(tail: &[u8]) -> Option<Sample> {
    let tail: &[u8; 18] = tail.try_into().ok()?;
    let [0x12, 0x10, 0x09, v0, v1, v2, v3, v4, v5, v6, v7, 0x10, time @ ..] = *tail else {
        return None;
    };
    let [t0, t1, t2, t3, t4, t5] = time;
    if t0 & t1 & t2 & t3 & t4 & 0x80 == 0 || t5 & 0x80 != 0 {
        return None;
    }
    let bits = |byte: u8, shift: u32| i64::from(byte & 0x7f) << shift;
    let low = bits(t0, 0) | bits(t1, 7) | bits(t2, 14);
    let timestamp = low | bits(t3, 21) | bits(t4, 28) | bits(t5, 35);
    let value = f64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
    Some(Sample::new(Timestamp(timestamp), value))
}

/// A series of any legal shape: `labels` is what it starts with, `tail` the rest.
fn any_series<'a>(
    labels: &'a [u8],
    tail: &[u8],
    batch: &mut WriteBatch<'a>,
    rest: &mut Rest<'a>,
) -> Result<(), WireError> {
    const MESSAGE: &str = "TimeSeries";
    let mark = Mark::of(batch);
    let mut spilled = None;
    let mut reader = Reader::new(tail);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => spill_label(rest.spill, &mut spilled, labels, field.bytes(MESSAGE)?),
            2 => push_v1_sample(batch, field.bytes(MESSAGE)?)?,
            3 => push_exemplar(batch, &mut rest.rejections, field.bytes(MESSAGE)?)?,
            4 => histogram::push(batch, &mut rest.rejections, field.bytes(MESSAGE)?)?,
            _ => {}
        }
    }
    let (samples, histograms, exemplars) = mark.added(batch);
    if samples + histograms + exemplars == 0 {
        return Ok(());
    }
    if let Some(start) = spilled {
        rest.moved.push((batch.series.len(), start..rest.spill.len()));
    }
    batch.series.push(SeriesEntry { labels, samples, histograms, exemplars });
    Ok(())
}

/// Remote write 1.0 has no start timestamp: field 3 is unknown to it.
fn push_v1_sample(batch: &mut WriteBatch<'_>, body: &[u8]) -> Result<(), WireError> {
    let sample = sample(body)?;
    push_sample(batch, Sample::new(sample.timestamp, sample.value))
}

/// Adds a label that did not follow the others to a copy of them, begun at its first use.
fn spill_label(spill: &mut Vec<u8>, start: &mut Option<usize>, labels: &[u8], label: &[u8]) {
    if start.is_none() {
        *start = Some(spill.len());
        spill.extend_from_slice(labels);
    }
    spill.push(TAG_LABEL);
    let mut len = label.len();
    while len >= 0x80 {
        spill.push(len as u8 | 0x80);
        len >>= 7;
    }
    spill.push(len as u8);
    spill.extend_from_slice(label);
}

fn push_exemplar(
    batch: &mut WriteBatch<'_>,
    rejections: &mut Rejections,
    body: &[u8],
) -> Result<(), WireError> {
    const MESSAGE: &str = "Exemplar";
    let (mut value, mut timestamp) = (0.0, Timestamp(0));
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => drop(field.bytes(MESSAGE)?),
            2 => value = field.double(MESSAGE)?,
            3 => timestamp = Timestamp(field.int64(MESSAGE)?),
            _ => {}
        }
    }
    within(batch.exemplars.len(), EXEMPLARS_MAX, "exemplars")?;
    match exemplar_labels(body) {
        Ok(labels) => batch.exemplars.push(Exemplar { labels, value, timestamp }),
        Err(error) => {
            rejections.exemplars += 1;
            rejections.explain(|| format!("exemplar is not valid: {error}"));
        }
    }
    Ok(())
}

/// The labels of an exemplar: like those of a series they are field 1 of the message.
fn exemplar_labels(body: &[u8]) -> Result<Labels, LabelError> {
    let labels = Labels::from_pairs(decode_pairs(body)?)?;
    check_exemplar_labels(labels)
}

/// Refuses exemplar labels beyond [`EXEMPLAR_LABELS_BYTES_MAX`].
pub(super) fn check_exemplar_labels(labels: Labels) -> Result<Labels, LabelError> {
    let bytes = labels.as_packed().len();
    if bytes > EXEMPLAR_LABELS_BYTES_MAX { Err(LabelError::TooLarge(bytes)) } else { Ok(labels) }
}

/// A field of the request that is not a series, or a series whose key is written longer than it
/// has to be, which is legal.
#[cold]
fn other_field<'a>(
    reader: &mut Reader<'a>,
    batch: &mut WriteBatch<'a>,
    rest: &mut Rest<'a>,
) -> Result<(), WireError> {
    const MESSAGE: &str = Version::V1.message();
    let Some(field) = reader.field()? else { return Ok(()) };
    match field.number {
        1 => series(field.bytes(MESSAGE)?, batch, rest),
        3 => push_metadata(batch, field.bytes(MESSAGE)?),
        4 | 5 => Err(WireError::OtherVersion(MESSAGE)),
        _ => Ok(()),
    }
}

fn push_metadata(batch: &mut WriteBatch<'_>, body: &[u8]) -> Result<(), WireError> {
    const MESSAGE: &str = "MetricMetadata";
    let (mut name, mut metadata) = (String::new(), MetricMetadata::default());
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => metadata.metric_type = MetricType::from_number(field.int64(MESSAGE)?),
            2 => name = text(field.bytes(MESSAGE)?),
            4 => metadata.help = text(field.bytes(MESSAGE)?),
            5 => metadata.unit = text(field.bytes(MESSAGE)?),
            _ => {}
        }
    }
    within(batch.metadata.len(), METADATA_MAX, "metadata entries")?;
    if !name.is_empty() {
        batch.metadata.push((name, metadata));
    }
    Ok(())
}

/// Text that is only shown: bytes which are not UTF-8 are replaced, for no sample may be lost
/// because of a help text.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
