//! Exemplars of one series.
//!
//! In: exemplars in any order. Out: bytes that know their own count: timestamps and values as
//! columns, the packed label sets laid end to end and compressed when that helps.

use super::bytes::{ByteReader, put_varint};
use super::{
    CodecError, EXEMPLAR_LABEL_BYTES_PER_CHUNK_MAX, EXEMPLARS_PER_CHUNK_MAX, ints, values,
};
use crate::model::{Exemplar, Labels, Timestamp};

/// Label bytes as they are.
const STORED: u8 = 0;
/// Label bytes as a zstd frame.
const ZSTD: u8 = 1;
/// Exemplars are few and label values mostly random: more effort finds nothing.
const ZSTD_LEVEL: i32 = 1;

/// Appends exemplars to `out`.
///
/// # Errors
/// [`CodecError::LimitExceeded`] beyond [`EXEMPLARS_PER_CHUNK_MAX`] exemplars or
/// [`EXEMPLAR_LABEL_BYTES_PER_CHUNK_MAX`] bytes of labels; `out` is then unchanged.
pub fn encode(exemplars: &[Exemplar], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let labels: Vec<u8> =
        exemplars.iter().flat_map(|e| e.labels.as_packed().iter().copied()).collect();
    check_size(exemplars.len() as u64, labels.len() as u64)?;
    put_varint(out, exemplars.len() as u64);
    ints::encode(&exemplars.iter().map(|e| e.timestamp.0).collect::<Vec<_>>(), out);
    let lengths: Vec<i64> = exemplars.iter().map(|e| e.labels.as_packed().len() as i64).collect();
    ints::encode(&lengths, out);
    match zstd::bulk::compress(&labels, ZSTD_LEVEL) {
        Ok(compressed) if compressed.len() < labels.len() => put_labels(ZSTD, &compressed, out),
        _ => put_labels(STORED, &labels, out),
    }
    values::encode(&exemplars.iter().map(|e| e.value).collect::<Vec<_>>(), out);
    Ok(())
}

/// The last exemplars of a list that fit a chunk: what to keep of a series whose sender attaches more
/// than anyone can follow up.
pub fn last_fitting(exemplars: &[Exemplar]) -> &[Exemplar] {
    let mut bytes = 0;
    let fitting = exemplars.iter().rev().take(EXEMPLARS_PER_CHUNK_MAX).take_while(|e| {
        bytes += e.labels.as_packed().len();
        bytes <= EXEMPLAR_LABEL_BYTES_PER_CHUNK_MAX
    });
    &exemplars[exemplars.len() - fitting.count()..]
}

fn check_size(exemplars: u64, label_bytes: u64) -> Result<(), CodecError> {
    CodecError::check_limit("exemplars in a chunk", exemplars, EXEMPLARS_PER_CHUNK_MAX)?;
    let max = EXEMPLAR_LABEL_BYTES_PER_CHUNK_MAX;
    CodecError::check_limit("bytes of exemplar labels in a chunk", label_bytes, max)
}

fn put_labels(form: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(form);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the exemplars encoded in `bytes` to `out`, in the order they were given.
///
/// # Errors
/// Bytes that [`encode`] does not write, invalid label sets included.
pub fn decode(bytes: &[u8], out: &mut Vec<Exemplar>) -> Result<(), CodecError> {
    let mut reader = ByteReader::new(bytes);
    let count = reader.count(EXEMPLARS_PER_CHUNK_MAX, "exemplars in a chunk")?;
    let (mut timestamps, mut lengths) = (Vec::new(), Vec::new());
    ints::decode(&mut reader, count, &mut timestamps)?;
    ints::decode(&mut reader, count, &mut lengths)?;
    let total = total_length(&lengths)?;
    let labels = read_labels(&mut reader, total)?;
    let mut numbers = Vec::new();
    values::decode(reader.rest(), count, &mut numbers)?;
    let mut rest = labels.as_slice();
    for ((timestamp, length), value) in timestamps.iter().zip(&lengths).zip(&numbers) {
        let (packed, behind) = rest
            .split_at_checked(*length as usize)
            .ok_or(CodecError::Corrupted("lengths of exemplar labels"))?;
        rest = behind;
        let labels =
            Labels::from_packed(packed).map_err(|_| CodecError::Corrupted("exemplar labels"))?;
        out.push(Exemplar { labels, value: *value, timestamp: Timestamp(*timestamp) });
    }
    Ok(())
}

/// The sum of lengths, each of which must be sensible.
fn total_length(lengths: &[i64]) -> Result<usize, CodecError> {
    let mut total = 0u64;
    for length in lengths {
        let length = u64::try_from(*length)
            .map_err(|_| CodecError::Corrupted("lengths of exemplar labels"))?;
        total = total.saturating_add(length);
    }
    check_size(0, total)?;
    Ok(total as usize)
}

/// Reads label bytes, which must be `total` when decompressed.
fn read_labels(reader: &mut ByteReader<'_>, total: usize) -> Result<Vec<u8>, CodecError> {
    let form = reader.byte("exemplar labels")?;
    let max = EXEMPLAR_LABEL_BYTES_PER_CHUNK_MAX;
    let length = reader.count(max, "bytes of exemplar labels in a chunk")?;
    let stored = reader.bytes(length, "exemplar labels")?;
    let labels = match form {
        STORED => stored.to_vec(),
        ZSTD => zstd::bulk::decompress(stored, total)
            .map_err(|_| CodecError::Corrupted("compressed exemplar labels"))?,
        _ => return Err(CodecError::Corrupted("form of exemplar labels")),
    };
    if labels.len() == total { Ok(labels) } else { Err(CodecError::Corrupted("exemplar labels")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exemplar(i: u64, value: f64) -> Exemplar {
        let id = format!("{:032x}", u128::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060));
        let labels = Labels::from_pairs([("trace_id", id.as_str())]).unwrap();
        Exemplar { labels, value, timestamp: Timestamp(1_795_262_400_000 + i as i64 * 977) }
    }

    fn check(exemplars: &[Exemplar]) -> usize {
        let mut bytes = Vec::new();
        encode(exemplars, &mut bytes).unwrap();
        let mut out = Vec::new();
        decode(&bytes, &mut out).unwrap();
        assert_eq!(out, exemplars);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], &mut Vec::new()).is_err(), "prefix of {end} bytes");
        }
        bytes.len()
    }

    #[test]
    fn exemplars_come_back() {
        assert_eq!(check(&[]), 3);
        check(&[exemplar(1, f64::NAN)]);
        let many: Vec<Exemplar> = (0..200).map(|i| exemplar(i, i as f64 / 1000.0)).collect();
        assert!(check(&many) < 200 * 40);
        let bare =
            Exemplar { labels: Labels::empty(), value: -0.0, timestamp: Timestamp(i64::MIN) };
        check(&[bare.clone(), bare]);
    }

    #[test]
    fn too_many_exemplars_are_cut_to_the_last() {
        let short: Vec<Exemplar> = vec![exemplar(1, 0.5); EXEMPLARS_PER_CHUNK_MAX + 7];
        assert!(matches!(
            encode(&short, &mut Vec::new()),
            Err(CodecError::LimitExceeded { what: "exemplars in a chunk", .. })
        ));
        assert_eq!(last_fitting(&short).len(), EXEMPLARS_PER_CHUNK_MAX);
        let labels = Labels::from_pairs([("x", "y".repeat(8000).as_str())]).unwrap();
        let long = vec![Exemplar { labels, value: 1.0, timestamp: Timestamp(1) }; 1000];
        assert!(encode(&long, &mut Vec::new()).is_err());
        let fitting = last_fitting(&long);
        assert!(fitting.len() > 500);
        assert_eq!(encode(fitting, &mut Vec::new()), Ok(()));
        assert_eq!(last_fitting(&long[..3]).len(), 3);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes, &mut Vec::new());
        }
    }
}
