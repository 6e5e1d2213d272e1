//! `sort`, `sort_desc`, `sort_by_label`, `sort_by_label_desc`: only an instant query shows an order.

use std::cmp::Ordering;

use super::super::annotations::Notes;
use super::super::ast::Call;
use super::super::error::QueryError;
use super::super::eval::block::{Block, Row};
use super::super::eval::context::Context;
use super::super::eval::grid::Grid;
use super::super::eval::{string, vector};

type Sorted = Result<Block, QueryError>;

/// `sort(v)`: by value, NaN last.
pub(super) fn ascending(c: &Context<'_>, call: &Call, grid: Grid, notes: &mut Notes) -> Sorted {
    by_value(c, call, grid, notes, |a, b| a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

/// `sort_desc(v)`: by value, largest first, NaN last.
pub(super) fn descending(c: &Context<'_>, call: &Call, grid: Grid, notes: &mut Notes) -> Sorted {
    by_value(c, call, grid, notes, |a, b| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

fn by_value(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
    order: fn(f64, f64) -> Ordering,
) -> Sorted {
    let mut block = evaluate(context, call, grid, notes)?;
    block.rows.iter_mut().for_each(|row| row.histograms.clear());
    block.drop_empty();
    if grid.steps == 1 {
        let value = |row: &Row| row.values[0];
        block.rows.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            a.is_nan().cmp(&b.is_nan()).then_with(|| order(a, b))
        });
    }
    Ok(block)
}

/// `sort_by_label(v, label...)`: numbers within values count as numbers.
pub(super) fn by_label(c: &Context<'_>, call: &Call, grid: Grid, notes: &mut Notes) -> Sorted {
    let mut block = evaluate(c, call, grid, notes)?;
    let names: Vec<&str> = call.args[1..].iter().map(string).collect();
    block.rows.sort_by(|a, b| label_order(a, b, &names));
    Ok(block)
}

/// `sort_by_label_desc(v, label...)`
pub(super) fn by_label_descending(
    context: &Context<'_>,
    call: &Call,
    grid: Grid,
    notes: &mut Notes,
) -> Sorted {
    let mut block = evaluate(context, call, grid, notes)?;
    let names: Vec<&str> = call.args[1..].iter().map(string).collect();
    block.rows.sort_by(|a, b| label_order(b, a, &names));
    Ok(block)
}

fn evaluate(context: &Context<'_>, call: &Call, grid: Grid, notes: &mut Notes) -> Sorted {
    let block = vector(context, &call.args[0], grid, notes)?;
    // A subquery is a range, too.
    if grid.steps > 1 {
        notes.warn(
            call.span,
            "sort is ineffective for range queries since results are always ordered by labels",
        );
    }
    Ok(block)
}

fn label_order(a: &Row, b: &Row, names: &[&str]) -> Ordering {
    let by_names = names
        .iter()
        .map(|name| natural(a.labels.value(name), b.labels.value(name)))
        .find(|order| order.is_ne());
    by_names.unwrap_or_else(|| a.labels.cmp(&b.labels))
}

/// Compares runs of digits as numbers and everything else as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let (head_a, rest_a) = split_run(a);
        let (head_b, rest_b) = split_run(b);
        let order = match (head_a.parse::<u64>(), head_b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => head_a.cmp(head_b),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    a.len().cmp(&b.len())
}

/// The leading run of digits or of anything else, and the rest.
fn split_run(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["cpu10", "cpu9", "cpu", "cpu1a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["cpu", "cpu1a", "cpu9", "cpu10"]);
    }
}
