//! What a user should know about a result although it is one: warnings and infos.
//!
//! Texts are those of Prometheus (`util/annotations`), so that dashboards and people who look for
//! them find them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;

use crate::model::labels::Quoted;

use super::ast::Span;
use super::functions::number::{go_general, go_general_2};

/// Warnings and infos of one query, each text once, in the order they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// `PromQL warning: ... (line:col)`: the result may be wrong.
    pub warnings: Vec<String>,
    /// `PromQL info: ... (line:col)`: the result is right but perhaps not what was meant.
    pub infos: Vec<String>,
}

impl Annotations {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.infos.is_empty()
    }
}

/// Annotations while a query is evaluated: positions are not rendered yet, equal texts are merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    list: Vec<Note>,
    by_text: HashMap<String, usize>,
    /// Whether a warning, and its text, by where the operator stands and the step.
    of_operators: HashMap<(Span, usize), (bool, String)>,
}

#[derive(Clone, Debug)]
struct Note {
    warning: bool,
    text: String,
    span: Span,
    detail: Detail,
}

/// What is merged when the same text comes again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Detail {
    /// Nothing.
    None,
    /// How often it happened; shown from two on.
    Count(u64),
    /// Where buckets of a classic histogram had to be made monotonic.
    Monotonicity(Monotonicity),
}

/// The extent of a repair by `histogram_quantile`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Monotonicity {
    /// First and last evaluation time, ms.
    pub times: (i64, i64),
    /// Lowest and highest upper bound of a bucket that was changed.
    pub buckets: (f64, f64),
    /// Largest change of a count.
    pub diff_max: f64,
    /// Number of evaluations.
    pub count: u64,
}

impl Notes {
    /// Adds a warning about the expression at `span`.
    pub(crate) fn warn(&mut self, span: Span, text: impl Into<String>) {
        self.add(true, span, text.into(), Detail::None);
    }

    /// Adds an info about the expression at `span`.
    pub(crate) fn info(&mut self, span: Span, text: impl Into<String>) {
        self.add(false, span, text.into(), Detail::None);
    }

    /// Adds a note of a binary operator. Of all that one operator has to say at one step only the
    /// last is told, as in Prometheus.
    pub(crate) fn of_operator(
        &mut self,
        span: Span,
        step: usize,
        warning: bool,
        text: impl Into<String>,
    ) {
        self.of_operators.insert((span, step), (warning, text.into()));
    }

    /// Adds a note with a detail that is merged. Of equal texts the last position is told, but the
    /// first of those with a detail.
    pub(crate) fn add(&mut self, warning: bool, span: Span, text: String, detail: Detail) {
        if let Some(&at) = self.by_text.get(&text) {
            let note = &mut self.list[at];
            note.span = if matches!(detail, Detail::None) { span } else { note.span };
            note.detail = merge(note.detail, detail);
        } else {
            self.by_text.insert(text.clone(), self.list.len());
            self.list.push(Note { warning, text, span, detail });
        }
    }

    /// Adds what another collection holds, in its order.
    pub(crate) fn merge(&mut self, other: Notes) {
        for note in other.list {
            self.add(note.warning, note.span, note.text, note.detail);
        }
        self.of_operators.extend(other.of_operators);
    }

    /// The annotations with positions counted in `text`.
    pub(crate) fn render(mut self, text: &str) -> Annotations {
        let mut of_operators: Vec<_> = std::mem::take(&mut self.of_operators).into_iter().collect();
        // In the order of evaluation: operands before their operator, left before right.
        of_operators.sort_by_key(|((span, step), _)| (span.end, Reverse(span.start), *step));
        for ((span, _), (warning, text)) in of_operators {
            self.add(warning, span, text, Detail::None);
        }
        let mut annotations = Annotations::default();
        for note in self.list {
            let kind = if note.warning { "warning" } else { "info" };
            let mut line = format!("PromQL {kind}: {}", note.text);
            push_detail(&mut line, note.detail);
            push_position(&mut line, text, note.span);
            let list =
                if note.warning { &mut annotations.warnings } else { &mut annotations.infos };
            list.push(line);
        }
        annotations
    }
}

fn merge(old: Detail, new: Detail) -> Detail {
    match (old, new) {
        (Detail::Count(a), Detail::Count(b)) => Detail::Count(a + b),
        (Detail::Monotonicity(a), Detail::Monotonicity(b)) => Detail::Monotonicity(Monotonicity {
            times: (a.times.0.min(b.times.0), a.times.1.max(b.times.1)),
            buckets: (a.buckets.0.min(b.buckets.0), a.buckets.1.max(b.buckets.1)),
            diff_max: a.diff_max.max(b.diff_max),
            count: a.count + b.count,
        }),
        (old, _) => old,
    }
}

fn push_detail(line: &mut String, detail: Detail) {
    let written = match detail {
        Detail::Count(count) if count > 1 => write!(line, " ({count} occurrences)"),
        Detail::None | Detail::Count(_) => Ok(()),
        Detail::Monotonicity(m) => write!(
            line,
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            go_general(m.buckets.0),
            go_general(m.buckets.1),
            go_general_2(m.diff_max),
            m.count,
            rfc3339_seconds(m.times.0),
            rfc3339_seconds(m.times.1),
        ),
    };
    written.expect("BUG: writing to a String cannot fail");
}

fn rfc3339_seconds(ms: i64) -> String {
    match jiff::Timestamp::from_second(ms / 1000) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => format!("{ms} ms"),
    }
}

fn push_position(line: &mut String, text: &str, span: Span) {
    let start = span.start as usize;
    let Some(before) = text.as_bytes().get(..start).filter(|_| !text.is_empty()) else {
        line.push_str(" (unknown position)");
        return;
    };
    let row = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = start - before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1) + 1;
    write!(line, " ({row}:{column})").expect("BUG: writing to a String cannot fail");
}

/// `text` followed by ` for metric name "..."` unless `name` is empty.
pub(crate) fn for_metric(text: &str, name: &str) -> String {
    if name.is_empty() {
        text.to_owned()
    } else {
        format!("{text} for metric name {}", Quoted(name))
    }
}

/// The warning about a range that holds floats and histograms.
pub(crate) fn mixed_range(name: &str) -> String {
    format!("encountered a mix of histograms and floats for metric name {}", Quoted(name))
}

/// The info about histograms that a function of floats passed over.
pub(crate) fn ignored_in_mixed_range(name: &str) -> String {
    format!(
        "ignored histograms in a range containing both floats and histograms for metric name {}",
        Quoted(name)
    )
}

/// The info about histograms that an aggregation passed over.
pub(crate) fn ignored_in_aggregation(operator: &str) -> String {
    format!("ignored histogram in {operator} aggregation")
}

/// The warning about exponential and custom buckets that should be added up.
pub(crate) fn mixed_schemas(name: &str) -> String {
    format!(
        "vector contains a mix of histograms with exponential and custom buckets schemas for \
         metric name {}",
        Quoted(name)
    )
}

/// The warning about a gauge histogram where a counter is needed.
pub(crate) fn not_a_counter(name: &str) -> String {
    format!("this native histogram metric is not a counter: {}", Quoted(name))
}

/// The warning about a counter histogram where a gauge is needed.
pub(crate) fn not_a_gauge(name: &str) -> String {
    format!("this native histogram metric is not a gauge: {}", Quoted(name))
}

/// The warning about histograms with contradicting reset hints; `what` is "addition", "subtraction"
/// or "aggregation".
pub(crate) fn conflicting_resets(what: &str) -> String {
    format!("conflicting counter resets during histogram {what}")
}

/// The info about custom bounds that were not the same; `what` as in [`conflicting_resets`].
pub(crate) fn reconciled_bounds(what: &str) -> String {
    format!("mismatched custom buckets were reconciled during {what}")
}

/// The warning about operands of an operator that have exponential and custom buckets.
pub(crate) fn incompatible_layout(operator: &str) -> String {
    format!("incompatible bucket layout encountered for binary operator {operator}")
}

/// The warning about a sample whose counting began before the sample before it was taken.
pub(crate) fn overlapping_start(name: &str) -> String {
    format!(
        "sample has start time that overlaps with previous sample timestamp for metric {}",
        Quoted(name)
    )
}

/// The warning about classic and native histograms of the same labels.
pub(crate) const MIXED_CLASSIC_AND_NATIVE: &str =
    "vector contains a mix of classic and native histograms";
/// The info about a quantile that NaN observations spoil.
pub(crate) const QUANTILE_IS_NAN: &str =
    "input to histogram_quantile has NaN observations, result is NaN";
/// The info about a quantile that NaN observations move.
pub(crate) const QUANTILE_IS_SKEWED: &str =
    "input to histogram_quantile has NaN observations, result is skewed higher";
/// The info about a fraction without the NaN observations.
pub(crate) const FRACTION_EXCLUDES_NAN: &str =
    "input to histogram_fraction has NaN observations, which are excluded from all fractions";

/// The warning about a quantile outside 0..=1.
pub(crate) fn invalid_quantile(q: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", go_general(q))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_told_once_with_line_and_column() {
        let mut notes = Notes::default();
        let span = Span { start: 6, end: 9 };
        notes.warn(Span { start: 0, end: 1 }, "odd");
        notes.warn(span, "odd");
        notes.add(true, span, "overlap".into(), Detail::Count(1));
        notes.add(true, Span { start: 0, end: 1 }, "overlap".into(), Detail::Count(2));
        let rendered = notes.render("abcd\nefgh");
        assert_eq!(
            rendered.warnings,
            ["PromQL warning: odd (2:2)", "PromQL warning: overlap (3 occurrences) (2:2)"]
        );
    }

    #[test]
    fn a_position_outside_the_text_is_unknown() {
        let mut notes = Notes::default();
        notes.info(Span { start: 60, end: 61 }, "far");
        assert_eq!(notes.render("ab").infos, ["PromQL info: far (unknown position)"]);
    }
}
