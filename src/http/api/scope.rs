//! What the endpoints about series and labels share: time range, `match[]` and `limit`.

use crate::model::{Interrupt, Matcher, Selector, Timestamp};
use crate::promql::Annotations;

use super::super::answer::{Answer, TRUNCATED};
use super::super::error::ApiError;
use super::super::json::JsonWriter;
use super::super::params::Params;
use super::super::times::{TIME_MAX, TIME_MIN};

/// Which series are asked about.
#[derive(Debug)]
pub struct Scope {
    /// First wanted time.
    pub start: Timestamp,
    /// Last wanted time.
    pub end: Timestamp,
    /// A series is meant when any of these matches it; without any, all are meant.
    pub matcher_sets: Vec<Vec<Matcher>>,
    /// Most elements of the answer; `None` for all.
    pub limit: Option<usize>,
}

impl Scope {
    /// The scope in a request's parameters.
    ///
    /// # Errors
    /// A parameter makes no sense.
    pub fn parse(params: &Params) -> Result<Scope, ApiError> {
        Ok(Scope {
            limit: params.limit()?,
            start: params.time_or("start", TIME_MIN)?,
            end: params.time_or("end", TIME_MAX)?,
            matcher_sets: params.matcher_sets()?,
        })
    }

    /// One selector for each matcher set; one without matchers when there is none.
    pub fn selectors<'a>(&'a self, interrupt: &'a Interrupt) -> Vec<Selector<'a>> {
        let (start, end) = (self.start, self.end);
        let selector = |matchers| Selector { matchers, start, end, interrupt };
        if self.matcher_sets.is_empty() {
            return vec![selector(&[])];
        }
        self.matcher_sets.iter().map(|matchers| selector(matchers)).collect()
    }

    /// The answer with the elements of `list`, cut at the limit.
    ///
    /// # Errors
    /// Interrupted.
    pub fn answer<T>(
        &self,
        mut list: Vec<T>,
        interrupt: &Interrupt,
        write: impl Fn(&mut JsonWriter, &T),
    ) -> Result<Answer, ApiError> {
        let mut notes = Annotations::default();
        if let Some(limit) = self.limit.filter(|limit| list.len() > *limit) {
            list.truncate(limit);
            notes.warnings.push(TRUNCATED.to_owned());
        }
        let mut written = Ok(());
        let answer = Answer::annotated(&notes, |out| {
            out.begin_array();
            written = list.iter().enumerate().try_for_each(|(index, element)| {
                write(out, element);
                interrupt.check_at(index)
            });
            out.end_array();
        });
        written?;
        Ok(answer)
    }
}

/// The union of `list`s for each selector, sorted, each element once.
///
/// # Errors
/// Those of `list`.
pub fn union<T: Ord>(
    selectors: &[Selector<'_>],
    mut list: impl FnMut(&Selector<'_>) -> Result<Vec<T>, ApiError>,
) -> Result<Vec<T>, ApiError> {
    let mut all = Vec::new();
    for selector in selectors {
        all.extend(list(selector)?);
    }
    if selectors.len() > 1 {
        all.sort_unstable();
        all.dedup();
    }
    Ok(all)
}
