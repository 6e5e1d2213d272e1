//! `info`: labels of info metrics for series of the same job and instance.

use tidewatch::model::{MatchOp, Matcher};
use tidewatch::promql::ast::{AtModifier, Call, DurationSpec, Expr};

use super::data::{Labels, Series};
use super::evaluate::{Element, Failure, Query, accepts, newest, unique};

/// The elements with the labels that their info metrics have at that time.
pub fn info(
    query: &Query<'_>,
    call: &Call,
    base: Vec<Element>,
    time: i64,
) -> Result<Vec<Element>, Failure> {
    let (names, others) = wanted(call)?;
    let time = info_time(query, &call.args[0], time)?.unwrap_or(time);
    let fits = |matchers: &[Matcher], labels: &Labels| matchers.iter().all(|m| accepts(m, labels));
    let is_info = |series: &&Series| fits(&names, &series.labels) && fits(&others, &series.labels);
    let infos: Vec<Element> =
        query.series.iter().filter(is_info).filter_map(|series| newest(series, time)).collect();
    let mut result = Vec::new();
    for element in base {
        if fits(&names, &element.labels) {
            result.push(element);
            continue;
        }
        let own = own_infos(&infos, &element.labels)?;
        if own.is_empty() && !fits(&others, &Labels::new()) {
            continue;
        }
        let mut labels = element.labels.clone();
        for (name, value) in own.iter().flat_map(|info| &info.labels) {
            let is_asked = others.is_empty() || others.iter().any(|m| m.name() == name);
            if name == "__name__" || !is_asked || element.labels.contains_key(name) {
                continue;
            }
            if labels.get(name).is_some_and(|other| other != value) {
                return Err(format!("conflicting label: {name}"));
            }
            labels.insert(name.clone(), value.clone());
        }
        result.push(Element { labels, taken: None, ..element });
    }
    unique(result)
}

/// Matchers of the name of info metrics, and of their other labels.
fn wanted(call: &Call) -> Result<(Vec<Matcher>, Vec<Matcher>), Failure> {
    let matchers = match call.args.get(1) {
        Some(Expr::VectorSelector(selector)) => selector.matchers.clone(),
        _ => Vec::new(),
    };
    let (mut names, others): (Vec<Matcher>, Vec<Matcher>) =
        matchers.into_iter().partition(|matcher| matcher.name() == "__name__");
    if names.is_empty() {
        names.push(Matcher::equal("__name__", "target_info"));
    } else if !names.iter().any(|m| matches!(m.op(), MatchOp::Equal | MatchOp::Regex)) {
        let pattern = Matcher::new(MatchOp::Regex, "__name__", ".+_info");
        names.push(pattern.map_err(|error| error.to_string())?);
    }
    Ok((names, others))
}

/// The newest series of each info metric with this job and instance.
fn own_infos<'i>(infos: &'i [Element], labels: &Labels) -> Result<Vec<&'i Element>, Failure> {
    let identity = |labels: &Labels| ["instance", "job"].map(|name| labels.get(name).cloned());
    if identity(labels) == [None, None] {
        return Ok(Vec::new());
    }
    let mut own: Vec<&Element> = Vec::new();
    for info in infos.iter().filter(|info| identity(&info.labels) == identity(labels)) {
        let name = &info.labels["__name__"];
        match own.iter_mut().find(|other| other.labels["__name__"] == *name) {
            None => own.push(info),
            Some(other) if other.taken < info.taken => *other = info,
            Some(other) if other.taken == info.taken => {
                return Err(format!("duplicate info metric {name}"));
            }
            Some(_) => {}
        }
    }
    Ok(own)
}

/// The time at which the first selector of an expression looks at its samples.
fn info_time(query: &Query<'_>, expr: &Expr, time: i64) -> Result<Option<i64>, Failure> {
    let found = reference(expr, &mut Vec::new());
    let Some((at, offsets)) = found else { return Ok(None) };
    let none = DurationSpec::Fixed(0);
    let mut time = query.time_of(at, &none, time)?;
    for offset in offsets {
        time = query.time_of(None, &offset, time)?;
    }
    Ok(Some(time))
}

/// The innermost `@` of the first selector, and the offsets up to it; `around` are the offsets and
/// `@` of the subqueries around it, the innermost last.
fn reference(
    expr: &Expr,
    around: &mut Vec<(Option<AtModifier>, DurationSpec)>,
) -> Option<(Option<AtModifier>, Vec<DurationSpec>)> {
    let own = match expr {
        Expr::VectorSelector(selector) => (selector.at, selector.offset.clone()),
        Expr::MatrixSelector(matrix) => (matrix.vector.at, matrix.vector.offset.clone()),
        Expr::Subquery(subquery) => {
            around.push((subquery.at, subquery.offset.clone()));
            let found = reference(&subquery.expr, around);
            around.pop();
            return found;
        }
        other => return other.children().into_iter().find_map(|e| reference(e, around)),
    };
    let (mut at, mut offsets) = (None, Vec::new());
    for (its_at, offset) in std::iter::once(&own).chain(around.iter().rev()) {
        if at.is_none() {
            offsets.push(offset.clone());
            at = *its_at;
        }
    }
    Some((at, offsets))
}
