//! The cases that tell Prometheus' semantics from others.

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
}

fn step(action: Action, sources: &[&str], regex: &str) -> Step {
    Step {
        source_labels: sources.iter().map(|name| (*name).to_owned()).collect(),
        regex: Anchored::new(regex).expect("a pattern"),
        action,
        ..Step::default()
    }
}

fn to(target: &str, replacement: &str, step: Step) -> Step {
    Step { target_label: target.to_owned(), replacement: replacement.to_owned(), ..step }
}

fn relabelled(steps: &[Step], pairs: &[(&str, &str)]) -> Option<String> {
    apply(steps, labels(pairs)).expect("within limits").map(|labels| labels.to_string())
}

const FOO: &[(&str, &str)] = &[("a", "foo"), ("b", "bar"), ("c", "baz")];

#[test]
fn replace_sets_the_target_when_all_matches() {
    for (target, replacement, sources, regex, expected) in [
        (
            "d",
            "ch${1}-ch${1}",
            &["a"][..],
            "f(.*)",
            r#"{a="foo", b="bar", c="baz", d="choo-choo"}"#,
        ),
        ("a", "${2}${1}-$$", &["a", "b"], "(.*);(.*)", r#"{a="barfoo-$", b="bar", c="baz"}"#),
        // Not from end to end.
        ("d", "x", &["a"], "o", r#"{a="foo", b="bar", c="baz"}"#),
        // An empty result removes.
        ("a", "", &["b"], "bar", r#"{b="bar", c="baz"}"#),
        // A group there is not is empty.
        ("a", "$9", &["b"], "(.*)", r#"{b="bar", c="baz"}"#),
        // The name is expanded, too; names are as long as they can be.
        ("${1}_x", "$1y$1", &["a"], "f(o)o", r#"{a="foo", b="bar", c="baz", o_x="o"}"#),
        // An empty name is no label.
        ("${1}", "x", &["nothing"], "(.*)", r#"{a="foo", b="bar", c="baz"}"#),
        // A constant.
        ("d", "x", &[], "(.*)", r#"{a="foo", b="bar", c="baz", d="x"}"#),
    ] {
        let step = to(target, replacement, step(Action::Replace, sources, regex));
        assert_eq!(relabelled(&[step], FOO).as_deref(), Some(expected), "{target} {replacement}");
    }
}

#[test]
fn the_separator_joins_and_a_missing_label_is_empty() {
    let mut joined = to("d", "$1", step(Action::Replace, &["a", "x", "c"], "(.*)"));
    joined.separator = "||".to_owned();
    let shown = relabelled(&[joined], FOO).expect("kept");
    assert!(shown.ends_with(r#"d="foo||||baz"}"#), "{shown}");
}

#[test]
fn keep_and_drop_decide_and_end_the_steps() {
    let set = to("d", "x", step(Action::Replace, &[], "(.*)"));
    for (action, regex, is_kept) in [
        (Action::Keep, "foo", true),
        (Action::Keep, "fo", false),
        (Action::Drop, "foo|x", false),
        (Action::Drop, "fo", true),
        (Action::Keep, "f.*\n?", true),
    ] {
        let steps = [step(action, &["a"], regex), set.clone()];
        assert_eq!(relabelled(&steps, FOO).is_some(), is_kept, "{action:?} {regex}");
    }
    let equal = |action| to("b", "", step(action, &["a"], "(.*)"));
    let same: &[(&str, &str)] = &[("a", "1"), ("b", "1")];
    assert!(relabelled(&[equal(Action::KeepEqual)], same).is_some());
    assert!(relabelled(&[equal(Action::KeepEqual)], FOO).is_none());
    assert!(relabelled(&[equal(Action::DropEqual)], same).is_none());
    assert!(relabelled(&[equal(Action::DropEqual)], FOO).is_some());
}

#[test]
fn names_are_mapped_kept_and_dropped() {
    let meta: &[(&str, &str)] = &[("__meta_x", "1"), ("__meta_y", "2"), ("a", "3")];
    let map = to("", "k_$1", step(Action::LabelMap, &[], "__meta_(.*)"));
    let drop = step(Action::LabelDrop, &[], "__meta_.*");
    let keep = step(Action::LabelKeep, &[], "a");
    assert_eq!(
        relabelled(&[map, drop.clone()], meta).as_deref(),
        Some(r#"{a="3", k_x="1", k_y="2"}"#)
    );
    assert_eq!(relabelled(&[drop], meta).as_deref(), Some(r#"{a="3"}"#));
    assert_eq!(relabelled(&[keep], meta).as_deref(), Some(r#"{a="3"}"#));
}

#[test]
fn hashes_and_cases_are_those_of_prometheus() {
    let hash = Step { modulus: 1000, ..to("d", "", step(Action::HashMod, &["c"], "(.*)")) };
    let shown = relabelled(&[hash], FOO).expect("kept");
    assert!(shown.ends_with(r#"d="976"}"#), "{shown}");
    let upper = to("a", "", step(Action::Uppercase, &["a", "b"], "(.*)"));
    let lower = to("b", "", step(Action::Lowercase, &["a"], "(.*)"));
    assert_eq!(
        relabelled(&[upper, lower], &[("a", "Foo"), ("b", "bAr")]).as_deref(),
        Some(r#"{a="FOO;BAR", b="foo;bar"}"#)
    );
}
