//! Environment variables in external labels.

/// Replaces `${NAME}` and `$NAME` by the variable's value (empty when it is not set) and `$$` by one
/// dollar sign, as Prometheus does in `external_labels`.
pub(super) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, tail) = variable(after);
        match name {
            "$" => out.push('$'),
            name => out.push_str(&lookup(name).unwrap_or_default()),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The variable's name behind a dollar sign, and what follows it.
fn variable(after: &str) -> (&str, &str) {
    if let Some(tail) = after.strip_prefix('$') {
        return ("$", tail);
    }
    if let Some((name, tail)) = after.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return (name, tail);
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_prometheus_does() {
        let lookup = |name: &str| (name == "ZONE").then(|| "eu-1".to_owned());
        for (text, expected) in [
            ("plain", "plain"),
            ("${ZONE}", "eu-1"),
            ("a-$ZONE.b", "a-eu-1.b"),
            ("$$ZONE", "$ZONE"),
            ("x${NOT_SET}y", "xy"),
        ] {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }
}
