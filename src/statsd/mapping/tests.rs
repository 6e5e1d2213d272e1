use super::*;

fn mapper(text: &str) -> Result<Mapper, MappingError> {
    Mapper::parse(Path::new("m.yml"), text)
}

fn found(mapper: &Mapper, name: &str, kind: Kind) -> Option<String> {
    mapper.find(name, kind).map(|mapped| {
        let labels: Vec<String> = mapped.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{} {} {}", mapped.index, mapped.name, labels.join(","))
    })
}

#[test]
fn globs_come_before_regular_expressions_and_kinds_are_told_apart() {
    let mapper = mapper(
        "mappings:\n\
         - {match: 'a\\.(.*)', match_type: regex, name: 'r_$1', labels: {all: '$0', one: '${1}x'}}\n\
         - {match: 'a.*.g', match_metric_type: gauge, name: gauge, labels: {part: $1}}\n\
         - {match: 'a.*.*', name: 'g_$2', labels: {part: $1, code: 200}}\n",
    )
    .expect("valid");
    let find = |name, kind| found(&mapper, name, kind);
    assert_eq!(find("a.b.g", Kind::Gauge).as_deref(), Some("1 gauge part=b"));
    assert_eq!(find("a.b.g", Kind::Set).as_deref(), Some("1 gauge part=b"));
    assert_eq!(find("a.b.g", Kind::Counter).as_deref(), Some("2 g_g code=200,part=b"));
    assert_eq!(find("a.b", Kind::Counter).as_deref(), Some("0 r_b all=a.b,one=bx"));
    assert_eq!(find("x.a.b", Kind::Counter).as_deref(), Some("0 r_b all=a.b,one=bx"));
    assert_eq!(find("b", Kind::Counter), None);
}

#[test]
fn defaults_and_old_spellings_are_understood() {
    let mapper = mapper(
        "defaults:\n  timer_type: histogram\n  buckets: [1, 2]\n  ttl: 1m\n\
         mappings:\n\
         - {match: a, name: a, timer_type: summary, quantiles: [{quantile: 0.5, error: 0.1}]}\n\
         - {match: b, name: b, match_metric_type: timer, ttl: 1h30m, scale: 0.5, buckets: [5]}\n\
         - {match: c, name: c, action: drop, help: what c is, honor_labels: true}\n\
         - {match: d, name: d, histogram_options: {native_histogram_bucket_factor: 2}}\n",
    )
    .expect("valid");
    let rules = mapper.rules();
    let ObserverOptions::Summary(summary) = &rules[0].observer else { panic!("a summary") };
    assert_eq!(summary.targets(), [(0.5, 0.1)]);
    assert_eq!((rules[0].ttl_ms, rules[1].ttl_ms), (60_000, 5_400_000));
    assert_eq!((rules[1].only, rules[1].scale), (Some(Kind::Observer), 0.5));
    let ObserverOptions::Histogram(histogram) = &rules[1].observer else { panic!("a histogram") };
    assert_eq!(histogram.buckets(), [5.0]);
    assert_eq!((rules[2].action, rules[2].honor_labels), (Action::Drop, true));
    assert_eq!(rules[2].help, "what c is");
    let ObserverOptions::Histogram(native) = &rules[3].observer else { panic!("a histogram") };
    assert_eq!(native.native().map(|native| native.schema), Some(0));
    let ObserverOptions::Histogram(default) = &mapper.observer else { panic!("a histogram") };
    assert_eq!((default.buckets(), mapper.ttl_ms), ([1.0, 2.0].as_slice(), 60_000));
}

#[test]
fn text_stays_as_it_is_written() {
    let mapper = mapper(
        "mappings:\n- {match: n, name: y, labels: {code: 200, on: true, time: 1.50, none: ~}}\n",
    )
    .expect("valid");
    let expected = "0 y code=200,none=,on=true,time=1.50";
    assert_eq!(found(&mapper, "n", Kind::Counter).as_deref(), Some(expected));
}

#[test]
fn an_empty_file_maps_nothing() {
    for text in ["", "# nothing\n", "mappings:\n", "mappings: []\ndefaults:\n"] {
        assert!(mapper(text).expect(text).rules().is_empty());
    }
}

#[test]
fn mistakes_are_named() {
    for (text, hint) in [
        ("mappings:\n- match: a\n  nam: b\n", "m.yml:3:"),
        ("mappings:\n- match: a\n", "mapping 0: has no name"),
        ("mappings:\n- {match: 'foo_*', name: b}\n", "mapping 0: invalid match \"foo_*\""),
        ("mappings:\n- {match: '1a', name: b}\n", "invalid match"),
        ("mappings:\n- {match: 'a..b', name: b}\n", "invalid match"),
        ("mappings:\n- {name: b}\n", "invalid match"),
        ("mappings:\n- {match: a, name: 'b-c'}\n", "\"b-c\" is not a metric name"),
        ("mappings:\n- {match: a, name: '1b'}\n", "is not a metric name"),
        ("mappings:\n- {match: a, name: b, labels: {x: y}}\n", "invalid label key \"x\""),
        ("mappings:\n- {match: '(', match_type: regex, name: b}\n", "invalid regex ( in mapping 0"),
        ("mappings:\n- {match: a, name: b, ttl: soon}\n", "not a duration: \"soon\""),
        (
            "mappings:\n- {match: a, name: b, observer_type: histogram, summary_options: {}}\n",
            "histogram observer and summary options",
        ),
        (
            "mappings:\n- {match: a, name: b, observer_type: summary, buckets: [1]}\n",
            "summary observer and histogram options",
        ),
        (
            "mappings:\n- {match: a, name: b, observer_type: histogram, buckets: [2, 1]}\n",
            "do not ascend",
        ),
        ("defaults: {unknown: 1}\n", "m.yml:1:"),
        ("mappings: [\n", "m.yml:"),
    ] {
        let message = mapper(text).expect_err(text).to_string();
        assert!(message.starts_with("statsd mapping m.yml:"), "{message}");
        assert!(message.contains(hint), "{message} for {text}");
    }
}

#[test]
fn a_thousand_rules_of_each_kind_find_their_names() {
    let mut text = "mappings:\n".to_owned();
    for i in 0..1000 {
        text += &format!("- {{match: 'a.*.g{i}.*', name: glob_{i}, labels: {{one: $1}}}}\n");
        text += &format!("- {{match: 'r{i}x(.*)', match_type: regex, name: regex_{i}}}\n");
    }
    let mapper = mapper(&text).expect("valid");
    for i in [0, 1, 500, 999] {
        let name = format!("a.b.g{i}.c");
        assert_eq!(mapper.find(&name, Kind::Counter).expect("found").name, format!("glob_{i}"));
        let name = format!("r{i}x.y");
        assert_eq!(mapper.find(&name, Kind::Counter).expect("found").name, format!("regex_{i}"));
    }
    assert!(mapper.find("a.b.c.d", Kind::Counter).is_none());
}

proptest::proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "(mappings:\n)?[a-z0-9:{}\\[\\],'*$.\n -]{0,80}") {
        if let Ok(mapper) = mapper(&text) {
            mapper.find("a.b", Kind::Counter);
        }
    }
}
