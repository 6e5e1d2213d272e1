//! The set operators `and`, `or` and `unless`.

use super::super::ast::{Binary, BinaryOp};
use super::super::error::QueryError;
use super::block::{Block, Row, merge_same_labels};
use super::matching::{Signatures, matching_of};

/// Evaluates a set operator.
pub(crate) fn evaluate(
    binary: &Binary,
    lhs: Block,
    rhs: Block,
    steps: usize,
) -> Result<Block, QueryError> {
    let matching = matching_of(binary);
    let mut signatures = Signatures::new(&matching);
    let left: Vec<usize> = lhs.rows.iter().map(|row| signatures.of(&row.labels)).collect();
    let right: Vec<usize> = rhs.rows.iter().map(|row| signatures.of(&row.labels)).collect();
    let mut rows = match binary.op {
        BinaryOp::And => {
            let present = presence(&rhs.rows, &right, signatures.count(), steps);
            keep(lhs.rows, &left, |signature, step| present.has(signature, step))
        }
        BinaryOp::Unless => {
            let present = presence(&rhs.rows, &right, signatures.count(), steps);
            keep(lhs.rows, &left, |signature, step| !present.has(signature, step))
        }
        _ => {
            let present = presence(&lhs.rows, &left, signatures.count(), steps);
            let mut rows = lhs.rows;
            rows.extend(keep(rhs.rows, &right, |signature, step| !present.has(signature, step)));
            rows
        }
    };
    rows.retain(|row| !row.is_empty());
    Ok(Block { rows: merge_same_labels(rows)? })
}

/// Which signatures have a point at which steps.
struct Presence {
    steps: usize,
    cells: Vec<bool>,
}

impl Presence {
    fn has(&self, signature: usize, step: usize) -> bool {
        self.cells[signature * self.steps + step]
    }
}

fn presence(rows: &[Row], signatures: &[usize], count: usize, steps: usize) -> Presence {
    let mut cells = vec![false; count * steps];
    for (row, signature) in rows.iter().zip(signatures) {
        for step in 0..steps {
            cells[signature * steps + step] |= row.has(step);
        }
    }
    Presence { steps, cells }
}

/// The rows with only those points that `wanted` says.
fn keep(
    mut rows: Vec<Row>,
    signatures: &[usize],
    wanted: impl Fn(usize, usize) -> bool,
) -> Vec<Row> {
    for (row, signature) in rows.iter_mut().zip(signatures) {
        for step in 0..row.values.len() {
            if !wanted(*signature, step) {
                row.clear_step(step);
            }
        }
    }
    rows
}
