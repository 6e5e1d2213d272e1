//! Aggregations: many elements to one, or the choice of a few.

use tidewatch::promql::ast::{Aggregate, AggregateOp};

use super::data::{Labels, Point};
use super::evaluate::{Element, Failure, Query, Value};
use super::histogram::Histo;
use super::ranges::{least, mean, quantile, sum, variance};

/// Aggregates a vector.
pub fn aggregate(
    query: &Query<'_>,
    aggregate: &Aggregate,
    param: Option<Value>,
    vector: Vec<Element>,
) -> Result<Vec<Element>, Failure> {
    let mut result = Vec::new();
    for (labels, members) in groups(aggregate, vector) {
        match (aggregate.op, &param) {
            (AggregateOp::Limitk, Some(Value::Scalar(k))) => {
                let k = k.max(0.0) as usize;
                query.is_open_if(k > 0 && k < members.len(), "which ones limitk takes");
                result.extend(members.into_iter().take(k));
            }
            (AggregateOp::LimitRatio, Some(Value::Scalar(ratio))) => {
                let some = ratio.abs() < 1.0 && *ratio != 0.0;
                query.is_open_if(some, "which ones limit_ratio takes");
                if *ratio != 0.0 {
                    result.extend(members);
                }
            }
            (AggregateOp::Topk | AggregateOp::Bottomk, Some(Value::Scalar(k))) => {
                result.extend(chosen(query, aggregate.op == AggregateOp::Topk, *k, members));
            }
            (AggregateOp::CountValues, Some(Value::Text(label))) => {
                count_values(query, &labels, label, &members, &mut result);
            }
            (op, param) => {
                let phi = match param {
                    Some(Value::Scalar(phi)) => *phi,
                    _ => f64::NAN,
                };
                if let Some(point) = folded(query, op, phi, &members) {
                    result.push(Element { labels, point, taken: None });
                }
            }
        }
    }
    Ok(result)
}

/// The elements of each group.
pub fn groups(aggregate: &Aggregate, vector: Vec<Element>) -> Vec<(Labels, Vec<Element>)> {
    let mut groups: Vec<(Labels, Vec<Element>)> = Vec::new();
    for element in vector {
        let labels = group_labels(aggregate, &element.labels);
        match groups.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, members)) => members.push(element),
            None => groups.push((labels, vec![element])),
        }
    }
    groups
}

fn group_labels(aggregate: &Aggregate, labels: &Labels) -> Labels {
    let kept = |name: &String| match aggregate.without {
        true => name != "__name__" && !aggregate.grouping.contains(name),
        false => aggregate.grouping.contains(name),
    };
    labels.iter().filter(|(n, _)| kept(n)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

fn folded(query: &Query<'_>, op: AggregateOp, phi: f64, members: &[Element]) -> Option<Point> {
    let floats: Vec<f64> = floats(members);
    let histograms: Vec<&Histo> = members
        .iter()
        .filter_map(|member| match &member.point {
            Point::Histogram(histogram) => Some(histogram),
            _ => None,
        })
        .collect();
    match op {
        AggregateOp::Count => return Some(Point::Float(members.len() as f64)),
        AggregateOp::Group => return Some(Point::Float(1.0)),
        AggregateOp::Sum | AggregateOp::Avg if !histograms.is_empty() => {
            if !floats.is_empty() {
                return None;
            }
            let sum = Histo::total(&histograms)?;
            let count = if op == AggregateOp::Avg { histograms.len() as f64 } else { 1.0 };
            return Some(Point::Histogram(sum.compacted().divided(count)));
        }
        _ if floats.is_empty() => return None, // histograms are not looked at
        _ => {}
    }
    let negative: Vec<f64> = floats.iter().map(|value| -value).collect();
    let value = match op {
        AggregateOp::Sum => sum(&floats),
        AggregateOp::Avg => mean(&floats),
        AggregateOp::Min => least(&floats),
        AggregateOp::Max => -least(&negative),
        AggregateOp::Stdvar => variance(&floats),
        AggregateOp::Stddev => variance(&floats).sqrt(),
        AggregateOp::Quantile => quantile(phi, &floats),
        _ => {
            query.is_open_if(true, "an aggregation");
            return None;
        }
    };
    Some(Point::Float(value))
}

fn floats(members: &[Element]) -> Vec<f64> {
    let float = |member: &Element| match member.point {
        Point::Float(value) => Some(value),
        _ => None,
    };
    members.iter().filter_map(float).collect()
}

/// The `k` greatest or least; NaN is chosen last.
fn chosen(query: &Query<'_>, greatest: bool, k: f64, members: Vec<Element>) -> Vec<Element> {
    let mut members: Vec<(f64, Element)> = members
        .into_iter()
        .filter_map(|member| match member.point {
            Point::Float(value) => Some((value, member)),
            _ => None,
        })
        .collect();
    members.sort_by(|(a, _), (b, _)| match (a.is_nan(), b.is_nan()) {
        (false, false) if greatest => b.total_cmp(a),
        (false, false) => a.total_cmp(b),
        (a, b) => a.cmp(&b),
    });
    let k = k.max(0.0) as usize;
    if k > 0 && k < members.len() {
        let (last, next) = (members[k - 1].0, members[k].0);
        query.is_open_if(same(last, next), "which of equals are chosen");
    }
    members.truncate(k);
    members.into_iter().map(|(_, member)| Element { taken: None, ..member }).collect()
}

/// Whether two numbers are as good as equal.
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// How many elements have each value; the value becomes a label.
fn count_values(
    query: &Query<'_>,
    labels: &Labels,
    label: &str,
    members: &[Element],
    result: &mut Vec<Element>,
) {
    for member in members {
        let Point::Float(value) = member.point else {
            query.is_open_if(true, "a histogram as a label");
            continue;
        };
        let has_last_digits = value.fract() != 0.0 || value.abs() > 1e15;
        query.is_open_if(has_last_digits, "last digits as a label");
        let text = match value {
            value if value == f64::INFINITY => "+Inf".to_owned(),
            value if value == f64::NEG_INFINITY => "-Inf".to_owned(),
            value => format!("{value}"),
        };
        let mut labels = labels.clone();
        labels.insert(label.to_owned(), text);
        match result.iter_mut().find(|element| element.labels == labels) {
            Some(Element { point: Point::Float(count), .. }) => *count += 1.0,
            _ => result.push(Element { labels, point: Point::Float(1.0), taken: None }),
        }
    }
}
