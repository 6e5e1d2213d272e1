//! `count_values`: how many series have each value.

use hashbrown::HashMap;

use crate::model::Labels;
use crate::model::labels::Quoted;

use super::super::super::ast::Aggregate;
use super::super::super::error::QueryError;
use super::super::super::functions::labels::is_label_name;
use super::super::super::functions::number::go_fixed;
use super::super::block::{Block, Row, is_absent};
use super::super::context::Context;
use super::super::grid::Grid;
use super::super::not_supported;
use super::Grouping;

/// Counts the values of `block`, each under its text in label `label`.
pub(super) fn count(
    context: &Context<'_>,
    aggregate: &Aggregate,
    label: &str,
    block: &Block,
    grid: Grid,
) -> Result<Block, QueryError> {
    if !is_label_name(label) {
        return Err(QueryError::Execution(format!("invalid label name {}", Quoted(label))));
    }
    let mut names = aggregate.grouping.clone();
    if !aggregate.without {
        names.push(label.to_owned());
    }
    let mut grouping = Grouping { names: &names, ..Grouping::new(context, aggregate) };
    let mut rows: Vec<Row> = Vec::new();
    for row in &block.rows {
        if !row.histograms.is_empty() {
            return Err(not_supported("count_values of native histograms"));
        }
        let mut groups: HashMap<u64, usize> = HashMap::new();
        for (step, value) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            let group = match groups.get(&value.to_bits()) {
                Some(group) => *group,
                None => {
                    let labels = with_value(&row.labels, label, *value)?;
                    let group = grouping.group_of(&labels, row.drop_name);
                    groups.insert(value.to_bits(), group);
                    group
                }
            };
            if group == rows.len() {
                context.budget.hold(grid.steps as u64)?;
                rows.push(Row::new(grouping.labels[group].clone(), grid.steps));
            }
            let count = &mut rows[group].values[step];
            *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
        }
    }
    context.budget.release(block.samples());
    Ok(Block { rows })
}

fn with_value(labels: &Labels, label: &str, value: f64) -> Result<Labels, QueryError> {
    let mut builder = labels.to_builder();
    builder.set(label, &go_fixed(value));
    builder.build().map_err(|error| QueryError::Execution(error.to_string()))
}
