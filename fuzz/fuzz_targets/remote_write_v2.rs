//! Remote write 2.0: no input may panic, the columns agree with the series, and all that prost
//! reads is written or named as rejected.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use tidewatch::model::WriteBatch;
use tidewatch::remote_write::v2;

#[allow(dead_code)]
#[path = "../../src/remote_write/tests/proto.rs"]
mod proto;

fuzz_target!(|bytes: &[u8]| {
    let (mut packed, mut batch) = (Vec::new(), WriteBatch::default());
    let Ok(rejections) = v2::parse(bytes, &mut packed, &mut batch) else { return };
    let samples: usize = batch.series.iter().map(|entry| entry.samples as usize).sum();
    assert_eq!(samples, batch.samples.len());
    let Ok(theirs) = proto::v2::Request::decode(bytes) else { return };
    let theirs: usize = theirs.timeseries.iter().map(|series| series.samples.len()).sum();
    assert!(samples == theirs || rejections.series > 0);
});
