//! Series rows: the label sets of up to 64 neighbouring series ids.
//!
//! ```text
//! per series, ascending: position in the row u8 | labels u8 | (name symbol, value symbol) varints
//! ```

use super::symbols::Symbols;
use crate::model::Labels;
use crate::model::labels::push_label;
use crate::storage::chunk::CodecError;
use crate::storage::chunk::bytes::put_varint;

/// The symbols of one series' labels: (name, value), ascending by name.
pub type SymbolPairs = Vec<(u32, u32)>;

/// Bytes of a row; `series` holds (position 0..64, symbols), ascending.
pub fn encode(series: &[(u8, SymbolPairs)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (position, pairs) in series {
        out.push(*position);
        out.push(u8::try_from(pairs.len()).expect("BUG: labels are limited to 128"));
        for (name, value) in pairs {
            put_varint(&mut out, u64::from(*name));
            put_varint(&mut out, u64::from(*value));
        }
    }
    out
}

/// The series of a row.
///
/// # Errors
/// The bytes are no row.
pub fn decode(mut row: &[u8]) -> Result<Vec<(u8, SymbolPairs)>, CodecError> {
    let mut series = Vec::new();
    while let Some(([position, count], rest)) = row.split_first_chunk::<2>() {
        row = rest;
        let mut pairs = Vec::with_capacity(usize::from(*count));
        for _ in 0..*count {
            pairs.push((take_varint(&mut row)?, take_varint(&mut row)?));
        }
        series.push((*position, pairs));
    }
    if row.is_empty() { Ok(series) } else { Err(malformed()) }
}

/// The label set that symbols stand for.
///
/// # Errors
/// A symbol does not exist, or the set is not valid.
pub fn labels(
    pairs: &[(u32, u32)],
    symbols: &Symbols,
    packed: &mut Vec<u8>,
) -> Result<Labels, CodecError> {
    packed.clear();
    for (name, value) in pairs {
        let (name, value) = symbols.get(*name).zip(symbols.get(*value)).ok_or_else(malformed)?;
        push_label(packed, name, value);
    }
    Labels::from_packed(packed).map_err(|_| malformed())
}

fn malformed() -> CodecError {
    CodecError::Corrupted("series row")
}

fn take_varint(input: &mut &[u8]) -> Result<u32, CodecError> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = input.split_first().ok_or_else(malformed)?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return u32::try_from(value).map_err(|_| malformed());
        }
    }
    Err(malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_prefixes_err_or_are_shorter() {
        let series = vec![(0, vec![(0, 1), (2, 300)]), (63, vec![(0, u32::MAX)])];
        let row = encode(&series);
        assert_eq!(decode(&row).expect("valid"), series);
        for cut in 1..row.len() {
            assert_ne!(decode(&row[..cut]).ok(), Some(series.clone()));
        }
    }
}
