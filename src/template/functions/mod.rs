//! What templates can call: Go's own functions, those of Prometheus and those of Alertmanager.
//!
//! In: values, and what the caller of the template lends ([`Host`]). Out: a value or a sentence.
//! Never here: clocks, queries of one's own.

pub mod alertmanager;
pub mod builtin;
mod case;
mod html_text;
pub mod humanize;
pub mod prometheus;
mod times;
pub mod title;

use std::collections::HashMap;
use std::fmt;

use regex::Regex;

use super::html::Escaping;
use super::limits::{BoundedText, Budget, LimitPassed, REGEX_BYTES_MAX, REGEX_KEPT_MAX};
use super::value::Value;
use crate::model::{Labels, Timestamp, pattern};

pub use times::{DURATION_METHODS, NAMED_METHODS, TIME_METHODS};

/// What an argument has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param {
    /// Anything.
    Any,
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// A list of texts.
    Texts,
    /// A value of the type of this name.
    Of(&'static str),
}

impl Param {
    /// The type as Go names it.
    pub fn type_name(self) -> &'static str {
        match self {
            Param::Any => "interface {}",
            Param::Text => "string",
            Param::Int => "int",
            Param::Texts => "[]string",
            Param::Of(name) => name,
        }
    }

    /// Whether `value` can be passed.
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Param::Any => true,
            Param::Text => value.type_name() == "string",
            Param::Int => matches!(value, Value::Int(_)),
            Param::Texts => matches!(value.type_name(), "[]string" | "template.Strings"),
            Param::Of(name) => value.type_name() == name,
        }
    }

    /// Whether `nil` can be passed.
    pub fn takes_nil(self) -> bool {
        match self {
            Param::Any | Param::Texts => true,
            Param::Text | Param::Int => false,
            Param::Of(name) => name.starts_with(['[', '*']) || name.starts_with("map["),
        }
    }
}

/// A function that templates can call by its name.
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// The arguments that have to be there.
    pub params: &'static [Param],
    /// What any number of further arguments have to be, if there may be such.
    pub rest: Option<Param>,
    /// What it does.
    pub call: fn(&mut Call<'_>, &[Value]) -> Result<Value, String>,
}

/// A function of a value: `.StartsAt.Format "15:04"`.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Its arguments.
    pub params: &'static [Param],
    /// What it does with the value and the arguments.
    pub call: fn(&mut Call<'_>, &Value, &[Value]) -> Result<Value, String>,
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The functions of one product; Go's own come on top.
pub type Functions = &'static [Function];

/// One result of a query: labels and value.
#[derive(Clone, Debug, PartialEq)]
pub struct QuerySample {
    /// Its labels, the metric's name among them.
    pub labels: Labels,
    /// Its value; of a histogram its text form.
    pub value: SampleValue,
}

/// The value of a [`QuerySample`].
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram as PromQL prints it.
    Histogram(String),
}

/// What the caller of a template lends to its functions.
pub trait Host {
    /// The time that counts as the present.
    fn now(&self) -> Timestamp;

    /// The instant vector that `query` yields at [`Self::now`].
    fn query(&self, query: &str) -> Result<Vec<QuerySample>, String> {
        let _ = query;
        Err("queries are not possible here".to_owned())
    }

    /// The URL under which users reach this server.
    fn external_url(&self) -> &str {
        ""
    }

    /// A label of the route that a notification takes, empty if there is none.
    fn route_label(&self, name: &str) -> Result<String, String> {
        let _ = name;
        Ok(String::new())
    }
}

/// A host that lends nothing but a time.
#[derive(Clone, Copy, Debug)]
pub struct AtTime(pub Timestamp);

impl Host for AtTime {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// What a function works with besides its arguments.
pub struct Call<'a> {
    /// What the caller lends.
    pub host: &'a dyn Host,
    /// What may still be used up.
    pub budget: Budget,
    /// Whether the result is escaped for its place in HTML.
    pub escaping: Escaping,
    regexes: HashMap<String, Regex>,
}

impl<'a> Call<'a> {
    /// A fresh one.
    pub fn new(host: &'a dyn Host, budget: Budget, escaping: Escaping) -> Call<'a> {
        Call { host, budget, escaping, regexes: HashMap::new() }
    }

    /// An empty text to build a result in.
    pub fn text(&self) -> BoundedText {
        BoundedText::new(self.budget.text_bytes_max())
    }

    /// The text as a value, counted.
    pub fn finish(&mut self, text: BoundedText) -> Result<Value, String> {
        self.produced(text.into_string())
    }

    /// The text as a value, counted.
    pub fn produced(&mut self, text: String) -> Result<Value, String> {
        self.budget.work(text.len()).map_err(|e| e.to_string())?;
        Ok(Value::text(text))
    }

    /// A compiled regular expression to search `text_bytes` with.
    pub fn regex(&mut self, pattern: &str, text_bytes: usize) -> Result<Regex, String> {
        let cost = text_bytes.saturating_add(16 * pattern.len());
        self.budget.work(cost).map_err(|e| e.to_string())?;
        if let Some(known) = self.regexes.get(pattern) {
            return Ok(known.clone());
        }
        let regex = pattern::searching(pattern, REGEX_BYTES_MAX);
        let regex = regex.map_err(|error| pattern::reason(&error))?;
        if self.regexes.len() < REGEX_KEPT_MAX {
            self.regexes.insert(pattern.to_owned(), regex.clone());
        }
        Ok(regex)
    }
}

impl From<LimitPassed> for String {
    fn from(limit: LimitPassed) -> String {
        limit.to_string()
    }
}

/// The text at `i`, which the parameter's type promises.
pub(super) fn text_at(args: &[Value], i: usize) -> &str {
    args.get(i).and_then(Value::as_text).map_or("", |text| text)
}

/// Whether `text` contains a match.
pub(super) fn matches(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let text = text_at(args, 1);
    Ok(Value::Bool(call.regex(text_at(args, 0), text.len())?.is_match(text)))
}

/// A pattern as Go's `regexp` shows it: in backquotes where they can hold it.
fn go_back_quote(pattern: &str) -> String {
    let fits = |c: char| c == '\t' || !(c.is_ascii_control() || c == '`' || c == '\u{feff}');
    match pattern.chars().all(fits) {
        true => format!("`{pattern}`"),
        false => crate::template::go_quote(pattern),
    }
}

/// `text` with every match replaced, `$1` and `${name}` standing for groups.
pub(super) fn replace_all(call: &mut Call<'_>, args: &[Value]) -> Result<Value, String> {
    let (replacement, text) = (text_at(args, 1), text_at(args, 2));
    let pattern = text_at(args, 0);
    let regex = call.regex(pattern, text.len());
    // Go gives up with the whole pattern here.
    let regex = regex.map_err(|why| match why.starts_with("error parsing regexp") {
        true => format!("regexp: Compile({}): {why}", go_back_quote(pattern)),
        false => why,
    })?;
    let mut out = call.text();
    let mut at = 0;
    for found in regex.captures_iter(text) {
        let whole = found.get_match();
        out.push(&text[at..whole.start()])?;
        expand(&mut out, replacement, &found)?;
        at = whole.end();
    }
    out.push(&text[at..])?;
    call.finish(out)
}

/// Writes `template` with its `$name`s replaced, as Go's `Regexp.Expand`: a name is as long as
/// letters, digits and underscores go, and one that is no group is empty.
fn expand(
    out: &mut BoundedText,
    template: &str,
    groups: &regex::Captures<'_>,
) -> Result<(), LimitPassed> {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push(&rest[..at])?;
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            out.push("$")?;
            rest = behind;
            continue;
        }
        let Some((name, behind)) = group_name(rest) else {
            out.push("$")?;
            continue;
        };
        let group = match name.parse::<usize>() {
            Ok(number) => groups.get(number),
            Err(_) => groups.name(name),
        };
        out.push(group.map_or("", |group| group.as_str()))?;
        rest = behind;
    }
    out.push(rest)
}

/// The name behind a `$`, and what follows it.
fn group_name(text: &str) -> Option<(&str, &str)> {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    if let Some(inner) = text.strip_prefix('{') {
        let (name, behind) = inner.split_once('}')?;
        return (!name.is_empty() && name.chars().all(is_word)).then_some((name, behind));
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}
