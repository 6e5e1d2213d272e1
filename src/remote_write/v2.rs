//! Remote write 2.0: reads an `io.prometheus.write.v2.Request` into a [`WriteBatch`].
//!
//! In: the decoded body. Out: series with their labels put together from the request's symbols
//! into the packed form, samples with start timestamps, histograms, exemplars and metadata. Never
//! here: validation of label names, values and times, which is ingest's.
//!
//! A series whose references lead nowhere is left out and named in the answer; the rest is
//! written, as the specification's partial writes have it.

use std::ops::Range;

use hashbrown::HashSet;

use crate::model::labels::METRIC_NAME;
use crate::model::limits::{LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX};
use crate::model::{
    Exemplar, Labels, MetricMetadata, MetricType, SeriesEntry, Timestamp, WriteBatch,
};

use super::element::{EXEMPLARS_MAX, METADATA_MAX, Mark, Rejections, push_sample, sample, within};
use super::histogram;
use super::negotiation::Version;
use super::v1::{check_exemplar_labels, text};
use super::wire::{Field, Reader, Value, WireError};

/// Most symbols in one request; each takes at least two bytes of the body and 16 of memory.
pub const SYMBOLS_MAX: usize = 1 << 22;
/// Most bytes the label sets of one request may take when written out. References make a small
/// body stand for much; a request of 2000 usual series takes less than 1 MiB.
pub const LABELS_BYTES_MAX: usize = 128 << 20;
/// Most bytes of help texts and units in one request, for the same reason.
pub const METADATA_BYTES_MAX: usize = 16 << 20;

const REQUEST: &str = Version::V2.message();
const SERIES: &str = "TimeSeries";

/// Reads the request in `decoded` and appends its content to `batch`. Labels are written out in
/// `packed`.
///
/// Series, histograms and exemplars that cannot be made out are left out and named in the answer.
///
/// # Errors
/// `decoded` is not such a message, or has too many elements. The batch is then useless.
pub fn parse<'a>(
    decoded: &'a [u8],
    packed: &'a mut Vec<u8>,
    batch: &mut WriteBatch<'a>,
) -> Result<Rejections, WireError> {
    packed.clear();
    let symbols = symbols(decoded)?;
    let mut parser = Parser {
        symbols: &symbols,
        packed,
        places: Vec::new(),
        refs: Vec::new(),
        pairs: Vec::new(),
        described: HashSet::new(),
        description_bytes: 0,
        rejections: Rejections::default(),
    };
    let first = batch.series.len();
    let mut reader = Reader::new(decoded);
    while let Some(field) = reader.field()? {
        if field.number == 5 {
            parser.series(field.bytes(REQUEST)?, batch)?;
        }
    }
    let Parser { packed, places, rejections, .. } = parser;
    let packed: &'a [u8] = packed;
    for (entry, place) in batch.series[first..].iter_mut().zip(places) {
        entry.labels = &packed[place];
    }
    Ok(rejections)
}

/// The request's symbols. They may stand anywhere in the message, so they are collected first.
fn symbols(decoded: &[u8]) -> Result<Vec<&[u8]>, WireError> {
    let mut symbols = Vec::new();
    let mut reader = Reader::new(decoded);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => return Err(WireError::OtherVersion(REQUEST)),
            4 => {
                within(symbols.len(), SYMBOLS_MAX, "symbols")?;
                symbols.push(field.bytes(REQUEST)?);
            }
            _ => {}
        }
    }
    match symbols.first() {
        Some(first) if !first.is_empty() => Err(WireError::FirstSymbol),
        _ => Ok(symbols),
    }
}

/// Why a list of label references cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RefError {
    /// An odd number of references: (count).
    Odd(usize),
    /// A reference beyond the symbols: (reference, number of symbols).
    OutOfRange(u32, usize),
    /// More labels than a series may have.
    TooMany,
    /// A name or value longer than any that is accepted: (bytes).
    TooLong(usize),
}

impl std::fmt::Display for RefError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RefError::Odd(count) => write!(f, "number of label references, {count}, is odd"),
            RefError::OutOfRange(reference, symbols) => {
                write!(
                    f,
                    "label reference {reference} is out of range, there are {symbols} symbols"
                )
            }
            RefError::TooMany => {
                write!(f, "there are more than {LABELS_PER_SERIES_MAX} labels")
            }
            RefError::TooLong(bytes) => write!(
                f,
                "label name or value has {bytes} bytes, at most {LABEL_VALUE_BYTES_MAX} are accepted"
            ),
        }
    }
}

/// What is known while the series of one request are read; the lists are used again and again.
struct Parser<'s, 'a> {
    symbols: &'s [&'a [u8]],
    /// Label sets of all series so far.
    packed: &'a mut Vec<u8>,
    /// Where in `packed` the labels of each series are.
    places: Vec<Range<usize>>,
    /// Label references of the present series or exemplar.
    refs: Vec<u32>,
    /// The labels they stand for.
    pairs: Vec<(&'a [u8], &'a [u8])>,
    /// Metadata already taken: (metric name, type, help reference, unit reference).
    described: HashSet<(&'a [u8], u64, u64, u64)>,
    /// Bytes of help texts and units taken.
    description_bytes: usize,
    rejections: Rejections,
}

impl<'a> Parser<'_, 'a> {
    fn series(&mut self, body: &'a [u8], batch: &mut WriteBatch<'a>) -> Result<(), WireError> {
        let mark = Mark::of(batch);
        let mut metadata = None;
        self.refs.clear();
        let mut reader = Reader::new(body);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => extend_refs(&mut self.refs, &field, SERIES)?,
                2 => push_sample(batch, sample(field.bytes(SERIES)?)?)?,
                3 => histogram::push(batch, &mut self.rejections, field.bytes(SERIES)?)?,
                // Exemplars need the list of references for themselves: second pass.
                4 => drop(field.bytes(SERIES)?),
                5 => metadata = Some(field.bytes(SERIES)?),
                _ => {}
            }
        }
        let place = match self.labels() {
            Ok(place) => place,
            Err(error) => {
                self.rejections.series += 1;
                self.rejections.explain(|| format!("series: {error}"));
                mark.rewind(batch);
                return Ok(());
            }
        };
        if self.packed.len() > LABELS_BYTES_MAX {
            return Err(WireError::LabelsTooLarge(LABELS_BYTES_MAX));
        }
        if let Some(metadata) = metadata {
            self.metadata(metadata, batch)?;
        }
        self.finish_series(body, place, mark, batch)
    }

    /// Adds the exemplars, which are rare, and the entry of the series.
    fn finish_series(
        &mut self,
        body: &'a [u8],
        place: Range<usize>,
        mark: Mark,
        batch: &mut WriteBatch<'a>,
    ) -> Result<(), WireError> {
        let (samples, histograms, _) = mark.added(batch);
        if samples + histograms == 0 {
            // Either it had none, or all its histograms were refused and named.
            if !has_histogram(body)? {
                self.rejections.empty_series += 1;
                let labels = &self.packed[place];
                self.rejections.explain(|| {
                    let labels = shown(labels);
                    format!("series {labels} must contain at least one sample or histogram")
                });
            }
            return Ok(());
        }
        self.exemplars(body, batch)?;
        let (samples, histograms, exemplars) = mark.added(batch);
        batch.series.push(SeriesEntry { labels: &[], samples, histograms, exemplars });
        self.places.push(place);
        Ok(())
    }

    /// Writes the labels `refs` stand for in packed form: sorted, without empty values.
    fn labels(&mut self) -> Result<Range<usize>, RefError> {
        self.resolve()?;
        let start = self.packed.len();
        for (name, value) in &self.pairs {
            push_label(self.packed, name, value);
        }
        Ok(start..self.packed.len())
    }

    /// Follows `refs` into `pairs`.
    fn resolve(&mut self) -> Result<(), RefError> {
        self.pairs.clear();
        if self.refs.len() > 2 * LABELS_PER_SERIES_MAX {
            return Err(RefError::TooMany);
        }
        if !self.refs.len().is_multiple_of(2) {
            return Err(RefError::Odd(self.refs.len()));
        }
        let mut sorted = true;
        for pair in self.refs.chunks_exact(2) {
            let (name, value) = (symbol(self.symbols, pair[0])?, symbol(self.symbols, pair[1])?);
            sorted &= self.pairs.last().is_none_or(|(previous, _)| *previous < name);
            self.pairs.push((name, value));
        }
        if !sorted {
            // Names that occur twice stay, for ingest to refuse.
            self.pairs.sort_by(|a, b| a.0.cmp(b.0));
        }
        self.pairs.retain(|(_, value)| !value.is_empty());
        Ok(())
    }

    fn exemplars(&mut self, body: &'a [u8], batch: &mut WriteBatch<'a>) -> Result<(), WireError> {
        let mut reader = Reader::new(body);
        while let Some(field) = reader.field()? {
            if field.number == 4 {
                within(batch.exemplars.len(), EXEMPLARS_MAX, "exemplars")?;
                self.exemplar(field.bytes(SERIES)?, batch)?;
            }
        }
        Ok(())
    }

    fn exemplar(&mut self, body: &'a [u8], batch: &mut WriteBatch<'a>) -> Result<(), WireError> {
        const MESSAGE: &str = "Exemplar";
        let (mut value, mut timestamp) = (0.0, Timestamp(0));
        self.refs.clear();
        let mut reader = Reader::new(body);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => extend_refs(&mut self.refs, &field, MESSAGE)?,
                2 => value = field.double(MESSAGE)?,
                3 => timestamp = Timestamp(field.int64(MESSAGE)?),
                _ => {}
            }
        }
        match self.exemplar_labels() {
            Ok(labels) => batch.exemplars.push(Exemplar { labels, value, timestamp }),
            Err(error) => {
                self.rejections.exemplars += 1;
                self.rejections.explain(|| format!("exemplar: {error}"));
            }
        }
        Ok(())
    }

    fn exemplar_labels(&mut self) -> Result<Labels, String> {
        self.resolve().map_err(|e| e.to_string())?;
        let mut pairs = Vec::with_capacity(self.pairs.len());
        for (name, value) in &self.pairs {
            pairs.push((utf8(name)?, utf8(value)?));
        }
        let labels = Labels::from_pairs(pairs).map_err(|e| e.to_string())?;
        check_exemplar_labels(labels).map_err(|e| e.to_string())
    }

    /// Takes the metadata of the present series, once per metric family and content.
    fn metadata(&mut self, body: &[u8], batch: &mut WriteBatch<'a>) -> Result<(), WireError> {
        const MESSAGE: &str = "Metadata";
        let (mut number, mut help, mut unit) = (0, 0, 0);
        let mut reader = Reader::new(body);
        while let Some(field) = reader.field()? {
            match field.number {
                1 => number = field.varint(MESSAGE)?,
                3 => help = field.varint(MESSAGE)?,
                4 => unit = field.varint(MESSAGE)?,
                _ => {}
            }
        }
        if (number, help, unit) == (0, 0, 0) {
            return Ok(());
        }
        let metric_type = MetricType::from_number(number.cast_signed());
        let name = self.pairs.iter().find(|(name, _)| *name == METRIC_NAME.as_bytes());
        let Some(family) = name.map(|(_, value)| family_name(value, metric_type)) else {
            return Ok(());
        };
        if self.described.insert((family, number, help, unit)) {
            within(batch.metadata.len(), METADATA_MAX, "metadata entries")?;
            let (help, unit) = (self.description(help), self.description(unit));
            self.description_bytes += help.len() + unit.len();
            if self.description_bytes > METADATA_BYTES_MAX {
                return Err(WireError::TooMany("bytes of metadata", METADATA_BYTES_MAX));
            }
            let (help, unit) = (text(help), text(unit));
            batch.metadata.push((text(family), MetricMetadata { metric_type, help, unit }));
        }
        Ok(())
    }

    /// The text a metadata reference leads to; empty when it leads nowhere, for no sample may be
    /// lost because of a help text.
    fn description(&self, reference: u64) -> &'a [u8] {
        let index = usize::try_from(reference).ok();
        index.and_then(|i| self.symbols.get(i)).copied().unwrap_or_default()
    }
}

/// Whether a series carries a histogram, be it one that was refused.
fn has_histogram(body: &[u8]) -> Result<bool, WireError> {
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        if field.number == 3 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn symbol<'a>(symbols: &[&'a [u8]], reference: u32) -> Result<&'a [u8], RefError> {
    let symbol =
        *symbols.get(reference as usize).ok_or(RefError::OutOfRange(reference, symbols.len()))?;
    if symbol.len() > LABEL_VALUE_BYTES_MAX {
        return Err(RefError::TooLong(symbol.len()));
    }
    Ok(symbol)
}

/// A repeated `uint32`, packed or one by one. What is beyond a list of the longest legal size is
/// not kept, but counted as one more.
fn extend_refs(
    refs: &mut Vec<u32>,
    field: &Field<'_>,
    message: &'static str,
) -> Result<(), WireError> {
    let mut push = |value: u64| {
        if refs.len() <= 2 * LABELS_PER_SERIES_MAX {
            refs.push(u32::try_from(value).unwrap_or(u32::MAX));
        }
    };
    match field.value {
        Value::Varint(value) => push(value),
        Value::Bytes(packed) => {
            let mut reader = Reader::new(packed);
            while !reader.is_empty() {
                push(reader.varint()?);
            }
        }
        _ => return Err(field.wrong_type(message)),
    }
    Ok(())
}

/// Appends one label in packed form (see [`Labels`]), its text not yet known to be UTF-8.
fn push_label(packed: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let length_bytes = |len: usize| if len < 1 << 7 { 1 } else { 2 };
    packed.push(0x0a);
    let inner = length_bytes(name.len()) + name.len() + length_bytes(value.len()) + value.len();
    push_length(packed, 2 + inner);
    packed.push(0x0a);
    push_length(packed, name.len());
    packed.extend_from_slice(name);
    packed.push(0x12);
    push_length(packed, value.len());
    packed.extend_from_slice(value);
}

/// Appends a length below 2^21.
fn push_length(packed: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        packed.push(len as u8 | 0x80);
        len >>= 7;
    }
    packed.push(len as u8);
}

/// The metric family a series name belongs to: histograms and summaries are several series.
fn family_name(name: &[u8], metric_type: MetricType) -> &[u8] {
    let suffixes: &[&[u8]] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => &[b"_bucket", b"_count", b"_sum"],
        MetricType::Summary => &[b"_count", b"_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix)).unwrap_or(name)
}

/// A label set for an error message.
fn shown(packed: &[u8]) -> String {
    match Labels::from_packed(packed) {
        Ok(labels) => labels.to_string(),
        Err(error) => format!("without valid labels ({error})"),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "label name or value is not valid UTF-8".to_owned())
}
