//! The numbers of a run of histograms of one layout, each as a column over time: hints, sums,
//! counts, zero counts, then every positive and every negative bucket.

use super::super::bytes::ByteReader;
use super::super::{CodecError, ints};
use super::layout::{Layout, put_values, read_values};
use crate::model::histogram::{CounterResetHint, FloatHistogram, Histogram, IntHistogram};
use crate::model::source::HistogramPoint;

/// Appends the numbers of `run`, whose histograms all have `layout`.
pub fn encode(layout: &Layout, run: &[HistogramPoint], out: &mut Vec<u8>) {
    let hints: Vec<i64> = run.iter().map(|p| hint(&p.histogram) as i64).collect();
    ints::encode(&hints, out);
    put_values(&run.iter().map(|p| p.histogram.sum()).collect::<Vec<_>>(), out);
    if layout.float {
        encode_floats(layout, &floats(run), out);
    } else {
        encode_ints(layout, &integers(run), out);
    }
}

fn hint(histogram: &Histogram) -> CounterResetHint {
    match histogram {
        Histogram::Int(h) => h.counter_reset_hint,
        Histogram::Float(h) => h.counter_reset_hint,
    }
}

fn integers(run: &[HistogramPoint]) -> Vec<&IntHistogram> {
    run.iter()
        .filter_map(|p| match &p.histogram {
            Histogram::Int(h) => Some(h),
            Histogram::Float(_) => None,
        })
        .collect()
}

fn floats(run: &[HistogramPoint]) -> Vec<&FloatHistogram> {
    run.iter()
        .filter_map(|p| match &p.histogram {
            Histogram::Float(h) => Some(h),
            Histogram::Int(_) => None,
        })
        .collect()
}

fn encode_ints(layout: &Layout, run: &[&IntHistogram], out: &mut Vec<u8>) {
    ints::encode(&run.iter().map(|h| h.count as i64).collect::<Vec<_>>(), out);
    ints::encode(&run.iter().map(|h| h.zero_count as i64).collect::<Vec<_>>(), out);
    put_int_buckets(layout.positive_buckets, run.iter().map(|h| &h.positive_deltas), out);
    put_int_buckets(layout.negative_buckets, run.iter().map(|h| &h.negative_deltas), out);
}

/// Appends a column per bucket. Absolute counts grow steadily, their differences from bucket to
/// bucket do not, so the counts are written.
fn put_int_buckets<'a>(
    buckets: usize,
    run: impl Iterator<Item = &'a Vec<i64>> + Clone,
    out: &mut Vec<u8>,
) {
    let mut counts: Vec<i64> = run.clone().map(|_| 0).collect();
    for bucket in 0..buckets {
        for (count, deltas) in counts.iter_mut().zip(run.clone()) {
            *count = count.wrapping_add(deltas[bucket]);
        }
        ints::encode(&counts, out);
    }
}

fn encode_floats(layout: &Layout, run: &[&FloatHistogram], out: &mut Vec<u8>) {
    put_values(&run.iter().map(|h| h.count).collect::<Vec<_>>(), out);
    put_values(&run.iter().map(|h| h.zero_count).collect::<Vec<_>>(), out);
    for bucket in 0..layout.positive_buckets {
        put_values(&run.iter().map(|h| h.positive_buckets[bucket]).collect::<Vec<_>>(), out);
    }
    for bucket in 0..layout.negative_buckets {
        put_values(&run.iter().map(|h| h.negative_buckets[bucket]).collect::<Vec<_>>(), out);
    }
}

/// Appends the histograms of a run, taken at `times`, counting since `starts`.
///
/// # Errors
/// Bytes that [`encode`] does not write.
pub fn read(
    reader: &mut ByteReader<'_>,
    layout: &Layout,
    times: &[i64],
    starts: &[i64],
    out: &mut Vec<HistogramPoint>,
) -> Result<(), CodecError> {
    let count = times.len();
    let (mut hints, mut sums) = (Vec::new(), Vec::new());
    ints::decode(reader, count, &mut hints)?;
    read_values(reader, count, &mut sums)?;
    let first = out.len();
    for i in 0..count {
        let hint = read_hint(hints[i])?;
        let histogram = if layout.float {
            Histogram::Float(empty_float(layout, hint, sums[i]))
        } else {
            Histogram::Int(empty_int(layout, hint, sums[i]))
        };
        out.push(HistogramPoint { timestamp: times[i], start_timestamp: starts[i], histogram });
    }
    if layout.float {
        read_floats(reader, layout, &mut out[first..])
    } else {
        read_ints(reader, layout, &mut out[first..])
    }
}

fn read_hint(number: i64) -> Result<CounterResetHint, CodecError> {
    match number {
        0..=3 => Ok(CounterResetHint::from_number(number)),
        _ => Err(CodecError::Corrupted("counter reset hint of a histogram")),
    }
}

fn empty_int(layout: &Layout, counter_reset_hint: CounterResetHint, sum: f64) -> IntHistogram {
    IntHistogram {
        counter_reset_hint,
        schema: layout.schema,
        zero_threshold: layout.zero_threshold,
        sum,
        positive_spans: layout.positive_spans.clone(),
        negative_spans: layout.negative_spans.clone(),
        positive_deltas: Vec::with_capacity(layout.positive_buckets),
        negative_deltas: Vec::with_capacity(layout.negative_buckets),
        custom_values: layout.custom_values.clone(),
        ..IntHistogram::default()
    }
}

fn empty_float(layout: &Layout, counter_reset_hint: CounterResetHint, sum: f64) -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint,
        schema: layout.schema,
        zero_threshold: layout.zero_threshold,
        sum,
        positive_spans: layout.positive_spans.clone(),
        negative_spans: layout.negative_spans.clone(),
        positive_buckets: Vec::with_capacity(layout.positive_buckets),
        negative_buckets: Vec::with_capacity(layout.negative_buckets),
        custom_values: layout.custom_values.clone(),
        ..FloatHistogram::default()
    }
}

/// Fills the numbers of integer histograms.
fn read_ints(
    reader: &mut ByteReader<'_>,
    layout: &Layout,
    run: &mut [HistogramPoint],
) -> Result<(), CodecError> {
    for_each_int(reader, run, |h, count| h.count = count as u64)?;
    for_each_int(reader, run, |h, count| h.zero_count = count as u64)?;
    let mut previous = vec![0; run.len()];
    for _ in 0..layout.positive_buckets {
        read_int_bucket(reader, run, &mut previous, |h| &mut h.positive_deltas)?;
    }
    previous.fill(0);
    for _ in 0..layout.negative_buckets {
        read_int_bucket(reader, run, &mut previous, |h| &mut h.negative_deltas)?;
    }
    Ok(())
}

fn for_each_int(
    reader: &mut ByteReader<'_>,
    run: &mut [HistogramPoint],
    mut set: impl FnMut(&mut IntHistogram, i64),
) -> Result<(), CodecError> {
    let mut column = Vec::new();
    ints::decode(reader, run.len(), &mut column)?;
    for (point, number) in run.iter_mut().zip(column) {
        if let Histogram::Int(h) = &mut point.histogram {
            set(h, number);
        }
    }
    Ok(())
}

/// Reads one bucket's counts and appends the differences to the bucket before.
fn read_int_bucket(
    reader: &mut ByteReader<'_>,
    run: &mut [HistogramPoint],
    previous: &mut [i64],
    deltas: impl Fn(&mut IntHistogram) -> &mut Vec<i64>,
) -> Result<(), CodecError> {
    let mut before = previous.iter_mut();
    for_each_int(reader, run, |h, count| {
        if let Some(before) = before.next() {
            deltas(h).push(count.wrapping_sub(*before));
            *before = count;
        }
    })
}

/// Fills the numbers of float histograms.
fn read_floats(
    reader: &mut ByteReader<'_>,
    layout: &Layout,
    run: &mut [HistogramPoint],
) -> Result<(), CodecError> {
    for_each_float(reader, run, |h, count| h.count = count)?;
    for_each_float(reader, run, |h, count| h.zero_count = count)?;
    for _ in 0..layout.positive_buckets {
        for_each_float(reader, run, |h, count| h.positive_buckets.push(count))?;
    }
    for _ in 0..layout.negative_buckets {
        for_each_float(reader, run, |h, count| h.negative_buckets.push(count))?;
    }
    Ok(())
}

fn for_each_float(
    reader: &mut ByteReader<'_>,
    run: &mut [HistogramPoint],
    mut set: impl FnMut(&mut FloatHistogram, f64),
) -> Result<(), CodecError> {
    let mut column = Vec::new();
    read_values(reader, run.len(), &mut column)?;
    for (point, number) in run.iter_mut().zip(column) {
        if let Histogram::Float(h) = &mut point.histogram {
            set(h, number);
        }
    }
    Ok(())
}
