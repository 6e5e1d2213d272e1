//! Files by pattern, as Go's `filepath.Glob` finds them: `*`, `?` and `[a-z]` within a name.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Most files one pattern may find.
const FILES_MAX: usize = 10_000;

/// The files and directories that match `pattern`, ascending. A pattern without wildcards finds the
/// path itself when it exists.
///
/// # Errors
/// The pattern is malformed, or finds too many.
pub fn glob(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let malformed = || format!("{}: syntax error in pattern", pattern.display());
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let Component::Normal(name) = component else {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        let Some(name) = name.to_str().filter(|name| name.contains(['*', '?', '[', '\\'])) else {
            found.iter_mut().for_each(|path| path.push(name));
            continue;
        };
        let tokens = tokens(name).ok_or_else(malformed)?;
        found = found.iter().flat_map(|dir| matching(dir, &tokens)).collect();
        if found.len() > FILES_MAX {
            return Err(format!("{}: finds more than {FILES_MAX} files", pattern.display()));
        }
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok());
    found.sort();
    Ok(found)
}

/// What each of `patterns` finds, in their order.
///
/// # Errors
/// As [`glob`].
pub fn glob_all(patterns: &[String]) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for pattern in patterns {
        all.extend(glob(Path::new(pattern))?);
    }
    Ok(all)
}

/// One part of a pattern.
enum Token {
    Any,
    One,
    Literal(char),
    /// Whether a character must not be in one of the ranges, and the ranges.
    Range(bool, Vec<(char, char)>),
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut chars = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Literal(chars.next()?),
            '[' => {
                let is_not = chars.next_if(|c| matches!(c, '^' | '!')).is_some();
                let mut ranges = Vec::new();
                loop {
                    let low = match chars.next()? {
                        ']' if !ranges.is_empty() => break,
                        ']' | '-' => return None,
                        '\\' => chars.next()?,
                        c => c,
                    };
                    let high = match chars.next_if_eq(&'-') {
                        Some(_) => chars.next().filter(|c| *c != ']')?,
                        None => low,
                    };
                    ranges.push((low, high));
                }
                Token::Range(is_not, ranges)
            }
            c => Token::Literal(c),
        });
    }
    Some(tokens)
}

fn matching(dir: &Path, tokens: &[Token]) -> Vec<PathBuf> {
    let place = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let names = names.filter(|name| is_match(name, tokens));
    names.map(|name| dir.join(name)).collect()
}

fn is_match(name: &OsStr, tokens: &[Token]) -> bool {
    let Some(name) = name.to_str() else { return false };
    let chars: Vec<char> = name.chars().collect();
    // Which beginnings of the name the tokens so far match.
    let mut reached = vec![false; chars.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; chars.len() + 1];
        for at in (0..=chars.len()).filter(|at| reached[*at]) {
            match token {
                Token::Any => next[at..].fill(true),
                _ if at < chars.len() && is_char(token, chars[at]) => next[at + 1] = true,
                _ => {}
            }
        }
        reached = next;
    }
    reached[chars.len()]
}

fn is_char(token: &Token, c: char) -> bool {
    match token {
        Token::Any | Token::One => true,
        Token::Literal(own) => *own == c,
        Token::Range(is_not, ranges) => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *is_not
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_go_finds() {
        let root = tempfile::tempdir().expect("temporary directory");
        for name in ["a.yml", "b.yml", "b.yaml", "sub/c.yml", "sub2/c.yml"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, "").expect("written");
        }
        let found = |pattern: &str| {
            let found = glob(&root.path().join(pattern)).expect("a pattern");
            let names = found.iter().map(|path| path.strip_prefix(root.path()).expect("below"));
            names.map(|name| name.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("*.yml"), ["a.yml", "b.yml"]);
        assert_eq!(found("b.*"), ["b.yaml", "b.yml"]);
        assert_eq!(found("[^a].y?l"), ["b.yml"]);
        assert_eq!(found("*/c.yml"), ["sub/c.yml", "sub2/c.yml"]);
        assert_eq!(found("a.yml"), ["a.yml"]);
        assert_eq!(found("nothing.yml"), Vec::<String>::new());
        assert!(glob(Path::new("a[")).is_err() && glob(Path::new("a[]")).is_err());
    }
}
