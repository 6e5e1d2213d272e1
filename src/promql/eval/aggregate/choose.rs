//! Aggregations that choose among series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use twox_hash::XxHash64;

use crate::model::Labels;

use super::super::super::annotations::{Notes, ignored_in_aggregation};
use super::super::super::ast::{Aggregate, AggregateOp};
use super::super::super::error::QueryError;
use super::super::super::functions::number::go_general;
use super::super::block::{Block, Row, is_absent};
use super::super::context::{Context, unwrap_parens};
use super::super::grid::Grid;
use super::Grouping;

/// The largest float below 2^63.
const INT64_MAX: f64 = 9_223_372_036_854_774_784.0;
/// -2^63.
const INT64_MIN: f64 = -9_223_372_036_854_775_808.0;

/// Chooses, at each step anew, which points of `block` stay.
pub(super) fn evaluate(
    context: &Context<'_>,
    aggregate: &Aggregate,
    param: &[f64],
    block: Block,
    grid: Grid,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    if !check(aggregate, param, notes)? {
        context.budget.release(block.samples());
        return Ok(Block::default());
    }
    let mut grouping = Grouping::new(context, aggregate);
    let groups: Vec<usize> =
        block.rows.iter().map(|row| grouping.group_of(&row.labels, row.drop_name)).collect();
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); grouping.labels.len()];
    for (row, group) in groups.iter().enumerate() {
        members[*group].push(row);
    }
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new(); grid.steps];
    for (step, chosen) in chosen.iter_mut().enumerate() {
        context.budget.check()?;
        for rows in &members {
            choose(aggregate, param[step], rows, &block.rows, step, chosen, notes);
        }
    }
    Ok(keep_chosen(block, &chosen, grid.steps))
}

/// Refuses parameters that are no number of series; false when nothing is to be chosen.
fn check(aggregate: &Aggregate, param: &[f64], notes: &mut Notes) -> Result<bool, QueryError> {
    let fail = |message: String| Err(QueryError::Execution(message));
    let high = param.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let low = param.iter().copied().fold(f64::INFINITY, f64::min);
    let has_nan = param.iter().any(|value| value.is_nan());
    if aggregate.op == AggregateOp::LimitRatio {
        if high == 0.0 && low == 0.0 {
            return Ok(false);
        }
        if has_nan {
            return fail("Ratio value is NaN".to_owned());
        }
        let span = aggregate.param.as_ref().map_or(aggregate.span, |p| unwrap_parens(p).span());
        for (value, cap) in [(high, 1.0), (low, -1.0)] {
            if value * cap > 1.0 {
                notes.warn(span, ratio_warning(value, cap));
            }
        }
        return Ok(true);
    }
    if high < 1.0 && !has_nan {
        return Ok(false);
    }
    if has_nan {
        return fail("Parameter value is NaN".to_owned());
    }
    if low <= INT64_MIN {
        return fail(format!("Scalar value {} underflows int64", go_general(low)));
    }
    if high >= INT64_MAX {
        return fail(format!("Scalar value {} overflows int64", go_general(high)));
    }
    Ok(true)
}

fn ratio_warning(value: f64, cap: f64) -> String {
    format!(
        "ratio value should be between -1 and 1, got {}, capping to {}",
        go_general(value),
        go_general(cap)
    )
}

/// Chooses among the rows of one group at one step, in the order of the result.
fn choose(
    aggregate: &Aggregate,
    param: f64,
    rows: &[usize],
    all: &[Row],
    step: usize,
    chosen: &mut Vec<usize>,
    notes: &mut Notes,
) {
    let present = rows.iter().copied().filter(|row| all[*row].has(step));
    match aggregate.op {
        AggregateOp::Limitk => chosen.extend(present.take(count(param, all.len()))),
        AggregateOp::LimitRatio => {
            let ratio = param.clamp(-1.0, 1.0);
            chosen.extend(present.filter(|row| in_ratio(&all[*row].labels, ratio)));
        }
        op => {
            let largest = op == AggregateOp::Topk;
            let mut heap = Heap { largest, rows: Vec::new(), k: count(param, all.len()) };
            for row in present {
                let value = all[row].values[step];
                if is_absent(value) {
                    notes.info(aggregate.span, ignored_in_aggregation(op.as_str()));
                } else if heap.k > 0 {
                    heap.offer(value, row);
                }
            }
            chosen.extend(heap.into_order());
        }
    }
}

fn count(param: f64, series: usize) -> usize {
    if param < 1.0 { 0 } else { (param as usize).min(series) }
}

/// The k best values, the worst of them on top. The very steps of Go's `container/heap`, so that
/// among equal values the same series stay as in Prometheus.
struct Heap {
    largest: bool,
    k: usize,
    rows: Vec<(f64, usize)>,
}

impl Heap {
    /// Whether `a` goes before `b` does: NaN first, then the smaller (or larger) one.
    fn worse(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.largest { a < b } else { a > b }
    }

    fn offer(&mut self, value: f64, row: usize) {
        if self.rows.len() < self.k {
            self.rows.push((value, row));
            self.sift_up();
            return;
        }
        let worst = self.rows[0].0;
        let beats = if self.largest { worst < value } else { worst > value };
        if beats || (worst.is_nan() && !value.is_nan()) {
            self.rows[0] = (value, row);
            self.sift_down();
        }
    }

    fn sift_up(&mut self) {
        let mut at = self.rows.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.worse(self.rows[at].0, self.rows[parent].0) {
                break;
            }
            self.rows.swap(at, parent);
            at = parent;
        }
    }

    fn sift_down(&mut self) {
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child >= self.rows.len() {
                break;
            }
            if child + 1 < self.rows.len() && self.worse(self.rows[child + 1].0, self.rows[child].0)
            {
                child += 1;
            }
            if !self.worse(self.rows[child].0, self.rows[at].0) {
                break;
            }
            self.rows.swap(at, child);
            at = child;
        }
    }

    /// The rows, best first, NaN last.
    fn into_order(mut self) -> Vec<usize> {
        let largest = self.largest;
        self.rows.sort_by(|(a, _), (b, _)| {
            let order = a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
            let order = if largest { order.reverse() } else { order };
            a.is_nan().cmp(&b.is_nan()).then(order)
        });
        self.rows.into_iter().map(|(_, row)| row).collect()
    }
}

/// Whether a series is in the share of all series; a negative ratio names the complement of
/// `1 + ratio`.
fn in_ratio(labels: &Labels, ratio: f64) -> bool {
    let place = hash(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}

/// The hash Prometheus has for these labels in its usual build (`labels_stringlabels.go`): XXH64 of
/// all names and values in order, each behind its length.
fn hash(labels: &Labels) -> u64 {
    let mut text = Vec::with_capacity(labels.as_packed().len());
    for part in labels.iter().flat_map(|(name, value)| [name, value]) {
        push_length(&mut text, part.len());
        text.extend_from_slice(part.as_bytes());
    }
    XxHash64::oneshot(0, &text)
}

/// One byte, or 255 and three bytes, the lowest first.
fn push_length(text: &mut Vec<u8>, length: usize) {
    let [low, middle, high, ..] = (length as u64).to_le_bytes();
    match low {
        _ if length < 255 => text.push(low),
        _ => text.extend_from_slice(&[255, low, middle, high]),
    }
}

/// The block with the chosen points only; for an instant query in the order of choice.
fn keep_chosen(block: Block, chosen: &[Vec<usize>], steps: usize) -> Block {
    let mut rows: Vec<Option<Row>> = block.rows.into_iter().map(Some).collect();
    if let [order] = chosen {
        return Block { rows: order.iter().filter_map(|row| rows[*row].take()).collect() };
    }
    let mut marks = vec![false; rows.len() * steps];
    for (step, order) in chosen.iter().enumerate() {
        order.iter().for_each(|row| marks[row * steps + step] = true);
    }
    let mut kept = Vec::new();
    for (number, mut row) in rows.into_iter().flatten().enumerate() {
        for step in 0..steps {
            if !marks[number * steps + step] {
                row.clear_step(step);
            }
        }
        if !row.is_empty() {
            kept.push(row);
        }
    }
    Block { rows: kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_nan_loses() {
        let mut heap = Heap { largest: true, k: 2, rows: Vec::new() };
        for (row, value) in [f64::NAN, 1.0, 3.0, 2.0].into_iter().enumerate() {
            heap.offer(value, row);
        }
        assert_eq!(heap.into_order(), [2, 3]);
    }

    /// XXH64 of the bytes that Prometheus keeps for `{a="b"}` and the like.
    #[test]
    fn labels_hash_as_in_prometheus() {
        let hash_of = |pairs: &[(&str, &str)]| {
            hash(&Labels::from_pairs(pairs.iter().copied()).expect("valid"))
        };
        assert_eq!(hash_of(&[]), 0xef46_db37_51d8_e999);
        assert_eq!(hash_of(&[("a", "b")]), XxHash64::oneshot(0, b"\x01a\x01b"));
        let long = "x".repeat(300);
        let bytes = [b"\x01a\xff\x2c\x01\x00", long.as_bytes()].concat();
        assert_eq!(hash_of(&[("a", &long)]), XxHash64::oneshot(0, &bytes));
    }

    #[test]
    fn a_ratio_and_its_complement_cover_all() {
        for i in 0..100 {
            let value = i.to_string();
            let labels = Labels::from_pairs([("i", value.as_str())]).expect("valid");
            assert_ne!(in_ratio(&labels, 0.3), in_ratio(&labels, -0.7));
        }
    }
}
