//! Aggregations: `sum by (x) (...)` and its kin.
//!
//! Operators that keep a few numbers per group ([`fold`]) take rows as they come from a pipeline;
//! those that choose among series ([`choose`]) need all rows.

mod choose;
mod fold;
mod values;

use hashbrown::HashMap;

use crate::model::Labels;
use crate::model::labels::{METRIC_NAME, QuotedBytes};

use super::super::annotations::Notes;
use super::super::ast::{Aggregate, AggregateOp};
use super::super::error::QueryError;
use super::block::{Block, Row, is_metadata};
use super::context::{Context, unwrap_parens};
use super::grid::Grid;
use super::select::pipeline;
use super::{invariant, label_name, scalar, vector};

/// Evaluates an aggregation.
pub(crate) fn evaluate(
    context: &Context<'_>,
    aggregate: &Aggregate,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Quantile, Topk};
    let param = match (&aggregate.param, aggregate.op) {
        (Some(param), Topk | Bottomk | Limitk | LimitRatio | Quantile) => {
            scalar(context, param, grid, notes)?
        }
        _ => Vec::new(),
    };
    match aggregate.op {
        Topk | Bottomk | Limitk | LimitRatio => {
            let block = vector(context, &aggregate.expr, grid, notes)?;
            choose::evaluate(context, aggregate, &param, block, grid, notes)
        }
        CountValues => {
            let label = aggregate.param.as_ref().map_or(Err([].as_slice()), label_name);
            let label = label.map_err(|bytes| {
                QueryError::Execution(format!("invalid label name {}", QuotedBytes(bytes)))
            })?;
            let block = vector(context, &aggregate.expr, grid, notes)?;
            values::count(context, aggregate, label, &block, grid)
        }
        _ => fold_rows(context, aggregate, &param, grid, notes),
    }
}

/// Folds rows into groups, streaming them when the operand is a pipeline.
fn fold_rows(
    context: &Context<'_>,
    aggregate: &Aggregate,
    param: &[f64],
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let span = unwrap_parens(&aggregate.expr).span();
    let mut fold = fold::Fold::new(aggregate.op, param, span, grid.steps);
    let mut grouping = Grouping::new(context, aggregate);
    let streams = super::vector::is_chain(&aggregate.expr)
        && (grid.steps == 1 || !invariant::is_invariant(&aggregate.expr));
    let stream = if streams { pipeline(context, &aggregate.expr, grid, notes)? } else { None };
    if let Some(stream) = stream {
        stream.refuse_same_names(context)?;
        let mut inner = Notes::default();
        stream.for_each(context, notes, |row| {
            fold_row(context, &mut fold, &mut grouping, row, &mut inner)
        })?;
        notes.merge(inner);
    } else {
        let block = vector(context, &aggregate.expr, grid, notes)?;
        for row in &block.rows {
            fold_row(context, &mut fold, &mut grouping, row, notes)?;
        }
        context.budget.release(block.samples());
    }
    if let (AggregateOp::Quantile, Some(expr)) = (aggregate.op, &aggregate.param) {
        fold::note_quantiles(param, unwrap_parens(expr).span(), notes);
    }
    fold.finish(grouping.labels, notes)
}

fn fold_row(
    context: &Context<'_>,
    fold: &mut fold::Fold,
    grouping: &mut Grouping<'_>,
    row: &Row,
    notes: &mut Notes,
) -> Result<(), QueryError> {
    if row.is_empty() {
        return Ok(());
    }
    let groups = grouping.labels.len();
    let group = grouping.group_of(&row.labels, row.drop_name);
    if grouping.labels.len() > groups {
        context.budget.hold(fold.add_group())?;
    }
    if fold.keeps_values() {
        context.budget.hold(row.values.len() as u64)?;
    }
    let renamed = row.drop_name && !context.features.delayed_name_removal;
    let name = if renamed { "" } else { row.labels.metric_name() };
    fold.add(group, row, name, notes)
}

/// Numbers groups in the order they are met.
struct Grouping<'a> {
    names: &'a [String],
    without: bool,
    /// Whether a name to be dropped is gone already for grouping.
    names_dropped: bool,
    numbers: HashMap<Box<[u8]>, usize>,
    /// Labels of each group.
    labels: Vec<Labels>,
    buffer: Vec<u8>,
}

impl<'a> Grouping<'a> {
    fn new(context: &Context<'_>, aggregate: &'a Aggregate) -> Grouping<'a> {
        Grouping {
            names: &aggregate.grouping,
            without: aggregate.without,
            names_dropped: !context.features.delayed_name_removal,
            numbers: HashMap::new(),
            labels: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// The group of a series with these labels, its metric name dropped or not.
    fn group_of(&mut self, labels: &Labels, drop_name: bool) -> usize {
        let renamed = drop_name && self.names_dropped;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        labels.pick(&mut buffer, |name| self.keeps(name) && !(renamed && is_metadata(name)));
        self.buffer = buffer;
        if let Some(number) = self.numbers.get(self.buffer.as_slice()) {
            return *number;
        }
        let number = self.labels.len();
        let labels = Labels::from_packed(&self.buffer)
            .expect("BUG: some of a label set's labels in order are a label set");
        self.labels.push(labels);
        self.numbers.insert(self.buffer.as_slice().into(), number);
        number
    }

    fn keeps(&self, name: &[u8]) -> bool {
        let listed = self.names.iter().any(|label| label.as_bytes() == name);
        if self.without { !listed && name != METRIC_NAME.as_bytes() } else { listed }
    }
}
