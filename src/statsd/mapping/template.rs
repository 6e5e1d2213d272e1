//! Names and label values with captures: `${1}_total`.
//!
//! In: a text with `$1`, `${1}`, or `$name`. Out: the text with captures filled in. A reference to a
//! capture that does not exist becomes nothing, as in Go's `Regexp.Expand`. A bare reference runs as
//! far as letters, digits and underscores do: `$1_total` names a capture `1_total`.

use regex::Captures;

/// A parsed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// Of a regular expression 0 is the whole match; globs count from 1.
    Number(usize),
    /// Only regular expressions have names.
    Name(String),
}

impl Template {
    /// Parses `text`; every text is one.
    pub fn new(text: &str) -> Template {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            push_text(&mut pieces, &rest[..at]);
            let after = &rest[at + 1..];
            match reference(after) {
                Some((piece, length)) => {
                    pieces.push(piece);
                    rest = &after[length..];
                }
                None => {
                    push_text(&mut pieces, "$");
                    // Two dollars stand for one.
                    rest = after.strip_prefix('$').unwrap_or(after);
                }
            }
        }
        push_text(&mut pieces, rest);
        Template(pieces)
    }

    /// Fills in the captures of a glob.
    pub fn fill_with(&self, captures: &[&str]) -> String {
        self.fill(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Number(n) => n.checked_sub(1).and_then(|n| captures.get(n)).unwrap_or(&""),
            Piece::Name(_) => "",
        })
    }

    /// Fills in the captures of a regular expression.
    pub fn fill_from(&self, captures: &Captures<'_>) -> String {
        self.fill(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Number(n) => captures.get(*n).map_or("", |found| found.as_str()),
            Piece::Name(name) => captures.name(name).map_or("", |found| found.as_str()),
        })
    }

    fn fill<'a>(&'a self, text_of: impl Fn(&'a Piece) -> &'a str) -> String {
        self.0.iter().map(text_of).collect()
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// The reference at the start of `text`, which follows a dollar, and its length.
fn reference(text: &str) -> Option<(Piece, usize)> {
    let braced = text.strip_prefix('{');
    let body = braced.unwrap_or(text);
    let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
    if end == 0 || braced.is_some() && !body[end..].starts_with('}') {
        return None;
    }
    let name = &body[..end];
    let piece = match name.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large to be one refers to nothing either.
        true => Piece::Number(name.parse().unwrap_or(usize::MAX)),
        false => Piece::Name(name.to_owned()),
    };
    Some((piece, if braced.is_some() { end + 2 } else { end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_filled_in_and_unknown_ones_vanish() {
        let captures = ["a", "b"];
        for (text, filled) in [
            ("plain", "plain"),
            ("${1}_x_$2", "a_x_b"),
            ("$1_x", ""),
            ("$2.$1", "b.a"),
            ("$1$2", "ab"),
            ("x$3$0${9}y", "xy"),
            ("$99999999999999999999", ""),
            ("$name", ""),
            ("$$1", "$1"),
            ("${1", "${1"),
            ("5$", "5$"),
            ("", ""),
        ] {
            assert_eq!(Template::new(text).fill_with(&captures), filled, "{text}");
        }
    }

    #[test]
    fn regular_expressions_have_the_whole_match_and_names() {
        let regex = regex::Regex::new(r"a\.(?P<what>\w+)\.(x)?").expect("valid");
        let captures = regex.captures("a.b.c").expect("matches");
        let filled = |text| Template::new(text).fill_from(&captures);
        assert_eq!(filled("$0|$1|$what|$2|$3"), "a.b.|b|b||");
    }
}
