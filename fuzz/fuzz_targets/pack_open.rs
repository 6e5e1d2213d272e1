//! Packs and timestamp columns with a correct checksum but any content open or are refused, and
//! what opens can be read to the end.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tidewatch::model::SeriesData;
use tidewatch::storage::chunk::sealed;
use tidewatch::storage::columns::{COLUMNS_BLOCK, Columns};
use tidewatch::storage::pack::{PACK_BLOCK, Pack};

/// Longest column decoded: larger ones only cost time.
const COUNT_MAX: usize = 4096;

fn read_pack(content: &[u8]) {
    let mut block = sealed::begin(PACK_BLOCK);
    block.extend_from_slice(content);
    let Ok(pack) = Pack::open(Bytes::from(sealed::seal(block))) else { return };
    let mut out = SeriesData::default();
    for chunk in pack.iter().filter(|c| c.float_count <= COUNT_MAX) {
        out.clear();
        let times: Vec<i64> = (0..chunk.float_count as i64).collect();
        if chunk.decode_into(&times, &mut out).is_ok() {
            assert_eq!(out.values.len(), times.len());
        }
        assert!(pack.find(chunk.series_id).is_some());
    }
}

fn read_columns(content: &[u8]) {
    let mut block = sealed::begin(COLUMNS_BLOCK);
    block.extend_from_slice(content);
    let Ok(columns) = Columns::open([Bytes::from(sealed::seal(block))]) else { return };
    for index in 0..columns.len() as u32 {
        let mut out = Vec::new();
        let count = columns.count(index).expect("within len");
        if count <= COUNT_MAX && columns.decode(index, &mut out).is_ok() {
            assert_eq!(out.len(), count);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = Pack::open(Bytes::copy_from_slice(bytes));
    match bytes.split_first() {
        Some((0x80.., content)) => read_columns(content),
        Some((_, content)) => read_pack(content),
        None => {}
    }
});
