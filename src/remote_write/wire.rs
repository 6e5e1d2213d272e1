//! The protobuf wire format, read in place.
//!
//! In: the bytes of one message. Out: its fields, one after the other, as borrowed slices and
//! numbers. Never here: what a field means, allocation, recursion.

use std::fmt;

/// Why bytes are not the protobuf message they claim to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The message ends inside a field.
    Truncated,
    /// A variable-length integer takes more than ten bytes.
    VarintTooLong,
    /// A field number outside 1..=536870911.
    FieldNumber(u64),
    /// A known field came in a wire type it cannot have: (message, field number, wire type).
    WireType(&'static str, u32, u8),
    /// An unknown field in a wire type that does not exist or is not supported (groups).
    UnknownWireType(u8),
    /// More elements than one request may carry: (what, most).
    TooMany(&'static str, usize),
    /// The message is of the other protocol version: (the message asked for).
    OtherVersion(&'static str),
    /// Remote write 2.0: the first symbol is not the empty string.
    FirstSymbol,
    /// Remote write 2.0: the label sets, written out, take more than this many bytes.
    LabelsTooLarge(usize),
    /// A text that has to be UTF-8 is not: (what it is).
    NotUtf8(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Truncated => f.write_str("protobuf message ends inside a field"),
            WireError::VarintTooLong => f.write_str("protobuf integer has more than ten bytes"),
            WireError::FieldNumber(number) => {
                write!(f, "protobuf field number {number} is not possible")
            }
            WireError::WireType(message, field, wire_type) => {
                write!(
                    f,
                    "field {field} of {message} has wire type {wire_type}, which it cannot have"
                )
            }
            WireError::UnknownWireType(wire_type) => {
                write!(f, "protobuf wire type {wire_type} is not supported")
            }
            WireError::TooMany(what, most) => {
                write!(f, "request has more than {most} {what}, send smaller requests")
            }
            WireError::OtherVersion(message) => write!(
                f,
                "body is not a {message} message but one of the other remote-write version, \
                 correct the proto parameter of Content-Type"
            ),
            WireError::FirstSymbol => f.write_str("first symbol is not the empty string"),
            WireError::LabelsTooLarge(most) => write!(
                f,
                "label sets of the request take more than {most} bytes when written out, send \
                 smaller requests"
            ),
            WireError::NotUtf8(what) => write!(f, "{what} is not valid UTF-8"),
        }
    }
}

impl std::error::Error for WireError {}

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0: an integer.
    Varint(u64),
    /// Wire type 1: eight bytes, little-endian.
    Fixed64(u64),
    /// Wire type 2: text, bytes, a message or a packed list.
    Bytes(&'a [u8]),
    /// Wire type 5: four bytes, little-endian.
    Fixed32(u32),
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
}

impl<'a> Field<'a> {
    /// The value as bytes.
    ///
    /// # Errors
    /// Another wire type; `message` names the message in the error.
    pub fn bytes(&self, message: &'static str) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong_type(message)),
        }
    }

    /// The value as double.
    ///
    /// # Errors
    /// As [`Field::bytes`].
    pub fn double(&self, message: &'static str) -> Result<f64, WireError> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.wrong_type(message)),
        }
    }

    /// The value as integer (`uint64`, `uint32`, enums; `int64` by a cast).
    ///
    /// # Errors
    /// As [`Field::bytes`].
    pub fn varint(&self, message: &'static str) -> Result<u64, WireError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.wrong_type(message)),
        }
    }

    /// The value as `int64`.
    ///
    /// # Errors
    /// As [`Field::bytes`].
    pub fn int64(&self, message: &'static str) -> Result<i64, WireError> {
        Ok(self.varint(message)?.cast_signed())
    }

    /// The error for a field in a wire type it cannot have.
    pub fn wrong_type(&self, message: &'static str) -> WireError {
        let wire_type = match self.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        WireError::WireType(message, self.number, wire_type)
    }
}

/// Walks the fields of one message, or the numbers of one packed list.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `message`.
    pub fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { rest: message }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field; `None` at the end.
    ///
    /// # Errors
    /// The bytes are not protobuf.
    #[inline]
    pub fn field(&mut self) -> Result<Option<Field<'a>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).unwrap_or(u32::MAX);
        if number == 0 || number > FIELD_NUMBER_MAX {
            return Err(WireError::FieldNumber(key >> 3));
        }
        let value = match key as u8 & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.delimited()?),
            5 => Value::Fixed32(u32::from_le_bytes(*self.array()?)),
            other => return Err(WireError::UnknownWireType(other)),
        };
        Ok(Some(Field { number, value }))
    }

    /// A length and that many bytes.
    ///
    /// # Errors
    /// The bytes end before.
    #[inline]
    pub fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A variable-length integer. Bits above the 64th are dropped, as every protobuf library does.
    ///
    /// # Errors
    /// The bytes end before, or more than ten would be needed.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            // Lengths of usual series.
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// The bytes end before.
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(*self.array()?))
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().take(VARINT_BYTES_MAX).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if *byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        let ended = self.rest.len() < VARINT_BYTES_MAX;
        Err(if ended { WireError::Truncated } else { WireError::VarintTooLong })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], WireError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(array)
    }
}

/// Longest legal variable-length integer in bytes.
const VARINT_BYTES_MAX: usize = 10;
/// Largest legal field number.
const FIELD_NUMBER_MAX: u32 = (1 << 29) - 1;

/// The signed number behind a `sint32` or `sint64`.
#[inline]
pub const fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let bytes = b"\x08\x96\x01\x11\0\0\0\0\0\0\xf0\x3f\x1a\x02hi\x25\x01\0\0\0";
        let mut reader = Reader::new(bytes);
        let mut next = || reader.field().expect("valid").map(|f| (f.number, f.value));
        assert_eq!(next(), Some((1, Value::Varint(150))));
        assert_eq!(next(), Some((2, Value::Fixed64(1.0f64.to_bits()))));
        assert_eq!(next(), Some((3, Value::Bytes(b"hi"))));
        assert_eq!(next(), Some((4, Value::Fixed32(1))));
        assert_eq!(next(), None);
    }

    #[test]
    fn malformed_bytes_are_named() {
        let error = |bytes: &[u8]| Reader::new(bytes).field().expect_err("malformed");
        assert_eq!(error(b"\x08"), WireError::Truncated);
        assert_eq!(error(b"\x08\x80"), WireError::Truncated);
        assert_eq!(error(b"\x0a\x05abc"), WireError::Truncated);
        assert_eq!(error(b"\x09\x01"), WireError::Truncated);
        assert_eq!(error(b"\x0b"), WireError::UnknownWireType(3));
        assert_eq!(error(b"\x00"), WireError::FieldNumber(0));
        assert_eq!(error(&[0xff; 11]), WireError::VarintTooLong);
        let huge = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(error(huge), WireError::Truncated);
    }

    #[test]
    fn negative_numbers_come_as_ten_bytes_or_zigzag() {
        let minus_one = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(Reader::new(minus_one).varint().map(u64::cast_signed), Ok(-1));
        assert_eq!([0, 1, 2, 3].map(zigzag), [0, -1, 1, -2]);
        assert_eq!(zigzag(u64::MAX), i64::MIN);
    }
}
