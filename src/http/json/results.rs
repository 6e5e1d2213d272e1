//! Query results, histograms, label sets and exemplars as JSON.

use crate::model::{Exemplar, FloatHistogram, Interrupt, Interrupted, Labels};
use crate::promql::{MatrixSeries, PointValue, Value, VectorSample};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::number;
use super::time_texts::TimeTexts;
use super::writer::JsonWriter;
use crate::model::buckets::{Bucket, all_buckets};

/// Points of a matrix that one thread writes: some 0.5 ms.
const PART_POINTS: usize = 8192;
/// A histogram takes as long as so many floats.
const HISTOGRAM_POINTS: usize = 20;

/// The `resultType` of a value.
pub fn result_type(value: &Value) -> &'static str {
    match value {
        Value::Scalar { .. } => "scalar",
        Value::String { .. } => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    }
}

/// The `result` of a value; a large one is written on all threads of `pool`.
///
/// # Errors
/// Interrupted; what was written is no use.
pub fn write_value(
    out: &mut JsonWriter,
    value: &Value,
    pool: Option<&ThreadPool>,
    interrupt: &Interrupt,
) -> Result<(), Interrupted> {
    match value {
        Value::Scalar { timestamp, value } => {
            let mut text = Vec::with_capacity(24);
            number::push_plain(&mut text, *value);
            write_single(out, *timestamp, &String::from_utf8_lossy(&text));
        }
        Value::String { timestamp, value } => write_single(out, *timestamp, value),
        Value::Vector(samples) => {
            out.begin_array();
            for (index, sample) in samples.iter().enumerate() {
                interrupt.check_at(index)?;
                write_sample(out, sample);
            }
            out.end_array();
        }
        Value::Matrix(series) => {
            out.begin_array();
            write_matrix(out, series, pool, interrupt)?;
            out.end_array();
        }
    }
    Ok(())
}

/// A label set as an object.
pub fn write_labels(out: &mut JsonWriter, labels: &Labels) {
    out.begin_object();
    out.label_fields(labels);
    out.end_object();
}

/// An exemplar.
pub fn write_exemplar(out: &mut JsonWriter, exemplar: &Exemplar) {
    out.begin_object();
    out.key("labels");
    write_labels(out, &exemplar.labels);
    out.key("value");
    out.value(exemplar.value);
    out.key("timestamp");
    out.timestamp(exemplar.timestamp.0);
    out.end_object();
}

/// Scalars and strings: here the time is a plain JSON number, so its fraction may be shorter than
/// three digits.
fn write_single(out: &mut JsonWriter, timestamp: i64, text: &str) {
    out.begin_array();
    out.float(timestamp as f64 / 1000.0);
    out.string(text);
    out.end_array();
}

fn write_sample(out: &mut JsonWriter, sample: &VectorSample) {
    out.begin_object();
    out.key("metric");
    write_labels(out, &sample.labels);
    match &sample.value {
        PointValue::Float(value) => {
            out.key("value");
            out.point(sample.timestamp, *value);
        }
        PointValue::Histogram(histogram) => {
            out.key("histogram");
            write_histogram_point(out, sample.timestamp, histogram);
        }
    }
    out.end_object();
}

/// The series of a matrix; many are written on all threads of the pool.
fn write_matrix(
    out: &mut JsonWriter,
    all: &[MatrixSeries],
    pool: Option<&ThreadPool>,
    interrupt: &Interrupt,
) -> Result<(), Interrupted> {
    let write = |out: &mut JsonWriter, part: &[MatrixSeries]| {
        let mut times = TimeTexts::default();
        part.iter().try_for_each(|series| {
            interrupt.check()?;
            write_series(out, series, &mut times);
            Ok(())
        })
    };
    let parts: Vec<&[MatrixSeries]> = parts(all).collect();
    let Some(pool) = pool.filter(|_| parts.len() > 1) else { return write(out, all) };
    let [first, others @ ..] = &*parts else { return Ok(()) };
    let write_part = |part: &&[MatrixSeries]| {
        let mut out = JsonWriter::new();
        write(&mut out, part).map(|()| out)
    };
    let (first, others) = pool.join(
        || write(out, first),
        || others.par_iter().map(write_part).collect::<Result<Vec<_>, _>>(),
    );
    first?;
    others?.into_iter().for_each(|part| out.append(part));
    Ok(())
}

/// Cuts series into parts of some [`PART_POINTS`].
fn parts(mut left: &[MatrixSeries]) -> impl Iterator<Item = &[MatrixSeries]> {
    std::iter::from_fn(move || {
        let mut points = 0;
        let more = |series: &&MatrixSeries| {
            let before = points;
            points += series.floats.len() + HISTOGRAM_POINTS * series.histograms.len();
            before < PART_POINTS
        };
        let (part, later) = left.split_at(left.iter().take_while(more).count());
        left = later;
        (!part.is_empty()).then_some(part)
    })
}

fn write_series(out: &mut JsonWriter, series: &MatrixSeries, times: &mut TimeTexts) {
    out.begin_object();
    out.key("metric");
    write_labels(out, &series.labels);
    if !series.floats.is_empty() {
        out.key("values");
        out.points(&series.floats, times);
    }
    if !series.histograms.is_empty() {
        out.key("histograms");
        out.begin_array();
        for (timestamp, histogram) in &series.histograms {
            write_histogram_point(out, *timestamp, histogram);
        }
        out.end_array();
    }
    out.end_object();
}

fn write_histogram_point(out: &mut JsonWriter, timestamp: i64, histogram: &FloatHistogram) {
    out.begin_array();
    out.timestamp(timestamp);
    write_histogram(out, histogram);
    out.end_array();
}

/// Count, sum and the buckets that are not empty, from the lowest to the highest.
fn write_histogram(out: &mut JsonWriter, histogram: &FloatHistogram) {
    out.begin_object();
    out.key("count");
    out.value(histogram.count);
    out.key("sum");
    out.value(histogram.sum);
    let buckets: Vec<Bucket> =
        all_buckets(histogram).into_iter().filter(|bucket| bucket.count != 0.0).collect();
    if !buckets.is_empty() {
        out.key("buckets");
        out.begin_array();
        buckets.iter().for_each(|bucket| write_bucket(out, bucket));
        out.end_array();
    }
    out.end_object();
}

fn write_bucket(out: &mut JsonWriter, bucket: &Bucket) {
    let boundaries = match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (true, true) => 3,
    };
    out.begin_array();
    out.integer(boundaries);
    out.value(bucket.lower);
    out.value(bucket.upper);
    out.value(bucket.count);
    out.end_array();
}

#[cfg(test)]
mod tests {
    use crate::model::{BucketSpan, Timestamp};

    use super::*;

    fn whole(out: &mut JsonWriter, value: &Value) {
        write_value(out, value, None, Interrupt::never()).expect("never interrupted");
    }

    fn written(write: impl FnOnce(&mut JsonWriter)) -> String {
        let mut writer = JsonWriter::new();
        write(&mut writer);
        String::from_utf8(writer.finish().concat()).expect("JSON is UTF-8")
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
    }

    #[test]
    fn scalars_and_strings_are_pairs() {
        let scalar = Value::Scalar { timestamp: 1100, value: 1e21 };
        assert_eq!(written(|w| whole(w, &scalar)), r#"[1.1,"1000000000000000000000"]"#);
        let text = Value::String { timestamp: 4000, value: "a\"b".into() };
        assert_eq!(written(|w| whole(w, &text)), r#"[4,"a\"b"]"#);
    }

    #[test]
    fn vectors_and_matrices_have_their_keys() {
        let sample = VectorSample {
            labels: labels(&[("b", "2"), ("a", "1")]),
            timestamp: 1100,
            value: PointValue::Float(f64::INFINITY),
        };
        assert_eq!(
            written(|w| whole(w, &Value::Vector(vec![sample]))),
            r#"[{"metric":{"a":"1","b":"2"},"value":[1.100,"+Inf"]}]"#
        );
        let series = MatrixSeries {
            labels: Labels::empty(),
            floats: vec![(0, 1.0), (500, -0.5)],
            histograms: vec![(1000, FloatHistogram::default())],
        };
        let expected = concat!(
            r#"[{"metric":{},"values":[[0,"1"],[0.500,"-0.5"]],"#,
            r#""histograms":[[1,{"count":"0","sum":"0"}]]}]"#
        );
        assert_eq!(written(|w| whole(w, &Value::Matrix(vec![series]))), expected);
        assert_eq!(written(|w| whole(w, &Value::Vector(Vec::new()))), "[]");
    }

    #[test]
    fn a_large_matrix_is_written_in_parts_and_in_order() {
        let series = |host: usize| MatrixSeries {
            labels: labels(&[("host", &host.to_string())]),
            floats: (0..99).map(|i| (i * 15_000 + (host % 3) as i64, host as f64 / 7.0)).collect(),
            histograms: Vec::new(),
        };
        let all: Vec<MatrixSeries> = (0..400).map(series).collect();
        assert_eq!(parts(&all).map(<[_]>::len).collect::<Vec<_>>(), [83, 83, 83, 83, 68]);
        assert_eq!(parts(&all).flatten().count(), all.len());
        let each = |series: &MatrixSeries| {
            let one = written(|w| whole(w, &Value::Matrix(vec![series.clone()])));
            one[1..one.len() - 1].to_owned()
        };
        let expected: Vec<String> = all.iter().map(each).collect();
        let whole = written(|w| whole(w, &Value::Matrix(all)));
        assert!(whole == format!("[{}]", expected.join(",")), "{} bytes", whole.len());
    }

    #[test]
    fn histogram_buckets_say_which_bounds_belong_to_them() {
        let histogram = FloatHistogram {
            schema: 0,
            zero_threshold: 0.25,
            zero_count: 3.0,
            count: 42.0,
            sum: 34593.5,
            positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
            positive_buckets: vec![12.0, 0.0],
            negative_spans: vec![BucketSpan { offset: 1, length: 1 }],
            negative_buckets: vec![2.0],
            ..FloatHistogram::default()
        };
        let expected = concat!(
            r#"{"count":"42","sum":"34593.5","buckets":[[1,"-2","-1","2"],"#,
            r#"[3,"-0.25","0.25","3"],[0,"0.5","1","12"]]}"#
        );
        assert_eq!(written(|w| write_histogram(w, &histogram)), expected);
    }

    #[test]
    fn exemplars_have_labels_value_and_time() {
        let exemplar = Exemplar {
            labels: labels(&[("trace_id", "abc")]),
            value: 0.5,
            timestamp: Timestamp(1_600_096_955_479),
        };
        assert_eq!(
            written(|w| write_exemplar(w, &exemplar)),
            r#"{"labels":{"trace_id":"abc"},"value":"0.5","timestamp":1600096955.479}"#
        );
    }
}
