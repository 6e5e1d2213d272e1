//! Requests: what is understood and what is refused.

use prost::Message;

use crate::model::Timestamp;
use crate::remote_read::query::{QueryError, ResponseType, parse};
use crate::remote_write::wire::WireError;

use super::proto::{LabelMatcher, Query, ReadHints, ReadRequest};

fn matcher(number: i32, name: &str, value: &str) -> LabelMatcher {
    LabelMatcher { r#type: number, name: name.into(), value: value.into() }
}

fn request(matchers: Vec<LabelMatcher>, accepted: Vec<i32>) -> Vec<u8> {
    let hints = Some(ReadHints { step_ms: 1000, func: "rate".into() });
    let query = Query { start_timestamp_ms: -5, end_timestamp_ms: 1 << 41, matchers, hints };
    ReadRequest { queries: vec![query], accepted_response_types: accepted }.encode_to_vec()
}

#[test]
fn queries_are_read() {
    let matchers = (0..4).map(|number| matcher(number, "job", "a.b")).collect();
    let request = parse(&request(matchers, Vec::new())).expect("valid");
    let query = &request.queries[0];
    assert_eq!((query.start, query.end), (Timestamp(-5), Timestamp(1 << 41)));
    let shown: Vec<String> = query.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(shown, [r#"job="a.b""#, r#"job!="a.b""#, r#"job=~"a.b""#, r#"job!~"a.b""#]);
}

#[test]
fn the_first_known_response_type_is_chosen() {
    let chosen = |accepted| parse(&request(Vec::new(), accepted)).map(|r| r.response_type);
    assert_eq!(chosen(vec![]).ok(), Some(ResponseType::Samples));
    assert_eq!(chosen(vec![0, 1]).ok(), Some(ResponseType::Samples));
    assert_eq!(chosen(vec![1, 0]).ok(), Some(ResponseType::StreamedXorChunks));
    assert_eq!(chosen(vec![7, 1]).ok(), Some(ResponseType::StreamedXorChunks));
    assert!(matches!(chosen(vec![7]), Err(QueryError::ResponseType)));
}

#[test]
fn what_cannot_be_matched_is_refused() {
    let refused = |m| parse(&request(vec![m], Vec::new())).expect_err("refused");
    assert!(matches!(refused(matcher(4, "a", "b")), QueryError::MatcherType(4)));
    assert!(matches!(refused(matcher(2, "a", "(")), QueryError::Pattern(..)));
    let many = parse(&request(vec![matcher(0, "a", "b"); 65], Vec::new())).expect_err("refused");
    assert!(matches!(many, QueryError::Wire(WireError::TooMany(..))));
    let queries = ReadRequest { queries: vec![Query::default(); 65], ..Default::default() };
    let many = parse(&queries.encode_to_vec()).expect_err("refused");
    assert!(matches!(many, QueryError::Wire(WireError::TooMany(..))));
}

#[test]
fn damaged_requests_are_survived() {
    let whole = request(vec![matcher(2, "job", "a|b")], vec![1, 0]);
    let mut changed = whole.clone();
    for at in 0..whole.len() {
        let _ = parse(&whole[..at]);
        for byte in [0, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
            changed[at] = byte;
            let _ = parse(&changed);
        }
        changed[at] = whole[at];
    }
}
