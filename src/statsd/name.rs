//! Tags inside of names, and the characters of Prometheus names.
//!
//! In: the name and the DogStatsD section of a sample, as sent. Out: the bare name and its tags.
//! Never here: mapping rules, label limits.

use std::borrow::Cow;

use super::line::Reason;
use super::metrics::Counts;

/// Which dialects are understood; the names are those of statsd_exporter's flags. All are, unless
/// said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialects {
    /// `name:1|c|#k:v,k2:v2`.
    pub dogstatsd: bool,
    /// `name,k=v,k2=v2:1|c`.
    pub influxdb: bool,
    /// `name#k=v,k2=v2:1|c`.
    pub librato: bool,
    /// `name[k=v,k2=v2]rest:1|c`.
    pub signalfx: bool,
    /// `name;k=v;k2=v2:1|c`.
    pub graphite: bool,
    /// Whether the container of a DogStatsD client becomes the label `container_id`. Off by
    /// default: every container makes series of its own.
    pub container_id: bool,
}

impl Default for Dialects {
    fn default() -> Dialects {
        Dialects {
            dogstatsd: true,
            influxdb: true,
            librato: true,
            signalfx: true,
            graphite: true,
            container_id: false,
        }
    }
}

/// Tags by escaped key, in the order they came, each key once.
pub type Tags<'a> = Vec<(String, Cow<'a, str>)>;

/// Splits what was sent into name and tags. `dogstatsd_tags` is the `#` section, empty when there
/// is none. Adds tags that cannot be used to `counts`.
///
/// # Errors
/// Tags are in both places, which statsd_exporter refuses too.
pub fn read<'a>(
    sent: &'a str,
    dogstatsd_tags: &'a str,
    container: &'a str,
    dialects: Dialects,
    counts: &mut Counts,
) -> Result<(Cow<'a, str>, Tags<'a>), Reason> {
    let (name, in_name) = split_name(sent, dialects, counts);
    let mut tags = Tags::new();
    if let Some((text, separator)) = in_name {
        add_tags(text, separator, '=', &mut tags, counts);
    }
    if dialects.dogstatsd && !dogstatsd_tags.is_empty() {
        if !tags.is_empty() {
            return Err(Reason::MixedTaggingStyles);
        }
        add_tags(dogstatsd_tags, ',', ':', &mut tags, counts);
    }
    if dialects.container_id && !container.is_empty() {
        set(&mut tags, "container_id", Cow::Borrowed(container));
    }
    Ok((name, tags))
}

/// The name without its tags; the text of the tags and what separates them.
fn split_name<'a>(
    sent: &'a str,
    dialects: Dialects,
    counts: &mut Counts,
) -> (Cow<'a, str>, Option<(&'a str, char)>) {
    if dialects.signalfx {
        match (sent.find('['), sent.find(']')) {
            (Some(open), Some(close)) if open < close => {
                let (front, rest) = (&sent[..open], &sent[close + 1..]);
                let name = match rest.is_empty() {
                    true => Cow::Borrowed(front),
                    false => Cow::Owned([front, rest].concat()),
                };
                return (name, Some((&sent[open + 1..close], ',')));
            }
            (None, None) => {}
            // A lone bracket: statsd_exporter takes the name as it is.
            _ => {
                counts.tag_errors += 1;
                return (Cow::Borrowed(sent), None);
            }
        }
    }
    let starts_tags = |c: char| match c {
        ',' => dialects.influxdb,
        '#' => dialects.librato,
        ';' => dialects.graphite,
        _ => false,
    };
    match sent.find(starts_tags) {
        Some(at) => {
            let separator = if sent[at..].starts_with(';') { ';' } else { ',' };
            (Cow::Borrowed(&sent[..at]), Some((&sent[at + 1..], separator)))
        }
        None => (Cow::Borrowed(sent), None),
    }
}

fn add_tags<'a>(
    text: &'a str,
    separator: char,
    equals: char,
    tags: &mut Tags<'a>,
    counts: &mut Counts,
) {
    for tag in text.split(separator).filter(|tag| !tag.is_empty()) {
        match tag.split_once(equals) {
            Some((key, value)) if is_usable(key, value) => {
                set(tags, key, Cow::Borrowed(value));
            }
            _ => counts.tag_errors += 1,
        }
    }
}

/// Neither part is empty and the key is none of Prometheus' own.
fn is_usable(key: &str, value: &str) -> bool {
    !key.is_empty() && !value.is_empty() && !key.starts_with("__")
}

/// Sets a tag; of a repeated key the last value stands.
pub fn set<'a>(tags: &mut Tags<'a>, key: &str, value: Cow<'a, str>) {
    let key = escape(key);
    match tags.iter_mut().find(|(known, _)| *known == key) {
        Some(known) => known.1 = value,
        None => tags.push((key, value)),
    }
}

/// `name` as a Prometheus name: every character outside `[A-Za-z0-9_]` becomes `_`, a run of `-` a
/// single one, and a leading digit gets a `_` before it (statsd_exporter's rules).
pub fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    let mut previous = None;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
        } else if !(c == '-' && previous == Some('-')) {
            out.push('_');
        }
        previous = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sent: &str, section: &str) -> String {
        let mut counts = Counts::default();
        match read(sent, section, "box", Dialects::default(), &mut counts) {
            Ok((name, tags)) => {
                let tags: Vec<String> = tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{name} {} errors={}", tags.join(","), counts.tag_errors)
            }
            Err(reason) => reason.as_str().to_owned(),
        }
    }

    #[test]
    fn every_dialect_gives_the_same_tags() {
        let wanted = "a.b k=v,k2=v:2=x errors=0";
        assert_eq!(shown("a.b,k=v,k2=v:2=x", ""), wanted);
        assert_eq!(shown("a.b#k=v,k2=v:2=x", ""), wanted);
        assert_eq!(shown("a[k=v,k2=v:2=x].b", ""), wanted);
        assert_eq!(shown("a.b;k=v;k2=v:2=x", ""), wanted);
        assert_eq!(shown("a.b", "k:v,k2:v:2=x"), wanted);
    }

    #[test]
    fn odd_forms_are_taken_as_statsd_exporter_takes_them() {
        assert_eq!(shown("a[k=v", ""), "a[k=v  errors=1");
        assert_eq!(shown("a]k=v[", ""), "a]k=v[  errors=1");
        assert_eq!(shown("a", "flag,k:,:v,__name__:x,dag-id:1,dag_id:2"), "a dag_id=2 errors=4");
        assert_eq!(shown("a,k=v", "k:v"), "mixed_tagging_styles");
        assert_eq!(shown("a,flag", "k:v"), "a k=v errors=1");
    }

    #[test]
    fn dialects_can_be_switched_off() {
        let none = Dialects {
            dogstatsd: false,
            influxdb: false,
            librato: false,
            signalfx: false,
            graphite: false,
            container_id: true,
        };
        let mut counts = Counts::default();
        for sent in ["a,k=v", "a#k=v", "a[k=v]", "a;k=v"] {
            let (name, tags) = read(sent, "k:v", "box", none, &mut counts).expect("no tags");
            assert_eq!(name, sent);
            assert_eq!(tags, [("container_id".to_owned(), Cow::Borrowed("box"))]);
        }
    }

    #[test]
    fn names_are_escaped_as_statsd_exporter_does() {
        let cases = [
            ("airflow.ti.start", "airflow_ti_start"),
            ("clean_1", "clean_1"),
            ("0starts.with", "_0starts_with"),
            ("a--b-c", "a_b_c"),
            ("a-.-b", "a___b"),
            ("a..b", "a__b"),
            ("\u{fc}ber", "_ber"),
        ];
        for (sent, stored) in cases {
            assert_eq!(escape(sent), stored);
        }
    }
}
