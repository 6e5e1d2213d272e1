//! Label sets with some labels replaced, straight in packed form: alerts come by the hundred
//! thousand.

use crate::model::Labels;
use crate::model::labels::push_label;

/// Appends to `out` the packed form of `base` with `overrides` put over it, which are ascending by
/// name. An empty value removes the label; `drop` is left out of `base`. What comes out may pass the
/// limits of a label set.
pub(super) fn merge(out: &mut Vec<u8>, base: &Labels, drop: &str, overrides: &[(&str, &str)]) {
    let mut base = base.packed_labels().filter(|(name, _)| *name != drop.as_bytes()).peekable();
    for (name, value) in overrides {
        while let Some((_, label)) = base.next_if(|(other, _)| *other < name.as_bytes()) {
            out.extend_from_slice(label);
        }
        base.next_if(|(other, _)| *other == name.as_bytes());
        if !value.is_empty() {
            push_label(out, name, value);
        }
    }
    base.for_each(|(_, label)| out.extend_from_slice(label));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_replace_remove_and_add_in_order() {
        let base = Labels::from_pairs([("__name__", "m"), ("a", "1"), ("c", "3"), ("d", "4")]);
        let mut out = Vec::new();
        let overrides = [("b", "2"), ("c", ""), ("d", "x"), ("e", "5"), ("f", "")];
        merge(&mut out, &base.expect("valid"), "__name__", &overrides);
        let merged = Labels::from_packed(&out).expect("canonical");
        assert_eq!(merged.to_string(), r#"{a="1", b="2", d="x", e="5"}"#);
    }
}
