//! `count_values`: how many series have each value.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::model::buckets::{negative_buckets, positive_buckets, zero_bucket};
use crate::model::{FloatHistogram, Labels};

use super::super::super::ast::Aggregate;
use super::super::super::error::QueryError;
use super::super::super::functions::number::{go_fixed, go_general};
use super::super::block::{Block, Row, is_absent};
use super::super::context::Context;
use super::super::grid::Grid;
use super::Grouping;

/// Counts the values of `block`, each under its text in label `label`.
pub(super) fn count(
    context: &Context<'_>,
    aggregate: &Aggregate,
    label: &str,
    block: &Block,
    grid: Grid,
) -> Result<Block, QueryError> {
    let mut names = aggregate.grouping.clone();
    if !aggregate.without {
        names.push(label.to_owned());
    }
    let mut grouping = Grouping { names: &names, ..Grouping::new(context, aggregate) };
    let mut rows: Vec<Row> = Vec::new();
    for row in &block.rows {
        context.budget.check()?;
        let mut groups: HashMap<Key, usize> = HashMap::new();
        for step in 0..row.values.len() {
            let Some(key) = key_at(row, step) else { continue };
            let group = match groups.get(&key) {
                Some(group) => *group,
                None => {
                    let labels = with_value(&row.labels, label, &key.text())?;
                    let group = grouping.group_of(&labels, row.drop_name);
                    groups.insert(key, group);
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

fn with_value(labels: &Labels, label: &str, value: &str) -> Result<Labels, QueryError> {
    let mut builder = labels.to_builder();
    builder.set(label, value);
    builder.build().map_err(|error| QueryError::Execution(error.to_string()))
}

/// A value as far as it has a label of its own.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Float(u64),
    Histogram(String),
}

impl Key {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Key::Float(bits) => Cow::Owned(go_fixed(f64::from_bits(*bits))),
            Key::Histogram(text) => Cow::Borrowed(text),
        }
    }
}

fn key_at(row: &Row, step: usize) -> Option<Key> {
    let value = row.values[step];
    if is_absent(value) {
        row.histogram(step).map(|histogram| Key::Histogram(text_of(histogram)))
    } else {
        Some(Key::Float(value.to_bits()))
    }
}

/// A histogram as Prometheus writes it where text is wanted: totals and the buckets that hold
/// something, ascending.
fn text_of(histogram: &FloatHistogram) -> String {
    let mut text =
        format!("{{count:{}, sum:{}", go_general(histogram.count), go_general(histogram.sum));
    let mut negative = negative_buckets(histogram);
    negative.reverse();
    let zero = (histogram.zero_count != 0.0).then(|| zero_bucket(histogram));
    let buckets = negative.into_iter().chain(zero).chain(positive_buckets(histogram));
    for bucket in buckets.filter(|bucket| bucket.count != 0.0) {
        let (open, close) = (
            if bucket.lower_inclusive { '[' } else { '(' },
            if bucket.upper_inclusive { ']' } else { ')' },
        );
        let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(go_general);
        text.push_str(&format!(", {open}{lower},{upper}{close}:{count}"));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BucketSpan;

    #[test]
    fn histograms_are_written_with_their_buckets() {
        let histogram = FloatHistogram {
            count: 3.0,
            sum: 2.5,
            zero_count: 1.0,
            zero_threshold: 0.001,
            positive_spans: vec![BucketSpan { offset: 0, length: 1 }],
            positive_buckets: vec![2.0],
            ..FloatHistogram::default()
        };
        let text = "{count:3, sum:2.5, [-0.001,0.001]:1, (0.5,1]:2}";
        assert_eq!(text_of(&histogram), text);
    }
}
