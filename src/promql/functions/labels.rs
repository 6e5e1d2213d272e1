//! `label_replace` and `label_join`.

use regex::Regex;

use crate::model::labels::METRIC_NAME;
use crate::model::{Labels, pattern};

use super::super::annotations::Notes;
use super::super::ast::Call;
use super::super::error::QueryError;
use super::super::eval::block::{Block, Row, merge_same_labels};
use super::super::eval::context::Context;
use super::super::eval::grid::Grid;
use super::super::eval::{label_name, string, vector};

/// Largest compiled size of the pattern in bytes; beyond it the pattern is an attack or an
/// accident.
const REGEX_BYTES_MAX: usize = 10 << 20;

/// `label_replace(v, dst, replacement, src, regex)`
pub(super) fn replace(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let [replacement, src, regex] = [2, 3, 4].map(|at| call.args.get(at).map_or("", string));
    let regex: Regex = pattern::anchored(regex, REGEX_BYTES_MAX)
        .map_err(|_| execution("invalid regular expression in label_replace()", regex))?;
    let dst = destination(call, "label_replace")?;
    let mut block = vector(context, &call.args[0], grid, notes)?;
    for row in &mut block.rows {
        context.budget.check()?;
        if let Some(captures) = regex.captures(row.labels.value(src)) {
            let mut value = String::new();
            captures.expand(replacement, &mut value);
            row.labels = with_label(&row.labels, dst, &value)?;
            rename(row, dst);
        }
    }
    Ok(Block { rows: merge_same_labels(block.rows)? })
}

/// `label_join(v, dst, separator, src...)`
pub(super) fn join(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let separator = string(&call.args[2]);
    let source = |arg| {
        label_name(arg).map_err(|bytes| {
            execution("invalid source label name in label_join()", &String::from_utf8_lossy(bytes))
        })
    };
    let sources = call.args[3..].iter().map(source).collect::<Result<Vec<&str>, QueryError>>()?;
    let dst = destination(call, "label_join")?;
    let mut block = vector(context, &call.args[0], grid, notes)?;
    for row in &mut block.rows {
        context.budget.check()?;
        let values: Vec<&str> = sources.iter().map(|name| row.labels.value(name)).collect();
        row.labels = with_label(&row.labels, dst, &values.join(separator))?;
        rename(row, dst);
    }
    Ok(Block { rows: merge_same_labels(block.rows)? })
}

/// A name that was just given is not dropped later.
fn rename(row: &mut Row, dst: &str) {
    if dst == METRIC_NAME {
        row.drop_name = false;
    }
}

fn with_label(labels: &Labels, name: &str, value: &str) -> Result<Labels, QueryError> {
    let mut builder = labels.to_builder();
    builder.set(name, value);
    builder.build().map_err(|error| QueryError::Execution(error.to_string()))
}

/// The name of the label to be set: the second argument.
fn destination<'c>(call: &'c Call, function: &str) -> Result<&'c str, QueryError> {
    label_name(&call.args[1]).map_err(|bytes| {
        let what = format!("invalid destination label name in {function}()");
        execution(&what, &String::from_utf8_lossy(bytes))
    })
}

fn execution(what: &str, detail: &str) -> QueryError {
    QueryError::Execution(format!("{what}: {detail}"))
}
