//! Regular expressions as Prometheus has them.
//!
//! In: a pattern in the syntax of Go's `regexp/syntax` (RE2), which labels are matched with. Out: the
//! same pattern for the `regex` crate, or what Go says is wrong with it. Never here: matching.
//!
//! Both are of one family, but: `\d`, `\s`, `\w` and `\b` mean ASCII in Go; a `{` that begins no
//! repetition is a brace; `\Q...\E` quotes; in brackets only `]`, `\`, `-` and `[:name:]` mean
//! something; and two repetitions in a row are a mistake.

use regex::{Error, Regex, RegexBuilder};

/// Most that `{n,m}` may ask for (Go's `maxRepeat`).
const REPEAT_MAX: u32 = 1000;

const INVALID_ESCAPE: &str = "invalid escape sequence";
const INVALID_PERL: &str = "invalid or unsupported Perl syntax";
const INVALID_RANGE: &str = "invalid character class range";
const INVALID_NAME: &str = "invalid named capture";
const INVALID_REPEAT: &str = "invalid repeat count";
const MISSING_ARGUMENT: &str = "missing argument to repetition operator";
const NESTED_REPEAT: &str = "invalid nested repetition operator";

/// What `[:name:]` may name.
const CLASSES: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// A pattern that must match the whole text; `.` matches a newline, too (Prometheus
/// `model/labels/regexp.go`). Compiled it may have `bytes` bytes.
///
/// # Errors
/// The pattern is not valid, or too large when compiled.
pub fn anchored(pattern: &str, bytes: usize) -> Result<Regex, Error> {
    let translated = translate(pattern).map_err(Error::Syntax)?;
    RegexBuilder::new(&format!("^(?s:{translated})$")).size_limit(bytes).build()
}

/// A pattern of Alertmanager's: it must match the whole text, and `.` matches no newline
/// (Alertmanager `pkg/labels/matcher.go`). What is around it there is in errors, too.
///
/// # Errors
/// As [`anchored`].
pub fn anchored_line(pattern: &str, bytes: usize) -> Result<Regex, Error> {
    searching(&format!("^(?:{pattern})$"), bytes)
}

/// A pattern that is looked for anywhere in a text. Compiled it may have `bytes` bytes.
///
/// # Errors
/// As [`anchored`].
pub fn searching(pattern: &str, bytes: usize) -> Result<Regex, Error> {
    let translated = translate(pattern).map_err(Error::Syntax)?;
    RegexBuilder::new(&translated).size_limit(bytes).build()
}

/// What is wrong with a pattern, as Go's `regexp` says it.
pub fn reason(error: &Error) -> String {
    let text = match error {
        // Go has a limit of its own, with these words.
        Error::CompiledTooBig(_) => "expression too large".to_owned(),
        other => other.to_string(),
    };
    // What only the other side refuses is drawn in lines; the last one says why.
    let last = text.lines().last().unwrap_or_default();
    let why = if text.starts_with("regex parse error") { last } else { &text };
    format!("error parsing regexp: {}", why.strip_prefix("error: ").unwrap_or(why))
}

/// The pattern for the `regex` crate.
///
/// # Errors
/// What is wrong, in Go's words and without "error parsing regexp: " before them.
pub fn translate(pattern: &str) -> Result<String, String> {
    let mut translation = Translation {
        pattern,
        rest: pattern,
        out: String::with_capacity(pattern.len() + 8),
        open: 0,
        has_argument: false,
        repeat: None,
    };
    while !translation.rest.is_empty() {
        translation.step()?;
    }
    if translation.open == 0 {
        return Ok(translation.out);
    }
    Err(wrong("missing closing )", pattern))
}

fn wrong(what: &str, text: &str) -> String {
    format!("{what}: `{text}`")
}

/// A pattern on its way.
struct Translation<'p> {
    pattern: &'p str,
    /// What has not been read.
    rest: &'p str,
    out: String,
    /// How many groups are open.
    open: usize,
    /// Whether there is something that a repetition can apply to.
    has_argument: bool,
    /// The repetition just read, and all behind it.
    repeat: Option<&'p str>,
}

impl<'p> Translation<'p> {
    /// Reads the next construct.
    fn step(&mut self) -> Result<(), String> {
        let (before, previous) = (self.rest, self.repeat.take());
        let Some(first) = before.chars().next() else { return Ok(()) };
        match first {
            '*' | '+' | '?' => {
                self.rest = &before[1..];
                return self.repetition(before, previous);
            }
            '{' => {
                if let Some(count) = count(before)? {
                    self.rest = &before[count..];
                    return self.repetition(before, previous);
                }
                self.literal('{');
                self.rest = &before[1..];
            }
            '(' => return self.group(),
            ')' => {
                let unexpected = || wrong("unexpected )", self.pattern);
                self.open = self.open.checked_sub(1).ok_or_else(unexpected)?;
                self.atom(")");
                self.rest = &before[1..];
            }
            '|' => {
                self.out.push('|');
                self.has_argument = false;
                self.rest = &before[1..];
            }
            '^' | '$' | '.' => {
                self.out.push(first);
                self.has_argument = true;
                self.rest = &before[1..];
            }
            '[' => return self.class(),
            '\\' => return self.backslash(),
            other => {
                self.literal(other);
                self.rest = &before[other.len_utf8()..];
            }
        }
        Ok(())
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.has_argument = true;
    }

    fn literal(&mut self, c: char) {
        let text = regex::escape(c.encode_utf8(&mut [0; 4]));
        self.atom(&text);
    }

    /// A repetition that begins at `before` and has been read but for a `?` that makes it lazy;
    /// `previous` is the one right before it.
    fn repetition(&mut self, before: &'p str, previous: Option<&'p str>) -> Result<(), String> {
        self.rest = self.rest.strip_prefix('?').unwrap_or(self.rest);
        let to_here = |from: &'p str| &from[..from.len() - self.rest.len()];
        if let Some(previous) = previous {
            return Err(wrong(NESTED_REPEAT, to_here(previous)));
        }
        if !self.has_argument {
            return Err(wrong(MISSING_ARGUMENT, to_here(before)));
        }
        let text = to_here(before);
        self.out.push_str(text);
        self.repeat = Some(before);
        Ok(())
    }

    /// `(`, `(?P<name>`, `(?flags)` or `(?flags:`.
    fn group(&mut self) -> Result<(), String> {
        let before = self.rest;
        let Some(special) = before.strip_prefix("(?") else {
            self.rest = &before[1..];
            return self.open_group("(");
        };
        let named = special.strip_prefix("P<").or(special.strip_prefix('<'));
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            let Some((name, rest)) = named.split_once('>') else {
                return Err(wrong(INVALID_NAME, before));
            };
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_word) {
                return Err(wrong(INVALID_NAME, &before[..before.len() - rest.len()]));
            }
            self.rest = rest;
            // A name that begins with a digit is none for the other side.
            let is_number = name.starts_with(|c: char| c.is_ascii_digit());
            return self.open_group(&if is_number {
                "(".to_owned()
            } else {
                format!("(?P<{name}>")
            });
        }
        self.flags(before, special)
    }

    fn open_group(&mut self, text: &str) -> Result<(), String> {
        self.out.push_str(text);
        self.open += 1;
        self.has_argument = false;
        Ok(())
    }

    fn flags(&mut self, before: &'p str, special: &'p str) -> Result<(), String> {
        let (mut is_negative, mut has_flag) = (false, false);
        for (at, c) in special.char_indices() {
            let end = before.len() - special.len() + at + c.len_utf8();
            match c {
                'i' | 'm' | 's' | 'U' => has_flag = true,
                '-' if !is_negative => (is_negative, has_flag) = (true, false),
                ':' | ')' if !is_negative || has_flag => {
                    self.rest = &before[end..];
                    if c == ':' {
                        return self.open_group(&before[..end]);
                    }
                    // Without flags there is nothing to say.
                    if at > 0 {
                        self.out.push_str(&before[..end]);
                    }
                    return Ok(());
                }
                _ => return Err(wrong(INVALID_PERL, &before[..end])),
            }
        }
        Err(wrong(INVALID_PERL, before))
    }

    /// What begins with a backslash, outside brackets.
    fn backslash(&mut self) -> Result<(), String> {
        let before = self.rest;
        let rest = before.get(2..).unwrap_or_default();
        let simple = match before.as_bytes().get(1) {
            Some(b'A') => Some("\\A"),
            Some(b'z') => Some("\\z"),
            Some(b'b') => Some("(?-u:\\b)"),
            Some(b'B') => Some("\\B"),
            Some(b'C') => return Err(wrong(INVALID_ESCAPE, "\\C")),
            Some(b'Q') => {
                let (quoted, behind) = rest.split_once("\\E").unwrap_or((rest, ""));
                quoted.chars().for_each(|c| self.literal(c));
                self.rest = behind;
                return Ok(());
            }
            _ => None,
        };
        if let Some(simple) = simple {
            self.atom(simple);
            self.rest = rest;
            return Ok(());
        }
        if let Some((class, rest)) = named_class(before)? {
            self.atom(&format!("[{class}]"));
            self.rest = rest;
            return Ok(());
        }
        let (c, rest) = escape(before)?;
        self.literal(c);
        self.rest = rest;
        Ok(())
    }

    /// `[...]`
    fn class(&mut self) -> Result<(), String> {
        let before = self.rest;
        let missing = || wrong("missing closing ]", before);
        let mut class = String::from("[");
        let mut rest = &before[1..];
        if let Some(negated) = rest.strip_prefix('^') {
            class.push('^');
            rest = negated;
        }
        let mut is_first = true;
        while is_first || !rest.starts_with(']') {
            is_first = false;
            if let Some((name, behind)) = posix_class(rest)?.or(named_class(rest)?) {
                class.push_str(&name);
                rest = behind;
                continue;
            }
            let (low, behind) = class_char(rest).ok_or_else(missing)??;
            let mut high = low;
            let mut end = behind;
            if let Some(to) = behind.strip_prefix('-')
                && !to.is_empty()
                && !to.starts_with(']')
            {
                (high, end) = class_char(to).ok_or_else(missing)??;
                if high < low {
                    return Err(wrong(INVALID_RANGE, &rest[..rest.len() - end.len()]));
                }
            }
            let (low, high) = (u32::from(low), u32::from(high));
            class.push_str(&format!("\\x{{{low:x}}}-\\x{{{high:x}}}"));
            rest = end;
        }
        class.push(']');
        self.atom(&class);
        self.rest = &rest[1..];
        Ok(())
    }
}

/// How long the `{n}`, `{n,}` or `{n,m}` is that a text begins with, if it does.
fn count(text: &str) -> Result<Option<usize>, String> {
    let Some(end) = text.find('}') else { return Ok(None) };
    let (low, high) = match text[1..end].split_once(',') {
        Some((low, "")) => (low, None),
        Some((low, high)) => (low, Some(high)),
        None => (&text[1..end], None),
    };
    let is_number = |digits: &str| {
        !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'))
    };
    if !is_number(low) || high.is_some_and(|high| !is_number(high)) {
        return Ok(None);
    }
    let bound = |digits: &str| digits.parse().unwrap_or(u32::MAX);
    let (low, high) = (bound(low), high.map_or(bound(low), bound));
    if low > REPEAT_MAX || high > REPEAT_MAX || low > high {
        return Err(wrong(INVALID_REPEAT, &text[..=end]));
    }
    Ok(Some(end + 1))
}

/// `\d`, `\pL`, `\P{Greek}` and the like at the beginning of a text: what stands for it between
/// brackets, and the text behind it.
fn named_class(text: &str) -> Result<Option<(String, &str)>, String> {
    let Some(kind) = text.strip_prefix('\\').and_then(|rest| rest.chars().next()) else {
        return Ok(None);
    };
    const DIGITS: &str = "0-9";
    const SPACES: &str = "\\x{9}\\x{a}\\x{c}\\x{d}\\x{20}";
    const WORDS: &str = "0-9A-Za-z_";
    let rest = &text[1 + kind.len_utf8()..];
    let class = match kind {
        'd' => DIGITS.to_owned(),
        's' => SPACES.to_owned(),
        'w' => WORDS.to_owned(),
        'D' => format!("[^{DIGITS}]"),
        'S' => format!("[^{SPACES}]"),
        'W' => format!("[^{WORDS}]"),
        'p' | 'P' => return unicode_class(text, kind == 'P').map(Some),
        _ => return Ok(None),
    };
    Ok(Some((class, rest)))
}

/// `\pL` or `\p{Greek}`, and the text behind it.
fn unicode_class(text: &str, is_negative: bool) -> Result<(String, &str), String> {
    let behind = &text[2..];
    let (name, rest) = match behind.strip_prefix('{') {
        Some(name) => name.split_once('}').ok_or_else(|| wrong(INVALID_RANGE, text))?,
        None => behind.split_at(behind.chars().next().map_or(0, char::len_utf8)),
    };
    let (name, is_negative) = match name.strip_prefix('^') {
        Some(name) => (name, !is_negative),
        None => (name, is_negative),
    };
    let class = format!("\\{}{{{name}}}", if is_negative { 'P' } else { 'p' });
    match Regex::new(&class) {
        Ok(_) => Ok((class, rest)),
        Err(_) => Err(wrong(INVALID_RANGE, &text[..text.len() - rest.len()])),
    }
}

/// `[:alpha:]` at the beginning of a text, and the text behind it.
fn posix_class(text: &str) -> Result<Option<(String, &str)>, String> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
        return Ok(None);
    };
    let whole = &text[..text.len() - rest.len()];
    if CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Ok(Some((whole.to_owned(), rest)));
    }
    Err(wrong(INVALID_RANGE, whole))
}

/// A character between brackets and the text behind it; `None` when there is none.
fn class_char(text: &str) -> Option<Result<(char, &str), String>> {
    let first = text.chars().next()?;
    if first == '\\' {
        return Some(escape(text));
    }
    Some(Ok((first, &text[first.len_utf8()..])))
}

/// The character that a backslash and what follows it stand for, and the text behind them.
fn escape(text: &str) -> Result<(char, &str), String> {
    let mut rest = text[1..].chars();
    let Some(kind) = rest.next() else {
        return Err("trailing backslash at end of expression: ``".to_owned());
    };
    let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
    let c = match kind {
        '1'..='7' if octal(rest.clone().next()).is_none() => None,
        '0'..='7' => {
            let mut code = octal(Some(kind)).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = octal(rest.clone().next()) else { break };
                code = code * 8 + digit;
                rest.next();
            }
            char::from_u32(code)
        }
        'x' => hexadecimal(&mut rest),
        'a' => Some('\u{7}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        other => Some(other).filter(|c| c.is_ascii() && !c.is_ascii_alphanumeric()),
    };
    let rest = rest.as_str();
    c.map(|c| (c, rest)).ok_or_else(|| wrong(INVALID_ESCAPE, &text[..text.len() - rest.len()]))
}

/// `7f` or `{1f600}`, behind `\x`.
fn hexadecimal(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let digit = |c: char| c.to_digit(16);
    let first = rest.next()?;
    if first != '{' {
        let second = rest.next();
        return char::from_u32(digit(first)? * 16 + digit(second?)?);
    }
    let mut code = None;
    loop {
        match rest.next()? {
            '}' => return char::from_u32(code?),
            c => {
                let value = code.unwrap_or(0) * 16 + digit(c)?;
                code = Some(value).filter(|value| *value <= u32::from(char::MAX));
                code?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        anchored(pattern, 1 << 20).unwrap_or_else(|e| panic!("{pattern}: {e}")).is_match(text)
    }

    #[test]
    fn go_takes_some_things_otherwise() {
        for (pattern, text, wanted) in [
            ("/api/{id}/.*", "/api/{id}/x", true),
            ("a{,3}", "a{,3}", true),
            ("a{2}", "aa", true),
            ("x{a{2}", "x{aa", true),
            (r"\d+", "12", true),
            (r"\d+", "\u{661}", false),
            (r"\w", "\u{e9}", false),
            (r"\W", "\u{e9}", true),
            (r"[\W]", "\u{e9}", true),
            (r"[\w.-]+", "a.b-c_d", true),
            (r"\s", "\u{a0}", false),
            (r"\Qa.b\E+", "a.bbb", true),
            (r"\Q*", "*", true),
            ("[[]", "[", true),
            ("[a&&b]+", "a&b", true),
            ("[]a]", "]", true),
            ("[^]a]", "b", true),
            ("[[:alpha:]-]+", "a-b", true),
            ("[[:^alpha:]]", "1", true),
            ("[a-c-e]+", "b-e", true),
            (r"\101\x41\x{1F600}", "AA\u{1f600}", true),
            (r"\_\-\%\@", "_-%@", true),
            (r"\pL\p{^Greek}\P{Greek}", "aab", true),
            ("(?i)ABC", "abc", true),
            ("(?:a|b)c", "bc", true),
            ("(?P<n>a)(?<m>b)(?P<1>c)", "abc", true),
            ("a(?i:B)c", "abc", true),
            ("a.c", "a\nc", true),
            (r"a\b.*", "a\u{e9}", true),
            ("(|a)*", "aa", true),
            ("a+?b*?c??", "aab", true),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_of_alertmanager_are_of_one_line_and_their_errors_show_what_is_around() {
        let line = |pattern: &str| anchored_line(pattern, 1 << 20);
        for (pattern, text, wanted) in [
            ("a.c", "abc", true),
            ("a.c", "a\nc", false),
            ("(?s)a.c", "a\nc", true),
            ("a|bc", "abc", false),
            ("a|bc", "bc", true),
        ] {
            assert_eq!(line(pattern).expect(pattern).is_match(text), wanted, "{pattern} {text:?}");
        }
        for (pattern, wanted) in [
            ("(", "error parsing regexp: missing closing ): `^(?:()$`"),
            ("a)b", "error parsing regexp: unexpected ): `^(?:a)b)$`"),
            ("*", "error parsing regexp: missing argument to repetition operator: `*`"),
            ("[a", "error parsing regexp: missing closing ]: `[a)$`"),
            ("a\\", "error parsing regexp: missing closing ): `^(?:a\\)$`"),
        ] {
            assert_eq!(reason(&line(pattern).expect_err(pattern)), wanted);
        }
        let huge = searching("((a{100}){100}){100}", 1 << 10).expect_err("too large");
        assert_eq!(reason(&huge), "error parsing regexp: expression too large");
    }

    #[test]
    fn errors_are_those_of_go() {
        for (pattern, wanted) in [
            ("a)b", "unexpected ): `a)b`"),
            ("a)(b", "unexpected ): `a)(b`"),
            ("x\ny)", "unexpected ): `x\ny)`"),
            ("a(b", "missing closing ): `a(b`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("+?", "missing argument to repetition operator: `+?`"),
            ("a|*b", "missing argument to repetition operator: `*`"),
            ("(*)", "missing argument to repetition operator: `*`"),
            ("{2}", "missing argument to repetition operator: `{2}`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a???", "invalid nested repetition operator: `???`"),
            ("x{2}{3}y", "invalid nested repetition operator: `{2}{3}`"),
            ("a{2,1}", "invalid repeat count: `{2,1}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("x[a", "missing closing ]: `[a`"),
            ("[]", "missing closing ]: `[]`"),
            ("[^", "missing closing ]: `[^`"),
            ("[z-a]", "invalid character class range: `z-a`"),
            ("[a--b]", "invalid character class range: `a--`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            (r"\pX", r"invalid character class range: `\pX`"),
            (r"[a-\d]", r"invalid escape sequence: `\d`"),
            (r"a\y", r"invalid escape sequence: `\y`"),
            (r"\1", r"invalid escape sequence: `\1`"),
            (r"\xZZ", r"invalid escape sequence: `\xZZ`"),
            (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
            (r"\C", r"invalid escape sequence: `\C`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
            ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
            ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
            ("(?<=a)", "invalid named capture: `(?<=a)`"),
            ("(?P<n", "invalid named capture: `(?P<n`"),
            ("(?P<n-m>a)", "invalid named capture: `(?P<n-m>`"),
        ] {
            assert_eq!(translate(pattern), Err(wanted.to_owned()), "{pattern}");
            let error = anchored(pattern, 1 << 20).expect_err("not valid");
            assert_eq!(error.to_string(), wanted);
        }
    }
}
