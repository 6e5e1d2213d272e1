//! Secrets: passwords, tokens and addresses that let their holder in.
//!
//! In: the configuration. Out: the secret itself to whoever must send it, `<secret>` to everybody
//! else. Never here: keeping what was read from a file; it is read anew each time, so that it can
//! be rotated.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in place of a secret, as in Prometheus.
pub const MASK: &str = "<secret>";
/// Largest file of a secret in bytes; larger is the wrong file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the configuration itself.
    Inline(String),
    /// In a file; white space around it does not count.
    File(PathBuf),
    /// In an environment variable.
    Env(String),
}

impl Secret {
    /// The secret.
    ///
    /// # Errors
    /// A sentence: the file cannot be read or the variable is not set.
    pub fn read(&self) -> Result<String, String> {
        match self {
            Secret::Inline(text) => Ok(text.clone()),
            Secret::File(path) => read_file(path)
                .map(|text| text.trim().to_owned())
                .map_err(|error| format!("reading the secret in {}: {error}", path.display())),
            Secret::Env(name) => std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set")),
        }
    }

    /// The secret when it stands in the configuration itself.
    pub fn inline(&self) -> Option<&str> {
        match self {
            Secret::Inline(text) => Some(text),
            Secret::File(_) | Secret::Env(_) => None,
        }
    }
}

/// The one secret of `key`, `key_file` and `key_env`, if any is given; empty ones are not.
///
/// # Errors
/// A sentence: more than one is given.
pub fn chosen(
    key: &str,
    inline: Option<Secret>,
    file: &Option<PathBuf>,
    env: &Option<String>,
) -> Result<Option<Secret>, String> {
    let inline = inline.filter(|secret| secret.inline() != Some(""));
    let file = file.clone().filter(|path| !path.as_os_str().is_empty());
    match (inline, file, env.clone()) {
        (inline, None, None) => Ok(inline),
        (None, Some(path), None) => Ok(Some(Secret::File(path))),
        (None, None, Some(name)) => Ok(Some(Secret::Env(name))),
        _ => Err(format!("at most one of {key}, {key}_file and {key}_env can be given")),
    }
}

fn read_file(path: &PathBuf) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

impl fmt::Debug for Secret {
    /// Never the secret itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Inline(_) => f.write_str(MASK),
            Secret::File(path) => write!(f, "file {}", path.display()),
            Secret::Env(name) => write!(f, "variable {name}"),
        }
    }
}

impl Serialize for Secret {
    /// Never the secret itself.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// An inline secret.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::Inline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_a_secret_who_only_looks() {
        let secret = Secret::Inline("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "<secret>");
        assert_eq!(serde_json::to_string(&secret).expect("serialised"), "\"<secret>\"");
        assert_eq!(secret.read().as_deref(), Ok("hunter2"));
    }

    #[test]
    fn files_are_read_anew_and_trimmed() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("token");
        let secret = Secret::File(path.clone());
        assert!(secret.read().expect_err("no file").contains("token"));
        for content in ["first\n", "  second \n"] {
            std::fs::write(&path, content).expect("written");
            assert_eq!(secret.read().as_deref(), Ok(content.trim()));
        }
    }
}
