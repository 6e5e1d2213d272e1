//! Where a template's output goes: as it is, or with values escaped for their place in HTML.

use super::format;
use super::limits::{BoundedText, LimitPassed};
use super::value::Value;

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
}

impl Sink {
    /// An empty output of at most `bytes_max` bytes.
    pub fn new(escaping: Escaping, bytes_max: usize) -> Sink {
        let _ = escaping;
        Sink { out: BoundedText::new(bytes_max), bytes_max }
    }

    /// Text of the template itself.
    pub fn text(&mut self, text: &str) -> Result<(), LimitPassed> {
        self.out.push(text)
    }

    /// A value that an action prints.
    pub fn value(&mut self, value: &Value) -> Result<(), LimitPassed> {
        format::print(&mut self.out, value)
    }

    /// The whole output.
    pub fn into_string(self) -> String {
        self.out.into_string()
    }
}
