//! Series descriptions of the test language: a label set and the values a series takes, one an
//! interval, such as `http_requests{job="api"} 0+10x100 _x5 stale {{count:3 sum:2}}`.
//!
//! In: one line. Out: labels and values. Never here: timestamps; whoever reads the line knows them.

mod histogram;

use crate::model::{FloatHistogram, Labels, stale_nan};

use super::ast::Span;
use super::error::ParseError;
use super::lexer::parse_number;
use super::parser::{error_at, parse_metric};
use crate::model::parse_duration_ms;
use histogram::{Literal, combine, literal};

/// Most values one line may stand for; it bounds what `1x999999999` can make us allocate.
pub const VALUES_MAX: usize = 1_000_000;

/// A series and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesDesc {
    /// Its labels.
    pub labels: Labels,
    /// Its values, one for each interval.
    pub values: Vec<SequenceValue>,
}

/// The value at one interval.
#[derive(Clone, Debug)]
pub enum SequenceValue {
    /// None (`_`).
    Omitted,
    /// A number; `stale` is the stale marker.
    Float(f64),
    /// A native histogram.
    Histogram {
        /// The histogram.
        histogram: Box<FloatHistogram>,
        /// Whether its counter reset hint was written down, and so is to be compared.
        hint_given: bool,
    },
}

impl PartialEq for SequenceValue {
    /// Floats are equal when their bits are.
    fn eq(&self, other: &SequenceValue) -> bool {
        match (self, other) {
            (SequenceValue::Omitted, SequenceValue::Omitted) => true,
            (SequenceValue::Float(a), SequenceValue::Float(b)) => a.to_bits() == b.to_bits(),
            (
                SequenceValue::Histogram { histogram: a, hint_given: a_given },
                SequenceValue::Histogram { histogram: b, hint_given: b_given },
            ) => a == b && a_given == b_given,
            _ => false,
        }
    }
}

/// Parses one line.
///
/// # Errors
/// What is wrong with it, positions counted in `line`.
pub fn parse_series_desc(line: &str) -> Result<SeriesDesc, ParseError> {
    let end = metric_end(line);
    let labels = parse_metric(&line[..end])?;
    let mut reader = Reader { line, position: end };
    let values = reader.values()?;
    Ok(SeriesDesc { labels, values })
}

/// Where the label set ends: behind the closing brace, or behind the name.
fn metric_end(line: &str) -> usize {
    let blank = |c: char| c == ' ' || c == '\t';
    let start = line.len() - line.trim_start_matches(blank).len();
    let rest = &line[start..];
    let name = rest.find(|c: char| c == '{' || blank(c)).unwrap_or(rest.len());
    // White space may stand between name and braces; a double brace is a histogram.
    let braces = &rest[name..];
    let open = braces.trim_start_matches(blank);
    if !open.starts_with('{') || open.starts_with("{{") {
        return start + name;
    }
    let open_at = line.len() - open.len();
    let mut quote = None;
    let mut escaped = false;
    for (index, c) in open.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) if c == '\\' && q != '`' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return open_at + index + 1,
            None => {}
        }
    }
    line.len()
}

/// Reads items one after the other.
struct Reader<'a> {
    line: &'a str,
    position: usize,
}

type Read<T> = Result<T, ParseError>;

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.line[self.position..]
    }

    fn fail<T>(&self, message: impl Into<String>) -> Read<T> {
        let at = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        let span = Span { start: at(self.position), end: at(self.line.len()) };
        Err(error_at(self.line, span, message))
    }

    fn unexpected<T>(&self, expected: &str) -> Read<T> {
        let expected =
            if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        match self.rest().chars().next() {
            None => self.fail(format!("unexpected end of input in series values{expected}")),
            Some(c) => self.fail(format!("unexpected {c:?} in series values{expected}")),
        }
    }

    fn eat(&mut self, prefix: &str) -> bool {
        let found = self.rest().starts_with(prefix);
        if found {
            self.position += prefix.len();
        }
        found
    }

    fn skip_blanks(&mut self) -> bool {
        let rest = self.rest();
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.position += blank;
        blank > 0
    }

    fn values(&mut self) -> Read<Vec<SequenceValue>> {
        let mut values = Vec::new();
        loop {
            let separated = self.skip_blanks();
            if self.rest().is_empty() {
                return Ok(values);
            }
            if !separated {
                return self.unexpected("");
            }
            self.item(&mut values)?;
        }
    }

    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        if self.eat("_") {
            let count = self.times(values.len())?.unwrap_or(1);
            values.extend(std::iter::repeat_n(SequenceValue::Omitted, count));
            return Ok(());
        }
        if self.rest().starts_with("{{") {
            return self.histogram_item(values);
        }
        if self.eat("stale") {
            let count = self.times(values.len())?.map_or(1, |times| times + 1);
            values.extend(std::iter::repeat_n(SequenceValue::Float(stale_nan()), count));
            return Ok(());
        }
        let mut value = self.signed_number()?;
        let step = if self.rest().starts_with(['+', '-']) { self.signed_number()? } else { 0.0 };
        let Some(times) = self.times(values.len())? else {
            if step != 0.0 {
                return self.unexpected("\"x\"");
            }
            values.push(SequenceValue::Float(value));
            return Ok(());
        };
        for _ in 0..=times {
            values.push(SequenceValue::Float(value));
            value += step;
        }
        Ok(())
    }

    /// `xN`, if it follows. With the values there are already it must stay in bounds.
    fn times(&mut self, before: usize) -> Read<Option<usize>> {
        if !self.eat("x") {
            return Ok(None);
        }
        let rest = self.rest();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match rest[..digits].parse::<usize>() {
            Ok(times) if times < VALUES_MAX - before.min(VALUES_MAX) => {
                self.position += digits;
                Ok(Some(times))
            }
            Ok(_) => self.fail(format!("more than {VALUES_MAX} values on one line")),
            Err(error) => self.fail(format!("invalid repetition in series values: {error}")),
        }
    }

    fn signed_number(&mut self) -> Read<f64> {
        if self.eat("-") {
            return Ok(-self.number()?);
        }
        self.eat("+");
        self.number()
    }

    /// A number or a duration, which counts in seconds. There is no hexadecimal form: `x` repeats.
    fn number(&mut self) -> Read<f64> {
        let rest = self.rest();
        if let Some(word) = rest.get(..3).filter(|word| is_number_word(word)) {
            self.position += 3;
            return parse_number(word).or_else(|error| self.fail(error.to_string()));
        }
        let end = number_end(rest);
        if end == 0 {
            return self.unexpected("number or \"stale\"");
        }
        let unit = rest[end..].starts_with(['s', 'm', 'h', 'd', 'w', 'y']);
        if !unit {
            let number = parse_number(&rest[..end]);
            let number =
                number.or_else(|error| self.fail(format!("error parsing number: {error}")));
            self.position += end;
            return number;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() || c == 'x').unwrap_or(rest.len());
        let ms = parse_duration_ms(&rest[..end]).or_else(|error| self.fail(error.to_string()))?;
        self.position += end;
        Ok((ms / 1000) as f64 + (ms % 1000) as f64 / 1000.0)
    }

    fn histogram_item(&mut self, values: &mut Vec<SequenceValue>) -> Read<()> {
        let base = self.histogram()?;
        let add = self.rest().starts_with("+{{");
        if !add && !self.rest().starts_with("-{{") {
            let count = self.times(values.len())?.map_or(1, |times| times + 1);
            values.extend(std::iter::repeat_n(base.into_value(), count));
            return Ok(());
        }
        self.position += 1;
        let step = self.histogram()?;
        let Some(times) = self.times(values.len())? else { return self.unexpected("\"x\"") };
        let hint_given = step.hint_given;
        let mut current = base.histogram;
        for index in 0..=times {
            if index > 0 {
                current = combine(&current, &step.histogram, add)
                    .or_else(|message| self.fail(message))?;
            }
            values.push(Literal { histogram: current.clone(), hint_given }.into_value());
        }
        Ok(())
    }

    fn histogram(&mut self) -> Read<Literal> {
        let rest = self.rest();
        let Some(end) = rest.find("}}").filter(|_| rest.starts_with("{{")) else {
            return self.fail("histogram description incomplete");
        };
        match literal(&rest[2..end]) {
            Ok(histogram) => {
                self.position += end + 2;
                Ok(histogram)
            }
            Err(message) => self.fail(message),
        }
    }
}

fn is_number_word(word: &str) -> bool {
    word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan")
}

/// Length of the decimal number `text` begins with.
fn number_end(text: &str) -> usize {
    let digit = |c: char| c.is_ascii_digit() || c == '_';
    let digits = |from: usize| text.len() - text[from..].trim_start_matches(digit).len();
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        if text[end + 1 + sign..].starts_with(|c: char| c.is_ascii_digit()) {
            end = digits(end + 1 + sign);
        }
    }
    end
}

#[cfg(test)]
mod tests;
