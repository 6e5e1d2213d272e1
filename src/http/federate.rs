//! `/federate`: the newest samples of selected series in the text format, for another Prometheus.
//!
//! Names beyond the classic characters are written with underscores unless the scraper accepts
//! UTF-8. Native histograms with exponential buckets have no text form and are left out; those with
//! custom buckets become classic histograms.

use std::fmt::Write;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::model::buckets::positive_buckets;
use crate::model::histogram::CUSTOM_BUCKETS_SCHEMA;
use crate::model::labels::{METRIC_NAME, is_legacy_name};
use crate::model::{
    CounterResetHint, FloatHistogram, Interrupt, Interrupted, Labels, Matcher, Selector,
    SeriesData, is_stale_nan,
};
use crate::promql::parse_metric_selector;

use super::error::{ApiError, ErrorKind};
use super::escaping::underscored;
use super::json::number::push_general;
use super::params::Params;
use super::state::HttpState;

/// How names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// With underscores for what is not classic.
    Underscored,
    /// As they are, quoted where needed.
    Utf8,
}

impl Names {
    fn negotiate(headers: &HeaderMap) -> Names {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        match accept {
            Some(accept) if accept.contains("escaping=allow-utf-8") => Names::Utf8,
            _ => Names::Underscored,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Names::Underscored => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Names::Utf8 => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        }
    }
}

/// The newest sample of a series.
#[derive(Clone, Debug)]
enum Newest {
    Float(f64),
    Histogram(Box<FloatHistogram>),
}

struct Federated {
    labels: Labels,
    timestamp: i64,
    value: Newest,
}

/// Answers with the newest sample, not older than the lookback, of every series that any `match[]`
/// selects. Series that ended are left out.
pub async fn federate(
    State(state): State<HttpState>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    let names = Names::negotiate(&headers);
    let parsed: Result<Vec<_>, _> = params.all("match[]").map(parse_metric_selector).collect();
    let selectors = match parsed {
        Ok(selectors) => selectors,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let external = state.live_config().external_labels.clone();
    let text = state
        .run_read(move |state, interrupt| {
            let found = newest(state, &selectors, interrupt)?;
            Ok(Page::new(names, external).write(&found, interrupt)?)
        })
        .await;
    match text {
        Ok(text) => {
            let headers = [(header::CONTENT_TYPE, names.content_type())];
            (headers, Bytes::from(text)).into_response()
        }
        Err(error) => {
            state.metrics().federation_errors.inc();
            let status = match error.kind {
                ErrorKind::Unavailable | ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
                ErrorKind::Timeout | ErrorKind::Canceled => error.kind.status(),
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{}\n", error.message)).into_response()
        }
    }
}

/// The newest samples, ordered by metric name, each series once.
fn newest(
    state: &HttpState,
    selectors: &[Vec<Matcher>],
    interrupt: &Interrupt,
) -> Result<Vec<Federated>, ApiError> {
    let end = state.now();
    let start = end.saturating_sub(state.engine().options().lookback_ms);
    let mut found = Vec::new();
    let mut data = SeriesData::default();
    for matchers in selectors {
        // Aliases are for those who ask: a server that copies them would hold everything twice.
        let source = state.store().source();
        let set = source.select(&Selector { matchers, start, end, interrupt })?;
        for index in 0..set.len() {
            interrupt.check()?;
            set.read(index, &mut data)?;
            if let Some((timestamp, value)) = newest_of(&data) {
                found.push(Federated { labels: set.labels(index).clone(), timestamp, value });
            }
        }
    }
    if selectors.len() > 1 {
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found.dedup_by(|a, b| a.labels == b.labels);
    }
    found.sort_by(|a, b| a.labels.metric_name().cmp(b.labels.metric_name()));
    Ok(found)
}

/// The newest sample, unless it is a stale marker.
fn newest_of(data: &SeriesData) -> Option<(i64, Newest)> {
    let histogram = data.histograms.last();
    let float = data.timestamps.last().copied().zip(data.values.last().copied());
    match (float, histogram) {
        (Some((timestamp, value)), last) if last.is_none_or(|h| h.timestamp < timestamp) => {
            (!is_stale_nan(value)).then_some((timestamp, Newest::Float(value)))
        }
        (_, Some(point)) if !point.histogram.is_stale() => {
            Some((point.timestamp, Newest::Histogram(Box::new(point.histogram.to_float()))))
        }
        _ => None,
    }
}

/// The text being written.
struct Page {
    text: String,
    names: Names,
    external: Labels,
    /// Name and type of the family being written.
    family: Option<(String, &'static str)>,
}

impl Page {
    fn new(names: Names, external: Labels) -> Page {
        Page { text: String::new(), names, external, family: None }
    }

    fn write(mut self, found: &[Federated], interrupt: &Interrupt) -> Result<String, Interrupted> {
        for (index, series) in found.iter().enumerate() {
            interrupt.check_at(index)?;
            // A nameless series has no place in the format.
            let Some(name) = series.labels.get(METRIC_NAME) else { continue };
            match &series.value {
                Newest::Float(value) => {
                    self.head(name, "untyped");
                    self.line(name, series, None, *value);
                }
                Newest::Histogram(histogram) => self.classic_histogram(name, series, histogram),
            }
        }
        Ok(self.text)
    }

    fn head(&mut self, name: &str, metric_type: &'static str) {
        if self.family.as_ref().is_some_and(|(n, t)| n == name && *t == metric_type) {
            return;
        }
        self.text.push_str("# TYPE ");
        match self.names {
            Names::Utf8 if !is_legacy_name(name) => push_quoted(&mut self.text, name),
            Names::Utf8 => self.text.push_str(name),
            Names::Underscored => self.text.push_str(&underscored(name)),
        }
        self.text.push(' ');
        self.text.push_str(metric_type);
        self.text.push('\n');
        self.family = Some((name.to_owned(), metric_type));
    }

    fn classic_histogram(&mut self, name: &str, series: &Federated, histogram: &FloatHistogram) {
        if histogram.schema != CUSTOM_BUCKETS_SCHEMA {
            return;
        }
        let gauge = histogram.counter_reset_hint == CounterResetHint::Gauge;
        self.head(name, if gauge { "gaugehistogram" } else { "histogram" });
        let buckets = positive_buckets(histogram);
        let below = |bound: f64| -> f64 {
            buckets.iter().filter(|bucket| bucket.upper <= bound).map(|bucket| bucket.count).sum()
        };
        let bucket = format!("{name}_bucket");
        for bound in &histogram.custom_values {
            self.line(&bucket, series, Some(*bound), below(*bound));
        }
        self.line(&bucket, series, Some(f64::INFINITY), histogram.count);
        self.line(&format!("{name}_sum"), series, None, histogram.sum);
        self.line(&format!("{name}_count"), series, None, histogram.count);
    }

    fn line(&mut self, name: &str, series: &Federated, le: Option<f64>, value: f64) {
        let quoted_name = self.names == Names::Utf8 && !is_legacy_name(name);
        if quoted_name {
            self.text.push('{');
            push_quoted(&mut self.text, name);
        } else {
            self.text.push_str(&underscored(name));
        }
        let open = self.labels(series, le, quoted_name);
        if open {
            self.text.push('}');
        }
        self.text.push(' ');
        self.push_number(value);
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, " {}", series.timestamp);
    }

    /// The series' labels, then the external ones it does not have; says whether there was one, or
    /// the brace was `open` before.
    fn labels(&mut self, series: &Federated, le: Option<f64>, mut open: bool) -> bool {
        let external = self.external.clone();
        let own = series.labels.iter().filter(|(name, _)| *name != METRIC_NAME);
        let added = with_instance(&external).filter(|(name, _)| series.labels.get(name).is_none());
        for (name, value) in own.chain(added) {
            self.text.push(if open { ',' } else { '{' });
            open = true;
            match self.names {
                Names::Utf8 if !is_legacy_name(name) => push_quoted(&mut self.text, name),
                Names::Utf8 => self.text.push_str(name),
                Names::Underscored => self.text.push_str(&underscored(name)),
            }
            self.text.push('=');
            push_quoted(&mut self.text, value);
        }
        if let Some(bound) = le {
            self.text.push_str(if open { ",le=\"" } else { "{le=\"" });
            self.push_number(bound);
            self.text.push('"');
            open = true;
        }
        open
    }

    fn push_number(&mut self, value: f64) {
        let mut digits = Vec::with_capacity(24);
        push_general(&mut digits, value);
        self.text.push_str(&String::from_utf8_lossy(&digits));
    }
}

/// The external labels in order, with an empty `instance` when they have none: it keeps the other
/// Prometheus from adding its own.
fn with_instance(external: &Labels) -> impl Iterator<Item = (&str, &str)> {
    let missing = external.get("instance").is_none().then_some(("instance", ""));
    let before = external.iter().take_while(|(name, _)| *name < "instance");
    let after = external.iter().skip_while(|(name, _)| *name < "instance");
    before.chain(missing).chain(after)
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use crate::model::BucketSpan;

    use super::*;

    impl Page {
        fn written(self, found: &[Federated]) -> String {
            self.write(found, Interrupt::never()).expect("never interrupted")
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
    }

    fn float(pairs: &[(&str, &str)], value: f64) -> Federated {
        Federated { labels: labels(pairs), timestamp: 1500, value: Newest::Float(value) }
    }

    #[test]
    fn external_labels_are_added_where_the_series_has_none() {
        let page = Page::new(Names::Underscored, labels(&[("job", "x"), ("zone", "eu")]));
        let text = page.written(&[
            float(&[("__name__", "up"), ("job", "node")], 1.0),
            float(&[("__name__", "up"), ("instance", "a\"b")], 1e7),
            float(&[("job", "nameless")], 1.0),
        ]);
        assert_eq!(
            text,
            "# TYPE up untyped\n\
             up{job=\"node\",instance=\"\",zone=\"eu\"} 1 1500\n\
             up{instance=\"a\\\"b\",job=\"x\",zone=\"eu\"} 1e+07 1500\n"
        );
    }

    #[test]
    fn names_are_underscored_or_quoted() {
        let series = [float(&[("__name__", "my.metric"), ("my.label", "v")], f64::NAN)];
        let old = Page::new(Names::Underscored, Labels::empty()).written(&series);
        assert_eq!(
            old,
            "# TYPE my_metric untyped\nmy_metric{my_label=\"v\",instance=\"\"} NaN 1500\n"
        );
        let new = Page::new(Names::Utf8, Labels::empty()).written(&series);
        assert_eq!(
            new,
            "# TYPE \"my.metric\" untyped\n\
             {\"my.metric\",\"my.label\"=\"v\",instance=\"\"} NaN 1500\n"
        );
    }

    #[test]
    fn custom_buckets_become_a_classic_histogram_and_others_are_left_out() {
        let custom = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 6.0,
            sum: 7.5,
            custom_values: vec![0.5, 1.0],
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..FloatHistogram::default()
        };
        let exponential = FloatHistogram { schema: 1, ..custom.clone() };
        let series = |histogram| Federated {
            labels: labels(&[("__name__", "h"), ("instance", "i")]),
            timestamp: 7,
            value: Newest::Histogram(Box::new(histogram)),
        };
        let page = Page::new(Names::Underscored, Labels::empty());
        assert_eq!(
            page.written(&[series(custom), series(exponential)]),
            "# TYPE h histogram\n\
             h_bucket{instance=\"i\",le=\"0.5\"} 1 7\n\
             h_bucket{instance=\"i\",le=\"1\"} 3 7\n\
             h_bucket{instance=\"i\",le=\"+Inf\"} 6 7\n\
             h_sum{instance=\"i\"} 7.5 7\n\
             h_count{instance=\"i\"} 6 7\n"
        );
    }

    #[test]
    fn a_series_that_ended_has_no_newest_sample() {
        let mut data = SeriesData {
            timestamps: vec![1, 2],
            values: vec![1.0, crate::model::stale_nan()],
            ..SeriesData::default()
        };
        assert!(newest_of(&data).is_none());
        data.values[1] = 5.0;
        assert!(matches!(newest_of(&data), Some((2, Newest::Float(v))) if v == 5.0));
        assert!(newest_of(&SeriesData::default()).is_none());
    }
}
