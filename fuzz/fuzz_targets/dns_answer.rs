//! Any bytes as a name server's answer: no panic, and the names in what is read are bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::alert_sender::dns::message::{Answer, Query, Record, RecordKind};

/// Longest name as text: 255 bytes, each written with up to four characters.
const NAME_TEXT_MAX: usize = 1024;

fuzz_target!(|bytes: &[u8]| {
    let kinds =
        [RecordKind::A, RecordKind::Aaaa, RecordKind::Srv, RecordKind::Mx, RecordKind::Ns];
    for kind in kinds {
        let query = Query::new(0, "a.", kind).expect("a name");
        // What comes first is as it has to be, so that the rest is looked at.
        let question = &query.bytes()[12..19];
        let Some((counts, rest)) = bytes.split_first_chunk::<2>() else { return };
        let head = [&[0, 0, 0x80, 0, 0, 1], &counts[..], &[0; 4], question].concat();
        for message in [bytes.to_vec(), [&head[..], rest].concat()] {
            let Ok(Answer::Records(records)) = query.read(&message) else { continue };
            for record in records {
                let (Record::Name(name) | Record::Srv { target: name, .. }) = record else {
                    continue;
                };
                assert!(name.ends_with('.') && name.len() <= NAME_TEXT_MAX, "{name}");
            }
        }
    }
});
