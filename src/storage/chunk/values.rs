//! Columns of floats.
//!
//! In: any `f64`s. Out: bytes; the count is kept by the caller. Constants cost 1 to 9 bytes;
//! decimals (nearly everything an exporter prints) are integer columns with an exponent; what is
//! not decimal is an integer column of order-preserving bit patterns. Bit-exact for every pattern.

use super::bytes::{ByteReader, put_varint, put_zigzag, varint_len, zigzag};
use super::decimal::{self, DecimalChunk, POWERS};
use super::{CodecError, SAMPLES_PER_CHUNK_MAX, ints};

/// Flag of the first byte: a constant integer of 0 to 127 in the other seven bits.
const SMALL_CONSTANT: u8 = 0x80;
/// The forms, in the low three bits of the first byte; the exponent is in the next four.
const CONSTANT_BITS: u8 = 0;
const CONSTANT_DECIMAL: u8 = 1;
/// Decimal digits as an integer column; the two flags say what else follows.
const DECIMAL: u8 = 2;
const WITH_RESIDUALS: u8 = 1;
const WITH_EXCEPTIONS: u8 = 2;
const DECIMAL_LAST: u8 = DECIMAL + WITH_RESIDUALS + WITH_EXCEPTIONS;
const MAPPED_BITS: u8 = 6;
const FORM_BITS: u32 = 3;
const FORM_MASK: u8 = (1 << FORM_BITS) - 1;
/// A decimal chunk above so many bytes a value is compared with the mapped bits.
const DECIMAL_BYTES_SUSPICIOUS: usize = 5;

/// Appends the values to `out`; the caller keeps their number, at most [`SAMPLES_PER_CHUNK_MAX`].
pub fn encode(values: &[f64], out: &mut Vec<u8>) {
    let Some(first) = values.first() else { return };
    if values.iter().all(|v| v.to_bits() == first.to_bits()) {
        return encode_constant(*first, out);
    }
    let start = out.len();
    let decimal = decimal::convert(values);
    if let Some(chunk) = &decimal {
        encode_decimal(chunk, out);
    }
    let decimal_len = out.len() - start;
    if decimal.is_none() || decimal_len > values.len() * DECIMAL_BYTES_SUSPICIOUS {
        encode_mapped(values, out);
        let mapped_len = out.len() - start - decimal_len;
        if decimal.is_some() && decimal_len <= mapped_len {
            out.truncate(start + decimal_len);
        } else {
            out.drain(start..start + decimal_len);
        }
    }
}

/// Appends the shortest form of a constant.
fn encode_constant(value: f64, out: &mut Vec<u8>) {
    let exponent = decimal::smallest_exponent(value, 0);
    let decimal = exponent
        .and_then(|e| decimal::fit(value, e).map(|d| (e, d)))
        .filter(|(_, d)| d.residual == 0 && varint_len(zigzag(d.digits)) < 8);
    match decimal {
        Some((0, d)) if (0..0x80).contains(&d.digits) => out.push(SMALL_CONSTANT | d.digits as u8),
        Some((exponent, d)) => {
            out.push(CONSTANT_DECIMAL | exponent << FORM_BITS);
            put_zigzag(out, d.digits);
        }
        None => {
            out.push(CONSTANT_BITS);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    }
}

/// Appends digits, residuals and exceptions.
fn encode_decimal(chunk: &DecimalChunk, out: &mut Vec<u8>) {
    let with_residuals = chunk.residuals.iter().any(|r| *r != 0);
    let with_exceptions = !chunk.exceptions.is_empty();
    let flags = if with_residuals { WITH_RESIDUALS } else { 0 }
        + if with_exceptions { WITH_EXCEPTIONS } else { 0 };
    out.push((DECIMAL + flags) | chunk.exponent << FORM_BITS);
    ints::encode(&chunk.digits, out);
    if with_residuals {
        ints::encode(&chunk.residuals, out);
    }
    if with_exceptions {
        put_varint(out, chunk.exceptions.len() as u64);
        let mut next = 0;
        for (index, bits) in &chunk.exceptions {
            put_varint(out, (index - next) as u64);
            out.extend_from_slice(&bits.to_le_bytes());
            next = index + 1;
        }
    }
}

/// Appends the bit patterns as integers.
fn encode_mapped(values: &[f64], out: &mut Vec<u8>) {
    let mapped: Vec<i64> = values.iter().map(|v| map_bits(v.to_bits())).collect();
    out.push(MAPPED_BITS);
    ints::encode(&mapped, out);
}

/// Maps bit patterns to integers of the same order as the floats (NaNs at the ends).
fn map_bits(bits: u64) -> i64 {
    let bits = bits as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// Undoes [`map_bits`]; it is its own inverse.
fn unmap_bits(mapped: i64) -> u64 {
    map_bits(mapped as u64) as u64
}

/// Appends the `count` values encoded in `bytes` to `out`.
///
/// # Errors
/// Bytes that [`encode`] does not write for that count; `out` may then hold some values more than
/// before. More than [`SAMPLES_PER_CHUNK_MAX`] values are refused.
pub fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), CodecError> {
    CodecError::check_limit("samples in a chunk", count as u64, SAMPLES_PER_CHUNK_MAX)?;
    let mut reader = ByteReader::new(bytes);
    if count > 0 {
        decode_some(&mut reader, count, out)?;
    }
    reader.expect_end("end of a value column")
}

/// Decodes at least one value.
fn decode_some(
    reader: &mut ByteReader<'_>,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let tag = reader.byte("value column")?;
    if tag & SMALL_CONSTANT != 0 {
        out.resize(out.len() + count, f64::from(tag & !SMALL_CONSTANT));
        return Ok(());
    }
    let (form, exponent) = (tag & FORM_MASK, tag >> FORM_BITS);
    if exponent > decimal::EXPONENT_MAX {
        return Err(CodecError::Corrupted("exponent of a value column"));
    }
    match form {
        CONSTANT_BITS => {
            let value = f64::from_bits(reader.u64("constant of a value column")?);
            out.resize(out.len() + count, value);
        }
        CONSTANT_DECIMAL => {
            let digits = reader.zigzag("constant of a value column")?;
            out.resize(out.len() + count, decimal::value_of(digits, 0, exponent));
        }
        DECIMAL..=DECIMAL_LAST => decode_decimal(reader, form - DECIMAL, exponent, count, out)?,
        MAPPED_BITS => {
            let mut mapped = Vec::new();
            ints::decode(reader, count, &mut mapped)?;
            out.extend(mapped.iter().map(|m| f64::from_bits(unmap_bits(*m))));
        }
        _ => return Err(CodecError::Corrupted("form of a value column")),
    }
    Ok(())
}

/// Decodes what [`encode_decimal`] wrote behind its first byte.
fn decode_decimal(
    reader: &mut ByteReader<'_>,
    flags: u8,
    exponent: u8,
    count: usize,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let start = out.len();
    let mut column = Vec::with_capacity(count);
    ints::decode(reader, count, &mut column)?;
    if exponent == 0 {
        out.extend(column.iter().map(|m| *m as f64));
    } else {
        let power = POWERS[usize::from(exponent)];
        out.extend(column.iter().map(|m| *m as f64 / power));
    }
    if flags & WITH_RESIDUALS != 0 {
        column.clear();
        ints::decode(reader, count, &mut column)?;
        for (value, residual) in out[start..].iter_mut().zip(&column) {
            *value = f64::from_bits(value.to_bits().wrapping_add(*residual as u64));
        }
    }
    if flags & WITH_EXCEPTIONS != 0 {
        decode_exceptions(reader, &mut out[start..])?;
    }
    Ok(())
}

/// Overwrites the values that have no decimal form.
fn decode_exceptions(reader: &mut ByteReader<'_>, values: &mut [f64]) -> Result<(), CodecError> {
    let count = reader.count(values.len(), "exceptions of a value column")?;
    let mut next = 0usize;
    for _ in 0..count {
        let index = next + reader.count(values.len(), "gap before an exception")?;
        let slot = values.get_mut(index).ok_or(CodecError::Corrupted("place of an exception"))?;
        *slot = f64::from_bits(reader.u64("exception of a value column")?);
        next = index + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
