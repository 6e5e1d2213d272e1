//! The first letter of each word as a capital.

/// What becomes of a word's other letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay as they are, as in Prometheus.
    Kept,
    /// They become small, as in Alertmanager.
    Lowered,
}

/// `text` with each word's first letter as a capital. A word goes on over digits, underscores, and
/// a single apostrophe, dot or colon between letters.
pub fn title(text: &str, others: Others) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut is_inside, mut was_joint) = (false, false);
    for c in text.chars() {
        let is_joint = matches!(c, '\'' | '.' | ':' | '\u{b7}' | '\u{2019}' | '\u{2027}');
        if (is_joint && was_joint) || !(is_joint || c == '_' || c.is_alphanumeric()) {
            is_inside = false;
        }
        was_joint = is_joint;
        match (c.is_lowercase() || c.is_uppercase(), is_inside) {
            (true, false) => {
                capital(&mut out, c);
                is_inside = true;
            }
            (true, true) if others == Others::Lowered => out.extend(c.to_lowercase()),
            _ => out.push(c),
        }
    }
    out
}

/// `c` as the first letter of a word: of a letter that becomes several only the first is large.
fn capital(out: &mut String, c: char) {
    let mut upper = c.to_uppercase();
    out.extend(upper.next());
    out.extend(upper.flat_map(char::to_lowercase));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_with_capitals() {
        let cases = [
            ("this part", "This Part", "This Part"),
            ("HTTP errors", "HTTP Errors", "Http Errors"),
            ("don't foo_bar a-b", "Don't Foo_bar A-B", "Don't Foo_bar A-B"),
        ];
        for (text, kept, lowered) in cases {
            assert_eq!(title(text, Others::Kept), kept);
            assert_eq!(title(text, Others::Lowered), lowered);
        }
    }
}
