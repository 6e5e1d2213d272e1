//! Text as part of a URL that we ask.
//!
//! In: any text. Out: its percent-encoded form. Never here: whole URLs, requests.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');

/// All but the characters that Go leaves as they are in a path.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// `text` as a part of a path, slashes and all (Go's `URL.EscapedPath`).
pub fn path(text: &str) -> impl Display + '_ {
    utf8_percent_encode(text, RESERVED_IN_PATH)
}

/// `text` as one segment of a path or one value of a query.
pub fn segment(text: &str) -> impl Display + '_ {
    utf8_percent_encode(text, RESERVED)
}

/// `text` as a value of a query as forms write it: a space becomes a plus sign (Go's
/// `url.QueryEscape`).
pub fn query_escape(text: &str) -> String {
    segment(text).to_string().replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use super::{path, query_escape, segment};

    #[test]
    fn forms_write_spaces_as_plus() {
        assert_eq!(query_escape("up == 0+1"), "up+%3D%3D+0%2B1");
    }

    #[test]
    fn a_path_keeps_its_slashes() {
        assert_eq!(path("a/b c?d#e%f@g:h").to_string(), "a/b%20c%3Fd%23e%25f@g:h");
    }

    #[test]
    fn only_unreserved_characters_stay() {
        let cases = [
            ("job_1", "job_1"),
            ("a/b c", "a%2Fb%20c"),
            ("manual__2026-11-21T01:52:23+00:00", "manual__2026-11-21T01%3A52%3A23%2B00%3A00"),
        ];
        for (text, expected) in cases {
            assert_eq!(segment(text).to_string(), expected);
        }
    }
}
