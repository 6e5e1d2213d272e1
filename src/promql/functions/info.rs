//! `info(v, {selector})`: adds labels of info metrics to series with the same identifying labels
//! (Prometheus' `promql/info.go`).
//!
//! Info series are looked at when the first argument's samples are: its first selector's `@` and
//! `offset` count for them, too.

use hashbrown::{HashMap, HashSet};

use crate::model::labels::METRIC_NAME;
use crate::model::{Labels, MatchOp, Matcher, SeriesData};

use super::super::annotations::Notes;
use super::super::ast::{AtModifier, Call, Expr};
use super::super::error::QueryError;
use super::super::eval::block::{Block, Row, is_absent, same_labels};
use super::super::eval::context::Context;
use super::super::eval::grid::{Grid, Reach};
use super::super::eval::instant::{self, Show};
use super::super::eval::vector;

/// The labels that tell whose info it is. Info metrics may have others to tell, but nothing says
/// which.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
/// The info metric when no other is named.
const TARGET_INFO: &str = "target_info";

/// The values of [`IDENTIFYING`]; empty when absent.
type Identity = [String; 2];

/// Evaluates the function.
pub(super) fn info(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let (at, offset) = reference(context, &call.args[0])?.unwrap_or((None, 0));
    let base = vector(context, &call.args[0], grid, notes)?;
    let wanted = Wanted::of(call)?;
    let reach = Reach::new(grid, offset, context.at(at));
    let sources = Sources::read(context, &wanted, &base, reach, grid.steps)?;
    let block = enrich(&wanted, &sources, &base, grid.steps)?;
    context.budget.hold(block.samples())?;
    context.budget.release(base.samples());
    Ok(block)
}

/// `@` and offset (ms) of the first selector in `expr`: the innermost `@` counts, and the offsets
/// up to it.
fn reference(
    context: &Context<'_>,
    expr: &Expr,
) -> Result<Option<(Option<AtModifier>, i64)>, QueryError> {
    Ok(match expr {
        Expr::VectorSelector(selector) => Some((selector.at, context.offset(&selector.offset)?)),
        Expr::MatrixSelector(selector) => {
            Some((selector.vector.at, context.offset(&selector.vector.offset)?))
        }
        Expr::Subquery(subquery) => match reference(context, &subquery.expr)? {
            Some((None, offset)) => {
                Some((subquery.at, offset.saturating_add(context.offset(&subquery.offset)?)))
            }
            found => found,
        },
        Expr::Binary(_) => {
            let (first, operations) = expr.left_side();
            let operands = [first].into_iter().chain(operations.into_iter().map(|b| &b.rhs));
            let mut found = operands.filter_map(|operand| reference(context, operand).transpose());
            found.next().transpose()?
        }
        _ => {
            let children = expr.children().into_iter();
            let mut found = children.filter_map(|child| reference(context, child).transpose());
            found.next().transpose()?
        }
    })
}

/// What the second argument asks for.
struct Wanted {
    /// Matchers of the info metric's name.
    names: Vec<Matcher>,
    /// Matchers of its other labels. If there are any, only these labels are added.
    labels: Vec<Matcher>,
}

impl Wanted {
    fn of(call: &Call) -> Result<Wanted, QueryError> {
        let matchers = match call.args.get(1) {
            Some(Expr::VectorSelector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let is_name = |matcher: &Matcher| matcher.name() == METRIC_NAME;
        let (mut names, labels): (Vec<_>, Vec<_>) = matchers.into_iter().partition(is_name);
        let positive = |m: &Matcher| matches!(m.op(), MatchOp::Equal | MatchOp::Regex);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
        } else if !names.iter().any(positive) {
            names.push(regex(METRIC_NAME, ".+_info")?);
        }
        Ok(Wanted { names, labels })
    }

    /// Whether a series is an info series itself, which is not added to.
    fn is_info(&self, labels: &Labels) -> bool {
        self.names.iter().all(|matcher| matcher.matches(labels.metric_name()))
    }

    /// Whether a label of an info series is to be added.
    fn takes(&self, name: &str) -> bool {
        name != METRIC_NAME
            && (self.labels.is_empty() || self.labels.iter().any(|m| m.name() == name))
    }

    /// Whether a series without info stays.
    fn needs_none(&self) -> bool {
        self.labels.iter().all(|matcher| matcher.matches(""))
    }
}

fn regex(name: &str, pattern: &str) -> Result<Matcher, QueryError> {
    Matcher::new(MatchOp::Regex, name, pattern)
        .map_err(|error| QueryError::Execution(format!("cannot select info series: {error}")))
}

/// The info series.
struct Sources {
    /// Labels of each.
    labels: Vec<Labels>,
    /// When the sample was taken that each shows at each step, in seconds.
    times: Vec<Vec<f64>>,
    /// For each identity the series of each metric name.
    groups: HashMap<Identity, Vec<Vec<usize>>>,
}

fn identity(labels: &Labels) -> Identity {
    IDENTIFYING.map(|name| labels.value(name).to_owned())
}

impl Sources {
    /// Reads the info series whose identifying labels occur in `base`.
    fn read(
        context: &Context<'_>,
        wanted: &Wanted,
        base: &Block,
        reach: Reach,
        steps: usize,
    ) -> Result<Sources, QueryError> {
        let mut sources = Sources { labels: Vec::new(), times: Vec::new(), groups: HashMap::new() };
        let Some(matchers) = selector(wanted, base) else { return Ok(sources) };
        let set = context.select(&matchers, reach.bounds(context.lookback_ms))?;
        let mut data = SeriesData::default();
        for index in 0..set.len() {
            context.budget.check()?;
            set.read(index, &mut data)?;
            let mut row = Row::new(set.labels(index).clone(), steps);
            instant::fill(&data, reach, context.lookback_ms, Show::Value, &mut row);
            if !row.histograms.is_empty() {
                let message = "this should be an info metric, with float samples";
                return Err(QueryError::Execution(format!("{message}: {}", row.labels)));
            }
            let seen = instant::fill(&data, reach, context.lookback_ms, Show::Timestamp, &mut row);
            if let Some(mut tally) = context.budget.tally() {
                tally.instant(&row, Show::Timestamp);
            }
            context.budget.looked_at(seen);
            context.budget.hold(steps as u64)?;
            sources.add(row);
        }
        Ok(sources)
    }

    fn add(&mut self, row: Row) {
        let number = self.labels.len();
        let groups = self.groups.entry(identity(&row.labels)).or_default();
        let name = row.labels.metric_name();
        let same_name = |group: &&mut Vec<usize>| self.labels[group[0]].metric_name() == name;
        match groups.iter_mut().find(same_name) {
            Some(group) => group.push(number),
            None => groups.push(vec![number]),
        }
        self.labels.push(row.labels);
        self.times.push(row.values);
    }

    /// Fails when two series of a group have samples of the same time at a step in use, whoever it
    /// is whose info that is.
    fn refuse_duplicates(&self, in_use: &[bool]) -> Result<(), QueryError> {
        for group in self.groups.values().flatten().filter(|group| group.len() > 1) {
            for step in (0..in_use.len()).filter(|step| in_use[*step]) {
                self.newest(group, step)?;
            }
        }
        Ok(())
    }

    /// The series of a group with the newest sample at `step`.
    fn newest(&self, group: &[usize], step: usize) -> Result<Option<usize>, QueryError> {
        let mut newest: Option<usize> = None;
        for number in group.iter().copied().filter(|n| !is_absent(self.times[*n][step])) {
            let time = self.times[number][step];
            match newest.map(|other| (other, self.times[other][step])) {
                Some((_, other_time)) if other_time > time => {}
                Some((other, other_time)) if other_time == time => {
                    let ms = (time * 1000.0).round() as i64;
                    return Err(QueryError::Execution(format!(
                        "found duplicate series for info metric: existing {} @ {ms}, new {} @ {ms}",
                        self.labels[other], self.labels[number]
                    )));
                }
                _ => newest = Some(number),
            }
        }
        Ok(newest)
    }
}

/// The matchers of the info series; `None` when nothing in `base` can have info.
fn selector(wanted: &Wanted, base: &Block) -> Option<Vec<Matcher>> {
    let (mut matchers, mut needed) = (Vec::new(), false);
    let rows = || base.rows.iter().filter(|row| !wanted.is_info(&row.labels));
    for name in IDENTIFYING {
        let values: HashSet<&str> =
            rows().map(|row| row.labels.value(name)).filter(|value| !value.is_empty()).collect();
        if !values.is_empty() {
            let mut patterns: Vec<String> = values.into_iter().map(regex::escape).collect();
            patterns.sort_unstable();
            // Too many values for one pattern are no harm: identities are compared later on.
            matchers.extend(regex(name, &patterns.join("|")).ok());
            needed = true;
        }
    }
    if !needed {
        return None;
    }
    matchers.extend(wanted.labels.iter().chain(&wanted.names).cloned());
    Some(matchers)
}

/// The rows made so far.
#[derive(Default)]
struct Output {
    rows: Vec<Row>,
    places: HashMap<Labels, usize>,
}

impl Output {
    /// The place of the row with these labels.
    fn place(&mut self, labels: Labels, like: &Row, steps: usize) -> usize {
        let next = self.rows.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            self.rows.push(Row { drop_name: like.drop_name, ..Row::new(labels, steps) });
        }
        place
    }

    fn copy(&mut self, place: usize, from: &Row, step: usize) -> Result<(), QueryError> {
        let row = &mut self.rows[place];
        if row.has(step) {
            return Err(same_labels());
        }
        row.values[step] = from.values[step];
        if let Some(histogram) = from.histogram(step) {
            row.put_histogram(step, histogram.clone());
        }
        Ok(())
    }
}

/// Adds the labels, step by step.
fn enrich(
    wanted: &Wanted,
    sources: &Sources,
    base: &Block,
    steps: usize,
) -> Result<Block, QueryError> {
    let mut output = Output::default();
    let in_use: Vec<bool> =
        (0..steps).map(|step| base.rows.iter().any(|row| row.has(step))).collect();
    sources.refuse_duplicates(&in_use)?;
    for row in &base.rows {
        let is_info = wanted.is_info(&row.labels);
        let groups = sources.groups.get(&identity(&row.labels)).filter(|_| !is_info);
        let groups = groups.map_or(&[] as &[Vec<usize>], Vec::as_slice);
        // Which info series were found rarely changes from step to step.
        let mut last: Option<(Vec<usize>, Option<usize>)> = None;
        for step in (0..steps).filter(|step| row.has(*step)) {
            let mut found = Vec::with_capacity(groups.len());
            for group in groups {
                found.extend(sources.newest(group, step)?);
            }
            let place = match &last {
                Some((same, place)) if *same == found => *place,
                _ if found.is_empty() && !is_info && !wanted.needs_none() => None,
                _ => {
                    let infos = found.iter().map(|number| &sources.labels[*number]);
                    let labels = with_info(wanted, &row.labels, infos)?;
                    Some(output.place(labels, row, steps))
                }
            };
            if let Some(place) = place {
                output.copy(place, row, step)?;
            }
            last = Some((found, place));
        }
    }
    Ok(Block { rows: output.rows })
}

/// The labels with those of the info series that they lack.
fn with_info<'l>(
    wanted: &Wanted,
    labels: &Labels,
    infos: impl Iterator<Item = &'l Labels>,
) -> Result<Labels, QueryError> {
    let mut added: HashMap<&str, &str> = HashMap::new();
    let mut builder = labels.to_builder();
    for info in infos {
        for (name, value) in info.iter().filter(|(name, _)| wanted.takes(name)) {
            if added.get(name).is_some_and(|other| *other != value) {
                return Err(QueryError::Execution(format!("conflicting label: {name}")));
            }
            if labels.get(name).is_none() {
                added.insert(name, value);
                builder.set(name, value);
            }
        }
    }
    builder.build().map_err(|error| QueryError::Execution(error.to_string()))
}
