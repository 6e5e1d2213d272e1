//! A template's text to tokens, as Go's `text/template/parse` cuts it.
//!
//! In: the text. Out: tokens with byte positions and lines; what cannot be a token is the last one
//! and says why. Never here: what tokens mean together.

use std::fmt;
use std::ops::Range;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No further token follows; the reason why none does.
    Error(String),
    /// `true` or `false`.
    Bool,
    /// Any other printable ASCII character, such as a comma.
    Char,
    /// `'a'`.
    CharConstant,
    /// `1+2i`.
    Complex,
    /// `=`.
    Assign,
    /// `:=`.
    Declare,
    /// The end of the text.
    Eof,
    /// `.name`.
    Field,
    /// A function's name.
    Identifier,
    /// `{{`.
    LeftDelim,
    /// `(`.
    LeftParen,
    /// A number.
    Number,
    /// `|`.
    Pipe,
    /// A text in backquotes.
    RawString,
    /// `}}`.
    RightDelim,
    /// `)`.
    RightParen,
    /// White space between arguments.
    Space,
    /// A text in double quotes.
    Quoted,
    /// Text outside actions.
    Text,
    /// `$` or `$name`.
    Variable,
    /// A word or sign with a meaning of its own.
    Keyword(Keyword),
}

/// Words with a meaning of their own, and the dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// `block`
    Block,
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `.`
    Dot,
    /// `define`
    Define,
    /// `else`
    Else,
    /// `end`
    End,
    /// `if`
    If,
    /// `nil`
    Nil,
    /// `range`
    Range,
    /// `template`
    Template,
    /// `with`
    With,
}

const KEYWORDS: [(&str, Keyword); 11] = [
    ("block", Keyword::Block),
    ("break", Keyword::Break),
    ("continue", Keyword::Continue),
    ("define", Keyword::Define),
    ("else", Keyword::Else),
    ("end", Keyword::End),
    ("if", Keyword::If),
    ("nil", Keyword::Nil),
    ("range", Keyword::Range),
    ("template", Keyword::Template),
    ("with", Keyword::With),
];

/// One token.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it is in the text.
    pub span: Range<usize>,
    /// The line it starts in, from 1.
    pub line: u32,
}

/// A token as errors show it.
pub struct Shown<'a> {
    /// The token.
    pub token: &'a Token,
    /// The text it is of.
    pub text: &'a str,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = &self.text[self.token.span.clone()];
        match &self.token.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error(reason) => f.write_str(reason),
            Kind::Keyword(_) => write!(f, "<{own}>"),
            _ if own.len() > 10 => {
                let first: String = own.chars().take(10).collect();
                write!(f, "{first:?}...")
            }
            _ => write!(f, "{own:?}"),
        }
    }
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const LEFT_COMMENT: &str = "/*";
const RIGHT_COMMENT: &str = "*/";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// All tokens of `text`; the last is [`Kind::Eof`] or [`Kind::Error`].
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, start: 0, start_line: 1, line: 1, out: Vec::new() };
    if let Err(Stop(reason)) = lexer.run() {
        lexer.out.push(Token {
            kind: Kind::Error(reason),
            span: lexer.start..lexer.start,
            line: lexer.start_line,
        });
    }
    lexer.out
}

/// Why there are no further tokens.
struct Stop(String);

fn stop<T>(reason: impl Into<String>) -> Result<T, Stop> {
    Err(Stop(reason.into()))
}

struct Lexer<'a> {
    text: &'a str,
    /// The next byte to look at.
    at: usize,
    /// Where the current token begins, and its line.
    start: usize,
    start_line: u32,
    /// The line up to which newlines were counted, at `start`.
    line: u32,
    out: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_while(&mut self, test: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !test(c)).unwrap_or(rest.len());
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.at += 1;
        }
        found
    }

    /// Leaves out what was passed since `start`.
    fn ignore(&mut self) {
        let passed = &self.text.as_bytes()[self.start..self.at];
        let newlines = passed.iter().filter(|b| **b == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.start = self.at;
        self.start_line = self.line;
    }

    fn emit(&mut self, kind: Kind) {
        self.out.push(Token { kind, span: self.start..self.at, line: self.start_line });
        self.ignore();
    }

    fn run(&mut self) -> Result<(), Stop> {
        while let Some(offset) = self.rest().find(LEFT) {
            self.text_before(offset);
            let is_trimming = has_left_marker(&self.text[self.at + LEFT.len()..]);
            let marker = if is_trimming { 2 } else { 0 };
            self.at += LEFT.len();
            if self.text[self.at + marker..].starts_with(LEFT_COMMENT) {
                self.at += marker;
                self.ignore();
                self.comment()?;
                continue;
            }
            self.emit(Kind::LeftDelim);
            self.at += marker;
            self.ignore();
            self.action()?;
        }
        self.at = self.text.len();
        if self.at > self.start {
            self.emit(Kind::Text);
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    /// The text before an action `offset` bytes ahead, without what the action trims.
    fn text_before(&mut self, offset: usize) {
        let end = self.at + offset;
        self.at = end;
        if has_left_marker(&self.text[end + LEFT.len()..]) {
            self.at = self.start + self.text[self.start..end].trim_end_matches(SPACES).len();
        }
        if self.at > self.start {
            self.emit(Kind::Text);
        }
        self.at = end;
        self.ignore();
    }

    fn comment(&mut self) -> Result<(), Stop> {
        self.at += LEFT_COMMENT.len();
        let Some(length) = self.rest().find(RIGHT_COMMENT) else {
            return stop("unclosed comment");
        };
        self.at += length + RIGHT_COMMENT.len();
        let Some(is_trimming) = self.right_delim() else {
            return stop("comment ends before closing delimiter");
        };
        self.pass_right(is_trimming);
        self.ignore();
        Ok(())
    }

    /// Whether an action ends here, and if so whether it trims what follows.
    fn right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if has_right_marker(rest) && rest[2..].starts_with(RIGHT) {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    /// Passes the end of an action or comment and what it trims.
    fn pass_right(&mut self, is_trimming: bool) {
        self.at += RIGHT.len();
        if is_trimming {
            self.at += 2;
            self.skip_while(|c| SPACES.contains(&c));
        }
    }

    fn action(&mut self) -> Result<(), Stop> {
        let mut depth = 0u32;
        loop {
            if let Some(is_trimming) = self.right_delim() {
                if depth > 0 {
                    return stop("unclosed left paren");
                }
                if is_trimming {
                    self.at += 2;
                    self.ignore();
                }
                self.at += RIGHT.len();
                self.emit(Kind::RightDelim);
                if is_trimming {
                    self.skip_while(|c| SPACES.contains(&c));
                    self.ignore();
                }
                return Ok(());
            }
            self.inside(&mut depth)?;
        }
    }

    fn inside(&mut self, depth: &mut u32) -> Result<(), Stop> {
        let Some(c) = self.next() else { return stop("unclosed action") };
        match c {
            ' ' | '\t' | '\r' | '\n' => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return stop("expected :=");
                }
                self.emit(Kind::Declare);
            }
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', "unterminated quoted string", Kind::Quoted)?,
            '\'' => self.quoted('\'', "unterminated character constant", Kind::CharConstant)?,
            '`' => self.raw_string()?,
            '$' => self.name(Kind::Variable)?,
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) && self.peek().is_some() => {
                self.name(Kind::Field)?;
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.at = self.start;
                self.number()?;
            }
            c if is_word(c) => self.identifier()?,
            '(' => {
                *depth += 1;
                self.emit(Kind::LeftParen);
            }
            ')' => {
                let Some(less) = depth.checked_sub(1) else {
                    return stop("unexpected right paren");
                };
                *depth = less;
                self.emit(Kind::RightParen);
            }
            c if c == ' ' || c.is_ascii_graphic() => self.emit(Kind::Char),
            c => return stop(format!("unrecognized character in action: {}", code_point(c))),
        }
        Ok(())
    }

    /// White space, but for the one that belongs to a trimming end.
    fn space(&mut self) {
        self.skip_while(|c| SPACES.contains(&c));
        let last = self.at - 1;
        if has_right_marker(&self.text[last..]) && self.text[last + 2..].starts_with(RIGHT) {
            self.at = last;
            if self.at == self.start {
                return;
            }
        }
        self.emit(Kind::Space);
    }

    fn quoted(&mut self, quote: char, unterminated: &str, kind: Kind) -> Result<(), Stop> {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|c| c != '\n') => {
                    self.next();
                }
                None | Some('\n' | '\\') => return stop(unterminated),
                Some(c) if c == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn raw_string(&mut self) -> Result<(), Stop> {
        let Some(length) = self.rest().find('`') else {
            return stop("unterminated raw quoted string");
        };
        self.at += length + 1;
        self.emit(Kind::RawString);
        Ok(())
    }

    /// `.name` or `$name`, the first character passed; alone they are the dot and the root.
    fn name(&mut self, kind: Kind) -> Result<(), Stop> {
        if self.at_terminator() {
            self.emit(match kind {
                Kind::Field => Kind::Keyword(Keyword::Dot),
                other => other,
            });
            return Ok(());
        }
        self.skip_while(is_word);
        self.word_end()?;
        self.emit(kind);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), Stop> {
        self.skip_while(is_word);
        self.word_end()?;
        let word = &self.text[self.start..self.at];
        let keyword = KEYWORDS.iter().find(|(name, _)| *name == word);
        self.emit(match (keyword, word) {
            (Some((_, keyword)), _) => Kind::Keyword(*keyword),
            (None, "true" | "false") => Kind::Bool,
            (None, _) => Kind::Identifier,
        });
        Ok(())
    }

    fn word_end(&self) -> Result<(), Stop> {
        match (self.at_terminator(), self.peek()) {
            (false, Some(c)) => stop(format!("bad character {}", code_point(c))),
            _ => Ok(()),
        }
    }

    /// Whether a name may end here.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn number(&mut self) -> Result<(), Stop> {
        let mut kind = Kind::Number;
        let mut is_good = self.scan_number();
        if is_good && matches!(self.peek(), Some('+' | '-')) {
            kind = Kind::Complex;
            is_good = self.scan_number() && self.text[..self.at].ends_with('i');
        }
        if !is_good {
            return stop(format!("bad number syntax: {:?}", &self.text[self.start..self.at]));
        }
        self.emit(kind);
        Ok(())
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            digits = match self.peek() {
                Some('x' | 'X') => "0123456789abcdefABCDEF_",
                Some('o' | 'O') => "01234567_",
                Some('b' | 'B') => "01_",
                _ => digits,
            };
            self.accept("xXoObB");
        }
        self.skip_while(|c| digits.contains(c));
        if self.accept(".") {
            self.skip_while(|c| digits.contains(c));
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.skip_while(|c| c == '_' || c.is_ascii_digit());
        }
        self.accept("i");
        if self.peek().is_some_and(is_word) {
            self.next();
            return false;
        }
        true
    }
}

/// Whether `{{` is followed by `- `.
fn has_left_marker(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('-') && chars.next().is_some_and(|c| SPACES.contains(&c))
}

/// Whether ` -` stands here.
fn has_right_marker(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| SPACES.contains(&c)) && chars.next() == Some('-')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

/// `U+0040 '@'`.
fn code_point(c: char) -> String {
    match c.is_control() {
        true => format!("U+{:04X}", u32::from(c)),
        false => format!("U+{:04X} '{c}'", u32::from(c)),
    }
}
