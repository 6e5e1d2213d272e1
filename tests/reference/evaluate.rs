//! The evaluator: an expression at one time after the other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use tidewatch::model::{MatchOp, Matcher};
use tidewatch::promql::ast::{
    Aggregate, AggregateOp, AtModifier, BinaryOp, DurationExpr, DurationSpec, EdgeMode, Expr,
    MatrixSelector, Subquery, VectorSelector,
};

use super::aggregate;
use super::data::{Labels, Point, Series};
use super::extended;
use super::functions;
use super::histogram::Histo;
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

/// When the counting behind a sample began, for `start_timestamp`: of an element that is a sample.
pub fn start_of(query: &Query<'_>, element: &Element) -> Option<i64> {
    let taken = element.taken?;
    let series = query.series.iter().find(|series| series.labels == element.labels)?;
    Some(series.starts.get(&taken).copied().unwrap_or(0))
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
    /// How the edges are treated.
    pub edge: EdgeMode,
    /// Of an extended range the samples up to the lookback before it, and behind a smoothed one,
    /// and those in it.
    pub around: Vec<(i64, Point)>,
    /// Of samples of a selector, by their times, when the counting behind them began.
    pub starts: BTreeMap<i64, i64>,
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
    /// Time between two of them in ms; 0 for one time alone.
    pub step: i64,
    /// Why the result is open, if it is: the language leaves it so, or the reference does not know.
    pub open: Cell<Option<&'static str>>,
    /// First and last time of the evaluation around the place that is evaluated: those of the query
    /// or of a subquery.
    pub span: Cell<(i64, i64)>,
    /// What subqueries have found already.
    pub grids: RefCell<BTreeMap<GridOf, Result<Grid, Failure>>>,
}

/// A subquery (where it stands in memory) and the span around it.
type GridOf = (usize, (i64, i64));
/// What the expression of a subquery gives at each of its steps, and whether that is open.
type Grid = Vec<(i64, Vec<Element>, Option<&'static str>)>;

impl Query<'_> {
    /// These series, asked at `(first, last, step)` in ms.
    pub fn new(series: &[Series], (start, end, step): (i64, i64, i64)) -> Query<'_> {
        let (open, span) = (Cell::new(None), Cell::new((start, end)));
        Query { series, start, end, step, open, span, grids: RefCell::default() }
    }

    /// The result is open, for a reason in few words, if it is so; the first reason is kept.
    pub fn is_open_if(&self, is_so: bool, why: &'static str) {
        if is_so && self.open.get().is_none() {
            self.open.set(Some(why));
        }
    }

    /// The value at each time.
    pub fn range(&self, expr: &Expr) -> Result<Steps, Failure> {
        let step = self.step.max(1);
        let times = (0..).map(|n| self.start + n * step).take_while(|time| *time <= self.end);
        times.map(|time| Ok((time, self.value(expr, time)?))).collect()
    }

    /// The value at `time`.
    pub fn value(&self, expr: &Expr, time: i64) -> Result<Value, Failure> {
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(number.value)),
            Expr::String(text) => Ok(Value::Text(text.value.clone())),
            Expr::Paren(paren) => self.value(&paren.expr, time),
            Expr::VectorSelector(selector) => Ok(Value::Vector(self.instant(selector, time)?)),
            Expr::MatrixSelector(selector) => Ok(Value::Matrix(self.ranges(selector, time)?)),
            Expr::Subquery(subquery) => Ok(Value::Matrix(self.subquery(subquery, time)?)),
            Expr::Unary(unary) => {
                let value = self.value(&unary.expr, time)?;
                if unary.negative { negated(value) } else { Ok(value) }
            }
            Expr::Call(call) => functions::call(self, call, time),
            Expr::Aggregate(aggregate) => {
                if let Some(limited) = counted_limit(aggregate) {
                    return self.count_of_limited(limited, time);
                }
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

    /// The time that a selector or subquery asks about.
    pub fn time_of(
        &self,
        at: Option<AtModifier>,
        offset: &DurationSpec,
        time: i64,
    ) -> Result<i64, Failure> {
        let time = match at {
            None => time,
            Some(AtModifier::Time(at)) => at.as_millis(),
            Some(AtModifier::Start) => self.start,
            Some(AtModifier::End) => self.end,
        };
        Ok(time - self.duration(offset)?)
    }

    /// The series that match.
    pub fn matching(&self, matchers: &[Matcher]) -> impl Iterator<Item = &Series> {
        let matches = |series: &&Series| matchers.iter().all(|m| accepts(m, &series.labels));
        self.series.iter().filter(matches)
    }

    fn instant(&self, selector: &VectorSelector, time: i64) -> Result<Vec<Element>, Failure> {
        let end = self.time_of(selector.at, &selector.offset, time)?;
        if selector.edge == EdgeMode::Smoothed {
            return Ok(self.smoothed(selector, end));
        }
        let matching = self.matching(&selector.matchers);
        Ok(matching.filter_map(|series| newest(series, end)).collect())
    }

    /// Between two samples the value on the line from one to the other, behind the last its value.
    fn smoothed(&self, selector: &VectorSelector, time: i64) -> Vec<Element> {
        let element = |series: &Series| {
            let within = |(at, point): &&(i64, Point)| {
                let near = *at > time - LOOKBACK_MS && *at <= time + LOOKBACK_MS;
                near && *point != Point::Stale
            };
            let samples: Vec<&(i64, Point)> = series.samples.iter().filter(within).collect();
            let point = on_line(&samples, time)?;
            Some(Element { labels: series.labels.clone(), point, taken: None })
        };
        self.matching(&selector.matchers).filter_map(element).collect()
    }

    fn ranges(&self, selector: &MatrixSelector, time: i64) -> Result<Vec<Range>, Failure> {
        let vector = &selector.vector;
        let end = self.time_of(vector.at, &vector.offset, time)?;
        let length = self.duration(&selector.range)?;
        if length <= 0 {
            return Err("duration must be greater than 0".to_owned());
        }
        let start = end - length;
        let (before, behind) = match vector.edge {
            EdgeMode::Plain => (start, end),
            EdgeMode::Anchored => (start - LOOKBACK_MS, end),
            EdgeMode::Smoothed => (start - LOOKBACK_MS, end + LOOKBACK_MS),
        };
        let range = |series: &Series| {
            let between = |from: i64, to: i64| -> Vec<(i64, Point)> {
                let is_in =
                    |(at, point): &&(i64, Point)| *at > from && *at <= to && *point != Point::Stale;
                series.samples.iter().filter(is_in).cloned().collect()
            };
            let (samples, around) = (between(start, end), between(before, behind));
            let (labels, edge) = (series.labels.clone(), vector.edge);
            let starts = series.starts.clone();
            let range = Range { labels, samples, start, end, edge, around, starts };
            (!range.around.is_empty()).then_some(range)
        };
        Ok(self.matching(&vector.matchers).filter_map(range).collect())
    }

    /// A duration in ms.
    fn duration(&self, spec: &DurationSpec) -> Result<i64, Failure> {
        match spec {
            DurationSpec::Fixed(ms) => Ok(*ms),
            DurationSpec::Expr(expr) => Ok((self.seconds(expr)? * 1000.0) as i64),
        }
    }

    fn seconds(&self, expr: &DurationExpr) -> Result<f64, Failure> {
        Ok(match expr {
            DurationExpr::Number(number) => number.value,
            DurationExpr::Step(_) => self.step as f64 / 1000.0,
            DurationExpr::Range(_) => (self.end - self.start) as f64 / 1000.0,
            DurationExpr::Unary { negative: true, operand, .. } => -self.seconds(operand)?,
            DurationExpr::Unary { operand, .. } => self.seconds(operand)?,
            DurationExpr::Paren(inner, _) => self.seconds(inner)?,
            DurationExpr::Pick { max, lhs, rhs, .. } => {
                let (a, b) = (self.seconds(lhs)?, self.seconds(rhs)?);
                if *max { a.max(b) } else { a.min(b) }
            }
            DurationExpr::Binary { op, lhs, rhs, .. } => {
                let (a, b) = (self.seconds(lhs)?, self.seconds(rhs)?);
                match op {
                    BinaryOp::Div | BinaryOp::Mod if b == 0.0 => {
                        return Err("division by zero".to_owned());
                    }
                    op => matching::computed(*op, a, b),
                }
            }
        })
    }

    /// How many elements `limitk` leaves, whichever they are.
    fn count_of_limited(&self, limited: &Aggregate, time: i64) -> Result<Value, Failure> {
        let k = limited.param.as_ref().map_or(Ok(0.0), |param| self.scalar(param, time))?;
        let groups = aggregate::groups(limited, self.vector(&limited.expr, time)?);
        let of_group = |group: &(Labels, Vec<Element>)| group.1.len().min(k.max(0.0) as usize);
        let count: usize = groups.iter().map(of_group).sum();
        let point = Point::Float(count as f64);
        let all = Element { labels: Labels::new(), point, taken: None };
        Ok(Value::Vector(if count > 0 { vec![all] } else { Vec::new() }))
    }

    /// What the expression gave at the multiples of the step that lie in the range.
    fn subquery(&self, subquery: &Subquery, time: i64) -> Result<Vec<Range>, Failure> {
        let end = self.time_of(subquery.at, &subquery.offset, time)?;
        let start = end - self.duration(&subquery.range)?;
        let mut ranges: Vec<Range> = Vec::new();
        for (at, vector, open) in self.grid(subquery)? {
            if at <= start || at > end {
                continue;
            }
            self.open.set(self.open.get().or(open));
            for element in vector {
                let sample = (at, element.point);
                match ranges.iter_mut().find(|range| range.labels == element.labels) {
                    Some(range) => range.samples.push(sample),
                    None => {
                        let (labels, samples) = (element.labels, vec![sample]);
                        let (edge, around) = (EdgeMode::Plain, Vec::new());
                        let starts = BTreeMap::new();
                        ranges.push(Range { labels, samples, start, end, edge, around, starts });
                    }
                }
            }
        }
        Ok(ranges)
    }

    /// Evaluates the expression of a subquery at the multiples of its step, from the first range on
    /// to the last, also where they lie in no range: the subquery fails where it fails there.
    fn grid(&self, subquery: &Subquery) -> Result<Grid, Failure> {
        let around = self.span.get();
        let key = (std::ptr::from_ref(subquery) as usize, around);
        if let Some(known) = self.grids.borrow().get(&key) {
            return known.clone();
        }
        let grid = self.new_grid(subquery, around);
        self.span.set(around);
        self.grids.borrow_mut().insert(key, grid.clone());
        grid
    }

    fn new_grid(&self, subquery: &Subquery, around: (i64, i64)) -> Result<Grid, Failure> {
        let first = self.time_of(subquery.at, &subquery.offset, around.0)?;
        let last = self.time_of(subquery.at, &subquery.offset, around.1)?;
        let step = match &subquery.step {
            Some(step) => self.duration(step)?,
            None => SUBQUERY_STEP_MS,
        };
        let start = first - self.duration(&subquery.range)?;
        let begin = (start.div_euclid(step) + 1) * step;
        self.span.set((begin, last));
        let open_before = self.open.take();
        let mut grid = Grid::new();
        for at in (begin..=last).step_by(step as usize) {
            let vector = self.vector(&subquery.expr, at)?;
            grid.push((at, vector, self.open.take()));
        }
        self.open.set(open_before);
        Ok(grid)
    }
}

/// The newest sample that is not too old and does not end the series.
pub fn newest(series: &Series, end: i64) -> Option<Element> {
    let looked_at = |(at, _): &&(i64, Point)| *at > end - LOOKBACK_MS && *at <= end;
    let (taken, point) = series.samples.iter().rfind(looked_at)?;
    let (labels, point) = (series.labels.clone(), point.clone());
    (point != Point::Stale).then_some(Element { labels, point, taken: Some(*taken) })
}

/// The value at `time` on the line between the samples around it; behind the last sample its value,
/// before the first none. A counter that fell between two samples counts from zero.
pub fn value_at(samples: &[(i64, f64)], time: i64, is_counter: bool) -> Option<f64> {
    let before = samples.iter().rfind(|(at, _)| *at <= time)?;
    let Some(behind) = samples.iter().find(|(at, _)| *at > time) else { return Some(before.1) };
    let from = if is_counter && behind.1 < before.1 { 0.0 } else { before.1 };
    if before.0 == time {
        return Some(before.1);
    }
    Some(from + (behind.1 - from) * (time - before.0) as f64 / (behind.0 - before.0) as f64)
}

/// The point at `time` on the line between samples of one kind.
fn on_line(samples: &[&(i64, Point)], time: i64) -> Option<Point> {
    let (mut floats, mut histograms) = (Vec::new(), Vec::new());
    for (at, point) in samples {
        match point {
            Point::Float(value) => floats.push((*at, *value)),
            Point::Histogram(histogram) => histograms.push((*at, histogram.clone())),
            Point::Stale => {}
        }
    }
    match (floats.is_empty(), histograms.is_empty()) {
        (false, true) => Some(Point::Float(value_at(&floats, time, false)?)),
        (true, false) => {
            let before = histograms.iter().rfind(|(at, _)| *at <= time)?;
            let behind = histograms.iter().find(|(at, _)| *at > time);
            Some(Point::Histogram(match behind {
                _ if before.0 == time => before.1.clone(),
                Some(behind) => {
                    let is_counter = !before.1.is_gauge || !behind.1.is_gauge;
                    extended::between(before, behind, time, is_counter)?
                }
                None => Histo { is_gauge: false, ..before.1.clone() },
            }))
        }
        _ => None,
    }
}

/// The `limitk` of `count(limitk(...))`: how many there are is certain, which ones is not.
fn counted_limit(aggregate: &Aggregate) -> Option<&Aggregate> {
    let all = aggregate.op == AggregateOp::Count && aggregate.grouping.is_empty();
    match &aggregate.expr {
        Expr::Aggregate(inner) if all && !aggregate.without && inner.op == AggregateOp::Limitk => {
            Some(inner)
        }
        _ => None,
    }
}

/// Whether a series fits a matcher.
pub fn accepts(matcher: &Matcher, labels: &Labels) -> bool {
    let value = labels.get(matcher.name()).map_or("", String::as_str);
    match matcher.op() {
        MatchOp::Equal => value == matcher.value(),
        MatchOp::NotEqual => value != matcher.value(),
        MatchOp::Regex => fits(matcher.value(), value),
        MatchOp::NotRegex => !fits(matcher.value(), value),
    }
}

/// The few patterns that are generated: `.+`, `.+_info`, and texts with `|` between.
fn fits(pattern: &str, value: &str) -> bool {
    match pattern {
        ".+" => !value.is_empty(),
        ".+_info" => value.strip_suffix("_info").is_some_and(|rest| !rest.is_empty()),
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
