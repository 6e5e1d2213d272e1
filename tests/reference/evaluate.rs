//! The evaluator: an expression at one time after the other.

use std::cell::Cell;

use tidewatch::model::{MatchOp, Matcher};
use tidewatch::promql::ast::{
    AtModifier, DurationSpec, Expr, MatrixSelector, Subquery, VectorSelector,
};

use super::aggregate;
use super::data::{Labels, Point, Series};
use super::functions;
use super::matching;

/// How far an instant selector looks back, in ms.
pub const LOOKBACK_MS: i64 = 5 * 60 * 1000;
/// Step of a subquery that names none, in ms.
const SUBQUERY_STEP_MS: i64 = 60 * 1000;

/// What an expression gives at one time.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// One point a series.
    Vector(Vec<Element>),
    /// Several samples a series.
    Matrix(Vec<Range>),
}

/// An element of a vector.
#[derive(Clone, Debug)]
pub struct Element {
    /// Its labels.
    pub labels: Labels,
    /// Its value, never a stale marker.
    pub point: Point,
    /// When the sample was taken, if the element is one.
    pub taken: Option<i64>,
}

/// A series of a range vector.
#[derive(Clone, Debug)]
pub struct Range {
    /// Its labels.
    pub labels: Labels,
    /// Its samples, without stale markers.
    pub samples: Vec<(i64, Point)>,
    /// The range is `start < time <= end` (ms).
    pub start: i64,
    /// See `start`.
    pub end: i64,
}

/// Why there is no value: in few words, for whoever reads a failure.
pub type Failure = String;

/// Vectors and scalars with a time.
pub type Steps = Vec<(i64, Value)>;

/// A query: what is asked of which series.
pub struct Query<'a> {
    /// The series.
    pub series: &'a [Series],
    /// First time in ms.
    pub start: i64,
    /// Last time in ms.
    pub end: i64,
    /// Set where the language leaves the result open: which of equals `topk` takes.
    pub is_open: Cell<bool>,
}

impl Query<'_> {
    /// The value at each time.
    pub fn range(&self, expr: &Expr, step: i64) -> Result<Steps, Failure> {
        let times = (0..).map(|n| self.start + n * step).take_while(|time| *time <= self.end);
        times.map(|time| Ok((time, self.value(expr, time)?))).collect()
    }

    /// The value at `time`.
    pub fn value(&self, expr: &Expr, time: i64) -> Result<Value, Failure> {
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(number.value)),
            Expr::String(text) => Ok(Value::Text(text.value.clone())),
            Expr::Paren(paren) => self.value(&paren.expr, time),
            Expr::VectorSelector(selector) => Ok(Value::Vector(self.instant(selector, time))),
            Expr::MatrixSelector(selector) => Ok(Value::Matrix(self.ranges(selector, time))),
            Expr::Subquery(subquery) => Ok(Value::Matrix(self.subquery(subquery, time)?)),
            Expr::Unary(unary) => {
                let value = self.value(&unary.expr, time)?;
                if unary.negative { negated(value) } else { Ok(value) }
            }
            Expr::Call(call) => functions::call(self, call, time),
            Expr::Aggregate(aggregate) => {
                let param = aggregate.param.as_ref().map(|p| self.value(p, time)).transpose()?;
                let vector = self.vector(&aggregate.expr, time)?;
                aggregate::aggregate(self, aggregate, param, vector).map(Value::Vector)
            }
            Expr::Binary(binary) => {
                let (lhs, rhs) = (self.value(&binary.lhs, time)?, self.value(&binary.rhs, time)?);
                matching::binary(binary, lhs, rhs)
            }
        }
    }

    /// The value of a vector expression.
    pub fn vector(&self, expr: &Expr, time: i64) -> Result<Vec<Element>, Failure> {
        match self.value(expr, time)? {
            Value::Vector(vector) => Ok(vector),
            other => panic!("{expr} is no vector but {other:?}"),
        }
    }

    /// The value of a scalar expression.
    pub fn scalar(&self, expr: &Expr, time: i64) -> Result<f64, Failure> {
        match self.value(expr, time)? {
            Value::Scalar(scalar) => Ok(scalar),
            other => panic!("{expr} is no scalar but {other:?}"),
        }
    }

    fn time_of(&self, at: Option<AtModifier>, offset: &DurationSpec, time: i64) -> i64 {
        let time = match at {
            None => time,
            Some(AtModifier::Time(at)) => at.as_millis(),
            Some(AtModifier::Start) => self.start,
            Some(AtModifier::End) => self.end,
        };
        time - fixed(offset)
    }

    fn matching(&self, matchers: &[Matcher]) -> impl Iterator<Item = &Series> {
        let matches = |series: &&Series| matchers.iter().all(|m| accepts(m, &series.labels));
        self.series.iter().filter(matches)
    }

    /// The newest sample of each series that is not too old and does not end the series.
    fn instant(&self, selector: &VectorSelector, time: i64) -> Vec<Element> {
        let end = self.time_of(selector.at, &selector.offset, time);
        let newest = |series: &Series| {
            let looked_at = |(at, _): &&(i64, Point)| *at > end - LOOKBACK_MS && *at <= end;
            let (taken, point) = series.samples.iter().rfind(looked_at)?;
            let labels = series.labels.clone();
            let element = Element { labels, point: point.clone(), taken: Some(*taken) };
            (*point != Point::Stale).then_some(element)
        };
        self.matching(&selector.matchers).filter_map(newest).collect()
    }

    fn ranges(&self, selector: &MatrixSelector, time: i64) -> Vec<Range> {
        let vector = &selector.vector;
        let end = self.time_of(vector.at, &vector.offset, time);
        let start = end - fixed(&selector.range);
        let range = |series: &Series| {
            let within =
                |(at, point): &&(i64, Point)| *at > start && *at <= end && *point != Point::Stale;
            let samples: Vec<_> = series.samples.iter().filter(within).cloned().collect();
            let labels = series.labels.clone();
            (!samples.is_empty()).then_some(Range { labels, samples, start, end })
        };
        self.matching(&vector.matchers).filter_map(range).collect()
    }

    /// Evaluates at the multiples of the step that lie in the range.
    fn subquery(&self, subquery: &Subquery, time: i64) -> Result<Vec<Range>, Failure> {
        let end = self.time_of(subquery.at, &subquery.offset, time);
        let start = end - fixed(&subquery.range);
        let step = subquery.step.as_ref().map_or(SUBQUERY_STEP_MS, fixed);
        let first = (start.div_euclid(step) + 1) * step;
        let mut ranges: Vec<Range> = Vec::new();
        for at in (first..=end).step_by(step as usize) {
            for element in self.vector(&subquery.expr, at)? {
                let sample = (at, element.point);
                match ranges.iter_mut().find(|range| range.labels == element.labels) {
                    Some(range) => range.samples.push(sample),
                    None => {
                        let (labels, samples) = (element.labels, vec![sample]);
                        ranges.push(Range { labels, samples, start, end });
                    }
                }
            }
        }
        Ok(ranges)
    }
}

fn fixed(duration: &DurationSpec) -> i64 {
    match duration {
        DurationSpec::Fixed(ms) => *ms,
        DurationSpec::Expr(expr) => panic!("the reference has no duration expressions: {expr:?}"),
    }
}

fn accepts(matcher: &Matcher, labels: &Labels) -> bool {
    let value = labels.get(matcher.name()).map_or("", String::as_str);
    match matcher.op() {
        MatchOp::Equal => value == matcher.value(),
        MatchOp::NotEqual => value != matcher.value(),
        MatchOp::Regex => fits(matcher.value(), value),
        MatchOp::NotRegex => !fits(matcher.value(), value),
    }
}

/// The few patterns that are generated: `.+`, and texts with `|` between.
fn fits(pattern: &str, value: &str) -> bool {
    match pattern {
        ".+" => !value.is_empty(),
        _ => pattern.split('|').any(|alternative| alternative == value),
    }
}

fn negated(value: Value) -> Result<Value, Failure> {
    match value {
        Value::Scalar(scalar) => Ok(Value::Scalar(-scalar)),
        Value::Vector(vector) => {
            let negate = |point: Point| match point {
                Point::Float(value) => Some(Point::Float(-value)),
                Point::Histogram(histogram) => Some(Point::Histogram(histogram.times(-1.0))),
                Point::Stale => None,
            };
            mapped(vector, negate).map(Value::Vector)
        }
        other => panic!("a sign before {other:?}"),
    }
}

/// Elements with other values, without the metric name; the same labels twice are a mistake.
pub fn mapped(
    vector: Vec<Element>,
    f: impl Fn(Point) -> Option<Point>,
) -> Result<Vec<Element>, Failure> {
    let map = |element: Element| {
        let point = f(element.point)?;
        Some(Element { labels: without_name(&element.labels), point, taken: None })
    };
    unique(vector.into_iter().filter_map(map).collect())
}

/// The labels but the metric name.
pub fn without_name(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.remove("__name__");
    labels
}

/// What a failure says of a vector with two elements of the same labels.
pub const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// Refuses two elements with the same labels.
pub fn unique(vector: Vec<Element>) -> Result<Vec<Element>, Failure> {
    for (at, element) in vector.iter().enumerate() {
        if vector[..at].iter().any(|other| other.labels == element.labels) {
            return Err(SAME_LABELS.to_owned());
        }
    }
    Ok(vector)
}
