//! Follows HTML to the place where a value will stand.

use super::escape::Quoting;
use crate::template::limits::{BoundedText, LimitPassed};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between tags.
    Text,
    /// In `<title>` or `<textarea>`.
    RawText,
    /// In a tag, where attributes' names stand.
    Tag,
    /// In a comment.
    Comment,
    /// In an attribute that values must not decide on.
    Forbidden,
    /// In an attribute that is text.
    Attribute(Quoting),
    /// In an attribute that is markup.
    Markup(Quoting),
    /// In an attribute that is a URL.
    Url {
        /// How it is delimited.
        quoting: Quoting,
        /// Which part of the URL begins.
        part: UrlPart,
    },
    /// In a style sheet, or in an attribute that is one.
    Style(Option<Quoting>),
    /// In a script, or in an attribute that is one.
    Script {
        /// Whether in a string of it.
        in_string: bool,
        /// How the attribute is delimited.
        quoting: Option<Quoting>,
    },
}

/// A part of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlPart {
    /// Nothing of it was written.
    Start,
    /// Scheme, host or path.
    BeforeQuery,
    /// Behind `?` or `#`.
    Query,
}

/// What an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Plain,
    /// A URL.
    Url,
    /// A style.
    Style,
    /// A script.
    Script,
    /// Markup.
    Markup,
    /// What values must not decide on.
    Forbidden,
}

const URLS: [&str; 17] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
    "xmlns",
];
const FORBIDDEN: [&str; 22] = [
    "accept-charset",
    "async",
    "challenge",
    "charset",
    "content",
    "crossorigin",
    "defer",
    "enctype",
    "form",
    "formenctype",
    "formmethod",
    "formnovalidate",
    "http-equiv",
    "keytype",
    "language",
    "method",
    "novalidate",
    "pattern",
    "rel",
    "sandbox",
    "type",
    "value",
];

/// What the attribute `name`, in small letters, holds.
pub fn kind_of(name: &str) -> Kind {
    let name = match (name.strip_prefix("data-"), name.split_once(':')) {
        (Some(short), _) => short,
        (None, Some(("xmlns", _))) => return Kind::Url,
        (None, Some((_, short))) => short,
        (None, None) => name,
    };
    match name {
        "style" => Kind::Style,
        "srcdoc" => Kind::Markup,
        // Several URLs with sizes between them: no place for a value.
        "srcset" => Kind::Forbidden,
        name if URLS.contains(&name) => Kind::Url,
        name if FORBIDDEN.contains(&name) => Kind::Forbidden,
        name if name.starts_with("on") => Kind::Script,
        name if ["src", "uri", "url"].iter().any(|part| name.contains(part)) => Kind::Url,
        _ => Kind::Plain,
    }
}

/// Elements whose contents are no markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Other,
    Script,
    Style,
    RawText,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Text,
    Comment,
    Tag,
    AttributeName,
    AfterName,
    BeforeValue,
    /// Delimited by this quote, or bare.
    Value(Option<u8>),
    /// In an element whose contents are no markup, with the string that is open.
    Content(Option<u8>),
    /// A comment in a style sheet.
    StyleComment,
}

/// How far the HTML has come.
#[derive(Clone, Debug)]
pub struct Context {
    state: State,
    element: Element,
    element_name: String,
    attribute: String,
    kind: Kind,
    part: UrlPart,
    /// The string open in an attribute that is a script.
    string: Option<u8>,
    was_backslash: bool,
}

impl Default for Context {
    fn default() -> Context {
        Context {
            state: State::Text,
            element: Element::Other,
            element_name: String::new(),
            attribute: String::new(),
            kind: Kind::Plain,
            part: UrlPart::Start,
            string: None,
            was_backslash: false,
        }
    }
}

const SPACES: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];

impl Context {
    /// Writes `text` and moves on behind it. Comments are left out, and a `<` that begins no tag
    /// is escaped.
    pub fn pass(&mut self, text: &str, out: &mut BoundedText) -> Result<(), LimitPassed> {
        let mut rest = text;
        while !rest.is_empty() {
            let is_style_comment = self.state == State::StyleComment;
            let (written, count) = self.step(rest);
            out.push(&rest[..written])?;
            if is_style_comment {
                out.push(" ")?;
            }
            if self.state == State::Text && rest[..count].ends_with('<') && written < count {
                out.push("&lt;")?;
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Moves on over some of `text`: how many bytes of it are written, and how many passed.
    fn step(&mut self, text: &str) -> (usize, usize) {
        let spaces = text.len() - text.trim_start_matches(SPACES).len();
        match self.state.clone() {
            State::Text => self.in_text(text),
            State::Comment => match text.find("-->") {
                Some(end) => {
                    self.state = State::Text;
                    (0, end + 3)
                }
                None => (0, text.len()),
            },
            State::Tag if spaces > 0 => (spaces, spaces),
            State::Tag => self.in_tag(text),
            State::AttributeName => self.in_name(text),
            State::AfterName if spaces > 0 => (spaces, spaces),
            State::AfterName => {
                let is_value = text.starts_with('=');
                self.state = if is_value { State::BeforeValue } else { State::Tag };
                let count = usize::from(is_value);
                (count, count)
            }
            State::BeforeValue if spaces > 0 => (spaces, spaces),
            State::BeforeValue => {
                let quote = text.bytes().next().filter(|b| matches!(b, b'"' | b'\''));
                self.begin_value(quote);
                let count = usize::from(quote.is_some());
                (count, count)
            }
            State::Value(quote) => self.in_value(text, quote),
            State::Content(_) => self.in_content(text),
            State::StyleComment => match text.find("*/") {
                Some(end) => {
                    self.state = State::Content(None);
                    (0, end + 2)
                }
                None => (0, text.len()),
            },
        }
    }

    fn in_text(&mut self, text: &str) -> (usize, usize) {
        let Some(at) = text.find('<') else { return (text.len(), text.len()) };
        let behind = &text[at + 1..];
        if behind.starts_with("!--") {
            self.state = State::Comment;
            return (at, at + 4);
        }
        let is_doctype = behind.get(..8).is_some_and(|d| d.eq_ignore_ascii_case("!doctype"));
        if is_doctype {
            return (at + 1, at + 1);
        }
        let (name_at, is_end) = match behind.strip_prefix('/') {
            Some(_) => (at + 2, true),
            None => (at + 1, false),
        };
        let name = &text[name_at..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-');
        let length = name.find(|c| !is_part(c)).unwrap_or(name.len());
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // No tag: the caller escapes it.
            return (at, at + 1);
        }
        self.element_name = name[..length].to_ascii_lowercase();
        self.element = match self.element_name.as_str() {
            _ if is_end => Element::Other,
            "script" => Element::Script,
            "style" => Element::Style,
            "title" | "textarea" => Element::RawText,
            _ => Element::Other,
        };
        self.state = State::Tag;
        (name_at + length, name_at + length)
    }

    fn in_tag(&mut self, text: &str) -> (usize, usize) {
        if text.starts_with('>') {
            self.state = match self.element {
                Element::Other => State::Text,
                _ => State::Content(None),
            };
            return (1, 1);
        }
        if text.starts_with(['/', '=', '"', '\'', '<']) {
            return (1, 1);
        }
        self.attribute.clear();
        self.state = State::AttributeName;
        (0, 0)
    }

    fn in_name(&mut self, text: &str) -> (usize, usize) {
        let ends = |c: char| SPACES.contains(&c) || matches!(c, '=' | '>' | '/' | '"' | '\'' | '<');
        let length = text.find(ends).unwrap_or(text.len());
        self.attribute.push_str(&text[..length].to_ascii_lowercase());
        if length < text.len() {
            self.state = State::AfterName;
        }
        (length, length)
    }

    fn begin_value(&mut self, quote: Option<u8>) {
        self.kind = match (kind_of(&self.attribute), self.attribute.as_str()) {
            // What makes a type of a script or a meaning of a `meta` is decided by the template.
            (Kind::Forbidden, "value" | "type") if self.element == Element::Other => Kind::Plain,
            (Kind::Forbidden, "content") if self.element_name == "meta" => Kind::Plain,
            (kind, _) => kind,
        };
        (self.part, self.string, self.was_backslash) = (UrlPart::Start, None, false);
        self.state = State::Value(quote);
    }

    fn in_value(&mut self, text: &str, quote: Option<u8>) -> (usize, usize) {
        let ends = |c: char| match quote {
            Some(quote) => c == char::from(quote),
            None => SPACES.contains(&c) || c == '>',
        };
        let end = text.find(ends);
        let inside = &text[..end.unwrap_or(text.len())];
        match self.kind {
            Kind::Url if inside.contains(['?', '#']) => self.part = UrlPart::Query,
            Kind::Url if self.part == UrlPart::Start && !inside.trim().is_empty() => {
                self.part = UrlPart::BeforeQuery;
            }
            Kind::Script => self.follow_strings(inside),
            _ => {}
        }
        if end.is_some() {
            self.state = State::Tag;
        }
        let count = inside.len() + usize::from(end.is_some() && quote.is_some());
        (count, count)
    }

    /// Which string is open at the end of a piece of script.
    fn follow_strings(&mut self, script: &str) {
        for byte in script.bytes() {
            match (byte, self.string) {
                _ if self.was_backslash => self.was_backslash = false,
                (b'\\', Some(_)) => self.was_backslash = true,
                (b'"' | b'\'' | b'`', None) => self.string = Some(byte),
                (byte, Some(open)) if byte == open => self.string = None,
                _ => {}
            }
        }
    }

    fn in_content(&mut self, text: &str) -> (usize, usize) {
        let end = end_tag(text, &self.element_name);
        let inside = &text[..end.unwrap_or(text.len())];
        if self.element == Element::Style
            && let Some(at) = inside.find("/*")
        {
            self.state = State::StyleComment;
            return (at, at + 2);
        }
        if self.element == Element::Script {
            self.follow_strings(inside);
        }
        if end.is_some() {
            (self.state, self.element, self.string) = (State::Text, Element::Other, None);
            // The end tag as a whole, so that it is read as a tag.
            if inside.is_empty() {
                return self.in_text(text);
            }
        }
        (inside.len(), inside.len())
    }

    /// The place where a value stands now; where an attribute's value would begin, it does.
    pub fn before_value(&mut self) -> Place {
        if self.state == State::BeforeValue {
            self.begin_value(None);
        }
        match &self.state {
            State::Text => Place::Text,
            State::Comment | State::StyleComment => Place::Comment,
            State::Tag | State::AttributeName | State::AfterName | State::BeforeValue => {
                self.state = State::AttributeName;
                Place::Tag
            }
            State::Content(_) => match self.element {
                Element::Script => {
                    Place::Script { in_string: self.string.is_some(), quoting: None }
                }
                Element::Style => Place::Style(None),
                Element::RawText | Element::Other => Place::RawText,
            },
            State::Value(quote) => {
                let quoting = if quote.is_some() { Quoting::Quoted } else { Quoting::Bare };
                self.in_attribute(quoting)
            }
        }
    }

    fn in_attribute(&mut self, quoting: Quoting) -> Place {
        match self.kind {
            Kind::Plain => Place::Attribute(quoting),
            Kind::Markup => Place::Markup(quoting),
            Kind::Forbidden => Place::Forbidden,
            Kind::Style => Place::Style(Some(quoting)),
            Kind::Script => {
                Place::Script { in_string: self.string.is_some(), quoting: Some(quoting) }
            }
            Kind::Url => {
                let part = self.part;
                if part == UrlPart::Start {
                    self.part = UrlPart::BeforeQuery;
                }
                Place::Url { quoting, part }
            }
        }
    }
}

/// Where `</name` stands, followed by what may follow a name.
fn end_tag(text: &str, name: &str) -> Option<usize> {
    text.match_indices("</").map(|(at, _)| at).find(|at| {
        let behind = &text[at + 2..];
        let is_name = behind.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name));
        is_name
            && behind[name.len()..]
                .chars()
                .next()
                .is_some_and(|c| SPACES.contains(&c) || matches!(c, '>' | '/'))
    })
}
