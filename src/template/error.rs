//! Why a template could not be read or executed, worded as Go's `text/template` words it.

use std::fmt;

/// Why a template could not be read or executed. Displays as Go does, so that users recognise it:
/// `template: NAME:LINE: REASON` or
/// `template: NAME:LINE:COLUMN: executing "NAME" at <PART>: REASON`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// The text is no template.
    Parse {
        /// The file or name the text was given under.
        name: String,
        /// Line in that text, from 1.
        line: u32,
        /// What is wrong.
        reason: String,
    },
    /// The template is one, but what it asks for cannot be done with this data.
    Execute {
        /// The file or name the text was given under.
        name: String,
        /// Line in that text, from 1.
        line: u32,
        /// Bytes before the failing part in its line.
        column: u32,
        /// The template that was being executed: `name`, or one defined in it.
        executing: String,
        /// The failing part of the template.
        part: String,
        /// What is wrong.
        reason: String,
    },
    /// No template of this name is known.
    Unknown(String),
    /// A limit of [`super::Limits`] on the text as a whole.
    TooLarge {
        /// The file or name the text was given under.
        name: String,
        /// The most bytes allowed.
        bytes_max: usize,
    },
}

impl TemplateError {
    /// The line in the template's text, from 1, where known.
    pub fn line(&self) -> Option<u32> {
        match self {
            TemplateError::Parse { line, .. } | TemplateError::Execute { line, .. } => Some(*line),
            TemplateError::Unknown(_) | TemplateError::TooLarge { .. } => None,
        }
    }

    /// What is wrong, without where.
    pub fn reason(&self) -> String {
        match self {
            TemplateError::Parse { reason, .. } | TemplateError::Execute { reason, .. } => {
                reason.clone()
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Parse { name, line, reason } => {
                write!(f, "template: {name}:{line}: {reason}")
            }
            TemplateError::Execute { name, line, column, executing, part, reason } => write!(
                f,
                "template: {name}:{line}:{column}: executing {executing:?} at <{part}>: {reason}"
            ),
            TemplateError::Unknown(name) => write!(f, "template: no template {name:?} is defined"),
            TemplateError::TooLarge { name, bytes_max } => {
                write!(f, "template: {name}: text is longer than {bytes_max} bytes")
            }
        }
    }
}

impl std::error::Error for TemplateError {}
