//! Rule files: text to checked groups.
//!
//! In: the text of a file. Out: its [`GroupSpec`]s, or every mistake in it with line and column, in
//! the form Prometheus gives them. Never here: evaluation.

mod check;
pub mod lint;
pub(super) mod raw;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::spec::GroupSpec;
use super::templates::Templates;
use crate::promql::Features;
use raw::RawFile;

/// Largest rule file in bytes; larger is a mistake, not a rule file.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// Most mistakes that are told of one file.
pub const ERRORS_MAX: usize = 100;

/// What is wrong with a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Line and column, from 1, when they are known.
    pub place: Option<(u64, u64)>,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}: {line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl std::error::Error for FileError {}

/// How files are read.
#[derive(Clone, Copy)]
pub struct ReadOptions<'a> {
    /// Which parts of PromQL are on.
    pub features: &'a Features,
    /// What texts of alerting rules must compile with.
    pub templates: &'a dyn Templates,
    /// Whether keys that there are not are passed over.
    pub ignore_unknown_fields: bool,
}

/// Reads a file.
///
/// # Errors
/// It cannot be read, or what is wrong with it; at most [`ERRORS_MAX`].
pub fn read(path: &Path, options: ReadOptions<'_>) -> Result<Vec<GroupSpec>, Vec<FileError>> {
    let name: Arc<str> = path.display().to_string().into();
    let fail =
        |message: String| Err(vec![FileError { file: Arc::clone(&name), place: None, message }]);
    match std::fs::metadata(path) {
        Err(error) => return fail(format!("cannot read the rule file: {error}")),
        Ok(data) if data.len() > FILE_BYTES_MAX => {
            return fail(format!("has {} bytes, more than {FILE_BYTES_MAX}", data.len()));
        }
        Ok(_) => {}
    }
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&name, &text, options),
        Err(error) => fail(format!("cannot read the rule file: {error}")),
    }
}

/// Reads the text of a file that errors call `name`.
///
/// # Errors
/// What is wrong with it; at most [`ERRORS_MAX`].
pub fn parse(
    name: &Arc<str>,
    text: &str,
    options: ReadOptions<'_>,
) -> Result<Vec<GroupSpec>, Vec<FileError>> {
    let raw: RawFile = match read_yaml(text) {
        Ok(raw) => raw.unwrap_or_default(),
        Err((place, message)) => {
            return Err(vec![FileError { file: Arc::clone(name), place, message }]);
        }
    };
    check::check(name, raw, options)
}

type Misread = (Option<(u64, u64)>, String);

/// The first document of `text`; `None` when there is nothing in it.
pub(super) fn read_yaml<T: serde::de::DeserializeOwned>(text: &str) -> Result<Option<T>, Misread> {
    // Texts such as .inf stay texts.
    let options = serde_saphyr::options! {
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
    };
    let text = first_document(text);
    serde_saphyr::from_str_with_options::<Option<T>>(text, options).map_err(|error| {
        let place = error.location().map(|place| (place.line(), place.column()));
        let message = error.without_snippet().to_string();
        let message = match message.rfind(" at line ") {
            Some(end) if place.is_some() => message[..end].to_owned(),
            _ => message,
        };
        (place, message)
    })
}

/// What stands before a second `---`: further documents are not read (as in Prometheus).
fn first_document(text: &str) -> &str {
    let mut at = 0;
    let mut has_content = false;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == "---" || bare.starts_with("--- ") || bare == "..." {
            if has_content {
                return &text[..at];
            }
        } else if !bare.is_empty() && !bare.starts_with('#') && !bare.starts_with('%') {
            has_content = true;
        }
        has_content |= bare.starts_with("--- ");
        at += line.len();
    }
    text
}

#[cfg(test)]
mod tests;
