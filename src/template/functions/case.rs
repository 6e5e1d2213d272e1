//! Large and small letters as Go maps them: one letter becomes one letter, wherever it stands.

/// Every letter as its large one, where that is a single letter.
pub fn upper(text: &str) -> String {
    text.chars().map(upper_letter).collect()
}

/// Every letter as its small one.
pub fn lower(text: &str) -> String {
    // Only the dotted capital I would become two: a small i, and its dot.
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

fn upper_letter(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next(), c) {
        (Some(one), None, _) => one,
        // Greek letters with an iota below have a single form for titles.
        (_, _, '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}') => {
            char::from_u32(u32::from(c) + 8).unwrap_or(c)
        }
        (_, _, '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}') => {
            char::from_u32(u32::from(c) + 9).unwrap_or(c)
        }
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_single_letters_as_in_go() {
        assert_eq!(upper("a\u{e9}\u{df}1\u{fb01}"), "A\u{c9}\u{df}1\u{fb01}");
        assert_eq!(upper("\u{1f80}\u{1fa7}\u{1fb3}\u{1f88}"), "\u{1f88}\u{1faf}\u{1fbc}\u{1f88}");
        // No other form of sigma at the end of a word.
        assert_eq!(lower("\u{391}\u{3a3} \u{130}X"), "\u{3b1}\u{3c3} ix");
    }
}
