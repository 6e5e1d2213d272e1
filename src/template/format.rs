//! Values as text: what Go's `fmt` prints for `%v` and the other verbs.
//!
//! Source of the rules: the documentation of package `fmt`.

use super::float_text;
use super::limits::{BoundedText, LimitPassed};
use super::value::Value;

/// Widest field and largest precision, as in Go.
const WIDTH_MAX: usize = 1_000_000;

/// The flags of one verb.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    /// `%#v`: texts in quotes.
    sharp_v: bool,
    /// `%+v`: records with the names of their fields.
    plus_v: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `value` as `%v`, but nothing as `<no value>`: what an action prints.
pub fn print(out: &mut BoundedText, value: &Value) -> Result<(), LimitPassed> {
    match value {
        Value::Nil => out.push("<no value>"),
        Value::Text(text) => out.push(text),
        other => verb(out, other, 'v', Flags::default()),
    }
}

/// All values one after the other, a space between two that are no texts; as Go's `Sprint`.
pub fn sprint(out: &mut BoundedText, values: &[Value]) -> Result<(), LimitPassed> {
    let mut was_text = true;
    for (i, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_) | Value::Safe(..));
        if i > 0 && !is_text && !was_text {
            out.push(" ")?;
        }
        was_text = is_text;
        verb(out, value, 'v', Flags::default())?;
    }
    Ok(())
}

/// All values with spaces between them and a newline at the end; as Go's `Sprintln`.
pub fn sprintln(out: &mut BoundedText, values: &[Value]) -> Result<(), LimitPassed> {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(" ")?;
        }
        verb(out, value, 'v', Flags::default())?;
    }
    out.push("\n")
}

/// `format` with its verbs replaced by the values; as Go's `Sprintf`, its `%!` complaints included.
pub fn sprintf(out: &mut BoundedText, format: &str, values: &[Value]) -> Result<(), LimitPassed> {
    let mut state = Printf { rest: format, values, next: 0, was_reordered: false, is_bad: false };
    while let Some(at) = state.rest.find('%') {
        out.push(&state.rest[..at])?;
        state.rest = &state.rest[at + 1..];
        state.verb(out)?;
    }
    out.push(state.rest)?;
    if !state.was_reordered && state.next < values.len() {
        out.push("%!(EXTRA ")?;
        for (i, value) in values[state.next..].iter().enumerate() {
            if i > 0 {
                out.push(", ")?;
            }
            typed(out, value, Flags::default())?;
        }
        out.push(")")?;
    }
    Ok(())
}

struct Printf<'a> {
    rest: &'a str,
    values: &'a [Value],
    next: usize,
    was_reordered: bool,
    /// An index in brackets names no value.
    is_bad: bool,
}

impl Printf<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().ok().filter(|n| *n <= WIDTH_MAX)?;
        self.rest = &self.rest[end..];
        Some(number)
    }

    /// `[n]`: the next value is the n-th.
    fn index(&mut self) -> bool {
        if !self.rest.starts_with('[') {
            return false;
        }
        self.was_reordered = true;
        let Some(end) = self.rest.find(']') else {
            self.is_bad = true;
            self.rest = &self.rest[1..];
            return false;
        };
        let inside = self.rest[1..end].parse::<usize>().ok();
        self.rest = &self.rest[end + 1..];
        match inside.filter(|n| (1..=self.values.len()).contains(n)) {
            Some(n) => self.next = n - 1,
            None => self.is_bad = true,
        }
        true
    }

    /// A width or precision: digits, or `*` for the next value. The complaint if that is none.
    fn size(&mut self) -> Result<Option<i64>, ()> {
        self.index();
        if !self.eat('*') {
            return Ok(self.number().and_then(|n| i64::try_from(n).ok()));
        }
        let value = self.values.get(self.next).and_then(Value::as_int);
        self.next += 1;
        let is_fit = |n: &i64| n.unsigned_abs() <= WIDTH_MAX as u64;
        value.filter(is_fit).map(Some).ok_or(())
    }

    fn flags(&mut self, out: &mut BoundedText) -> Result<Flags, LimitPassed> {
        let mut flags = Flags::default();
        loop {
            match self.peek() {
                Some('+') => flags.plus = true,
                Some('-') => (flags.minus, flags.zero) = (true, false),
                Some('#') => flags.sharp = true,
                Some(' ') => flags.space = true,
                Some('0') => flags.zero = !flags.minus,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        match self.size() {
            Ok(Some(width)) => {
                flags.minus |= width < 0;
                flags.zero &= width >= 0;
                flags.width = usize::try_from(width.unsigned_abs()).ok();
            }
            Ok(None) => {}
            Err(()) => out.push("%!(BADWIDTH)")?,
        }
        if self.eat('.') {
            match self.size() {
                Ok(size) => flags.precision = usize::try_from(size.unwrap_or(0)).ok(),
                Err(()) => out.push("%!(BADPREC)")?,
            }
        }
        self.index();
        Ok(flags)
    }

    fn verb(&mut self, out: &mut BoundedText) -> Result<(), LimitPassed> {
        self.is_bad = false;
        let flags = self.flags(out)?;
        let Some(c) = self.peek() else { return out.push("%!(NOVERB)") };
        self.rest = &self.rest[c.len_utf8()..];
        let mut complain = |what: &str| {
            out.push("%!")?;
            out.repeat(c, 1)?;
            out.push(what)
        };
        if c == '%' {
            return out.push("%");
        }
        if self.is_bad {
            return complain("(BADINDEX)");
        }
        let Some(value) = self.values.get(self.next) else { return complain("(MISSING)") };
        self.next += 1;
        let Flags { plus, sharp, .. } = flags;
        let flags = match c {
            'v' => Flags { plus: false, sharp: false, plus_v: plus, sharp_v: sharp, ..flags },
            _ => flags,
        };
        match value {
            Value::Nil if !matches!(c, 'v' | 'T') => complain_nil(out, c),
            value => verb(out, value, c, flags),
        }
    }
}

fn complain_nil(out: &mut BoundedText, c: char) -> Result<(), LimitPassed> {
    out.push("%!")?;
    out.repeat(c, 1)?;
    out.push("(<nil>)")
}

/// `int=5`, as complaints show a value.
fn typed(out: &mut BoundedText, value: &Value, flags: Flags) -> Result<(), LimitPassed> {
    if let Value::Nil = value {
        return out.push("<nil>");
    }
    out.push(value.type_name())?;
    out.push("=")?;
    verb(out, value, 'v', flags)
}

/// The value, then what Go says of a verb that does not fit it.
fn bad_verb(
    out: &mut BoundedText,
    value: &Value,
    c: char,
    flags: Flags,
) -> Result<(), LimitPassed> {
    out.push("%!")?;
    out.repeat(c, 1)?;
    out.push("(")?;
    typed(out, value, flags)?;
    out.push(")")
}

fn verb(out: &mut BoundedText, value: &Value, c: char, flags: Flags) -> Result<(), LimitPassed> {
    if c == 'T' {
        let name = if let Value::Nil = value { "<nil>" } else { value.type_name() };
        return padded_text(out, name, flags);
    }
    if matches!(c, 'v' | 's' | 'x' | 'X' | 'q')
        && !flags.sharp_v
        && let Some(text) = value.own_display()
    {
        return text_verb(out, &Value::text(text.as_str()), &text, c, flags);
    }
    match value {
        Value::Nil if c == 'v' => padded_text(out, "<nil>", flags),
        Value::Nil => out.push("<nil>"),
        Value::Bool(value) if matches!(c, 't' | 'v') => {
            padded_text(out, if *value { "true" } else { "false" }, flags)
        }
        Value::Bool(_) => bad_verb(out, value, c, flags),
        Value::Int(n) | Value::Duration(n) | Value::Named(_, n, _) => {
            int_verb(out, value, *n, c, flags)
        }
        Value::Float(n) => float_verb(out, value, *n, c, flags),
        Value::Text(text) | Value::Safe(_, text) => text_verb(out, value, text, c, flags),
        // No verb but those that show its text fits a time.
        Value::Time(_) if c == 'v' => {
            padded_text(out, &value.own_display().unwrap_or_default(), flags)
        }
        Value::Time(_) => bad_verb(out, value, c, flags),
        Value::List(_) | Value::Map(_) | Value::Record(_) => composite(out, value, c, flags),
    }
}

/// Lists, maps and records; with `%#v` as they would stand in a program.
fn composite(
    out: &mut BoundedText,
    value: &Value,
    c: char,
    flags: Flags,
) -> Result<(), LimitPassed> {
    let (open, close) = match value {
        _ if flags.sharp_v => ("{", "}"),
        Value::List(_) => ("[", "]"),
        Value::Map(_) => ("map[", "]"),
        _ => ("{", "}"),
    };
    if flags.sharp_v {
        out.push(value.type_name())?;
    }
    out.push(open)?;
    let between = |out: &mut BoundedText, i: usize| match (i, flags.sharp_v) {
        (0, _) => Ok(()),
        (_, true) => out.push(", "),
        (_, false) => out.push(" "),
    };
    match value {
        Value::List(list) => {
            for (i, item) in list.items.iter().enumerate() {
                between(out, i)?;
                verb(out, item, c, flags)?;
            }
        }
        Value::Map(map) => {
            for (i, (name, item)) in map.entries.iter().enumerate() {
                between(out, i)?;
                verb(out, &Value::Text(name.clone()), c, flags)?;
                out.push(":")?;
                verb(out, item, c, flags)?;
            }
        }
        Value::Record(record) => {
            for (i, (name, item)) in record.fields.iter().enumerate() {
                between(out, i)?;
                if flags.plus_v || flags.sharp_v {
                    out.push(name)?;
                    out.push(":")?;
                }
                verb(out, item, c, flags)?;
            }
        }
        _ => {}
    }
    out.push(close)
}

fn padded_text(out: &mut BoundedText, text: &str, flags: Flags) -> Result<(), LimitPassed> {
    let Some(width) = flags.width else { return out.push(text) };
    let missing = width.saturating_sub(text.chars().count());
    if flags.minus {
        out.push(text)?;
        return out.repeat(' ', missing);
    }
    out.repeat(if flags.zero { '0' } else { ' ' }, missing)?;
    out.push(text)
}

fn text_verb(
    out: &mut BoundedText,
    value: &Value,
    text: &str,
    c: char,
    flags: Flags,
) -> Result<(), LimitPassed> {
    let cut = |text: &str| match flags.precision {
        Some(max) => text.chars().take(max).collect(),
        None => text.to_owned(),
    };
    match c {
        'v' if flags.sharp_v => padded_text(out, &quote(text), flags),
        'v' | 's' => padded_text(out, &cut(text), flags),
        'q' => {
            let text = cut(text);
            let is_raw = flags.sharp && !text.contains(['`', '\u{7f}']) && !has_control(&text);
            match is_raw {
                true => padded_text(out, &format!("`{text}`"), flags),
                false if flags.plus => padded_text(out, &ascii_only(&quote(&text)), flags),
                false => padded_text(out, &quote(&text), flags),
            }
        }
        'x' | 'X' => {
            let bytes = text.as_bytes();
            let count = flags.precision.unwrap_or(bytes.len()).min(bytes.len());
            padded_text(out, &hex_bytes(&bytes[..count], c, flags), flags)
        }
        _ => bad_verb(out, value, c, flags),
    }
}

fn has_control(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\t')
}

fn hex_bytes(bytes: &[u8], c: char, flags: Flags) -> String {
    let prefix = if c == 'x' { "0x" } else { "0X" };
    let mut text = String::with_capacity(bytes.len() * 2);
    for (i, byte) in bytes.iter().enumerate() {
        if flags.space && i > 0 {
            text.push(' ');
        }
        if flags.sharp && (flags.space || i == 0) {
            text.push_str(prefix);
        }
        text.push_str(&match c {
            'x' => format!("{byte:02x}"),
            _ => format!("{byte:02X}"),
        });
    }
    text
}

fn int_verb(
    out: &mut BoundedText,
    value: &Value,
    n: i64,
    c: char,
    flags: Flags,
) -> Result<(), LimitPassed> {
    let magnitude = n.unsigned_abs();
    let (digits, prefix) = match c {
        'd' | 'v' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), if flags.sharp { "0b" } else { "" }),
        'o' => (format!("{magnitude:o}"), if flags.sharp { "0" } else { "" }),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), if flags.sharp { "0x" } else { "" }),
        'X' => (format!("{magnitude:X}"), if flags.sharp { "0X" } else { "" }),
        'c' => return padded_text(out, &character(n).to_string(), flags),
        'q' if flags.plus => {
            return padded_text(out, &ascii_only(&quote_char(character(n))), flags);
        }
        'q' => return padded_text(out, &quote_char(character(n)), flags),
        'U' => return padded_text(out, &unicode(n, flags), flags),
        _ => return bad_verb(out, value, c, flags),
    };
    let sign = sign_of(n < 0, flags);
    if flags.precision == Some(0) && n == 0 {
        return padded_text(out, "", Flags { zero: false, ..flags });
    }
    let least = match (flags.precision, flags.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let zeros = least.saturating_sub(digits.len());
    let mut number = BoundedText::new(WIDTH_MAX + 100);
    number.push(sign)?;
    number.push(prefix)?;
    number.repeat('0', zeros)?;
    number.push(&digits)?;
    padded_text(out, number.as_str(), Flags { zero: false, ..flags })
}

fn sign_of(is_negative: bool, flags: Flags) -> &'static str {
    match (is_negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

fn character(n: i64) -> char {
    u32::try_from(n).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn unicode(n: i64, flags: Flags) -> String {
    let least = flags.precision.unwrap_or(4).clamp(4, 64);
    let mut text = format!("U+{n:0least$X}");
    let c = u32::try_from(n).ok().and_then(char::from_u32).filter(|c| is_printable(*c));
    if let Some(c) = c.filter(|_| flags.sharp) {
        text.push_str(&format!(" '{c}'"));
    }
    text
}

fn float_verb(
    out: &mut BoundedText,
    value: &Value,
    n: f64,
    c: char,
    flags: Flags,
) -> Result<(), LimitPassed> {
    let precision = flags.precision;
    let magnitude = n.abs();
    let digits = match c {
        _ if !n.is_finite() => (if n.is_nan() { "NaN" } else { "Inf" }).to_owned(),
        'v' | 'g' | 'G' if flags.sharp => float_text::general_with_zeros(magnitude, precision),
        'v' | 'g' | 'G' => float_text::general(magnitude, precision),
        'e' | 'E' => float_text::exponent(magnitude, Some(precision.unwrap_or(6))),
        'f' | 'F' => float_text::fixed(magnitude, Some(precision.unwrap_or(6))),
        'x' | 'X' => float_text::hex(magnitude),
        'b' => float_text::binary(magnitude),
        _ => return bad_verb(out, value, c, flags),
    };
    let digits = if matches!(c, 'E' | 'G' | 'X') { digits.to_uppercase() } else { digits };
    let digits = if n.is_infinite() || n.is_nan() { restore_case(&digits) } else { digits };
    let is_negative = n.is_sign_negative() && !n.is_nan();
    let sign = match n.is_infinite() && !is_negative && !flags.space {
        true => "+",
        false => sign_of(is_negative, flags),
    };
    let zeros = match (flags.zero && !flags.minus && n.is_finite(), flags.width) {
        (true, Some(width)) => width.saturating_sub(sign.len() + digits.len()),
        _ => 0,
    };
    let mut number = BoundedText::new(2 * WIDTH_MAX);
    number.push(sign)?;
    number.repeat('0', zeros)?;
    number.push(&digits)?;
    padded_text(out, number.as_str(), Flags { zero: false, ..flags })
}

/// `Inf` and `NaN` keep their case.
fn restore_case(digits: &str) -> String {
    (if digits.eq_ignore_ascii_case("nan") { "NaN" } else { "Inf" }).to_owned()
}

/// `text` in double quotes, escaped as Go's `%q` does.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    text.chars().for_each(|c| escape_into(&mut quoted, c, '"'));
    quoted.push('"');
    quoted
}

/// A quoted text with everything but ASCII escaped, as `%+q`.
fn ascii_only(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        match u32::from(c) {
            0..=0x7f => text.push(c),
            n @ 0x80..=0xffff => text.push_str(&format!("\\u{n:04x}")),
            n => text.push_str(&format!("\\U{n:08x}")),
        }
    }
    text
}

fn quote_char(c: char) -> String {
    let mut quoted = String::from("'");
    escape_into(&mut quoted, c, '\'');
    quoted.push('\'');
    quoted
}

fn escape_into(out: &mut String, c: char, quote: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if c < ' ' || c == '\x7f' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x10000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
    }
}

/// Whether Go prints `c` as it is: no control, format, private or unassigned character, and no
/// space but the ASCII one.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // Rust's `Debug` escapes what is not printable, and grapheme extenders, which are.
    let is_escaped = c.escape_debug().len() > 1;
    let is_mark = matches!(u32::from(c), 0x300..=0x36f | 0xfe00..=0xfe0f);
    (!is_escaped || is_mark) && !c.is_control() && !c.is_whitespace() && c != '\u{ad}'
}
