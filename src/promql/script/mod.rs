//! The test language of PromQL (`promqltest`): scripts that load series, evaluate expressions and
//! say what must come out.
//!
//! In: a script, an [`Engine`](super::Engine) and a store for its series. Out: how many
//! evaluations passed, and a sentence for each that did not. Never here: files, the command line.
//!
//! The language is the one of Prometheus' `promql/promqltest`, so that its scripts run unchanged.

mod at_modifier;
mod compare;
mod expect;
mod load;
mod nhcb;
mod parse;
mod run;
mod start_time;
#[cfg(test)]
pub(in crate::promql) mod tests;

use std::fmt;

use crate::model::Timestamp;

pub use expect::Expectations;
pub use load::{Load, LoadedSeries};
pub use parse::parse;
pub use run::{Failure, Report, ScriptStore, engine, run};

/// A parsed script.
#[derive(Debug)]
pub struct Script {
    /// Its commands in order.
    pub commands: Vec<Command>,
}

/// One command.
#[derive(Debug)]
pub enum Command {
    /// Forget all series.
    Clear,
    /// Add series.
    Load(Load),
    /// Evaluate an expression.
    Eval(Box<Eval>),
}

/// An expression, when to evaluate it, and what must come out.
#[derive(Debug)]
pub struct Eval {
    /// Line of the command, from 1.
    pub line: usize,
    /// The expression.
    pub text: String,
    /// At which time or times.
    pub when: When,
    /// What must come out.
    pub expectations: Expectations,
}

/// The times of an evaluation.
#[derive(Clone, Copy, Debug)]
pub enum When {
    /// One time.
    Instant(Timestamp),
    /// Every step from start to end.
    Range {
        /// First time.
        start: Timestamp,
        /// Last time.
        end: Timestamp,
        /// Distance in ms.
        step_ms: i64,
    },
}

/// A line that is not in the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ScriptError {}
