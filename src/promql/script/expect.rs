//! What an evaluation must give, apart from how values are compared.

use std::collections::BTreeMap;

use regex::Regex;

use super::When;
use crate::model::Labels;
use crate::promql::annotations::Annotations;
use crate::promql::series_desc::SequenceValue;

/// Everything the lines below an `eval` say.
#[derive(Debug, Default)]
pub struct Expectations {
    /// The evaluation fails with such an error.
    pub fail: Option<Match>,
    /// Elements come in the order they are written.
    pub ordered: bool,
    /// Each matches a warning, and each warning matches one; empty when warnings do not matter.
    pub warnings: Vec<Match>,
    /// Likewise for infos.
    pub infos: Vec<Match>,
    /// There is no warning.
    pub no_warnings: bool,
    /// There is no info.
    pub no_infos: bool,
    /// An instant evaluation gives a range of these times.
    pub range_vector: Option<When>,
    /// The result is this text.
    pub string: Option<String>,
    /// The result is this number.
    pub scalar: Option<f64>,
    /// The series of the result.
    pub series: BTreeMap<Labels, Points>,
    /// Whether the command was `eval_fail`.
    pub(super) fails_by_suffix: bool,
    /// Whether the command was `eval_warn`: some warning, no matter which.
    pub(super) warns_by_suffix: bool,
    /// Whether the command was `eval_info`.
    pub(super) informs_by_suffix: bool,
}

/// The values of one expected series.
#[derive(Debug)]
pub struct Points {
    /// Its place among the expected series, from 1.
    pub position: usize,
    /// One value for each step.
    pub values: Vec<SequenceValue>,
}

/// A text that must occur.
#[derive(Debug)]
pub enum Match {
    /// Whatever it says.
    Any,
    /// Exactly this.
    Exactly(String),
    /// Something the pattern is found in.
    Regex(Regex),
}

impl Match {
    /// Whether `text` is such a text.
    pub fn accepts(&self, text: &str) -> bool {
        match self {
            Match::Any => true,
            Match::Exactly(wanted) => wanted == text,
            Match::Regex(regex) => regex.is_match(text),
        }
    }

    fn describe(&self) -> String {
        match self {
            Match::Any => "anything".to_owned(),
            Match::Exactly(text) => format!("{text:?}"),
            Match::Regex(regex) => format!("a text matching {:?}", regex.as_str()),
        }
    }
}

impl Expectations {
    /// What the command's suffix says by itself.
    pub(super) fn with_suffix(suffix: &str) -> Expectations {
        Expectations {
            fail: (suffix == "fail").then_some(Match::Any),
            ordered: suffix == "ordered",
            fails_by_suffix: suffix == "fail",
            warns_by_suffix: suffix == "warn",
            informs_by_suffix: suffix == "info",
            ..Expectations::default()
        }
    }

    /// Whether `error` is the one expected.
    pub(super) fn check_error(&self, error: &str) -> Result<(), String> {
        match &self.fail {
            None => Err(format!("expected a result, got the error {error:?}")),
            Some(wanted) if wanted.accepts(error) => Ok(()),
            Some(wanted) => Err(format!("expected the error {}, got {error:?}", wanted.describe())),
        }
    }

    /// Whether warnings and infos are those expected.
    pub(super) fn check_annotations(&self, annotations: &Annotations) -> Result<(), String> {
        let (warnings, infos) = (&annotations.warnings, &annotations.infos);
        if self.warns_by_suffix && warnings.is_empty() {
            return Err("expected a warning, got none".to_owned());
        }
        if self.informs_by_suffix && infos.is_empty() {
            return Err("expected an info, got none".to_owned());
        }
        check_texts("warning", &self.warnings, warnings)?;
        check_texts("info", &self.infos, infos)?;
        if self.no_warnings && !warnings.is_empty() {
            return Err(format!("expected no warning, got {warnings:?}"));
        }
        if self.no_infos && !infos.is_empty() {
            return Err(format!("expected no info, got {infos:?}"));
        }
        Ok(())
    }
}

fn check_texts(kind: &str, wanted: &[Match], got: &[String]) -> Result<(), String> {
    if wanted.is_empty() {
        return Ok(());
    }
    if let Some(missing) = wanted.iter().find(|w| !got.iter().any(|text| w.accepts(text))) {
        return Err(format!("expected the {kind} {}, got {got:?}", missing.describe()));
    }
    match got.iter().find(|text| !wanted.iter().any(|w| w.accepts(text))) {
        None => Ok(()),
        Some(extra) => Err(format!("expected no other {kind}, got {extra:?}")),
    }
}
