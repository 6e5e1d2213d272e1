//! What consecutive histograms have in common: everything but the counts, the sum and the hint.

use super::super::bytes::{ByteReader, put_varint, put_zigzag};
use super::super::{CodecError, values};
use crate::model::histogram::{BucketSpan, Histogram};
use crate::model::limits::HISTOGRAM_BUCKETS_MAX;

/// Integer counts.
const INT: u8 = 0;
/// Float counts.
const FLOAT: u8 = 1;
/// Most spans of one sign: each useful one has a bucket.
const SPANS_MAX: usize = HISTOGRAM_BUCKETS_MAX;

/// The shape of a histogram.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Float counts rather than integers.
    pub float: bool,
    /// As in the model.
    pub schema: i32,
    /// As in the model.
    pub zero_threshold: f64,
    /// As in the model.
    pub positive_spans: Vec<BucketSpan>,
    /// As in the model.
    pub negative_spans: Vec<BucketSpan>,
    /// As in the model.
    pub custom_values: Vec<f64>,
    /// Number of positive counts.
    pub positive_buckets: usize,
    /// Number of negative counts.
    pub negative_buckets: usize,
}

impl Layout {
    /// The layout of a histogram.
    pub fn of(histogram: &Histogram) -> Layout {
        let parts = Parts::of(histogram);
        Layout {
            float: matches!(histogram, Histogram::Float(_)),
            schema: parts.schema,
            zero_threshold: parts.zero_threshold,
            positive_spans: parts.positive_spans.to_vec(),
            negative_spans: parts.negative_spans.to_vec(),
            custom_values: parts.custom_values.to_vec(),
            positive_buckets: parts.positive_buckets,
            negative_buckets: parts.negative_buckets,
        }
    }

    /// Whether two histograms have equal layouts, bit for bit.
    pub fn same(a: &Histogram, b: &Histogram) -> bool {
        matches!(a, Histogram::Float(_)) == matches!(b, Histogram::Float(_))
            && Parts::of(a).same(&Parts::of(b))
    }

    /// Numbers in one histogram of this layout that take memory by the layout's choice.
    pub fn cells(&self) -> usize {
        self.positive_buckets
            + self.negative_buckets
            + self.positive_spans.len()
            + self.negative_spans.len()
            + self.custom_values.len()
    }

    /// Appends the layout.
    ///
    /// # Errors
    /// More buckets, spans or bounds than a histogram may have.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        for spans in [&self.positive_spans, &self.negative_spans] {
            CodecError::check_limit("spans of a histogram", spans.len() as u64, SPANS_MAX)?;
        }
        for count in [self.positive_buckets, self.negative_buckets, self.custom_values.len()] {
            let max = HISTOGRAM_BUCKETS_MAX;
            CodecError::check_limit("buckets of a histogram", count as u64, max)?;
        }
        out.push(if self.float { FLOAT } else { INT });
        put_zigzag(out, i64::from(self.schema));
        put_values(&[self.zero_threshold], out);
        put_spans(&self.positive_spans, out);
        put_spans(&self.negative_spans, out);
        put_varint(out, self.positive_buckets as u64);
        put_varint(out, self.negative_buckets as u64);
        put_varint(out, self.custom_values.len() as u64);
        put_values(&self.custom_values, out);
        Ok(())
    }

    /// Reads a layout.
    ///
    /// # Errors
    /// Bytes that [`Layout::write`] does not write.
    pub fn read(reader: &mut ByteReader<'_>) -> Result<Layout, CodecError> {
        let float = match reader.byte("kind of a histogram")? {
            INT => false,
            FLOAT => true,
            _ => return Err(CodecError::Corrupted("kind of a histogram")),
        };
        let schema = i32::try_from(reader.zigzag("schema of a histogram")?)
            .map_err(|_| CodecError::Corrupted("schema of a histogram"))?;
        let mut threshold = Vec::new();
        read_values(reader, 1, &mut threshold)?;
        let positive_spans = read_spans(reader)?;
        let negative_spans = read_spans(reader)?;
        let mut counts = [0; 3];
        for count in &mut counts {
            *count = reader.count(HISTOGRAM_BUCKETS_MAX, "buckets of a histogram")?;
        }
        let [positive_buckets, negative_buckets, bounds] = counts;
        let mut custom_values = Vec::new();
        read_values(reader, bounds, &mut custom_values)?;
        Ok(Layout {
            float,
            schema,
            zero_threshold: threshold[0],
            positive_spans,
            negative_spans,
            custom_values,
            positive_buckets,
            negative_buckets,
        })
    }
}

/// A borrowed view of what makes up a layout.
struct Parts<'a> {
    schema: i32,
    zero_threshold: f64,
    positive_spans: &'a [BucketSpan],
    negative_spans: &'a [BucketSpan],
    custom_values: &'a [f64],
    positive_buckets: usize,
    negative_buckets: usize,
}

impl<'a> Parts<'a> {
    fn of(histogram: &'a Histogram) -> Parts<'a> {
        macro_rules! parts {
            ($h:ident, $positive:ident, $negative:ident) => {
                Parts {
                    schema: $h.schema,
                    zero_threshold: $h.zero_threshold,
                    positive_spans: &$h.positive_spans,
                    negative_spans: &$h.negative_spans,
                    custom_values: &$h.custom_values,
                    positive_buckets: $h.$positive.len(),
                    negative_buckets: $h.$negative.len(),
                }
            };
        }
        match histogram {
            Histogram::Int(h) => parts!(h, positive_deltas, negative_deltas),
            Histogram::Float(h) => parts!(h, positive_buckets, negative_buckets),
        }
    }

    fn same(&self, other: &Parts<'_>) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.positive_buckets == other.positive_buckets
            && self.negative_buckets == other.negative_buckets
            && bits(self.custom_values) == bits(other.custom_values)
    }
}

fn put_spans(spans: &[BucketSpan], out: &mut Vec<u8>) {
    put_varint(out, spans.len() as u64);
    for span in spans {
        put_zigzag(out, i64::from(span.offset));
        put_varint(out, u64::from(span.length));
    }
}

fn read_spans(reader: &mut ByteReader<'_>) -> Result<Vec<BucketSpan>, CodecError> {
    let count = reader.count(SPANS_MAX, "spans of a histogram")?;
    let mut spans = Vec::new();
    for _ in 0..count {
        let offset = reader.zigzag("span of a histogram")?;
        let length = reader.varint("span of a histogram")?;
        let (Ok(offset), Ok(length)) = (i32::try_from(offset), u32::try_from(length)) else {
            return Err(CodecError::Corrupted("span of a histogram"));
        };
        spans.push(BucketSpan { offset, length });
    }
    Ok(spans)
}

/// Appends a value column behind its length in bytes, as value columns do not know their end.
pub fn put_values(column: &[f64], out: &mut Vec<u8>) {
    let mut body = Vec::new();
    values::encode(column, &mut body);
    put_varint(out, body.len() as u64);
    out.extend_from_slice(&body);
}

/// Reads what [`put_values`] wrote.
pub fn read_values(
    reader: &mut ByteReader<'_>,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let length = reader.count(usize::MAX, "value column of histograms")?;
    values::decode(reader.bytes(length, "value column of histograms")?, count, out)
}
