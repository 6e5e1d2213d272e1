//! Metric families as text: the Prometheus format 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write;

use super::family::{MetricFamily, MetricSample, float_text};
use crate::model::MetricType;

/// A text format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// The Prometheus text format, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Exposition {
    /// The format an `Accept` header asks for: the listed one with the greatest `q`, the first of
    /// equals; the plain text format when there is no header or nothing in it is known.
    pub fn negotiate(accept: Option<&str>) -> Exposition {
        let mut best = (0.0, Exposition::Text);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => Exposition::OpenMetrics,
                "text/plain" | "text/*" | "*/*" => Exposition::Text,
                _ => continue,
            };
            let quality = parts.find_map(|p| p.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
            let quality: f64 = quality.unwrap_or(0.0);
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    /// The value of the `Content-Type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Exposition::Text => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes the families in the given format.
pub fn write_exposition(format: Exposition, families: &[MetricFamily]) -> String {
    let mut out = String::with_capacity(families.len() * 256);
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        write_head(&mut out, format, family);
        for sample in &family.samples {
            write_sample(&mut out, family, sample);
        }
    }
    if format == Exposition::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_head(out: &mut String, format: Exposition, family: &MetricFamily) {
    let name = match (format, family.metric_type) {
        (Exposition::OpenMetrics, MetricType::Counter) => {
            family.name.strip_suffix("_total").unwrap_or(&family.name)
        }
        (Exposition::OpenMetrics, MetricType::Info) => {
            family.name.strip_suffix("_info").unwrap_or(&family.name)
        }
        _ => &family.name,
    };
    let metric_type = match (format, family.metric_type) {
        (Exposition::Text, MetricType::Unknown) => "untyped",
        (Exposition::Text, MetricType::Info | MetricType::StateSet) => "gauge",
        (_, metric_type) => metric_type.as_str(),
    };
    let help = escape(&family.help, format == Exposition::OpenMetrics);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {metric_type}");
    if format == Exposition::OpenMetrics && !family.unit.is_empty() {
        let _ = writeln!(out, "# UNIT {name} {}", family.unit);
    }
}

fn write_sample(out: &mut String, family: &MetricFamily, sample: &MetricSample) {
    out.push_str(&family.name);
    out.push_str(sample.suffix);
    for (i, (name, value)) in sample.labels.iter().enumerate() {
        let before = if i == 0 { '{' } else { ',' };
        let _ = write!(out, "{before}{name}=\"{}\"", escape(value, true));
    }
    if !sample.labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {}", value_text(sample.value));
}

/// Whole numbers without a fraction, as counts are read more easily.
fn value_text(value: f64) -> String {
    let text = float_text(value);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn escape(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Histogram;
    use super::*;

    fn families() -> Vec<MetricFamily> {
        let histogram = Histogram::new(&[1.0]);
        histogram.observe(0.5);
        vec![
            MetricFamily::counter("a_total", "Says \"a\".").with(&[("x", "l\"1\\\n")], 3.0),
            MetricFamily::histogram("h_seconds", "H.")
                .unit("seconds")
                .with_histogram(&[], &histogram),
            MetricFamily::gauge("empty", "Never shown."),
        ]
    }

    #[test]
    fn writes_the_text_format() {
        let expected = "# HELP a_total Says \"a\".\n# TYPE a_total counter\n\
            a_total{x=\"l\\\"1\\\\\\n\"} 3\n\
            # HELP h_seconds H.\n# TYPE h_seconds histogram\n\
            h_seconds_bucket{le=\"1.0\"} 1\nh_seconds_bucket{le=\"+Inf\"} 1\n\
            h_seconds_sum 0.5\nh_seconds_count 1\n";
        assert_eq!(write_exposition(Exposition::Text, &families()), expected);
    }

    #[test]
    fn writes_openmetrics() {
        let text = write_exposition(Exposition::OpenMetrics, &families());
        assert!(text.starts_with("# HELP a Says \\\"a\\\".\n# TYPE a counter\na_total{"));
        assert!(text.contains("# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n"));
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_accept_header_chooses_the_format() {
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
            encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,\
            text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, expected) in [
            (None, Exposition::Text),
            (Some("*/*"), Exposition::Text),
            (Some("application/json"), Exposition::Text),
            (Some(prometheus), Exposition::OpenMetrics),
            (Some("text/plain, application/openmetrics-text;q=0.9"), Exposition::Text),
        ] {
            assert_eq!(Exposition::negotiate(accept), expected, "{accept:?}");
        }
    }
}
