use super::*;
use crate::rules::spec::RuleKind;
use crate::rules::templates::{NoTemplates, Template};

fn options(features: &Features) -> ReadOptions<'_> {
    ReadOptions { features, templates: &NoTemplates, ignore_unknown_fields: false }
}

fn read_text(text: &str) -> Result<Vec<GroupSpec>, Vec<String>> {
    let read = parse(&"r.yml".into(), text, options(&Features::default()));
    read.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn errors(text: &str) -> Vec<String> {
    read_text(text).map(|groups| groups.len()).expect_err("a mistake")
}

#[test]
fn a_file_in_full_is_read() {
    let text = "groups:\n\
        - name: g\n  interval: 30s\n  query_offset: 0s\n  limit: 7\n  labels: {team: a, tier: 1}\n  \
        rules:\n  \
        - record: a:b\n    expr: 1\n    labels: {tier: two}\n  \
        - alert: A\n    expr: |\n      up ==\n        0\n    for: 1h30m\n    keep_firing_for: 5m\n    \
        labels: {empty: ''}\n    annotations: {summary: \"it's {{ $value }}\"}\n";
    let groups = read_text(text).expect("right");
    let [group] = &groups[..] else { panic!("one group") };
    assert_eq!((&*group.name, group.key().as_str()), ("g", "r.yml;g"));
    assert_eq!((group.interval_ms, group.query_offset_ms), (Some(30_000), Some(0)));
    assert_eq!((group.limit, group.rules.len()), (7, 2));
    let [record, alert] = &group.rules[..] else { panic!("two rules") };
    assert_eq!((&*record.query, record.line), ("1", 8));
    let labels = |rule: &crate::rules::RuleSpec| {
        let pairs = rule.labels.iter().map(|(n, t)| format!("{n}={}", t.source()));
        pairs.collect::<Vec<_>>().join(",")
    };
    assert_eq!(labels(record), "team=a,tier=two");
    assert_eq!(labels(alert), "empty=,team=a,tier=1");
    assert_eq!((&*alert.query, &*alert.source), ("up == 0", "up ==\n  0\n"));
    let RuleKind::Alerting { hold_ms, keep_firing_ms, annotations } = &alert.kind else {
        panic!("an alert")
    };
    assert_eq!((*hold_ms, *keep_firing_ms), (5_400_000, 300_000));
    assert_eq!(annotations[0].1.source(), "it's {{ $value }}");
}

#[test]
fn nothing_is_a_file_too() {
    for text in ["", "\n# only this\n", "groups:\n", "groups: []\n", "---\n"] {
        assert_eq!(read_text(text).expect("right").len(), 0, "{text:?}");
    }
    let two = "groups: [{name: a}]\n---\ngroups: [{name: b}, {nonsense\n";
    assert_eq!(&*read_text(two).expect("right")[0].name, "a");
}

#[test]
fn all_mistakes_are_told_with_their_places() {
    let text = "groups:\n\
        - name: g\n  rules:\n  \
        - record: a{b}\n    expr: sum(\n    for: 5m\n    annotations: {a: b}\n  \
        - alert: A\n    record: b\n    expr: up\n    severity: page\n  \
        - alert: B\n    labels: {__name__: x}\n  \
        - expr: up\n\
        - name: g\n  interval: 5x\n\
        - rules: []\nnonsense: 1\n";
    let errors = errors(text);
    let expected = [
        "r.yml: 18:1: field nonsense not found in the file",
        "r.yml: 5:11: group \"g\", rule 1, \"a{b}\": could not parse expression: 1:5: parse error: ",
        "r.yml: 4:13: group \"g\", rule 1, \"a{b}\": invalid field 'annotations' in recording rule",
        "r.yml: 4:13: group \"g\", rule 1, \"a{b}\": invalid field 'for' in recording rule",
        "r.yml: 4:13: group \"g\", rule 1, \"a{b}\": braces present in the recording rule name",
        "r.yml: 11:5: field severity not found in a rule",
        "r.yml: 8:12: group \"g\", rule 2, \"A\": only one of 'record' and 'alert' must be set",
        "r.yml: 12:5: group \"g\", rule 3, \"B\": field 'expr' must be set in rule",
        "r.yml: 13:14: group \"g\", rule 3, \"B\": invalid label name: __name__",
        "r.yml: 14:5: group \"g\", rule 4, \"\": one of 'record' or 'alert' must be set",
        "r.yml: 15:3: groupname: \"g\" is repeated in the same file",
        "r.yml: 16:13: unknown unit \"x\" in duration \"5x\"",
        "r.yml: 17:3: Groupname must not be empty",
    ];
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
}

#[test]
fn structure_is_checked_and_keys_may_be_passed_over() {
    assert!(errors("groups: {a: b}\n")[0].starts_with("r.yml: 1:9: "));
    assert!(errors("- a\n")[0].starts_with("r.yml: 1:"));
    let features = Features::default();
    let lenient = ReadOptions { ignore_unknown_fields: true, ..options(&features) };
    let text = "groups: [{name: g, partial_response_strategy: warn}]\n";
    assert!(parse(&"r".into(), text, lenient).is_ok());
    assert_eq!(
        errors(text),
        ["r.yml: 1:20: field partial_response_strategy not found in a rule group: \
          it is Thanos' and may be removed"]
    );
}

#[test]
fn anchors_and_numbers_as_texts_are_read() {
    let text = "groups:\n\
        - name: g\n  rules:\n  \
        - {alert: 5, expr: 1.50, labels: &l {a: 1, b: true, c: null}}\n  \
        - {alert: B, expr: 0x10, labels: *l}\n";
    let groups = read_text(text).expect("right");
    let rules = &groups[0].rules;
    assert_eq!((&*rules[0].name, &*rules[0].source, &*rules[0].query), ("5", "1.50", "1.5"));
    assert_eq!(&*rules[1].query, "16");
    assert_eq!(rules[0].labels, rules[1].labels);
    let sources: Vec<&str> = rules[1].labels.iter().map(|(_, text)| text.source()).collect();
    assert_eq!(sources, ["1", "true", ""]);
}

#[test]
fn templates_are_compiled_only_where_they_count() {
    struct Refusing;
    impl Templates for Refusing {
        fn compile(&self, name: &str, _: &str) -> Result<Box<dyn Template>, String> {
            Err(format!("template {name} is refused"))
        }
    }
    let features = Features::default();
    let options = ReadOptions { templates: &Refusing, ..options(&features) };
    let text = "groups:\n\
        - name: g\n  labels: {g: '{{ a }}'}\n  rules:\n  \
        - {record: r, expr: up, labels: {a: '{{'}}\n  \
        - {alert: A, expr: up, labels: {a: '{{', b: x}, annotations: {c: '{{', d: '{'}}\n";
    let errors = parse(&"r".into(), text, options).map(|_| ()).expect_err("refused");
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "r: 6:38: group \"g\", rule 2, \"A\": label \"a\": template __alert_A is refused",
            "r: 6:68: group \"g\", rule 2, \"A\": annotation \"c\": template __alert_A is refused",
        ]
    );
}

#[test]
fn duplicates_have_one_name_and_the_same_labels() {
    let text = "groups:\n\
        - name: g\n  rules:\n  - {record: a, expr: 1}\n  - {alert: a, expr: 2, labels: {x: y}}\n\
        - name: h\n  rules:\n  - {record: a, expr: 3}\n  - {record: b, expr: 3}\n";
    let groups = read_text(text).expect("right");
    let found = lint::duplicates(&groups);
    assert_eq!(found, [lint::Duplicate { name: "a".to_owned(), labels: Vec::new() }]);
}

#[test]
fn places_in_the_file_do_not_count_when_groups_are_compared() {
    let group = |text: &str| read_text(text).expect("right").remove(0);
    let one = group("groups:\n- {name: g, rules: [{alert: A, expr: up==0}]}\n");
    let moved = group("\n\ngroups:\n- name: g\n  rules:\n  - alert: A\n    expr: up == 0\n");
    let other = group("groups:\n- {name: g, rules: [{alert: A, expr: up == 0, for: 1m}]}\n");
    assert!(one == moved && one != other);
}
