//! Remote write 1.0: no input may panic, and what prost reads we read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use tidewatch::model::WriteBatch;
use tidewatch::remote_write::v1;
use tidewatch::remote_write::wire::WireError;

#[allow(dead_code)]
#[path = "../../src/remote_write/tests/proto.rs"]
mod proto;

fuzz_target!(|bytes: &[u8]| {
    let (mut spill, mut batch) = (Vec::new(), WriteBatch::default());
    let ours = v1::parse(bytes, &mut spill, &mut batch);
    let Ok(theirs) = proto::v1::WriteRequest::decode(bytes) else { return };
    match ours {
        // What we refuse on purpose: groups, requests of the other version, endless lists.
        Err(
            WireError::UnknownWireType(_) | WireError::OtherVersion(_) | WireError::TooMany(..),
        ) => {}
        Err(error) => panic!("prost reads what we do not: {error}"),
        Ok(_) => {
            let theirs = theirs.timeseries.iter().flat_map(|series| &series.samples);
            let theirs = theirs.map(|sample| (sample.timestamp, sample.value.to_bits()));
            let ours = batch.samples.iter().map(|s| (s.timestamp.0, s.value.to_bits()));
            assert!(ours.eq(theirs));
        }
    }
});
