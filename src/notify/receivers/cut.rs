//! Texts cut to what a receiver takes.

/// What a cut text ends with.
const MARK: char = '\u{2026}';

/// At most `max` characters, the last of a cut text an ellipsis.
pub fn to_chars(text: String, max: usize) -> String {
    if text.chars().count() <= max {
        return text;
    }
    match max {
        0..=3 => text.chars().take(max).collect(),
        _ => text.chars().take(max - 1).chain([MARK]).collect(),
    }
}

/// At most `max` bytes, a cut text ending in an ellipsis.
pub fn to_bytes(text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let Some(room) = max.checked_sub(MARK.len_utf8()) else { return ".".repeat(max) };
    let mut end = room;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_texts_fit_and_end_with_an_ellipsis() {
        assert_eq!(to_chars("abcde".into(), 5), "abcde");
        assert_eq!(to_chars("ab\u{e9}de".into(), 4), "ab\u{e9}\u{2026}");
        assert_eq!(to_chars("abcde".into(), 3), "abc");
        assert_eq!(to_bytes("abcde".into(), 5), "abcde");
        assert_eq!(to_bytes("abcdef".into(), 5), "ab\u{2026}");
        assert_eq!(to_bytes("a\u{e9}cdef".into(), 5), "a\u{2026}");
        assert_eq!(to_bytes("abcdef".into(), 2), "..");
    }
}
