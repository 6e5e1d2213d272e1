//! Mapping rules: from a StatsD name to a metric name and labels, as statsd_exporter's mapping file
//! says.
//!
//! In: the text of a mapping file, then names. Out: the rule a name falls under, with name and
//! labels filled in. Never here: tags of the sample, series, the network.
//!
//! [`file`] reads the YAML, [`build`] checks it and makes [`Rule`]s, [`glob`] and [`regexes`] find
//! the rule of a name, [`template`] fills names and labels in. Globs come before regular
//! expressions, whatever their order in the file.

mod build;
mod file;
mod glob;
mod regexes;
pub mod template;

use std::fmt;
use std::path::{Path, PathBuf};

use self::glob::Globs;
use self::regexes::Regexes;
use self::template::Template;
use super::line::Kind;
use super::observer::ObserverOptions;

/// Largest mapping file in bytes: a thousand rules have a few hundred KiB.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most rules of one file.
pub const RULES_MAX: usize = 100_000;

/// What a rule does with the samples it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Gives them a name and labels.
    #[default]
    Map,
    /// Throws them away.
    Drop,
}

/// One rule, checked and with the file's defaults filled in.
#[derive(Debug)]
pub struct Rule {
    /// The pattern as written.
    pub pattern: String,
    /// Whether the pattern is a regular expression.
    pub is_regex: bool,
    /// What happens to its samples.
    pub action: Action,
    /// The only kind of sample it applies to; `None` for all. Sets count as gauges.
    pub only: Option<Kind>,
    /// Help text of the metric; empty when not given.
    pub help: String,
    /// Whether the sample's tags beat the rule's labels of the same name.
    pub honor_labels: bool,
    /// How long a series lives without a sample, in ms; 0 for ever.
    pub ttl_ms: i64,
    /// What values are multiplied by.
    pub scale: f64,
    /// What observations become.
    pub observer: ObserverOptions,
    name: Template,
    labels: Vec<(String, Template)>,
}

/// A name's rule, with its captures filled in.
#[derive(Debug)]
pub struct Mapped<'m> {
    /// Position of the rule in the file, from 0.
    pub index: usize,
    /// The rule.
    pub rule: &'m Rule,
    /// The metric's name, not escaped; may be empty.
    pub name: String,
    /// The rule's labels; values may be empty.
    pub labels: Vec<(&'m str, String)>,
}

/// All rules of a file, ready for use.
#[derive(Debug, Default)]
pub struct Mapper {
    rules: Vec<Rule>,
    globs: Globs,
    regexes: Regexes,
    /// What observations that no rule matches become.
    pub observer: ObserverOptions,
    /// How long a series that no rule matches lives without a sample, in ms; 0 for ever.
    pub ttl_ms: i64,
}

impl Mapper {
    /// Reads a mapping file.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn load(path: &Path) -> Result<Mapper, MappingError> {
        let read = |error: std::io::Error| MappingError::new(path, None, error.to_string());
        let bytes = std::fs::metadata(path).map_err(read)?.len();
        if bytes > FILE_BYTES_MAX {
            let message = format!("has {bytes} bytes, more than {FILE_BYTES_MAX}");
            return Err(MappingError::new(path, None, message));
        }
        Mapper::parse(path, &std::fs::read_to_string(path).map_err(read)?)
    }

    /// Like [`Mapper::load`], from the text of a file; `path` is only named in messages.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn parse(path: &Path, text: &str) -> Result<Mapper, MappingError> {
        let file = file::parse(path, text)?;
        build::build(file).map_err(|message| MappingError::new(path, None, message))
    }

    /// The rules in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule a name without tags falls under.
    pub fn find(&self, name: &str, kind: Kind) -> Option<Mapped<'_>> {
        let mut captures = Vec::new();
        if let Some(index) = self.globs.find(name, kind, &mut captures) {
            let rule = &self.rules[index];
            return Some(self.mapped(index, |template| template.fill_with(&captures), rule));
        }
        let applies = |index: usize| self.rules[index].applies_to(kind);
        let (index, found) = self.regexes.find(name, applies)?;
        Some(self.mapped(index, |template| template.fill_from(&found), &self.rules[index]))
    }

    fn mapped<'m>(
        &'m self,
        index: usize,
        fill: impl Fn(&Template) -> String,
        rule: &'m Rule,
    ) -> Mapped<'m> {
        let labels = rule.labels.iter().map(|(key, value)| (key.as_str(), fill(value))).collect();
        Mapped { index, rule, name: fill(&rule.name), labels }
    }
}

impl Rule {
    fn applies_to(&self, kind: Kind) -> bool {
        let kind = if kind == Kind::Set { Kind::Gauge } else { kind };
        self.only.is_none_or(|only| only == kind)
    }
}

/// Why a mapping file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    path: PathBuf,
    /// Line and column, from 1.
    place: Option<(u64, u64)>,
    message: String,
}

impl MappingError {
    fn new(path: &Path, place: Option<(u64, u64)>, message: String) -> MappingError {
        MappingError { path: path.to_owned(), place, message }
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statsd mapping {}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for MappingError {}

#[cfg(test)]
mod tests;
