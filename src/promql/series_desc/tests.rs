//! Lines of the test language and what they stand for.

use super::*;

fn floats(line: &str) -> Vec<Option<f64>> {
    let desc = parse_series_desc(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    desc.values
        .iter()
        .map(|value| match value {
            SequenceValue::Float(value) => Some(*value),
            _ => None,
        })
        .collect()
}

fn histograms(line: &str) -> Vec<FloatHistogram> {
    let desc = parse_series_desc(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    desc.values
        .into_iter()
        .filter_map(|value| match value {
            SequenceValue::Histogram { histogram, .. } => Some(*histogram),
            _ => None,
        })
        .collect()
}

#[test]
fn items_expand() {
    assert_eq!(floats("a 1 _ 2.5"), [Some(1.0), None, Some(2.5)]);
    assert_eq!(floats("a 1x2 _x2"), [Some(1.0), Some(1.0), Some(1.0), None, None]);
    assert_eq!(floats("a 0+10x3"), [Some(0.0), Some(10.0), Some(20.0), Some(30.0)]);
    assert_eq!(floats("a -2-1.5x1"), [Some(-2.0), Some(-3.5)]);
    assert_eq!(floats("a 1e3 +Inf 1_000 5m"), [1000.0, f64::INFINITY, 1000.0, 300.0].map(Some));
    assert_eq!(floats("{}"), []);
    assert_eq!(floats("a\t1   2 "), [Some(1.0), Some(2.0)]);
    let stale = floats("a stale");
    assert_eq!(stale[0].map(f64::to_bits), Some(stale_nan().to_bits()));
}

#[test]
fn labels_may_hold_anything() {
    let labels = |line| parse_series_desc(line).expect("valid").labels.to_string();
    assert_eq!(labels(r#"a{b="} 1",c='\''} 1"#), r#"{__name__="a", b="} 1", c="'"}"#);
    assert_eq!(labels(r#"{"a.b", "c.d"="e"} 1"#), r#"{__name__="a.b", "c.d"="e"}"#);
    assert_eq!(labels("{} 1"), "{}");
    assert_eq!(labels("sum 1"), "{__name__=\"sum\"}");
}

#[test]
fn histogram_literals_are_read_and_added() {
    let all = histograms(
        "a {{schema:1 sum:3 count:6 z_bucket:1 z_bucket_w:0.5 buckets:[2 3] offset:-1 \
         n_buckets:[1] counter_reset_hint:gauge}}+{{schema:1 sum:1 count:1 buckets:[1]}}x1",
    );
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].positive_spans, [BucketSpanOf(-1, 2).into()]);
    assert_eq!(all[0].counter_reset_hint, crate::model::CounterResetHint::Gauge);
    assert_eq!(all[1].positive_buckets, [2.0, 4.0]);
    assert_eq!((all[1].sum, all[1].count, all[1].zero_count), (4.0, 7.0, 1.0));
    assert_eq!(histograms("a {{}}x2").len(), 3);
}

/// Offset and length.
struct BucketSpanOf(i32, u32);

impl From<BucketSpanOf> for crate::model::BucketSpan {
    fn from(BucketSpanOf(offset, length): BucketSpanOf) -> Self {
        crate::model::BucketSpan { offset, length }
    }
}

#[test]
fn what_is_no_value_is_refused() {
    let errors = [
        (
            "a 1 b",
            "1:5: parse error: unexpected 'b' in series values, expected number or \"stale\"",
        ),
        (
            "a 1x",
            "1:5: parse error: invalid repetition in series values: cannot parse integer from empty string",
        ),
        ("a 1x2y", "1:6: parse error: unexpected 'y' in series values"),
        ("a 1+1", "1:6: parse error: unexpected end of input in series values, expected \"x\""),
        ("a {{sum:1 sum:2}}", "1:3: parse error: duplicate key \"sum\" in histogram"),
        ("a {{sum:1", "1:3: parse error: histogram description incomplete"),
        ("a{b} 1", "1:4: parse error: unexpected \"}\" in label set, expected \"=\""),
        ("a 1x99999999", "1:5: parse error: more than 1000000 values on one line"),
    ];
    for (line, error) in errors {
        let got = parse_series_desc(line).map_err(|error| error.to_string());
        assert_eq!(got, Err(error.to_owned()), "{line}");
    }
}
