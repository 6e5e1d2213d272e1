//! Text as part of a URL that we ask.
//!
//! In: any text. Out: its percent-encoded form. Never here: whole URLs, requests.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'~');

/// `text` as one segment of a path or one value of a query.
pub fn segment(text: &str) -> impl Display + '_ {
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::segment;

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
