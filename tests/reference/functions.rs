//! Function calls.

use tidewatch::model::MatchOp;
use tidewatch::promql::ast::{Call, EdgeMode, Expr, ValueType};

use super::data::{Labels, Point};
use super::evaluate::{Element, Failure, Query, Value, mapped, start_of, unique, without_name};
use super::{extended, info, ranges};

/// The value of a call at `time`.
pub fn call(query: &Query<'_>, call: &Call, time: i64) -> Result<Value, Failure> {
    let name = call.function.name;
    let vector = |at: usize| query.vector(&call.args[at], time);
    let scalar = |at: usize| query.scalar(&call.args[at], time);
    let seconds = time as f64 / 1000.0;
    let result = match name {
        "time" => return Ok(Value::Scalar(seconds)),
        "start" => return Ok(Value::Scalar(query.start as f64 / 1000.0)),
        "end" => return Ok(Value::Scalar(query.end as f64 / 1000.0)),
        "range" => return Ok(Value::Scalar((query.end - query.start) as f64 / 1000.0)),
        "step" => return Ok(Value::Scalar(query.step as f64 / 1000.0)),
        "max_of" => return Ok(Value::Scalar(-lesser(-scalar(0)?, -scalar(1)?))),
        "min_of" => return Ok(Value::Scalar(lesser(scalar(0)?, scalar(1)?))),
        "scalar" => return Ok(Value::Scalar(only(&vector(0)?))),
        "vector" => vec![plain(Labels::new(), scalar(0)?)],
        "absent" if vector(0)?.is_empty() => vec![plain(expected_labels(&call.args[0]), 1.0)],
        "absent" => Vec::new(),
        "absent_over_time" => match query.value(&call.args[0], time)? {
            Value::Matrix(ranges) if ranges.iter().all(|range| range.samples.is_empty()) => {
                vec![plain(expected_labels(&call.args[0]), 1.0)]
            }
            _ => Vec::new(),
        },
        "start_timestamp" => starts(query, &call.args[0], vector(0)?)?,
        "timestamp" => {
            let plain = of_samples(&call.args[0]);
            let argument = plain.as_ref().unwrap_or(&call.args[0]);
            timestamps(argument, query.vector(argument, time)?, seconds)?
        }
        "sort" | "sort_desc" => {
            vector(0)?.into_iter().filter(|e| matches!(e.point, Point::Float(_))).collect()
        }
        "sort_by_label" | "sort_by_label_desc" => vector(0)?,
        "clamp" => {
            let (min, max) = (scalar(1)?, scalar(2)?);
            let clamped = of_floats(vector(0)?, |value| clamped(value, min, max))?;
            if min > max { Vec::new() } else { clamped }
        }
        "clamp_min" => {
            let min = scalar(1)?;
            of_floats(vector(0)?, |value| clamped(value, min, f64::INFINITY))?
        }
        "clamp_max" => {
            let max = scalar(1)?;
            of_floats(vector(0)?, |value| clamped(value, f64::NEG_INFINITY, max))?
        }
        "round" => {
            let to = if call.args.len() > 1 { scalar(1)? } else { 1.0 };
            let inverse = 1.0 / to;
            of_floats(vector(0)?, |value| (value * inverse + 0.5).floor() / inverse)?
        }
        "label_replace" => label_replace(vector(0)?, &texts(call))?,
        "label_join" => label_join(vector(0)?, &texts(call))?,
        "histogram_count" | "histogram_sum" | "histogram_avg" | "histogram_stddev"
        | "histogram_stdvar" => mapped(vector(0)?, |point| match point {
            Point::Histogram(histogram) => Some(Point::Float(match name {
                "histogram_count" => histogram.count,
                "histogram_sum" => histogram.sum,
                "histogram_stdvar" => histogram.variance(),
                "histogram_stddev" => histogram.variance().sqrt(),
                _ => histogram.sum / histogram.count,
            })),
            _ => None,
        })?,
        "histogram_fraction" => {
            let (low, high) = (scalar(0)?, scalar(1)?);
            fractions(query, low, high, vector(2)?)?
        }
        "histogram_quantiles" => {
            let (vector, label) = (vector(0)?, &texts(call)[0]);
            let mut all = Vec::new();
            for at in 2..call.args.len() {
                let phi = scalar(at)?;
                for mut element in histogram_quantile(query, phi, vector.clone())? {
                    element.labels.insert(label.clone(), format!("{phi:?}"));
                    all.push(element);
                }
            }
            unique(all)?
        }
        "info" => info::info(query, call, vector(0)?, time)?,
        "histogram_quantile" => histogram_quantile(query, scalar(0)?, vector(1)?)?,
        _ if call.args.is_empty() => vec![plain(Labels::new(), date(query, name, seconds))],
        _ if call.args.iter().any(|a| a.value_type() == ValueType::Matrix) => {
            over_ranges(query, call, time)?
        }
        _ => match math(name) {
            Some(f) => of_floats(vector(0)?, f)?,
            None => of_floats(vector(0)?, |value| date(query, name, value))?,
        },
    };
    Ok(Value::Vector(result))
}

fn plain(labels: Labels, value: f64) -> Element {
    Element { labels, point: Point::Float(value), taken: None }
}

fn of_floats(vector: Vec<Element>, f: impl Fn(f64) -> f64) -> Result<Vec<Element>, Failure> {
    mapped(vector, |point| match point {
        Point::Float(value) => Some(Point::Float(f(value))),
        _ => None,
    })
}

fn over_ranges(query: &Query<'_>, call: &Call, time: i64) -> Result<Vec<Element>, Failure> {
    let (mut params, mut ranges) = (Vec::new(), Vec::new());
    for argument in &call.args {
        match query.value(argument, time)? {
            Value::Scalar(scalar) => params.push(scalar),
            Value::Matrix(matrix) => ranges = matrix,
            other => panic!("no range function takes {other:?}"),
        }
    }
    let name = call.function.name;
    for argument in &call.args {
        if let Expr::MatrixSelector(selector) = argument
            && !extended::takes_extended(name, selector.vector.edge)
        {
            return Err(format!("no extended ranges for {name}"));
        }
    }
    let keeps_name = matches!(name, "last_over_time" | "first_over_time");
    let element = |range: &super::evaluate::Range| {
        let point = ranges::apply(query, name, range, &params, time)?;
        let labels = &range.labels;
        let labels = if keeps_name { labels.clone() } else { without_name(labels) };
        Some(Element { labels, point, taken: None })
    };
    unique(ranges.iter().filter_map(element).collect())
}

/// The value of the only element, else NaN.
fn only(vector: &[Element]) -> f64 {
    let floats: Vec<f64> = vector
        .iter()
        .filter_map(|element| match element.point {
            Point::Float(value) => Some(value),
            _ => None,
        })
        .collect();
    if let [value] = floats[..] { value } else { f64::NAN }
}

/// The labels that the selector asks for by equality, each once.
fn expected_labels(expr: &Expr) -> Labels {
    let matchers = match expr {
        Expr::VectorSelector(selector) => &selector.matchers,
        Expr::MatrixSelector(selector) => &selector.vector.matchers,
        Expr::Paren(_) | Expr::Subquery(_) => return Labels::new(),
        _ => return Labels::new(),
    };
    let (mut labels, mut excluded) = (Labels::new(), Vec::new());
    for matcher in matchers.iter().filter(|matcher| matcher.name() != "__name__") {
        let name = matcher.name().to_owned();
        if matcher.op() == MatchOp::Equal && !labels.contains_key(&name) {
            labels.insert(name, matcher.value().to_owned());
        } else {
            excluded.push(name);
        }
    }
    excluded.iter().for_each(|name| {
        labels.remove(name);
    });
    labels
}

/// A selector of samples as they are for one of values between them.
fn of_samples(argument: &Expr) -> Option<Expr> {
    match argument {
        Expr::Paren(paren) => of_samples(&paren.expr),
        Expr::VectorSelector(selector) => {
            let mut selector = selector.clone();
            selector.edge = EdgeMode::Plain;
            Some(Expr::VectorSelector(selector))
        }
        _ => None,
    }
}

/// When the samples of a selector were taken; of anything else, the time of evaluation.
fn timestamps(
    argument: &Expr,
    vector: Vec<Element>,
    seconds: f64,
) -> Result<Vec<Element>, Failure> {
    let mut expr = argument;
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    let is_selector = matches!(expr, Expr::VectorSelector(_));
    let stamp = |element: Element| {
        let taken = element.taken.filter(|_| is_selector).map(|ms| ms as f64 / 1000.0);
        plain(without_name(&element.labels), taken.unwrap_or(seconds))
    };
    unique(vector.into_iter().map(stamp).collect())
}

/// When the counting behind the samples of a selector began, 0 where that is not known; of anything
/// else nothing.
fn starts(
    query: &Query<'_>,
    argument: &Expr,
    vector: Vec<Element>,
) -> Result<Vec<Element>, Failure> {
    let mut expr = argument;
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    if !matches!(expr, Expr::VectorSelector(_)) {
        return Ok(Vec::new());
    }
    let start = |element: &Element| {
        let seconds = start_of(query, element)? as f64 / 1000.0;
        Some(plain(without_name(&element.labels), seconds))
    };
    unique(vector.iter().filter_map(start).collect())
}

/// NaN wins over everything but the limit of its direction.
fn clamped(value: f64, min: f64, max: f64) -> f64 {
    -lesser(-lesser(value, max), -min)
}

/// NaN wins over everything but -Inf.
fn lesser(a: f64, b: f64) -> f64 {
    match (a, b) {
        _ if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY => f64::NEG_INFINITY,
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        _ => a.min(b),
    }
}

fn texts(call: &Call) -> Vec<String> {
    let text = |argument: &Expr| match argument {
        Expr::String(text) => Some(text.value.clone()),
        _ => None,
    };
    call.args.iter().filter_map(text).collect()
}

/// The patterns are `(.*)` and `a(.*)`, the replacements have `$1` or nothing to be replaced.
fn label_replace(vector: Vec<Element>, texts: &[String]) -> Result<Vec<Element>, Failure> {
    let [target, replacement, source, pattern] = texts else { panic!("four texts") };
    let prefix = pattern.strip_suffix("(.*)").expect("a pattern the generator makes");
    let replaced = |mut element: Element| {
        let value = element.labels.get(source).cloned().unwrap_or_default();
        if let Some(rest) = value.strip_prefix(prefix) {
            set(&mut element.labels, target, &replacement.replace("$1", rest));
        }
        Element { taken: None, ..element }
    };
    unique(vector.into_iter().map(replaced).collect())
}

fn label_join(vector: Vec<Element>, texts: &[String]) -> Result<Vec<Element>, Failure> {
    let [target, separator, sources @ ..] = texts else { panic!("two texts at least") };
    let joined = |mut element: Element| {
        let value = |name| element.labels.get(name).map_or("", String::as_str);
        let values: Vec<&str> = sources.iter().map(value).collect();
        let value = values.join(separator);
        set(&mut element.labels, target, &value);
        Element { taken: None, ..element }
    };
    unique(vector.into_iter().map(joined).collect())
}

fn set(labels: &mut Labels, name: &str, value: &str) {
    labels.remove(name);
    if !value.is_empty() {
        labels.insert(name.to_owned(), value.to_owned());
    }
}

fn math(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sqrt" => f64::sqrt,
        "sgn" => |v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                v
            }
        },
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tan" => f64::tan,
        "asin" => f64::asin,
        "acos" => f64::acos,
        "atan" => f64::atan,
        "sinh" => f64::sinh,
        "cosh" => f64::cosh,
        "tanh" => f64::tanh,
        "asinh" => f64::asinh,
        "acosh" => f64::acosh,
        "atanh" => f64::atanh,
        "deg" => |v| v * 180.0 / std::f64::consts::PI,
        "rad" => |v| v * std::f64::consts::PI / 180.0,
        _ => return None,
    })
}

/// Seconds that the calendar below counts days for; beyond them it gives up.
const CALENDAR_SECONDS_MAX: f64 = 4e9;

/// Parts of the date, in UTC, day by day from 1970 on.
fn date(query: &Query<'_>, name: &str, seconds: f64) -> f64 {
    if !(0.0..CALENDAR_SECONDS_MAX).contains(&seconds) {
        query.is_open_if(true, "dates far away");
        return f64::NAN;
    }
    let seconds = seconds.floor() as i64;
    let days = seconds / 86_400;
    let (mut year, mut day) = (1970, days);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= if leap(year) { 366 } else { 365 } {
        day -= if leap(year) { 366 } else { 365 };
        year += 1;
    }
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut month, mut of_month) = (0, day);
    while of_month >= lengths[month] {
        of_month -= lengths[month];
        month += 1;
    }
    let part = match name {
        "minute" => seconds / 60 % 60,
        "hour" => seconds / 3600 % 24,
        "day_of_week" => (days + 4) % 7, // 1970 began with a Thursday
        "day_of_month" => of_month + 1,
        "day_of_year" => day + 1,
        "days_in_month" => lengths[month],
        "month" => month as i64 + 1,
        "year" => year,
        other => panic!("the reference does not know {other}"),
    };
    part as f64
}

/// One bucket of a classic histogram.
type Bucket = (f64, f64);

/// Quantiles of classic histograms: series that differ in `le` only are one.
fn histogram_quantile(
    query: &Query<'_>,
    phi: f64,
    vector: Vec<Element>,
) -> Result<Vec<Element>, Failure> {
    let mut histograms: Vec<(Labels, Vec<Bucket>)> = Vec::new();
    let mut result = Vec::new();
    for element in vector {
        let count = match element.point {
            Point::Float(count) => count,
            Point::Histogram(native) => {
                query.is_open_if(native.is_odd(), "odd histograms");
                // Of one bucket without bounds, rounding tells whether it is nothing or all.
                let is_endless = native.bounds.as_ref().is_some_and(Vec::is_empty);
                query.is_open_if(is_endless && phi == 0.0, "quantiles without bounds");
                result.push(plain(without_name(&element.labels), native.quantile(phi)));
                continue;
            }
            Point::Stale => continue,
        };
        let mut labels = without_name(&element.labels);
        let le = labels.remove("le");
        let Some(bound) = le.and_then(|le| le.parse::<f64>().ok()) else { continue };
        match histograms.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, buckets)) => buckets.push((bound, count)),
            None => histograms.push((labels, vec![(bound, count)])),
        }
    }
    for (labels, buckets) in histograms {
        // NaN is neither above nor below a rank: what is found depends on how one looks for it.
        let has_order = buckets.iter().all(|(_, count)| !count.is_nan());
        query.is_open_if(!has_order, "buckets of NaN");
        result.push(plain(labels, quantile_of_buckets(phi, buckets)));
    }
    unique(result)
}

/// The share of observations between two values; of classic histograms the reference knows none.
fn fractions(
    query: &Query<'_>,
    low: f64,
    high: f64,
    vector: Vec<Element>,
) -> Result<Vec<Element>, Failure> {
    let mut result = Vec::new();
    for element in vector {
        match element.point {
            Point::Histogram(native) => {
                query.is_open_if(native.is_odd(), "odd histograms");
                let labels = without_name(&element.labels);
                result.push(plain(labels, native.fraction(low, high)));
            }
            _ if element.labels.contains_key("le") => {
                query.is_open_if(true, "fractions of classic histograms");
            }
            _ => {}
        }
    }
    unique(result)
}

fn quantile_of_buckets(phi: f64, mut buckets: Vec<Bucket>) -> f64 {
    if phi.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&phi) {
        return if phi < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<Bucket> = Vec::new();
    for (bound, count) in buckets {
        match merged.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => merged.push((bound, count)),
        }
    }
    if merged.len() < 2 || merged.last().is_none_or(|last| last.0 != f64::INFINITY) {
        return f64::NAN;
    }
    // Counts never go down.
    for at in 1..merged.len() {
        let before = merged[at - 1].1;
        if merged[at].1 < before || near(merged[at].1, before) {
            merged[at].1 = before;
        }
    }
    let observations = merged[merged.len() - 1].1;
    if observations == 0.0 {
        return f64::NAN;
    }
    let rank = phi * observations;
    let found = merged.iter().position(|(_, count)| *count >= rank).unwrap_or(merged.len() - 1);
    if found == merged.len() - 1 {
        return merged[merged.len() - 2].0;
    }
    if found == 0 && merged[0].0 <= 0.0 {
        return merged[0].0;
    }
    let (start, before) = if found == 0 { (0.0, 0.0) } else { merged[found - 1] };
    let (end, count) = merged[found];
    start + (end - start) * ((rank - before) / (count - before))
}

/// Differences this small come from rounding.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * (a.abs() + b.abs()).min(f64::MAX)
}
