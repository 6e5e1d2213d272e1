//! Names with characters beyond the classic ones, escaped for places that cannot hold them.

use std::borrow::Cow;
use std::fmt::Write;

/// Undoes the `values` escaping (`U__my_2e_name`); a name that is not escaped, or not well, is
/// returned as it is.
pub fn unescape_name(name: &str) -> Cow<'_, str> {
    match name.strip_prefix("U__").and_then(unescape) {
        Some(plain) => Cow::Owned(plain),
        None => Cow::Borrowed(name),
    }
}

/// `__` is an underscore, `_<hex>_` the character with that number.
fn unescape(escaped: &str) -> Option<String> {
    let mut plain = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        plain.push_str(&rest[..at]);
        let code = &rest[at + 1..];
        let end = code.find('_')?;
        if end == 0 {
            plain.push('_');
        } else {
            // Six hexadecimal digits hold every character there is.
            let digits = Some(&code[..end]).filter(|digits| digits.len() <= 6)?;
            plain.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        }
        rest = &code[end + 1..];
    }
    plain.push_str(rest);
    Some(plain)
}

/// Replaces every character a classic metric or label name cannot have by an underscore.
pub fn underscored(name: &str) -> Cow<'_, str> {
    let classic = |at: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || c == ':' || (at > 0 && c.is_ascii_digit())
    };
    if name.char_indices().all(|(at, c)| classic(at, c)) {
        return Cow::Borrowed(name);
    }
    let mut escaped = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        let _ = escaped.write_char(if classic(at, c) { c } else { '_' });
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read_and_broken_ones_left_alone() {
        let cases = [
            ("job", "job"),
            ("U__my_2e_label", "my.label"),
            ("U__a__b", "a_b"),
            ("U__", ""),
            ("U___263a___", "\u{263a}_"),
            ("U__broken_", "U__broken_"),
            ("U__broken_zz_", "U__broken_zz_"),
            ("U__broken_d800_", "U__broken_d800_"),
            ("U__broken_2", "U__broken_2"),
        ];
        for (escaped, plain) in cases {
            assert_eq!(unescape_name(escaped), plain, "{escaped}");
        }
    }

    #[test]
    fn underscores_replace_what_is_not_classic() {
        assert_eq!(underscored("a:b_1"), "a:b_1");
        assert_eq!(underscored("1a.b\u{e9}"), "_a_b_");
    }
}
