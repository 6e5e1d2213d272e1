//! Binary operators.

use tidewatch::promql::ast::{Binary, BinaryOp, Cardinality, VectorMatching};

use super::data::{Labels, Point};
use super::evaluate::{Element, Failure, Value, unique, without_name};
use super::histogram::Histo;

/// The value of an operation.
pub fn binary(binary: &Binary, lhs: Value, rhs: Value) -> Result<Value, Failure> {
    match (lhs, rhs) {
        (Value::Scalar(a), Value::Scalar(b)) => {
            let value = match compared(binary.op, a, b) {
                Some(true) => 1.0,
                Some(false) => 0.0,
                None => computed(binary.op, a, b),
            };
            Ok(Value::Scalar(value))
        }
        (Value::Vector(vector), Value::Scalar(scalar)) => {
            with_scalar(binary, vector, scalar, false).map(Value::Vector)
        }
        (Value::Scalar(scalar), Value::Vector(vector)) => {
            with_scalar(binary, vector, scalar, true).map(Value::Vector)
        }
        (Value::Vector(lhs), Value::Vector(rhs)) => {
            let matching = binary.matching.as_ref().expect("two vectors have a matching");
            let result = match binary.op {
                BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => {
                    sets(binary.op, matching, lhs, rhs)
                }
                _ => paired(binary, matching, lhs, rhs)?,
            };
            unique(result).map(Value::Vector)
        }
        (lhs, rhs) => panic!("no operator takes {lhs:?} and {rhs:?}"),
    }
}

/// The outcome of a comparison; `None` for other operators.
fn compared(op: BinaryOp, a: f64, b: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Eq => a == b,
        BinaryOp::Ne => a != b,
        BinaryOp::Lt => a < b,
        BinaryOp::Le => a <= b,
        BinaryOp::Gt => a > b,
        BinaryOp::Ge => a >= b,
        _ => return None,
    })
}

/// What an operator makes of two numbers.
pub fn computed(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Atan2 => a.atan2(b),
        other => panic!("{} does not compute", other.as_str()),
    }
}

/// What two points give, and whether a comparison lets it pass: `None` when the operator does not
/// know such points. `kept` is what a comparison that holds keeps.
fn operate(binary: &Binary, a: &Point, b: &Point, kept: &Point) -> Option<(Point, bool)> {
    let holds = match (a, b) {
        (Point::Float(a), Point::Float(b)) => compared(binary.op, *a, *b),
        (Point::Histogram(a), Point::Histogram(b)) => match binary.op {
            BinaryOp::Eq => Some(a.equals(b)),
            BinaryOp::Ne => Some(!a.equals(b)),
            _ => None,
        },
        _ => None,
    };
    if let Some(holds) = holds {
        let truth = Point::Float(f64::from(u8::from(holds)));
        return Some(if binary.return_bool { (truth, true) } else { (kept.clone(), holds) });
    }
    let value = match (a, b, binary.op) {
        (Point::Float(a), Point::Float(b), op)
            if !matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) =>
        {
            Point::Float(computed(op, *a, *b))
        }
        (Point::Histogram(a), Point::Histogram(b), BinaryOp::Add) => {
            Point::Histogram(a.plus(b, 1.0)?)
        }
        (Point::Histogram(a), Point::Histogram(b), BinaryOp::Sub) => {
            Point::Histogram(Histo { is_gauge: true, ..a.plus(b, -1.0)? })
        }
        (Point::Histogram(h), Point::Float(f), BinaryOp::Mul)
        | (Point::Float(f), Point::Histogram(h), BinaryOp::Mul) => Point::Histogram(h.times(*f)),
        (Point::Histogram(h), Point::Float(f), BinaryOp::Div) => Point::Histogram(h.divided(*f)),
        (Point::Histogram(h), Point::Float(f), BinaryOp::TrimUpper) => {
            Point::Histogram(h.trimmed(f64::NEG_INFINITY, *f))
        }
        (Point::Histogram(h), Point::Float(f), BinaryOp::TrimLower) => {
            Point::Histogram(h.trimmed(*f, f64::INFINITY))
        }
        (_, _, BinaryOp::TrimUpper | BinaryOp::TrimLower) => return None,
        _ => return None,
    };
    Some((value, true))
}

fn drops_name(binary: &Binary) -> bool {
    use BinaryOp::{TrimLower, TrimUpper};
    let keeps = binary.op.is_comparison() || matches!(binary.op, TrimLower | TrimUpper);
    binary.return_bool || !keeps
}

fn with_scalar(
    binary: &Binary,
    vector: Vec<Element>,
    scalar: f64,
    scalar_left: bool,
) -> Result<Vec<Element>, Failure> {
    let mut result = Vec::new();
    for Element { labels, point, .. } in vector {
        let scalar = Point::Float(scalar);
        let (a, b) = if scalar_left { (&scalar, &point) } else { (&point, &scalar) };
        let Some((point, true)) = operate(binary, a, b, &point) else { continue };
        let labels = if drops_name(binary) { without_name(&labels) } else { labels };
        result.push(Element { labels, point, taken: None });
    }
    unique(result)
}

/// The labels by which elements find each other.
fn signature(matching: &VectorMatching, labels: &Labels) -> Labels {
    let counts = |name: &String| match matching.on {
        true => matching.labels.contains(name),
        false => name != "__name__" && !matching.labels.contains(name),
    };
    labels.iter().filter(|(n, _)| counts(n)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

fn sets(
    op: BinaryOp,
    matching: &VectorMatching,
    lhs: Vec<Element>,
    rhs: Vec<Element>,
) -> Vec<Element> {
    let untaken = |element: Element| Element { taken: None, ..element };
    let is_in = |element: &Element, others: &[Element]| {
        let wanted = signature(matching, &element.labels);
        others.iter().any(|other| signature(matching, &other.labels) == wanted)
    };
    let chosen: Vec<Element> = match op {
        BinaryOp::And => lhs.into_iter().filter(|element| is_in(element, &rhs)).collect(),
        BinaryOp::Unless => lhs.into_iter().filter(|element| !is_in(element, &rhs)).collect(),
        _ => {
            let more: Vec<Element> =
                rhs.into_iter().filter(|element| !is_in(element, &lhs)).collect();
            lhs.into_iter().chain(more).collect()
        }
    };
    chosen.into_iter().map(untaken).collect()
}

/// Each element of the side of many with the one of the other side that it matches, or what fills
/// in for it; and each element of the side of one that matches none with what fills in for that.
fn paired(
    binary: &Binary,
    matching: &VectorMatching,
    lhs: Vec<Element>,
    rhs: Vec<Element>,
) -> Result<Vec<Element>, Failure> {
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    if lhs.is_empty() && rhs.is_empty() || (lhs.is_empty() || rhs.is_empty()) && !fills {
        return Ok(Vec::new());
    }
    let swapped = matching.card == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    for (at, element) in one.iter().enumerate() {
        let wanted = signature(matching, &element.labels);
        if one[..at].iter().any(|other| signature(matching, &other.labels) == wanted) {
            return Err("two series on the side of one".to_owned());
        }
    }
    let filled = |labels: &Labels, value: f64| {
        let labels = signature(matching, labels);
        Element { labels, point: Point::Float(value), taken: None }
    };
    let mut pairs: Pairs = Pairs { binary, matching, used: Vec::new(), result: Vec::new() };
    for element in &many {
        let wanted = signature(matching, &element.labels);
        match one.iter().find(|other| signature(matching, &other.labels) == wanted) {
            Some(other) => pairs.add(element, other)?,
            None => {
                if let Some(value) = matching.fill_right {
                    pairs.add(element, &filled(&element.labels, value))?;
                }
            }
        }
    }
    if let Some(value) = matching.fill_left {
        for other in &one {
            let wanted = signature(matching, &other.labels);
            if !pairs.used.iter().any(|(key, _)| *key == wanted) {
                pairs.add(&filled(&other.labels, value), other)?;
            }
        }
    }
    Ok(pairs.result)
}

/// Pairs of elements and what the operator makes of them.
struct Pairs<'b> {
    binary: &'b Binary,
    matching: &'b VectorMatching,
    /// The labels by which each pair was found, and those of its result.
    used: Vec<(Labels, Labels)>,
    result: Vec<Element>,
}

impl Pairs<'_> {
    fn add(&mut self, many: &Element, one: &Element) -> Result<(), Failure> {
        let (binary, matching) = (self.binary, self.matching);
        let swapped = matching.card == Cardinality::OneToMany;
        let (a, b) = if swapped { (one, many) } else { (many, one) };
        let Some((point, passes)) = operate(binary, &a.point, &b.point, &a.point) else {
            return Ok(());
        };
        let wanted = signature(matching, &many.labels);
        let labels = joined(binary, matching, &many.labels, &one.labels);
        let one_to_one = matching.card == Cardinality::OneToOne;
        let clash =
            |(key, result): &(Labels, Labels)| *key == wanted && (one_to_one || *result == labels);
        if self.used.iter().any(clash) {
            return Err("two series on the side of many".to_owned());
        }
        self.used.push((wanted, labels.clone()));
        if passes {
            self.result.push(Element { labels, point, taken: None });
        }
        Ok(())
    }
}

/// The labels of a result.
fn joined(binary: &Binary, matching: &VectorMatching, many: &Labels, one: &Labels) -> Labels {
    let mut labels = many.clone();
    if drops_name(binary) {
        labels.remove("__name__");
    }
    if matching.card == Cardinality::OneToOne {
        labels.retain(|name, _| matching.on == matching.labels.contains(name));
    }
    for name in &matching.include {
        match one.get(name) {
            Some(value) => labels.insert(name.clone(), value.clone()),
            None => labels.remove(name),
        };
    }
    labels
}
