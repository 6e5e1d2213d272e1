//! What a template may use up, each limit with its name and reason.

use std::fmt;

/// Bounds on one template text and on one execution. Time is bounded by counting steps, so that no
/// clock is read and the same input always ends the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest text in bytes; the largest template files in use have some 50 KiB.
    pub source_bytes_max: usize,
    /// Most actions, arguments and iterations of one execution. A notification with 10 000 alerts
    /// of 20 labels needs about a million.
    pub steps_max: u64,
    /// Longest result in bytes; no receiver takes more than a few hundred KiB.
    pub output_bytes_max: usize,
    /// Most bytes that all functions of one execution may produce or search through.
    pub work_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            source_bytes_max: 1 << 20,
            steps_max: 10_000_000,
            output_bytes_max: 8 << 20,
            work_bytes_max: 128 << 20,
        }
    }
}

/// Deepest nesting of blocks and of parentheses in a text: bounds the parser's stack.
pub const NESTING_MAX: usize = 100;
/// Deepest nesting of blocks, arguments and called templates while executing: bounds the stack.
pub const DEPTH_MAX: usize = 200;
/// Deepest nesting of lists and maps that functions build: bounds what prints and frees them.
pub const VALUE_DEPTH_MAX: u8 = 32;
/// Largest compiled regular expression in bytes.
pub const REGEX_BYTES_MAX: usize = 1 << 20;
/// Most regular expressions one execution keeps compiled.
pub const REGEX_KEPT_MAX: usize = 64;

/// What is left of the limits during one execution.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    steps: u64,
    work_bytes: usize,
}

/// A limit was passed; displays which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitPassed {
    /// More than so many steps.
    Steps(u64),
    /// A result longer than so many bytes.
    Output(usize),
    /// Functions worked on more than so many bytes.
    Work(usize),
}

impl fmt::Display for LimitPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitPassed::Steps(max) => write!(f, "takes more than {max} steps"),
            LimitPassed::Output(max) => write!(f, "output is longer than {max} bytes"),
            LimitPassed::Work(max) => write!(f, "functions handle more than {max} bytes of text"),
        }
    }
}

impl Budget {
    /// All of `limits`.
    pub fn new(limits: Limits) -> Budget {
        Budget { limits, steps: 0, work_bytes: 0 }
    }

    /// One more action, argument or iteration.
    pub fn step(&mut self) -> Result<(), LimitPassed> {
        self.steps += 1;
        match self.steps > self.limits.steps_max {
            true => Err(LimitPassed::Steps(self.limits.steps_max)),
            false => Ok(()),
        }
    }

    /// A function handles `bytes` more.
    pub fn work(&mut self, bytes: usize) -> Result<(), LimitPassed> {
        self.work_bytes = self.work_bytes.saturating_add(bytes);
        match self.work_bytes > self.limits.work_bytes_max {
            true => Err(LimitPassed::Work(self.limits.work_bytes_max)),
            false => Ok(()),
        }
    }

    /// Room for one text that a function builds, in bytes.
    pub fn text_bytes_max(&self) -> usize {
        self.limits.output_bytes_max
    }
}

/// A text that does not grow past its limit.
#[derive(Debug)]
pub struct BoundedText {
    text: String,
    bytes_max: usize,
}

impl BoundedText {
    /// An empty text of at most `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> BoundedText {
        BoundedText { text: String::new(), bytes_max }
    }

    /// Appends `more`.
    pub fn push(&mut self, more: &str) -> Result<(), LimitPassed> {
        if self.text.len().saturating_add(more.len()) > self.bytes_max {
            return Err(LimitPassed::Output(self.bytes_max));
        }
        self.text.push_str(more);
        Ok(())
    }

    /// Appends `c` `count` times.
    pub fn repeat(&mut self, c: char, count: usize) -> Result<(), LimitPassed> {
        let bytes = count.saturating_mul(c.len_utf8());
        if self.text.len().saturating_add(bytes) > self.bytes_max {
            return Err(LimitPassed::Output(self.bytes_max));
        }
        self.text.extend(std::iter::repeat_n(c, count));
        Ok(())
    }

    /// What there is so far.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.text
    }
}
