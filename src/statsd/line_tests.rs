use proptest::prelude::*;

use super::*;

fn items(line: &str) -> Vec<Result<Item<'_>, Reason>> {
    let mut out = Vec::new();
    parse_line(line.as_bytes(), |item| out.push(item));
    out
}

fn parse(line: &str) -> Vec<Result<Event<'_>, Reason>> {
    let sample = |item| match item {
        Item::Sample(event) => event,
        other => panic!("a sample, not {other:?}"),
    };
    items(line).into_iter().map(|item| item.map(sample)).collect()
}

fn values(line: &str) -> Vec<Result<Value<'_>, Reason>> {
    parse(line).into_iter().map(|event| event.map(|e| e.value)).collect()
}

fn observed(value: f64, weight: u64) -> Result<Value<'static>, Reason> {
    Ok(Value::Observe { value, weight, timer: false })
}

fn timed(value: f64, weight: u64) -> Result<Value<'static>, Reason> {
    Ok(Value::Observe { value, weight, timer: true })
}

#[test]
#[allow(clippy::excessive_precision)] // written as Airflow sends it
fn plain_types() {
    let event = parse("a.b:2|c")[0].expect("valid");
    assert_eq!((event.name, event.tags, event.value), ("a.b", "", Value::Count(2.0)));
    assert_eq!((event.container, event.timestamp, event.dogstatsd), ("", None, false));
    assert_eq!(values("a:3.5|g"), [Ok(Value::GaugeSet(3.5))]);
    assert_eq!(values("a:-3|g"), [Ok(Value::GaugeAdd(-3.0))]);
    assert_eq!(values("a:+3|g"), [Ok(Value::GaugeAdd(3.0))]);
    assert_eq!(values("a:2458.8160000000003|ms"), [timed(2458.8160000000003, 1)]);
    assert_eq!(values("a:1.5|h"), [observed(1.5, 1)]);
    assert_eq!(values("a:1e3|d"), [observed(1000.0, 1)]);
    assert_eq!(values("a:user 7|s"), [Ok(Value::Member("user 7"))]);
}

#[test]
fn sampling_scales_counters_weighs_observations_and_leaves_gauges() {
    assert_eq!(values("a:3|c|@0.1"), [Ok(Value::Count(3.0 / 0.1))]);
    assert_eq!(values("a:9|g|@0.1"), [Ok(Value::GaugeSet(9.0))]);
    assert_eq!(values("a:100|ms|@0.1"), [timed(100.0, 10)]);
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
        [Ok(Value::Count(1.0)), Ok(Value::Count(2.0)), timed(3.0, 1)]
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
        assert_eq!(event.value, Value::Observe { value, weight: 2, timer: false });
        assert_eq!(event.tags, "k:v");
    }
    assert_eq!(values("a:1:2|s"), [Err(Reason::InvalidExtendedAggregateType)]);
}

#[test]
fn dogstatsd_sections_are_read_or_skipped() {
    let event = parse("a.b:1|c|#env:t|c:ci-abc")[0].expect("valid");
    assert_eq!((event.tags, event.value), ("env:t", Value::Count(1.0)));
    let event = parse("gt:-5|g|#env:t|c:ci-abc|T1656581400")[0].expect("valid");
    assert_eq!((event.container, event.timestamp), ("ci-abc", Some(1_656_581_400)));
    assert_eq!((event.value, event.dogstatsd), (Value::GaugeAdd(-5.0), true));
    let untimed = parse("h:1|h|T1656581400")[0].expect("valid");
    assert_eq!(untimed.timestamp, None, "only counters and gauges have one");
    assert_eq!(values("card:1|c|#env:t|c:x|card:low"), [Ok(Value::Count(1.0))]);
    assert_eq!(values("e:1|c|e:it-false"), [Ok(Value::Count(1.0))]);
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
        ("a:1|c|c:", Reason::MalformedContainerId),
        ("a:1|c|Tsoon", Reason::MalformedTimestamp),
        ("_e{8,11}:Title|text|k:k", Reason::IllegalEvent),
        ("_sc|svc|9|#a:b|m:bad", Reason::IllegalEvent),
    ];
    for (line, reason) in cases {
        assert_eq!(values(line), [Err(reason)], "{line}");
    }
    let mut refused = Vec::new();
    parse_line(b"a\xff:1|c", |event| refused.push(event));
    assert_eq!(refused, [Err(Reason::MalformedLine)]);
}

#[test]
fn events_and_service_checks_are_told_apart_from_samples() {
    let event = items("_e{1,1}:a|b|t:error");
    assert!(matches!(&event[..], [Ok(Item::Notice(notice))] if notice.alert_type == "error"));
    let check = items("_sc|svc|2|m:bad");
    assert!(matches!(&check[..], [Ok(Item::Check(check))] if check.status == 2));
    assert_eq!(values("_e.x:1|c"), [Ok(Value::Count(1.0))]);
}

#[test]
fn lines_of_real_clients_parse() {
    let text = include_str!("../../tests/fixtures/statsd/clients.txt");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("//")).collect();
    assert!(lines.len() > 20);
    for line in lines {
        assert!(items(line).iter().all(Result::is_ok), "{line}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer_and_names_are_never_empty(line in proptest::collection::vec(any::<u8>(), 1..80)) {
        let mut answers = 0;
        parse_line(&line, |item| {
            answers += 1;
            if let Ok(Item::Sample(event)) = item {
                assert!(!event.name.is_empty());
            }
        });
        prop_assert!(answers > 0);
    }

    #[test]
    fn nearly_valid_lines_never_panic(line in "[a:|@#.,c0-9mshgd+T_e{}-]{1,40}") {
        let mut answers = 0;
        parse_line(line.as_bytes(), |_| answers += 1);
        prop_assert!(answers > 0);
    }
}
