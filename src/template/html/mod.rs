//! Where a template's output goes: as it is, or with values escaped for their place in HTML.
//!
//! In: a template's own texts and the values its actions print. Out: text. Never here: templates.
//!
//! The place of a value is found from the texts before it ([`context`]), while they are written;
//! Go's `html/template` finds it when it parses. Results agree for texts, attributes, URLs and
//! styles; what Go refuses to parse (branches that end in different places) is accepted here.

mod context;
mod escape;

use context::{Context, Place};
use escape::{FILTERED, Quoting};

use super::format;
use super::json;
use super::limits::{BoundedText, LimitPassed};
use super::value::{Safe, Value};

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// As they are: Go's `text/template`.
    Text,
    /// Escaped for their place in HTML: Go's `html/template`.
    Html,
}

/// The output of one execution.
#[derive(Debug)]
pub struct Sink {
    out: BoundedText,
    bytes_max: usize,
    html: Option<Context>,
}

impl Sink {
    /// An empty output of at most `bytes_max` bytes.
    pub fn new(escaping: Escaping, bytes_max: usize) -> Sink {
        let html = (escaping == Escaping::Html).then(Context::default);
        Sink { out: BoundedText::new(bytes_max), bytes_max, html }
    }

    /// Text of the template itself. In HTML comments are left out.
    pub fn text(&mut self, text: &str) -> Result<(), LimitPassed> {
        match &mut self.html {
            None => self.out.push(text),
            Some(context) => context.pass(text, &mut self.out),
        }
    }

    /// A value that an action prints.
    pub fn value(&mut self, value: &Value) -> Result<(), LimitPassed> {
        let Some(context) = &mut self.html else {
            return format::print(&mut self.out, value);
        };
        let place = context.before_value();
        let text = match (&place, value) {
            (Place::Script { in_string: false, .. }, value) => script_value(value, self.bytes_max)?,
            // What prints nothing in HTML, though not in text.
            (_, Value::Nil) => String::new(),
            (_, value) => {
                let mut text = BoundedText::new(self.bytes_max);
                format::print(&mut text, value)?;
                text.into_string()
            }
        };
        let safe = match value {
            Value::Safe(safe, _) => Some(*safe),
            _ => None,
        };
        self.out.push(&escaped(&place, &text, safe))
    }

    /// The whole output.
    pub fn into_string(self) -> String {
        self.out.into_string()
    }
}

/// A value as an expression of JavaScript.
fn script_value(value: &Value, bytes_max: usize) -> Result<String, LimitPassed> {
    let mut text = BoundedText::new(bytes_max);
    match value.own_display() {
        Some(own) => text.push(&json::quoted(&own))?,
        None => json::write(&mut text, value).or_else(|_| text.push("null"))?,
    }
    let text = text.into_string();
    let is_word = |c: char| c == '_' || c == '$' || c.is_alphanumeric();
    match text.starts_with(is_word) || text.ends_with(is_word) {
        true => Ok(format!(" {text} ")),
        false => Ok(text),
    }
}

fn escaped(place: &Place, text: &str, safe: Option<Safe>) -> String {
    let is_html = matches!(safe, Some(Safe::Html | Safe::HtmlEscaped));
    match place {
        Place::Text if is_html => text.to_owned(),
        Place::Text => escape::html(text),
        Place::RawText => escape::attribute(text, is_html, Quoting::Quoted),
        Place::Tag => escape::attribute_name(text),
        Place::Comment => String::new(),
        Place::Forbidden => FILTERED.to_owned(),
        Place::Attribute(Quoting::Quoted) if safe == Some(Safe::HtmlEscaped) => text.to_owned(),
        Place::Attribute(quoting) if is_html => {
            escape::attribute(&escape::without_tags(text), true, *quoting)
        }
        Place::Attribute(quoting) => escape::attribute(text, false, *quoting),
        Place::Markup(quoting) => escape::attribute(&escape::html(text), false, *quoting),
        Place::Url { quoting, part } => {
            let url = escape::url(text, *part, safe);
            escape::attribute(&url, false, *quoting)
        }
        Place::Style(None) => escape::style_value(text),
        Place::Style(Some(quoting)) => {
            escape::attribute(&escape::style_value(text), false, *quoting)
        }
        Place::Script { in_string, quoting } => {
            let script = match in_string {
                true => escape::script_text(text),
                false => text.to_owned(),
            };
            match quoting {
                Some(quoting) => escape::attribute(&script, false, *quoting),
                None => script,
            }
        }
    }
}
