use proptest::prelude::*;

use super::*;

fn parse(line: &str) -> Vec<Result<Event<'_>, Reason>> {
    let mut out = Vec::new();
    parse_line(line.as_bytes(), |event| out.push(event));
    out
}

fn values(line: &str) -> Vec<Result<Value<'_>, Reason>> {
    parse(line).into_iter().map(|event| event.map(|e| e.value)).collect()
}

fn observed(value: f64, weight: u64) -> Result<Value<'static>, Reason> {
    Ok(Value::Observe { value, weight })
}

#[test]
#[allow(clippy::excessive_precision)] // written as Airflow sends it
fn plain_types() {
    assert_eq!(parse("a.b:2|c"), [Ok(Event { name: "a.b", tags: "", value: Value::Count(2.0) })]);
    assert_eq!(values("a:3.5|g"), [Ok(Value::GaugeSet(3.5))]);
    assert_eq!(values("a:-3|g"), [Ok(Value::GaugeAdd(-3.0))]);
    assert_eq!(values("a:+3|g"), [Ok(Value::GaugeAdd(3.0))]);
    assert_eq!(values("a:2458.8160000000003|ms"), [observed(2.4588160000000003, 1)]);
    assert_eq!(values("a:1.5|h"), [observed(1.5, 1)]);
    assert_eq!(values("a:1e3|d"), [observed(1000.0, 1)]);
    assert_eq!(values("a:user 7|s"), [Ok(Value::Member("user 7"))]);
}

#[test]
fn sampling_scales_counters_weighs_observations_and_leaves_gauges() {
    assert_eq!(values("a:3|c|@0.1"), [Ok(Value::Count(3.0 / 0.1))]);
    assert_eq!(values("a:9|g|@0.1"), [Ok(Value::GaugeSet(9.0))]);
    assert_eq!(values("a:100|ms|@0.1"), [observed(0.1, 10)]);
    assert_eq!(values("a:1|h|@0.3"), [observed(1.0, 3)]);
    assert_eq!(values("a:1|c|@0"), [Ok(Value::Count(1.0))]);
    for rate in ["x", "-1", "2", "1e-9", "nan", ""] {
        let line = format!("a:1|c|@{rate}");
        assert_eq!(values(&line), [Err(Reason::InvalidSampleFactor)], "{line}");
    }
}

#[test]
fn several_samples_after_one_name() {
    assert_eq!(
        values("a:1|c:2|c:3|ms"),
        [Ok(Value::Count(1.0)), Ok(Value::Count(2.0)), observed(0.003, 1)]
    );
    assert_eq!(values("a:1|c|@0.5:7|g"), [Ok(Value::Count(2.0)), Ok(Value::GaugeSet(7.0))]);
    assert_eq!(values("a:x|c:2|c"), [Err(Reason::MalformedValue), Ok(Value::Count(2.0))]);
    assert_eq!(values("a:1|c:2"), [Ok(Value::Count(1.0)), Err(Reason::MalformedComponent)]);
}

#[test]
fn packed_values_share_type_rate_and_tags() {
    let packed = parse("a:1:2|h|@0.5|#k:v");
    assert_eq!(packed.len(), 2);
    for (event, value) in packed.iter().zip([1.0, 2.0]) {
        let event = event.expect("valid");
        assert_eq!(event.value, Value::Observe { value, weight: 2 });
        assert_eq!(event.tags, "k:v");
    }
    assert_eq!(values("a:1:2|s"), [Err(Reason::InvalidExtendedAggregateType)]);
}

#[test]
fn dogstatsd_sections_are_tags_or_skipped_and_make_gauges_absolute() {
    let event = parse("a.b:1|c|#env:t|c:ci-abc")[0].expect("valid");
    assert_eq!((event.tags, event.value), ("env:t", Value::Count(1.0)));
    assert_eq!(values("gt:-5|g|#env:t|c:ci-abc|T1656581400"), [Ok(Value::GaugeSet(-5.0))]);
    assert_eq!(values("card:1|c|#env:t|c:x|card:low"), [Ok(Value::Count(1.0))]);
    assert_eq!(values("e:1|c|e:it-false"), [Ok(Value::Count(1.0))]);
    let kept: Vec<_> = tags("x:y,flag,url:http://h,:v,k:,__name__:z").collect();
    let bad = Err(());
    assert_eq!(kept, [Ok(("x", "y")), bad, Ok(("url", "http://h")), bad, bad, bad]);
}

#[test]
fn refusals_have_the_exporters_reasons() {
    let cases = [
        ("nothing", Reason::MalformedLine),
        (":1|c", Reason::MalformedLine),
        ("a:", Reason::NotEnoughPartsAfterColon),
        ("a:1", Reason::NotEnoughPartsAfterColon),
        ("a:|c", Reason::MalformedValue),
        ("a:x|c", Reason::MalformedValue),
        ("a:nan|g", Reason::MalformedValue),
        ("a:inf|ms", Reason::MalformedValue),
        ("a:1|c|", Reason::MalformedComponent),
        ("a:1|", Reason::IllegalEvent),
        ("a:1|q", Reason::IllegalEvent),
        ("a:-1|c", Reason::IllegalNegativeCounter),
        ("_e{8,11}:Title|text|k:k", Reason::IllegalEvent),
        ("_sc|svc|2|#a:b|m:bad", Reason::IllegalEvent),
    ];
    for (line, reason) in cases {
        assert_eq!(values(line), [Err(reason)], "{line}");
    }
    let mut refused = Vec::new();
    parse_line(b"a\xff:1|c", |event| refused.push(event));
    assert_eq!(refused, [Err(Reason::MalformedLine)]);
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

proptest! {
    #[test]
    fn any_bytes_give_an_answer_and_names_are_never_empty(line in proptest::collection::vec(any::<u8>(), 1..80)) {
        let mut answers = 0;
        parse_line(&line, |event| {
            answers += 1;
            if let Ok(event) = event {
                assert!(!event.name.is_empty());
                assert!(!escape(event.name).is_empty());
            }
        });
        prop_assert!(answers > 0);
    }

    #[test]
    fn nearly_valid_lines_never_panic(line in "[a:|@#.,c0-9mshgd+-]{1,40}") {
        let mut answers = 0;
        parse_line(line.as_bytes(), |_| answers += 1);
        prop_assert!(answers > 0);
    }
}
