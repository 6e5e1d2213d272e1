//! The words of PromQL and how an error message names them.

use std::fmt;

use crate::model::labels::Quoted;
use crate::promql::ast::{AggregateOp, BinaryOp, Span};

/// Longest token text shown whole in an error message, in characters.
const SHOWN_CHARS_MAX: usize = 10;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TokenKind {
    /// The end of the text.
    End,
    /// What cannot be a token; the lexer's error says why.
    Error,
    /// A name without `:`.
    Identifier,
    /// A name with `:`.
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Equal,
    /// `=~`
    RegexMatch,
    /// `!~`
    RegexNotMatch,
    /// `@`
    At,
    /// An operator between two expressions, `+ and ==` and so on.
    Operator(BinaryOp),
    /// `sum`, `topk`, ...
    Aggregator(AggregateOp),
    Keyword(Keyword),
}

/// Words with a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Keyword {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
    // The ones below are callable; elsewhere they name a time or a duration.
    Start,
    End,
    Step,
    Range,
    MaxOf,
    MinOf,
}

impl Keyword {
    /// Whether it is one of `start end step range max_of min_of`.
    pub const fn is_preprocessor(self) -> bool {
        use Keyword::{End, MaxOf, MinOf, Range, Start, Step};
        matches!(self, Start | End | Step | Range | MaxOf | MinOf)
    }
}

/// All words that are not plain identifiers, in lower case; they match in any case.
const WORDS: &[(&str, TokenKind)] = &[
    ("and", TokenKind::Operator(BinaryOp::And)),
    ("or", TokenKind::Operator(BinaryOp::Or)),
    ("unless", TokenKind::Operator(BinaryOp::Unless)),
    ("atan2", TokenKind::Operator(BinaryOp::Atan2)),
    ("sum", TokenKind::Aggregator(AggregateOp::Sum)),
    ("avg", TokenKind::Aggregator(AggregateOp::Avg)),
    ("count", TokenKind::Aggregator(AggregateOp::Count)),
    ("min", TokenKind::Aggregator(AggregateOp::Min)),
    ("max", TokenKind::Aggregator(AggregateOp::Max)),
    ("group", TokenKind::Aggregator(AggregateOp::Group)),
    ("stddev", TokenKind::Aggregator(AggregateOp::Stddev)),
    ("stdvar", TokenKind::Aggregator(AggregateOp::Stdvar)),
    ("topk", TokenKind::Aggregator(AggregateOp::Topk)),
    ("bottomk", TokenKind::Aggregator(AggregateOp::Bottomk)),
    ("quantile", TokenKind::Aggregator(AggregateOp::Quantile)),
    ("count_values", TokenKind::Aggregator(AggregateOp::CountValues)),
    ("limitk", TokenKind::Aggregator(AggregateOp::Limitk)),
    ("limit_ratio", TokenKind::Aggregator(AggregateOp::LimitRatio)),
    ("offset", TokenKind::Keyword(Keyword::Offset)),
    ("smoothed", TokenKind::Keyword(Keyword::Smoothed)),
    ("anchored", TokenKind::Keyword(Keyword::Anchored)),
    ("by", TokenKind::Keyword(Keyword::By)),
    ("without", TokenKind::Keyword(Keyword::Without)),
    ("on", TokenKind::Keyword(Keyword::On)),
    ("ignoring", TokenKind::Keyword(Keyword::Ignoring)),
    ("group_left", TokenKind::Keyword(Keyword::GroupLeft)),
    ("group_right", TokenKind::Keyword(Keyword::GroupRight)),
    ("fill", TokenKind::Keyword(Keyword::Fill)),
    ("fill_left", TokenKind::Keyword(Keyword::FillLeft)),
    ("fill_right", TokenKind::Keyword(Keyword::FillRight)),
    ("bool", TokenKind::Keyword(Keyword::Bool)),
    ("start", TokenKind::Keyword(Keyword::Start)),
    ("end", TokenKind::Keyword(Keyword::End)),
    ("step", TokenKind::Keyword(Keyword::Step)),
    ("range", TokenKind::Keyword(Keyword::Range)),
    ("max_of", TokenKind::Keyword(Keyword::MaxOf)),
    ("min_of", TokenKind::Keyword(Keyword::MinOf)),
    ("inf", TokenKind::Number),
    ("nan", TokenKind::Number),
];

/// Longest entry of the word table in bytes.
const WORD_BYTES_MAX: usize = 12;

/// What the word means outside braces; `None` for a plain identifier.
pub fn word_kind(word: &str) -> Option<TokenKind> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// What the word means where a duration is expected.
pub fn duration_word_kind(word: &str) -> Option<TokenKind> {
    use Keyword::{MaxOf, MinOf, Range, Step};
    let kind = word_kind(word)?;
    matches!(kind, TokenKind::Keyword(Step | Range | MaxOf | MinOf)).then_some(kind)
}

/// A token: what it is and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: Span,
}

/// A token as an error message shows it, e.g. `identifier "foo"` or `<op:+>`.
pub struct Described<'a> {
    /// What the token is.
    pub kind: TokenKind,
    /// Its text.
    pub text: &'a str,
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text;
        match self.kind {
            TokenKind::End => f.write_str("end of input"),
            TokenKind::Error => f.write_str("error"),
            TokenKind::Identifier => write!(f, "identifier {}", Quoted(text)),
            TokenKind::MetricIdentifier => write!(f, "metric identifier {}", Quoted(text)),
            TokenKind::Number => write!(f, "number {}", Shown(text)),
            TokenKind::Duration => write!(f, "duration {}", Shown(text)),
            TokenKind::String => write!(f, "string {}", Shown(text)),
            TokenKind::Keyword(word) if !word.is_preprocessor() => write!(f, "<{text}>"),
            TokenKind::Operator(_)
            | TokenKind::RegexMatch
            | TokenKind::RegexNotMatch
            | TokenKind::At => {
                write!(f, "<op:{text}>")
            }
            TokenKind::Aggregator(_) => write!(f, "<aggr:{text}>"),
            _ => Shown(text).fmt(f),
        }
    }
}

/// Quoted text, cut when it is long.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= SHOWN_CHARS_MAX {
            return Quoted(self.0).fmt(f);
        }
        let end = self.0.char_indices().nth(SHOWN_CHARS_MAX).map_or(self.0.len(), |(i, _)| i);
        write!(f, "{}...", Quoted(&self.0[..end]))
    }
}
