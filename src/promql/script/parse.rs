//! Script text to commands.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::model::Timestamp;
use crate::model::parse_duration_ms;
use crate::promql::features::Features;
use crate::promql::lexer::{parse_number, unquote};
use crate::promql::parser;
use crate::promql::series_desc::parse_series_desc;

use super::expect::{Expectations, Match, Points};
use super::load::parse_load;
use super::{Command, Eval, Script, ScriptError, When};

static EVAL_INSTANT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$")
});
static EVAL_RANGE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
});
static EXPECT_RANGE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$"));
static EXPECT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")
});

pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("BUG: the pattern is a constant and valid")
}

pub(super) type Parsed<T> = Result<T, ScriptError>;

/// The lines of a script, trimmed, comments emptied; and how far it has been read.
pub(super) struct Lines<'a> {
    lines: Vec<&'a str>,
    next: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Lines<'a> {
        let clean = |line: &'a str| match line.trim() {
            comment if comment.starts_with('#') => "",
            line => line,
        };
        Lines { lines: text.split('\n').map(clean).collect(), next: 0 }
    }

    /// The next line, whatever it holds.
    fn read(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next)?;
        self.next += 1;
        Some(line)
    }

    /// The next line of the current block; an empty line ends it.
    pub(super) fn read_in_block(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next).filter(|line| !line.is_empty())?;
        self.next += 1;
        Some(line)
    }

    /// Number of the line read last, from 1.
    pub(super) fn line(&self) -> usize {
        self.next
    }

    /// An error about the line read last.
    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ScriptError { line: self.next, message: message.into() })
    }
}

/// Parses a script. Expressions must parse with every feature on.
///
/// # Errors
/// The first line that is not in the language.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    let mut lines = Lines::new(text);
    let mut commands = Vec::new();
    while let Some(line) = lines.read() {
        if line.is_empty() {
            continue;
        }
        let word = line.split(['\t', ' ']).next().unwrap_or_default().to_lowercase();
        if word == "clear" {
            commands.push(Command::Clear);
        } else if word.starts_with("load") {
            commands.push(Command::Load(parse_load(line, &mut lines)?));
        } else if word.starts_with("eval") {
            commands.push(Command::Eval(Box::new(parse_eval(line, &mut lines)?)));
        } else {
            return lines.fail(format!("invalid command {line:?}"));
        }
    }
    Ok(Script { commands })
}

/// A duration since the epoch as a time.
fn time(text: &str, lines: &Lines<'_>) -> Parsed<Timestamp> {
    duration(text, lines).map(Timestamp)
}

pub(super) fn duration(text: &str, lines: &Lines<'_>) -> Parsed<i64> {
    parse_duration_ms(text.trim()).or_else(|error| lines.fail(format!("invalid duration: {error}")))
}

fn parse_eval(line: &str, lines: &mut Lines<'_>) -> Parsed<Eval> {
    let at = lines.next;
    let (suffix, when, text) = if let Some(parts) = EVAL_INSTANT.captures(line) {
        (
            group(&parts, 1),
            When::Instant(time(group(&parts, 2), lines)?),
            group(&parts, 3).to_owned(),
        )
    } else if let Some(parts) = EVAL_RANGE.captures(line) {
        let when = range([2, 3, 4].map(|index| group(&parts, index)), lines)?;
        (group(&parts, 1), when, group(&parts, 5).to_owned())
    } else {
        return lines.fail(
            "invalid evaluation command: must be 'eval instant at <time> <query>' or \
             'eval range from <from> to <to> step <step> <query>'",
        );
    };
    if let Err(error) = parser::parse(&text, &Features::all()) {
        return lines.fail(format!("error parsing {text:?}: {error}"));
    }
    let mut expectations = Expectations::with_suffix(suffix);
    let mut position = 1;
    while let Some(body) = lines.read_in_block() {
        match parse_expectation(body, position, &mut expectations, &when, lines)? {
            Next::Line => position += 1,
            Next::SamePosition => {}
            Next::EndOfBlock => break,
        }
    }
    Ok(Eval { line: at, text, when, expectations })
}

fn group<'a>(parts: &Captures<'a>, index: usize) -> &'a str {
    parts.get(index).map_or("", |found| found.as_str())
}

fn range([from, to, step]: [&str; 3], lines: &Lines<'_>) -> Parsed<When> {
    let (start, end) = (time(from, lines)?, time(to, lines)?);
    let step_ms = duration(step, lines)?;
    if end < start {
        return lines.fail(format!("end time {to} is before start time {from}"));
    }
    Ok(When::Range { start, end, step_ms })
}

/// How the block goes on behind a line.
enum Next {
    Line,
    SamePosition,
    EndOfBlock,
}

fn parse_expectation(
    line: &str,
    position: usize,
    expectations: &mut Expectations,
    when: &When,
    lines: &Lines<'_>,
) -> Parsed<Next> {
    if expectations.fails_by_suffix {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            expectations.fail = Some(Match::Exactly(message.trim().to_owned()));
            return Ok(Next::EndOfBlock);
        }
        if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
            expectations.fail = Some(regex_match(pattern, lines)?);
            return Ok(Next::EndOfBlock);
        }
    }
    if line.starts_with("expect range vector") {
        let Some(parts) = EXPECT_RANGE.captures(line) else {
            return lines.fail(format!("invalid range vector definition {line:?}"));
        };
        expectations.range_vector = Some(range([1, 2, 3].map(|i| group(&parts, i)), lines)?);
        return Ok(Next::Line);
    }
    if let Some(quoted) = line.strip_prefix("expect string") {
        let text = unquote(quoted.trim())
            .or_else(|_| lines.fail(format!("expected string is not quoted: {line:?}")))?;
        expectations.string = Some(text);
        return Ok(Next::Line);
    }
    if line.split(' ').next() == Some("expect") {
        parse_expect(line, expectations, lines)?;
        return Ok(Next::SamePosition);
    }
    if let Ok(number) = parse_number(line) {
        expectations.scalar = Some(number);
        return Ok(Next::EndOfBlock);
    }
    let desc = parse_series_desc(line).or_else(|error| lines.fail(error.to_string()))?;
    let instant = matches!(when, When::Instant(_)) && expectations.range_vector.is_none();
    if instant && desc.values.len() > 1 {
        return lines.fail(
            "an instant evaluation has one value for each series; \
             'expect range vector' makes it a range",
        );
    }
    expectations.series.insert(desc.labels, Points { position, values: desc.values });
    Ok(Next::Line)
}

fn regex_match(text: &str, lines: &Lines<'_>) -> Parsed<Match> {
    let text = text.trim();
    match Regex::new(text) {
        Ok(regex) => Ok(Match::Regex(regex)),
        Err(_) => lines.fail(format!("invalid regular expression {text:?}")),
    }
}

fn parse_expect(line: &str, expectations: &mut Expectations, lines: &Lines<'_>) -> Parsed<()> {
    let Some(parts) = EXPECT.captures(line) else {
        return lines.fail("invalid expect line, must be 'expect <type> [regex:...|msg:...]'");
    };
    let payload = group(&parts, 3);
    let wanted = match group(&parts, 2) {
        "msg" => Match::Exactly(payload.trim().to_owned()),
        "regex" => regex_match(payload, lines)?,
        _ => Match::Any,
    };
    match group(&parts, 1) {
        "ordered" => expectations.ordered = true,
        "fail" if expectations.fail.is_some() => {
            return lines.fail("more than one 'expect fail' line");
        }
        "fail" => expectations.fail = Some(wanted),
        "warn" => expectations.warnings.push(wanted),
        "info" => expectations.infos.push(wanted),
        "no_warn" => expectations.no_warnings = true,
        _ => expectations.no_infos = true,
    }
    if expectations.no_warnings && !expectations.warnings.is_empty() {
        return lines.fail("warn and no_warn cannot be expected together");
    }
    if expectations.no_infos && !expectations.infos.is_empty() {
        return lines.fail("info and no_info cannot be expected together");
    }
    Ok(())
}
