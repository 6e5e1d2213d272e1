//! Remote read: no request may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::remote_read::query;

fuzz_target!(|bytes: &[u8]| {
    let _ = query::parse(bytes);
});
