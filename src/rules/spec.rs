//! What a rule group says, checked: the values that evaluation works with.

use std::fmt;
use std::sync::Arc;

use super::templates::Text;
use crate::promql::ast::Expr;

/// One group of a rule file.
#[derive(Debug)]
pub struct GroupSpec {
    /// Its name, unique within the file.
    pub name: Box<str>,
    /// The file it stands in, as it was named.
    pub file: Arc<str>,
    /// Time between two evaluations in ms, above 0; `None` for the global one.
    pub interval_ms: Option<i64>,
    /// How far queries and samples are shifted back, in ms; `None` for the global offset.
    pub query_offset_ms: Option<i64>,
    /// Most series or alerts of one rule; 0 for no limit.
    pub limit: usize,
    /// The rules in the order they are evaluated.
    pub rules: Vec<Arc<RuleSpec>>,
}

impl GroupSpec {
    /// What identifies the group among all: `file;name`.
    pub fn key(&self) -> String {
        format!("{};{}", self.file, self.name)
    }
}

impl PartialEq for GroupSpec {
    /// Whether a reload may leave the group running. Places in the file do not count.
    fn eq(&self, other: &GroupSpec) -> bool {
        self.name == other.name
            && self.file == other.file
            && self.interval_ms == other.interval_ms
            && self.query_offset_ms == other.query_offset_ms
            && self.limit == other.limit
            && self.rules == other.rules
    }
}

/// Names with their texts, ascending by name.
pub type Texts = Box<[(Box<str>, Text)]>;

/// One rule.
#[derive(Debug)]
pub struct RuleSpec {
    /// Name of the recorded series, or of the alert.
    pub name: Box<str>,
    /// What is evaluated.
    pub expr: Expr,
    /// The text of `expr` as it stands in the file: positions in annotations count in it.
    pub source: Box<str>,
    /// The expression in canonical form, as the API and links show it.
    pub query: Box<str>,
    /// Labels of the group and the rule, those of the rule first where both have one.
    pub labels: Texts,
    /// What to make of the result.
    pub kind: RuleKind,
    /// Line of the rule in its file.
    pub line: u64,
}

/// What is made of a rule's result.
#[derive(Debug, PartialEq)]
pub enum RuleKind {
    /// Series under the rule's name.
    Recording,
    /// Alerts.
    Alerting {
        /// How long a result must last before its alert fires, in ms.
        hold_ms: i64,
        /// How long an alert goes on firing after its result is gone, in ms.
        keep_firing_ms: i64,
        /// Texts that describe an alert.
        annotations: Texts,
    },
}

impl RuleSpec {
    /// Whether it makes alerts.
    pub fn is_alerting(&self) -> bool {
        matches!(self.kind, RuleKind::Alerting { .. })
    }

    /// What tells rules of a group apart when their state is carried over: name and labels.
    pub fn identity(&self) -> String {
        let mut identity = self.name.to_string();
        for (name, text) in &self.labels {
            identity.push('\0');
            identity.push_str(name);
            identity.push('\0');
            identity.push_str(text.source());
        }
        identity
    }
}

impl PartialEq for RuleSpec {
    fn eq(&self, other: &RuleSpec) -> bool {
        self.name == other.name
            && self.query == other.query
            && self.labels == other.labels
            && self.kind == other.kind
    }
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_alerting() { "alert" } else { "record" };
        write!(f, "{kind} {} (line {})", self.name, self.line)
    }
}
