//! DogStatsD events and service checks, as pure parsers.
//!
//! In: one line that starts with `_e{` or `_sc|`. Out: its parts, borrowed. Never here: what is done
//! with them.
//!
//! ```text
//! event = "_e{" title-bytes "," text-bytes "}:" title "|" text *( "|" field )
//! check = "_sc|" name "|" status *( "|" field )
//! field = "d:" seconds | "h:" host | "k:" key | "p:" priority | "s:" source | "t:" alert type
//!       | "m:" message | "#" tags | "c:" container | anything else, which is skipped
//! ```
//! Title and text may contain bars: their lengths, in bytes, say where they end. Fields come in any
//! order: clients append a container behind the message.

/// A DogStatsD event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice<'a> {
    /// The title as sent, `\n` still escaped; never empty.
    pub title: &'a str,
    /// The text as sent, `\n` still escaped.
    pub text: &'a str,
    /// `error`, `warning`, `success` or `info`, which is the default; as sent.
    pub alert_type: &'a str,
    /// `low` or `normal`, which is the default; as sent.
    pub priority: &'a str,
    /// What kind of system sent it; empty when not given.
    pub source: &'a str,
    /// The host it is about; empty when not given.
    pub host: &'a str,
    /// The tags as sent, without the `#`.
    pub tags: &'a str,
}

/// A DogStatsD service check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check<'a> {
    /// What was checked; never empty.
    pub name: &'a str,
    /// 0 ok, 1 warning, 2 critical, 3 unknown.
    pub status: u8,
    /// The host it is about; empty when not given.
    pub host: &'a str,
    /// The tags as sent, without the `#`.
    pub tags: &'a str,
    /// What was found; empty when not given.
    pub message: &'a str,
}

/// Reads an event; `None` when it is none.
pub fn parse_event(line: &str) -> Option<Notice<'_>> {
    let (lengths, rest) = line.strip_prefix("_e{")?.split_once("}:")?;
    let (title, text) = lengths.split_once(',')?;
    let (title, text): (usize, usize) = (title.parse().ok()?, text.parse().ok()?);
    // `get` also refuses a length that ends inside a character.
    let after_title = rest.get(title..)?.strip_prefix('|')?;
    let mut notice = Notice {
        title: &rest[..title],
        text: after_title.get(..text)?,
        alert_type: "info",
        priority: "normal",
        ..Notice::default()
    };
    for field in fields(&after_title[text..])? {
        match split_field(field) {
            ("#", tags) => notice.tags = tags,
            ("t:", alert_type) => notice.alert_type = alert_type,
            ("p:", priority) => notice.priority = priority,
            ("s:", source) => notice.source = source,
            ("h:", host) => notice.host = host,
            _ => {}
        }
    }
    (!notice.title.is_empty()).then_some(notice)
}

/// Reads what follows `_sc|`; `None` when it is no service check.
pub fn parse_check(rest: &str) -> Option<Check<'_>> {
    let (name, rest) = rest.split_once('|')?;
    let (status, rest) = rest.split_at(rest.find('|').unwrap_or(rest.len()));
    let status = match status {
        "0" => 0,
        "1" => 1,
        "2" => 2,
        "3" => 3,
        _ => return None,
    };
    let mut check = Check { name, status, ..Check::default() };
    for field in fields(rest)? {
        match split_field(field) {
            ("#", tags) => check.tags = tags,
            ("h:", host) => check.host = host,
            ("m:", message) => check.message = message,
            _ => {}
        }
    }
    (!name.is_empty()).then_some(check)
}

/// The fields after the fixed part, which is followed by a bar or by nothing.
fn fields(rest: &str) -> Option<impl Iterator<Item = &str>> {
    let rest = if rest.is_empty() { "" } else { rest.strip_prefix('|')? };
    Some(rest.split('|').filter(|field| !field.is_empty()))
}

fn split_field(field: &str) -> (&str, &str) {
    let key = if field.starts_with('#') { 1 } else { field.find(':').map_or(0, |at| at + 1) };
    field.split_at(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_by_their_byte_lengths() {
        let line = "_e{8,11}:Title \u{e9}|text\\nline2|k:k|p:low|t:error|#a:b,env:t|c:ci-abc";
        let notice = parse_event(line).expect("an event");
        assert_eq!((notice.title, notice.text), ("Title \u{e9}", "text\\nline2"));
        assert_eq!(
            (notice.priority, notice.alert_type, notice.tags),
            ("low", "error", "a:b,env:t")
        );
        let bars = parse_event("_e{3,3}:a|b|c|d|h:x|s:nagios").expect("bars are text");
        assert_eq!((bars.title, bars.text, bars.host, bars.source), ("a|b", "c|d", "x", "nagios"));
        assert_eq!((bars.alert_type, bars.priority), ("info", "normal"));
        for bad in
            ["_e{1}:a|b", "_e{9,1}:a|b", "_e{0,1}:|b", "_e{7,1}:Title \u{e9}|b", "_e{1,1}:a|bc"]
        {
            assert_eq!(parse_event(bad), None, "{bad}");
        }
    }

    #[test]
    fn checks_take_their_fields_in_any_order() {
        let check = parse_check("svc|2|#a:b,env:t|m:bad: worse|c:ci-abc").expect("a check");
        assert_eq!((check.name, check.status, check.message), ("svc", 2, "bad: worse"));
        assert_eq!(check.tags, "a:b,env:t");
        assert_eq!(parse_check("svc|0").expect("a check").status, 0);
        for bad in ["svc", "svc|4", "|0", "svc|", "svc|0x"] {
            assert_eq!(parse_check(bad), None, "{bad}");
        }
    }
}
