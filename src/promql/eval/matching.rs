//! Binary operators between two vectors: how series find each other, and what comes of it.
//!
//! Series are matched once for all steps; which of them have a point is looked at step by step.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::model::Labels;
use crate::model::labels::METRIC_NAME;

use super::super::annotations::Notes;
use super::super::ast::{Binary, Cardinality, VectorMatching};
use super::super::error::QueryError;
use super::block::{Block, Row, is_absent, is_metadata, merge_same_labels};
use super::context::Context;
use super::operator::{self, Operand, Outcome};

/// The matching of an operator; all labels, one to one, when nothing else is said.
pub(crate) fn matching_of(binary: &Binary) -> Cow<'_, VectorMatching> {
    match &binary.matching {
        Some(matching) => Cow::Borrowed(matching),
        None => Cow::Owned(VectorMatching::default()),
    }
}

/// Numbers label sets by the labels that matching looks at.
pub(crate) struct Signatures<'a> {
    matching: &'a VectorMatching,
    numbers: HashMap<Box<[u8]>, usize>,
    buffer: Vec<u8>,
}

impl<'a> Signatures<'a> {
    /// No signature yet.
    pub(crate) fn new(matching: &'a VectorMatching) -> Signatures<'a> {
        Signatures { matching, numbers: HashMap::new(), buffer: Vec::new() }
    }

    /// The number of the signature of `labels`.
    pub(crate) fn of(&mut self, labels: &Labels) -> usize {
        self.buffer.clear();
        labels.pick(&mut self.buffer, |name| looks_at(self.matching, name));
        if let Some(number) = self.numbers.get(self.buffer.as_slice()) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(self.buffer.as_slice().into(), number);
        number
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
    }
}

fn looks_at(matching: &VectorMatching, name: &[u8]) -> bool {
    let listed = matching.labels.iter().any(|label| label.as_bytes() == name);
    if matching.on { listed } else { !listed && name != METRIC_NAME.as_bytes() }
}

/// The labels that matching looks at.
fn matched_labels(labels: &Labels, matching: &VectorMatching) -> Labels {
    labels.filter(|name| looks_at(matching, name.as_bytes()))
}

/// Evaluates an operator other than a set operator.
pub(crate) fn evaluate(
    context: &Context<'_>,
    binary: &Binary,
    lhs: Block,
    rhs: Block,
    steps: usize,
    notes: &mut Notes,
) -> Result<Block, QueryError> {
    let matching = matching_of(binary);
    // From here on the right side is the "one" side.
    let swapped = matching.card == Cardinality::OneToMany;
    let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
    let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
    let is_filled = fill_many.is_some() || fill_one.is_some();
    if (many.rows.is_empty() || one.rows.is_empty()) && !is_filled {
        return Ok(Block::default());
    }
    let mut signatures = Signatures::new(&matching);
    let many_signatures: Vec<usize> =
        many.rows.iter().map(|row| signatures.of(&row.labels)).collect();
    let one_signatures: Vec<usize> =
        one.rows.iter().map(|row| signatures.of(&row.labels)).collect();
    let mut partners = vec![Vec::new(); signatures.count()];
    for (row, signature) in one_signatures.iter().enumerate() {
        partners[*signature].push(row);
    }
    let mut join = Join {
        binary,
        matching: &matching,
        swapped,
        drop_name: binary.return_bool && !context.features.delayed_name_removal,
        steps,
        matched: vec![None; signatures.count()],
        rows: Vec::new(),
        places: HashMap::new(),
        tried: Vec::new(),
        refused: None,
        notes,
    };
    join.refuse_duplicates(&many, &one, &partners);
    for (row, signature) in many.rows.iter().zip(&many_signatures) {
        context.budget.check()?;
        join.many_row(row, *signature, &partners[*signature], &one);
    }
    if let Some(fill) = fill_many {
        for (row, signature) in one.rows.iter().zip(&one_signatures) {
            join.unmatched_one(row, *signature, fill);
        }
    }
    if let Some((_, error)) = join.refused {
        return Err(error);
    }
    let mut rows = join.rows;
    rows.retain(|row| !row.is_empty());
    Ok(Block { rows: merge_same_labels(rows)? })
}

/// The state of one operator's evaluation.
struct Join<'a> {
    binary: &'a Binary,
    matching: &'a VectorMatching,
    swapped: bool,
    drop_name: bool,
    steps: usize,
    /// Per signature: the steps at which some pair matched.
    matched: Vec<Option<Vec<bool>>>,
    rows: Vec<Row>,
    /// The output row of (signature, labels).
    places: HashMap<(usize, Labels), usize>,
    /// Per output row: the steps at which a pair gave a result, kept or not.
    tried: Vec<Vec<bool>>,
    /// The first step that cannot be matched, and why; what comes after it does not matter.
    refused: Option<(usize, QueryError)>,
    notes: &'a mut Notes,
}

fn operand(row: &Row, step: usize) -> Option<Operand<'_>> {
    if !is_absent(row.values[step]) {
        return Some(Operand::Float(row.values[step]));
    }
    row.histogram(step).map(Operand::Histogram)
}

impl Join<'_> {
    /// Refuses the first step at which two series of the "one" side share a signature and the other
    /// side has anything.
    fn refuse_duplicates(&mut self, many: &Block, one: &Block, partners: &[Vec<usize>]) {
        let filled = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        for rows in partners.iter().filter(|rows| rows.len() > 1) {
            for step in 0..self.earliest() {
                let mut present = rows.iter().filter(|row| one.rows[**row].has(step));
                let (Some(a), Some(b)) = (present.next(), present.next()) else { continue };
                if filled || many.rows.iter().any(|row| row.has(step)) {
                    let error = self.duplicate(&one.rows[*a].labels, &one.rows[*b].labels);
                    self.refused = Some((step, error));
                    break;
                }
            }
        }
    }

    /// The number of steps that still matter.
    fn earliest(&self) -> usize {
        self.refused.as_ref().map_or(self.steps, |(step, _)| *step)
    }

    fn duplicate(&self, a: &Labels, b: &Labels) -> QueryError {
        let side = if self.swapped { "left" } else { "right" };
        let group = matched_labels(a, self.matching);
        let (mut a, mut b) = (a.to_string(), b.to_string());
        if a > b {
            std::mem::swap(&mut a, &mut b);
        }
        QueryError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the \
             operation: [{a}, {b}];many-to-many matching not allowed: matching labels must be \
             unique on one side"
        ))
    }

    /// All steps of one series of the "many" side.
    fn many_row(&mut self, row: &Row, signature: usize, partners: &[usize], one: &Block) {
        for partner in partners {
            let partner = &one.rows[*partner];
            let mut place = None;
            for step in 0..self.earliest() {
                if let (Some(a), Some(b)) = (operand(row, step), operand(partner, step)) {
                    let place = self.place(&mut place, signature, &row.labels, &partner.labels);
                    self.put(place, signature, step, (a, b));
                }
            }
        }
        let Some(fill) = self.matching.fill_right else { return };
        let mut place = None;
        for step in 0..self.earliest() {
            let Some(a) = operand(row, step) else { continue };
            if partners.iter().any(|partner| one.rows[*partner].has(step)) {
                continue;
            }
            let labels = matched_labels(&row.labels, self.matching);
            let place = self.place(&mut place, signature, &row.labels, &labels);
            self.put(place, signature, step, (a, Operand::Float(fill)));
        }
    }

    /// The steps of a series of the "one" side that found no partner, with a value filled in.
    fn unmatched_one(&mut self, row: &Row, signature: usize, fill: f64) {
        let labels = matched_labels(&row.labels, self.matching);
        let already = self.matched[signature].clone();
        let mut place = None;
        for step in 0..self.earliest() {
            let Some(b) = operand(row, step) else { continue };
            if already.as_ref().is_some_and(|matched| matched[step]) {
                continue;
            }
            let place = self.place(&mut place, signature, &labels, &row.labels);
            self.put(place, signature, step, (Operand::Float(fill), b));
        }
    }

    /// The output row of a pair, made when it is first needed.
    fn place(
        &mut self,
        known: &mut Option<usize>,
        signature: usize,
        many: &Labels,
        one: &Labels,
    ) -> usize {
        if let Some(place) = known {
            return *place;
        }
        let labels = self.result_labels(many, one);
        let next = self.rows.len();
        let place = *self.places.entry((signature, labels.clone())).or_insert(next);
        if place == next {
            let drop_name = self.binary.return_bool;
            self.rows.push(Row { drop_name, ..Row::new(labels, self.steps) });
            self.tried.push(vec![false; self.steps]);
        }
        *known = Some(place);
        place
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let renamed = self.drop_name || operator::changes_metric(self.binary.op);
        let one_to_one = self.matching.card == Cardinality::OneToOne;
        let listed = |name: &str| self.matching.labels.iter().any(|label| label == name);
        let kept = many.filter(|name| {
            !(renamed && is_metadata(name)) && (!one_to_one || listed(name) == self.matching.on)
        });
        if self.matching.include.is_empty() {
            return kept;
        }
        let mut builder = kept.to_builder();
        for name in &self.matching.include {
            builder.set(name, one.value(name));
        }
        builder.build().unwrap_or(kept)
    }

    /// Computes one point, or refuses its step.
    fn put(
        &mut self,
        place: usize,
        signature: usize,
        step: usize,
        (many, one): (Operand<'_>, Operand<'_>),
    ) {
        if step >= self.earliest() {
            return;
        }
        let (lhs, rhs) = if self.swapped { (one, many) } else { (many, one) };
        let (op, span) = (self.binary.op, self.binary.span);
        let Some((value, keep)) = operator::operands(op, lhs, rhs, (span, step), self.notes) else {
            return;
        };
        let matched = self.matched[signature].get_or_insert_with(|| vec![false; self.steps]);
        let one_to_one = self.matching.card == Cardinality::OneToOne;
        let taken = if one_to_one { matched[step] } else { self.tried[place][step] };
        if taken {
            let remedy = match one_to_one {
                true => "many-to-one matching must be explicit (group_left/group_right)",
                false => "grouping labels must ensure unique matches",
            };
            let error = QueryError::Execution(format!("multiple matches for labels: {remedy}"));
            self.refused = Some((step, error));
            return;
        }
        matched[step] = true;
        self.tried[place][step] = true;
        let row = &mut self.rows[place];
        if self.binary.return_bool {
            row.values[step] = if keep { 1.0 } else { 0.0 };
        } else if keep {
            match value {
                Outcome::Float(value) => row.values[step] = value,
                Outcome::Histogram(histogram) => row.put_histogram(step, histogram),
            }
        }
    }
}
