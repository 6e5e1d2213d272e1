use super::test_server::{srv, start, wire_name};
use super::*;

fn record(target: &str, port: u16) -> Record {
    Record::Srv { target: target.to_owned(), port }
}

#[test]
fn services_and_mail_servers_are_looked_up() {
    let server = start(
        |name, kind| match (name, kind) {
            ("_am._tcp.example.", 33) => Some((
                0,
                vec![
                    ("", 5, wire_name("alias.example")),
                    ("alias.example", 33, srv("am1.example", 9093)),
                    ("alias.example", 33, srv(".", 0)),
                    ("alias.example", 1, vec![127, 0, 0, 1]),
                ],
            )),
            ("example.", 15) => Some((0, vec![("", 15, [vec![0, 10], vec![0xc0, 12]].concat())])),
            ("example.", 2) => Some((0, vec![("", 2, wire_name("ns.example"))])),
            ("example.", 1) => Some((0, vec![("", 1, vec![10, 0, 0, 1])])),
            ("example.", 28) => Some((0, vec![("", 28, vec![0x20; 16])])),
            ("broken.", _) => Some((0, vec![("", 33, vec![0; 3])])),
            ("fails.", _) => Some((2, vec![])),
            _ => Some((3, vec![])),
        },
        4096,
    );
    let resolver = Resolver::of(vec![server]);
    let found = |name: &str, kind| resolver.look_up(name, kind);
    let services = Ok(vec![record("am1.example.", 9093), record(".", 0)]);
    assert_eq!(found("_am._tcp.example", RecordKind::Srv), services);
    assert_eq!(found("example", RecordKind::Mx), Ok(vec![Record::Name("example.".into())]));
    assert_eq!(found("example", RecordKind::Ns), Ok(vec![Record::Name("ns.example.".into())]));
    let address = |text: &str| Ok(vec![Record::Address(text.parse().expect("valid"))]);
    assert_eq!(found("example", RecordKind::A), address("10.0.0.1"));
    assert_eq!(
        found("example.", RecordKind::Aaaa),
        address("2020:2020:2020:2020:2020:2020:2020:2020")
    );
    assert_eq!(found("none", RecordKind::Srv), Ok(vec![]));
    let failed = found("fails", RecordKind::Srv).expect_err("no answer");
    assert!(failed.contains("fails.: name server 127") && failed.contains("SERVFAIL"), "{failed}");
    assert!(found("broken", RecordKind::Srv).expect_err("no answer").contains("malformed"));
    assert!(found("a..b", RecordKind::Srv).expect_err("no name").contains("empty"));
    assert!(found(&"a.".repeat(128), RecordKind::Srv).expect_err("no name").contains("255"));
}

#[test]
fn long_answers_come_over_tcp() {
    let many = |_: &str, _| Some((0, (0..100).map(|port| ("", 33, srv("am", port))).collect()));
    let resolver = Resolver::of(vec![start(many, 512)]);
    let found = resolver.look_up("x", RecordKind::Srv).expect("an answer");
    assert_eq!(found, (0..100).map(|port| record("am.", port)).collect::<Vec<_>>());
}

#[test]
fn another_server_and_another_name_are_tried() {
    let refuses = start(|_, _| Some((5, vec![])), 4096);
    let knows = start(
        |name, _| match name {
            "am.b.example." => Some((0, vec![("", 33, srv("x", 1))])),
            "half." => Some((2, vec![])),
            _ => Some((3, vec![])),
        },
        4096,
    );
    let mut resolver = Resolver::parse("search a.example b.example");
    resolver.servers = vec![refuses, knows];
    assert_eq!(resolver.look_up("am", RecordKind::Srv), Ok(vec![record("x.", 1)]));
    assert_eq!(resolver.look_up("none", RecordKind::Srv), Ok(vec![]));
    assert!(resolver.look_up("half", RecordKind::Srv).is_err(), "one of its names may exist");
    assert!(Resolver::of(vec![]).look_up("am", RecordKind::Srv).is_err());
}

/// Answers as somebody might send who means no good.
#[test]
fn what_is_wrong_is_refused() {
    let query = Query::new(7, "x.", RecordKind::Srv).expect("a name");
    let head = |answers: u8| {
        let mut head = query.bytes()[..query.bytes().len() - 11].to_vec();
        head[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0]);
        head
    };
    let with = |owner: &[u8], data: &[u8]| {
        let length = (data.len() as u16).to_be_bytes();
        [&head(1), owner, &[0, 33, 0, 1, 0, 0, 0, 0], &length, data].concat()
    };
    let good = with(&[0xc0, 12], &srv("\u{7f}a.b", 9));
    let records = vec![record("\\127a.b.", 9)];
    assert_eq!(query.read(&good), Ok(Answer::Records(records)));
    let malformed = Err(Refusal::Malformed);
    for length in 0..good.len() {
        assert_eq!(query.read(&good[..length]), malformed, "{length} bytes");
    }
    let start = head(1).len() as u8;
    for owner in [
        &[0xc0, start][..],              // itself
        &[0xc0, start + 2, 0xc0, start], // ahead, and back
        &[1, b'a', 0xc0, start],         // round and round
        &[0x80, 0],                      // no kind of part
        &[[63; 64]; 4].concat()[..],     // too long
    ] {
        assert_eq!(query.read(&with(owner, &srv("a", 9))), malformed, "{owner:?}");
    }
    let longer = [srv("a", 9), vec![0]].concat();
    assert_eq!(query.read(&with(&[0xc0, 12], &longer)), malformed);
    let mut other = good.clone();
    other[13] = b'y';
    assert_eq!(query.read(&other), malformed, "an answer about something else");
    other[13] = b'X';
    assert!(query.read(&other).is_ok(), "case does not count");
}
