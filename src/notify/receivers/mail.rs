//! A mail as it goes over the wire: headers, parts, encodings.
//!
//! In: texts. Out: lines of ASCII. Never here: mail servers.
//!
//! Sources: RFC 5322 (addresses), RFC 2045 (quoted-printable), RFC 2047 (words in headers).

/// A mail, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sender's address.
    pub from: String,
    /// The recipients' addresses.
    pub to: Vec<String>,
    /// Headers, an empty line and the parts; lines end with CR LF.
    pub text: String,
}

/// Longest line of quoted-printable text.
const LINE_CHARS_MAX: usize = 76;
/// Longest encoded word in a header (RFC 2047, 2).
const WORD_CHARS_MAX: usize = 75;

/// One part of a mail.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// `text/plain` or `text/html`.
    pub content_type: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// The text of a mail whose parts say the same in different ways. Values of `headers` are encoded
/// where they have to be.
pub fn multipart(
    headers: &[(String, String)],
    date: &str,
    boundary: &str,
    parts: &[Part<'_>],
) -> String {
    let mut text = String::new();
    for (name, value) in headers {
        text.push_str(&format!("{name}: {}\r\n", encoded_header(value)));
    }
    text.push_str(&format!("Date: {date}\r\n"));
    text.push_str(&format!("Content-Type: multipart/alternative;  boundary={boundary}\r\n"));
    text.push_str("MIME-Version: 1.0\r\n\r\n");
    for part in parts {
        let Part { content_type, text: body } = part;
        text.push_str(&format!("--{boundary}\r\n"));
        text.push_str("Content-Transfer-Encoding: quoted-printable\r\n");
        text.push_str(&format!("Content-Type: {content_type}; charset=UTF-8\r\n\r\n"));
        text.push_str(&quoted_printable(body));
        text.push_str("\r\n");
    }
    text.push_str(&format!("--{boundary}--\r\n"));
    text
}

/// A header's value: as it is, or in encoded words where it has other characters than printable
/// ASCII. So no value can begin another header.
pub fn encoded_header(value: &str) -> String {
    let is_plain = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    const START: &str = "=?utf-8?q?";
    const END: &str = "?=";
    let room = WORD_CHARS_MAX - START.len() - END.len();
    let (mut words, mut word) = (Vec::new(), String::new());
    for c in value.chars() {
        let encoded = encoded_char(c);
        if word.len() + encoded.len() > room {
            words.push(std::mem::take(&mut word));
        }
        word.push_str(&encoded);
    }
    words.push(word);
    let words: Vec<String> = words.iter().map(|word| format!("{START}{word}{END}")).collect();
    words.join("\r\n ")
}

fn encoded_char(c: char) -> String {
    match c {
        ' ' => "_".to_owned(),
        c if c.is_ascii_graphic() && !matches!(c, '=' | '?' | '_') => c.to_string(),
        c => c.encode_utf8(&mut [0; 4]).bytes().map(|b| format!("={b:02X}")).collect(),
    }
}

/// Text as lines of ASCII that no server has to change.
pub fn quoted_printable(text: &str) -> String {
    let unix = text.replace("\r\n", "\n");
    let lines: Vec<String> = unix.split('\n').map(encoded_line).collect();
    lines.join("\r\n")
}

fn encoded_line(line: &str) -> String {
    let (mut out, mut length) = (String::new(), 0);
    let bytes = line.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let is_last = at + 1 == bytes.len();
        let unit = match byte {
            b' ' | b'\t' if is_last => format!("={byte:02X}"),
            b' ' | b'\t' => char::from(*byte).to_string(),
            b'=' => "=3D".to_owned(),
            byte if byte.is_ascii_graphic() => char::from(*byte).to_string(),
            byte => format!("={byte:02X}"),
        };
        // Room for the sign that the line goes on.
        if length + unit.len() > LINE_CHARS_MAX - 1 {
            out.push_str("=\r\n");
            length = 0;
        }
        length += unit.len();
        out.push_str(&unit);
    }
    out
}

/// The bare addresses of a list such as `Team <team@x.example>, b@x.example`.
///
/// # Errors
/// A sentence that names what is no address.
pub fn addresses(list: &str) -> Result<Vec<String>, String> {
    let all: Vec<String> = split_list(list)
        .into_iter()
        .map(|item| address(item.trim()).ok_or_else(|| format!("{item:?} is no mail address")))
        .collect::<Result<_, _>>()?;
    if all.is_empty() {
        return Err("there is no mail address".to_owned());
    }
    Ok(all)
}

/// The items between commas that are neither in quotes nor in angle brackets.
fn split_list(list: &str) -> Vec<&str> {
    let (mut items, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_inside, mut was_backslash) = (false, false, false);
    for (at, c) in list.char_indices() {
        match c {
            _ if was_backslash => was_backslash = false,
            '\\' => was_backslash = true,
            '"' => is_quoted = !is_quoted,
            '<' if !is_quoted => is_inside = true,
            '>' if !is_quoted => is_inside = false,
            ',' if !is_quoted && !is_inside => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[start..]);
    items.retain(|item| !item.trim().is_empty());
    items
}

fn address(item: &str) -> Option<String> {
    if item.contains(char::is_control) {
        return None;
    }
    let bare = match item.strip_suffix('>') {
        Some(inner) => inner.rsplit_once('<')?.1,
        None => item,
    };
    let (local, domain) = bare.trim().rsplit_once('@')?;
    let is_good = |c: char| !c.is_control() && !c.is_whitespace() && !"<>,;:()".contains(c);
    let is_domain = |c: char| is_good(c) && c != '"' || c == ':';
    let fits = !local.is_empty()
        && !domain.is_empty()
        && local.chars().all(is_good)
        && domain.chars().all(is_domain);
    fits.then(|| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_encoded_where_needed() {
        assert_eq!(encoded_header("[FIRING:1] a=b?"), "[FIRING:1] a=b?");
        assert_eq!(encoded_header("gr\u{fc}n = a_b"), "=?utf-8?q?gr=C3=BCn_=3D_a=5Fb?=");
        assert_eq!(encoded_header("a\r\nBcc: x@y"), "=?utf-8?q?a=0D=0ABcc:_x@y?=");
        let long = encoded_header(&"\u{e9}".repeat(40));
        assert!(long.split("\r\n ").all(|word| word.len() <= 75), "{long}");
        assert_eq!(long.matches("=C3=A9").count(), 40);
    }

    #[test]
    fn bodies_are_encoded() {
        assert_eq!(quoted_printable("a=b \nc\r\n\u{e9} d"), "a=3Db=20\r\nc\r\n=C3=A9 d");
        let long = quoted_printable(&"x".repeat(200));
        assert!(long.split("\r\n").all(|line| line.len() <= 76));
        assert_eq!(long.replace("=\r\n", ""), "x".repeat(200));
        assert_eq!(quoted_printable(".\n"), ".\r\n");
    }

    #[test]
    fn addresses_are_taken_out_of_lists() {
        let list = "a@x.example, \"B, b\" <b@x.example>,Team <c+d@x.example>,";
        let all = ["a@x.example", "b@x.example", "c+d@x.example"];
        assert_eq!(addresses(list), Ok(all.map(str::to_owned).to_vec()));
        for bad in ["", "a", "@x", "a@", "a b@c", "a@b\r\nRCPT TO:<c@d>", "<a@b> c"] {
            assert!(addresses(bad).is_err(), "{bad:?}");
        }
    }
}
