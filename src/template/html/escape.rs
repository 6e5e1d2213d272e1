//! Texts escaped for one place in HTML.
//!
//! Source of the rules: the documentation of Go's `html/template`.

use super::context::UrlPart;
use crate::template::value::Safe;

/// What stands in place of a text that must not stand there, as in Go.
pub const FILTERED: &str = "ZgotmplZ";

/// How the value of an attribute is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// By quotes of either kind.
    Quoted,
    /// By white space or the tag's end.
    Bare,
}

/// For text between tags.
pub fn html(text: &str) -> String {
    replaced(text, entity)
}

fn entity(c: char) -> Option<&'static str> {
    Some(match c {
        '\0' => "\u{fffd}",
        '"' => "&#34;",
        '&' => "&amp;",
        '\'' => "&#39;",
        '+' => "&#43;",
        '<' => "&lt;",
        '>' => "&gt;",
        _ => return None,
    })
}

/// For the value of an attribute; `is_html` keeps the entities that it has.
pub fn attribute(text: &str, is_html: bool, quoting: Quoting) -> String {
    if quoting == Quoting::Bare && text.is_empty() {
        return FILTERED.to_owned();
    }
    replaced(text, |c| match c {
        '&' if is_html => None,
        '\0' if quoting == Quoting::Bare => Some("&#xfffd;"),
        c if quoting == Quoting::Bare => bare_entity(c).or_else(|| entity(c)),
        c => entity(c),
    })
}

fn bare_entity(c: char) -> Option<&'static str> {
    Some(match c {
        '\t' => "&#9;",
        '\n' => "&#10;",
        '\u{b}' => "&#11;",
        '\u{c}' => "&#12;",
        '\r' => "&#13;",
        ' ' => "&#32;",
        '=' => "&#61;",
        '`' => "&#96;",
        _ => return None,
    })
}

fn replaced(text: &str, with: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match with(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    out
}

/// Markup without its tags and comments.
pub fn without_tags(markup: &str) -> String {
    let mut out = String::with_capacity(markup.len());
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let behind = rest[1..].trim_start_matches('/');
        let end = match rest.starts_with("<!--") {
            true => rest.find("-->").map(|end| end + 3),
            false if behind.starts_with(|c: char| c.is_ascii_alphabetic()) => tag_end(rest),
            false => {
                out.push('<');
                Some(1)
            }
        };
        rest = end.map_or("", |end| &rest[end..]);
    }
    out.push_str(rest);
    out
}

/// Where the tag at the start ends; `>` in quotes does not end it.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('>', None) => return Some(at + 1),
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

/// For the name of an attribute: only letters and digits, and none that holds code or a URL.
pub fn attribute_name(text: &str) -> String {
    let name = text.to_ascii_lowercase();
    let is_plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_harmless = super::context::kind_of(&name) == super::context::Kind::Plain;
    if is_plain && is_harmless { name } else { FILTERED.to_owned() }
}

/// For a part of a URL.
pub fn url(text: &str, part: UrlPart, safe: Option<Safe>) -> String {
    if safe == Some(Safe::QueryEscaped) && part != UrlPart::Start {
        return text.to_owned();
    }
    match part {
        UrlPart::Start if safe != Some(Safe::Url) && !has_known_scheme(text) => {
            format!("#{FILTERED}")
        }
        UrlPart::Start | UrlPart::BeforeQuery => percent(text, true),
        UrlPart::Query => percent(text, safe == Some(Safe::Url)),
    }
}

/// Whether the URL is relative, or one that does not run code.
fn has_known_scheme(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}

/// Percent-encoded; `is_url` keeps what has a meaning in URLs.
fn percent(text: &str, is_url: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_kept = match byte {
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?'
            | b'@' | b'[' | b']' => is_url,
            b'-' | b'.' | b'_' | b'~' => true,
            b'%' => {
                let digits = bytes.get(at + 1..at + 3);
                is_url && digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
            }
            byte => byte.is_ascii_alphanumeric(),
        };
        match is_kept {
            true => out.push(char::from(*byte)),
            false => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

/// For a value in a style sheet, also one in a string of it: only what cannot end it.
pub fn style_value(text: &str) -> String {
    let is_dangerous = |c: char| "\0\"'()/;@[\\]`{}<>".contains(c);
    let word: String =
        text.chars().filter(|c| *c == '-' || *c == '_' || c.is_ascii_alphanumeric()).collect();
    let word = word.to_ascii_lowercase();
    let is_bad = text.contains(is_dangerous)
        || text.contains("--")
        || word.contains("expression")
        || word.contains("mozbinding");
    if is_bad { FILTERED.to_owned() } else { text.to_owned() }
}

/// For a string of JavaScript.
pub fn script_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '/' => out.push_str("\\/"),
            '\\' => out.push_str("\\\\"),
            '\0' | '\u{b}' | '"' | '`' | '&' | '\'' | '+' | '<' | '>' | '$' | '{' | '}'
            | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
