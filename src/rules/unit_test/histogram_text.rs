//! A native histogram in the test language, which is how expected and found ones are compared.

use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::limits::HISTOGRAM_BUCKETS_MAX;
use crate::model::{BucketSpan, CounterResetHint, FloatHistogram};
use crate::rules::number_text::plain;

/// `{{count:4 sum:5.6 buckets:[4]}}`; what is 0 is left out.
pub fn histogram_text(histogram: &FloatHistogram) -> String {
    let mut parts = Vec::new();
    if histogram.schema != 0 {
        parts.push(format!("schema:{}", histogram.schema));
    }
    for (key, value) in [
        ("count", histogram.count),
        ("sum", histogram.sum),
        ("z_bucket", histogram.zero_count),
        ("z_bucket_w", histogram.zero_threshold),
    ] {
        if value != 0.0 {
            parts.push(format!("{key}:{}", plain(value)));
        }
    }
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        parts.push(format!("custom_values:[{}]", list(&histogram.custom_values)));
    }
    match histogram.counter_reset_hint {
        CounterResetHint::Unknown => {}
        CounterResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        CounterResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        CounterResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    for (kind, spans, buckets) in [
        ("", &histogram.positive_spans, &histogram.positive_buckets),
        ("n_", &histogram.negative_spans, &histogram.negative_buckets),
    ] {
        let (offset, counts) = dense(spans, buckets);
        if offset != 0 {
            parts.push(format!("{kind}offset:{offset}"));
        }
        if !counts.is_empty() {
            parts.push(format!("{kind}buckets:[{}]", list(&counts)));
        }
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

fn list(values: &[f64]) -> String {
    values.iter().map(|value| plain(*value)).collect::<Vec<_>>().join(" ")
}

/// Index of the first bucket that is not empty, and all from there to the last such.
fn dense(spans: &[BucketSpan], buckets: &[f64]) -> (i64, Vec<f64>) {
    let mut filled: Vec<(i64, f64)> = Vec::new();
    let (mut index, mut counts) = (0i64, buckets.iter());
    for span in spans {
        index = index.saturating_add(i64::from(span.offset));
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                filled.push((index, *count));
            }
            index += 1;
        }
    }
    let Some(((first, _), (last, _))) = filled.first().zip(filled.last()) else {
        return (0, Vec::new());
    };
    let length = usize::try_from(last - first + 1).unwrap_or(0).min(HISTOGRAM_BUCKETS_MAX);
    let mut all = vec![0.0; length];
    for (index, count) in &filled {
        if let Some(slot) = usize::try_from(index - first).ok().and_then(|at| all.get_mut(at)) {
            *slot = *count;
        }
    }
    (*first, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::series_desc::{SequenceValue, parse_series_desc};

    #[test]
    fn what_is_written_comes_back() {
        for text in [
            "{{}}",
            "{{schema:1 count:32.1 sum:-0.3 z_bucket:7.1 z_bucket_w:0.05 offset:-3 \
             buckets:[5.1 10 7] n_offset:-5 n_buckets:[4.1 5]}}",
            "{{count:4 sum:5.6 counter_reset_hint:not_reset buckets:[4 0 0 1]}}",
            "{{schema:-53 count:1 sum:1 custom_values:[5 10] buckets:[1]}}",
        ] {
            let desc = parse_series_desc(&format!("m {text}")).expect(text);
            let SequenceValue::Histogram { histogram, .. } = &desc.values[0] else { panic!() };
            assert_eq!(histogram_text(histogram), text);
        }
    }
}
