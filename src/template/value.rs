//! Values that a template works on, with the parts of Go's types that show: names in errors, kinds
//! in comparisons, methods, text forms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::functions::Method;
use super::json;
use super::limits::{BoundedText, VALUE_DEPTH_MAX};
use super::time::GoTime;

/// Longest JSON of one value in bytes.
const JSON_BYTES_MAX: usize = 64 << 20;

/// A value. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// No value, or `nil`; prints as `<no value>`.
    #[default]
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(Arc<str>),
    /// A text that HTML escaping leaves as it is where it fits.
    Safe(Safe, Arc<str>),
    /// Values in order.
    List(Arc<List>),
    /// Values by name.
    Map(Arc<Map>),
    /// Named fields.
    Record(Arc<Record>),
    /// A point in time with its zone.
    Time(Arc<GoTime>),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A number with a name, such as a weekday.
    Named(&'static str, i64, &'static str),
}

/// In which part of HTML a text may stand without escaping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safe {
    /// Markup.
    Html,
    /// A URL of any scheme.
    Url,
    /// A text that the function `html` escaped already.
    HtmlEscaped,
    /// A text that the function `urlquery` escaped already.
    QueryEscaped,
}

/// A named type of lists, maps or records.
#[derive(Debug)]
pub struct Type {
    /// As Go names it, such as `template.KV`.
    pub name: &'static str,
    /// What can be called on its values.
    pub methods: &'static [Method],
    /// How a value prints if not as its contents.
    pub display: Option<fn(&Value) -> String>,
    /// Whether a record's fields begin with a small letter in JSON.
    pub is_camel: bool,
}

/// `[]interface {}`
pub static ANY_LIST: Type = plain("[]interface {}");
/// `[]string`
pub static TEXT_LIST: Type = plain("[]string");
/// `map[string]interface {}`
pub static ANY_MAP: Type = plain("map[string]interface {}");
/// `map[string]string`
pub static TEXT_MAP: Type = plain("map[string]string");

/// A type without methods.
pub const fn plain(name: &'static str) -> Type {
    Type { name, methods: &[], display: None, is_camel: false }
}

/// Values in order.
#[derive(Debug)]
pub struct List {
    /// Its type.
    pub of: &'static Type,
    /// The values.
    pub items: Vec<Value>,
    depth: u8,
}

/// Values by name, in the order of the names.
#[derive(Debug)]
pub struct Map {
    /// Its type.
    pub of: &'static Type,
    /// Whether a missing entry is the empty text rather than no value.
    pub holds_texts: bool,
    /// The values.
    pub entries: BTreeMap<Arc<str>, Value>,
    depth: u8,
}

/// Named fields in the order in which they print.
#[derive(Debug)]
pub struct Record {
    /// Its type.
    pub of: &'static Type,
    /// Name and value.
    pub fields: Vec<(&'static str, Value)>,
    depth: u8,
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::Text(text.into())
    }

    /// A list of texts.
    pub fn texts<T: Into<Arc<str>>>(texts: impl IntoIterator<Item = T>) -> Value {
        Value::list(&TEXT_LIST, texts.into_iter().map(Value::text).collect())
    }

    /// A list of a named type.
    pub fn list(of: &'static Type, items: Vec<Value>) -> Value {
        let depth = depth_over(items.iter());
        Value::List(Arc::new(List { of, items, depth }))
    }

    /// A `map[string]string`, or a type based on it.
    pub fn text_map<N, T>(of: &'static Type, pairs: impl IntoIterator<Item = (N, T)>) -> Value
    where
        N: Into<Arc<str>>,
        T: Into<Arc<str>>,
    {
        let entries = pairs.into_iter().map(|(n, t)| (n.into(), Value::text(t))).collect();
        Value::Map(Arc::new(Map { of, holds_texts: true, entries, depth: 1 }))
    }

    /// A map of any values.
    pub fn map(entries: BTreeMap<Arc<str>, Value>) -> Value {
        let depth = depth_over(entries.values());
        Value::Map(Arc::new(Map { of: &ANY_MAP, holds_texts: false, entries, depth }))
    }

    /// Named fields.
    pub fn record(of: &'static Type, fields: Vec<(&'static str, Value)>) -> Value {
        let depth = depth_over(fields.iter().map(|(_, value)| value));
        Value::Record(Arc::new(Record { of, fields, depth }))
    }

    /// How deeply lists and maps are nested in it.
    fn depth(&self) -> u8 {
        match self {
            Value::List(list) => list.depth,
            Value::Map(map) => map.depth,
            Value::Record(record) => record.depth,
            _ => 0,
        }
    }

    /// Itself, if it is not nested deeper than [`VALUE_DEPTH_MAX`]: to be called on what templates
    /// can nest without end.
    pub fn if_shallow(self) -> Result<Value, String> {
        match self.depth() > VALUE_DEPTH_MAX {
            true => Err(format!("more than {VALUE_DEPTH_MAX} levels of lists and maps")),
            false => Ok(self),
        }
    }

    /// The name of its type as Go's errors show it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) | Value::Safe(Safe::HtmlEscaped | Safe::QueryEscaped, _) => "string",
            Value::Safe(Safe::Html, _) => "template.HTML",
            Value::Safe(Safe::Url, _) => "template.URL",
            Value::List(list) => list.of.name,
            Value::Map(map) => map.of.name,
            Value::Record(record) => record.of.name,
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Named(type_name, ..) => type_name,
        }
    }

    /// Whether `if` takes it for true: neither zero nor empty nor nothing.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(n) | Value::Duration(n) | Value::Named(_, n, _) => *n != 0,
            Value::Float(n) => *n != 0.0,
            Value::Text(text) | Value::Safe(_, text) => !text.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Record(_) | Value::Time(_) => true,
        }
    }

    /// The text of a text.
    pub fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            Value::Text(text) | Value::Safe(_, text) => Some(text),
            _ => None,
        }
    }

    /// The number of anything that is a whole number.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) | Value::Duration(n) | Value::Named(_, n, _) => Some(*n),
            _ => None,
        }
    }

    /// The values of a list, none of anything else.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::List(list) => &list.items,
            _ => &[],
        }
    }

    /// As JSON, as Go's encoder writes it.
    ///
    /// # Errors
    /// A sentence: it holds a number that is none, or is longer than 64 MiB.
    pub fn to_json(&self) -> Result<String, String> {
        let mut text = BoundedText::new(JSON_BYTES_MAX);
        json::write(&mut text, self)?;
        Ok(text.into_string())
    }

    /// The methods of its type.
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Value::List(list) => list.of.methods,
            Value::Map(map) => map.of.methods,
            Value::Record(record) => record.of.methods,
            Value::Time(_) => super::functions::TIME_METHODS,
            Value::Duration(_) => super::functions::DURATION_METHODS,
            Value::Named(..) => super::functions::NAMED_METHODS,
            _ => &[],
        }
    }

    /// The text of a type that prints in its own way.
    pub fn own_display(&self) -> Option<String> {
        let display = match self {
            Value::List(list) => list.of.display,
            Value::Map(map) => map.of.display,
            Value::Record(record) => record.of.display,
            Value::Time(time) => return Some(time.to_string()),
            Value::Duration(ns) => return Some(super::time::duration_text(*ns)),
            Value::Named(_, _, text) => return Some((*text).to_owned()),
            _ => None,
        };
        display.map(|display| display(self))
    }
}

impl Map {
    /// The entry `name`, or what its type has for a missing one.
    pub fn get_or_zero(&self, name: &str) -> Value {
        match self.entries.get(name) {
            Some(value) => value.clone(),
            None if self.holds_texts => Value::text(""),
            None => Value::Nil,
        }
    }
}

impl Record {
    /// The field `name`.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

fn depth_over<'a>(inner: impl Iterator<Item = &'a Value>) -> u8 {
    inner.map(Value::depth).max().unwrap_or(0).saturating_add(1)
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::text(text)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Float(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}
