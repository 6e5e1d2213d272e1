//! Query text to tokens.
//!
//! In: the text of an expression. Out: its tokens, ended by `End` or by `Error` with a message.
//! Never here: grammar. What a character means depends on where it stands (inside braces every
//! word is a label name, inside brackets only durations occur), so the lexer keeps a little state;
//! it is the state of Prometheus' `promql/parser/lex.go`, because its error texts depend on it.

mod number;
mod text;
pub mod token;

pub use number::{NumberError, parse_duration, parse_number};
pub use text::{UnquoteError, unquote};
pub use token::{Described, Keyword, Token, TokenKind};

use super::ast::{BinaryOp, Span};
use text::QuotedChar;
use token::{duration_word_kind, word_kind};

/// The tokens of a text.
#[derive(Debug)]
pub struct Lexed {
    /// All tokens; the last one is `End` or `Error`.
    pub tokens: Vec<Token>,
    /// Why the last token is `Error`.
    pub error: String,
}

/// Splits `text` into tokens, up to the first thing that is none.
pub fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::with_capacity(text.len() / 4 + 1);
    loop {
        lexer.skip_blank();
        lexer.start = lexer.pos;
        let outcome = lexer.next_kind();
        let (kind, error) = match outcome {
            Ok(kind) => (kind, String::new()),
            Err(error) => (TokenKind::Error, error),
        };
        let span = Span { start: offset(lexer.start), end: offset(lexer.pos) };
        tokens.push(Token { kind, span });
        if matches!(kind, TokenKind::End | TokenKind::Error) {
            return Lexed { tokens, error };
        }
    }
}

/// A byte offset as spans keep it.
fn offset(pos: usize) -> u32 {
    u32::try_from(pos).expect("BUG: the parser refuses texts of 4 GiB")
}

/// What the next character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Anywhere but in the two below; also in brackets behind a number.
    Statement,
    /// Between `{` and `}`.
    Braces,
    /// Between `[` and `]`, as long as no number has been seen.
    Brackets,
}

struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    start: usize,
    state: State,
    paren_depth: u32,
    bracket_open: bool,
    got_colon: bool,
    got_duration: bool,
}

type Kind = Result<TokenKind, String>;

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Lexer<'a> {
        Lexer {
            text,
            pos: 0,
            start: 0,
            state: State::Statement,
            paren_depth: 0,
            bracket_open: false,
            got_colon: false,
            got_duration: false,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.pos..).and_then(|rest| rest.chars().next())
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    /// Consumes the next character if it is one of `set`.
    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.pos += 1; // all sets are ASCII
        }
        found
    }

    fn accept_while(&mut self, test: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&test) {
            self.next();
        }
    }

    /// Skips white space and, outside brackets that expect a duration, comments.
    fn skip_blank(&mut self) {
        loop {
            self.accept_while(is_space);
            if self.peek() != Some('#') || self.state == State::Brackets {
                return;
            }
            self.accept_while(|c| c != '\n' && c != '\r');
        }
    }

    fn next_kind(&mut self) -> Kind {
        match self.state {
            State::Statement => self.statement(),
            State::Braces => self.inside_braces(),
            State::Brackets => self.inside_brackets(),
        }
    }

    fn statement(&mut self) -> Kind {
        let Some(c) = self.next() else { return self.end_of_text() };
        match c {
            ',' => Ok(TokenKind::Comma),
            '@' => Ok(TokenKind::At),
            '*' | '/' | '%' | '+' | '-' | '^' => Ok(arithmetic(c)),
            '=' | '!' | '<' | '>' => self.comparison(c),
            '"' | '\'' | '`' => self.string(c),
            '(' | ')' => self.paren(c),
            '{' => {
                self.state = State::Braces;
                Ok(TokenKind::LeftBrace)
            }
            '[' | ']' => self.bracket(c),
            c if is_digit(c) || c == '.' && self.peek().is_some_and(is_digit) => {
                self.number_or_duration()
            }
            c if (is_alpha(c) || c == ':') && self.bracket_open => self.word_in_brackets(c),
            c if is_alpha(c) || c == ':' => Ok(self.word()),
            c => Err(format!("unexpected character: {}", QuotedChar(Some(c)))),
        }
    }

    fn end_of_text(&self) -> Kind {
        if self.paren_depth != 0 {
            Err("unclosed left parenthesis".to_owned())
        } else if self.bracket_open {
            Err("unclosed left bracket".to_owned())
        } else {
            Ok(TokenKind::End)
        }
    }

    fn comparison(&mut self, c: char) -> Kind {
        let next = self.peek();
        let (kind, length) = match (c, next) {
            ('=', Some('=')) => (TokenKind::Operator(BinaryOp::Eq), 1),
            ('=', Some('~')) => {
                return Err(format!("unexpected character after '=': {}", QuotedChar(next)));
            }
            ('=', _) => (TokenKind::Equal, 0),
            ('!', Some('=')) => (TokenKind::Operator(BinaryOp::Ne), 1),
            ('!', _) => {
                return Err(format!("unexpected character after '!': {}", QuotedChar(next)));
            }
            ('<', Some('=')) => (TokenKind::Operator(BinaryOp::Le), 1),
            ('<', Some('/')) => (TokenKind::Operator(BinaryOp::TrimUpper), 1),
            ('<', _) => (TokenKind::Operator(BinaryOp::Lt), 0),
            (_, Some('=')) => (TokenKind::Operator(BinaryOp::Ge), 1),
            (_, Some('/')) => (TokenKind::Operator(BinaryOp::TrimLower), 1),
            (_, _) => (TokenKind::Operator(BinaryOp::Gt), 0),
        };
        self.pos += length;
        Ok(kind)
    }

    fn paren(&mut self, c: char) -> Kind {
        if c == '(' {
            self.paren_depth += 1;
            return Ok(TokenKind::LeftParen);
        }
        match self.paren_depth.checked_sub(1) {
            Some(depth) => {
                self.paren_depth = depth;
                Ok(TokenKind::RightParen)
            }
            None => {
                self.fail_behind(format!("unexpected right parenthesis {}", QuotedChar(Some(c))))
            }
        }
    }

    fn bracket(&mut self, c: char) -> Kind {
        match (c, self.bracket_open) {
            ('[', true) => Err(format!("unexpected left bracket {}", QuotedChar(Some(c)))),
            ('[', false) => {
                self.got_colon = false;
                self.bracket_open = true;
                self.state = State::Brackets;
                Ok(TokenKind::LeftBracket)
            }
            (_, false) => Err(format!("unexpected right bracket {}", QuotedChar(Some(c)))),
            (_, true) => {
                self.bracket_open = false;
                Ok(TokenKind::RightBracket)
            }
        }
    }

    /// An error whose position is behind what has just been read.
    fn fail_behind(&mut self, message: String) -> Kind {
        self.start = self.pos;
        Err(message)
    }

    fn word(&mut self) -> TokenKind {
        self.accept_while(|c| is_alphanumeric(c) || c == ':');
        let word = &self.text[self.start..self.pos];
        let plain =
            if word.contains(':') { TokenKind::MetricIdentifier } else { TokenKind::Identifier };
        let kind = word_kind(word).unwrap_or(plain);
        let is_fill = matches!(
            kind,
            TokenKind::Keyword(Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)
        );
        if is_fill && !self.paren_follows() { TokenKind::Identifier } else { kind }
    }

    fn paren_follows(&self) -> bool {
        self.text[self.pos..].trim_start_matches(is_space).starts_with('(')
    }

    fn word_in_brackets(&mut self, c: char) -> Kind {
        if c == ':' {
            if self.got_colon {
                return Err(format!("unexpected colon {}", QuotedChar(Some(c))));
            }
            self.got_colon = true;
            return Ok(TokenKind::Colon);
        }
        match self.duration_word(c) {
            Some(kind) => Ok(kind),
            None => Err(format!("unexpected character: {}, expected ':'", QuotedChar(Some(c)))),
        }
    }

    /// `step`, `range`, `max_of` or `min_of`, of which the first letter `c` has been read.
    fn duration_word(&mut self, c: char) -> Option<TokenKind> {
        if !matches!(c.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        self.accept_while(is_alpha);
        duration_word_kind(&self.text[self.start..self.pos])
    }

    fn inside_brackets(&mut self) -> Kind {
        let Some(c) = self.next() else {
            return Err("unexpected end of input in duration expression".to_owned());
        };
        match c {
            ']' => {
                self.bracket_open = false;
                self.got_colon = false;
                self.state = State::Statement;
                Ok(TokenKind::RightBracket)
            }
            ':' => self.colon_inside_brackets(),
            '(' | ')' => self.paren(c),
            ',' => Ok(TokenKind::Comma),
            '*' | '/' | '%' | '+' | '-' | '^' => Ok(arithmetic(c)),
            c if is_digit(c) || c == '.' && self.peek().is_some_and(is_digit) => {
                self.got_duration = true;
                self.state = State::Statement;
                self.number_or_duration()
            }
            c => self.duration_word(c).ok_or_else(|| {
                format!("unexpected character in duration expression: {}", QuotedChar(Some(c)))
            }),
        }
    }

    fn colon_inside_brackets(&mut self) -> Kind {
        if !self.got_duration {
            let message = "unexpected colon before duration in duration expression";
            return self.fail_behind(message.to_owned());
        }
        if self.got_colon {
            return self.fail_behind("unexpected repeated colon in duration expression".to_owned());
        }
        self.got_colon = true;
        Ok(TokenKind::Colon)
    }

    fn inside_braces(&mut self) -> Kind {
        let Some(c) = self.next() else {
            return Err("unexpected end of input inside braces".to_owned());
        };
        match c {
            ',' => Ok(TokenKind::Comma),
            '"' | '\'' | '`' => self.string(c),
            '=' if self.accept("~") => Ok(TokenKind::RegexMatch),
            '=' => Ok(TokenKind::Equal),
            '!' => self.not_inside_braces(),
            '{' => Err(format!("unexpected left brace {}", QuotedChar(Some(c)))),
            '}' => {
                self.state = State::Statement;
                Ok(TokenKind::RightBrace)
            }
            c if is_alpha(c) => {
                self.accept_while(is_alphanumeric);
                Ok(TokenKind::Identifier)
            }
            c => Err(format!("unexpected character inside braces: {}", QuotedChar(Some(c)))),
        }
    }

    fn not_inside_braces(&mut self) -> Kind {
        match self.next() {
            Some('~') => Ok(TokenKind::RegexNotMatch),
            Some('=') => Ok(TokenKind::Operator(BinaryOp::Ne)),
            other => {
                Err(format!("unexpected character after '!' inside braces: {}", QuotedChar(other)))
            }
        }
    }
}

fn arithmetic(c: char) -> TokenKind {
    TokenKind::Operator(match c {
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        _ => BinaryOp::Pow,
    })
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || is_digit(c)
}
