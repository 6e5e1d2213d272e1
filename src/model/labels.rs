//! Label sets: one packed, sorted, immutable value.
//!
//! The packed form is the canonical protobuf encoding of `repeated Label labels = 1` of remote
//! write 1.0 (`0a <len> 0a <len> <name> 12 <len> <value>` per label, names ascending, no empty
//! values, shortest varints). So the label region of a well-behaved sender's message *is* the packed
//! form, and whether it names a known series is one `memcmp`.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::limits::{
    LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_PACKED_BYTES_MAX, LABELS_PER_SERIES_MAX,
};

/// Name of the label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

const TAG_LABEL: u8 = 0x0a;
const TAG_NAME: u8 = 0x0a;
const TAG_VALUE: u8 = 0x12;

/// A validated label set: names ascending and unique, no empty name or value, UTF-8, within the
/// limits of [`super::limits`]. Cheap to clone.
#[derive(Clone)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    /// The empty label set.
    pub fn empty() -> Labels {
        Labels(Arc::from([].as_slice()))
    }

    /// Labels from (name, value) pairs in any order. Pairs with an empty value are left out.
    ///
    /// # Errors
    /// An empty or repeated name, or a limit passed.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Labels, LabelError> {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        pairs.sort_unstable_by(|a, b| a.0.cmp(b.0));
        if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(LabelError::Duplicate(excerpt(twice[0].0)));
        }
        let mut packed = Vec::with_capacity(pairs.iter().map(|(n, v)| n.len() + v.len() + 8).sum());
        let mut count = 0;
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            check_label(name, value)?;
            count += 1;
            push_label(&mut packed, name, value);
        }
        check_size(count, packed.len())?;
        Ok(Labels(packed.into()))
    }

    /// Validates bytes that claim to be the packed form.
    ///
    /// # Errors
    /// [`LabelError::NotCanonical`] when the bytes are a label list in another encoding or order
    /// (decode it with [`decode_pairs`] and use [`Labels::from_pairs`]); any other error is final.
    pub fn from_packed(packed: &[u8]) -> Result<Labels, LabelError> {
        let mut previous = "";
        let mut rest = packed;
        let mut count = 0;
        while !rest.is_empty() {
            let (name, value, tail) = split_canonical(rest).ok_or(LabelError::NotCanonical)?;
            let name = std::str::from_utf8(name).map_err(|_| LabelError::NotUtf8)?;
            let value = std::str::from_utf8(value).map_err(|_| LabelError::NotUtf8)?;
            check_label(name, value)?;
            if value.is_empty() || (count > 0 && name < previous) {
                return Err(LabelError::NotCanonical);
            }
            if count > 0 && name == previous {
                return Err(LabelError::Duplicate(excerpt(name)));
            }
            previous = name;
            rest = tail;
            count += 1;
        }
        check_size(count, packed.len())?;
        Ok(Labels(packed.into()))
    }

    /// The packed form.
    #[inline]
    pub fn as_packed(&self) -> &[u8] {
        &self.0
    }

    /// The labels in ascending order of name.
    pub fn iter(&self) -> LabelIter<'_> {
        LabelIter { rest: &self.0 }
    }

    /// The labels in ascending order of name, as the bytes of their UTF-8: for whoever goes through
    /// a hundred thousand sets and need not know that they are text.
    pub fn byte_pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        raw_pairs(&self.0)
    }

    /// Value of label `name`; `None` when absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let wanted = name.as_bytes();
        let (_, value) =
            raw_pairs(&self.0).take_while(|(n, _)| *n <= wanted).find(|(n, _)| *n == wanted)?;
        Some(std::str::from_utf8(value).expect("BUG: a Labels value holds only UTF-8"))
    }

    /// Value of label `name`, or the empty string: what matchers compare with.
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The metric name, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.value(METRIC_NAME)
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Only the labels whose name `keep` accepts.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        let mut packed = Vec::with_capacity(self.0.len());
        let utf8 = "BUG: a Labels value holds only UTF-8";
        self.pick(&mut packed, |name| keep(std::str::from_utf8(name).expect(utf8)));
        if packed.len() == self.0.len() { self.clone() } else { Labels(packed.into()) }
    }

    /// Appends the packed form of the labels whose name (as bytes) `keep` accepts. Values are not
    /// looked at: this is what groups and matches series.
    pub fn pick(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&[u8]) -> bool) {
        let kept = self.packed_labels().filter(|(name, _)| keep(name));
        kept.for_each(|(_, label)| out.extend_from_slice(label));
    }

    /// The labels in ascending order of name: the name, and the packed form of the label, to be put
    /// into another set as it is.
    pub fn packed_labels(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut list = &self.0[..];
        std::iter::from_fn(move || {
            let (name, _, rest) = split_canonical(list)?;
            let label = &list[..list.len() - rest.len()];
            list = rest;
            Some((name, label))
        })
    }

    /// Without the metric name.
    #[must_use]
    pub fn without_metric_name(&self) -> Labels {
        self.filter(|name| name != METRIC_NAME)
    }

    /// A builder that starts with these labels.
    pub fn to_builder(&self) -> LabelsBuilder {
        LabelsBuilder { pairs: self.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Labels {
    /// `{name="value", ...}` as Prometheus prints a label set, the metric name as `__name__`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            if is_legacy_name(name) {
                write!(f, "{comma}{name}={}", Quoted(value))?;
            } else {
                write!(f, "{comma}{}={}", Quoted(name), Quoted(value))?;
            }
        }
        f.write_str("}")
    }
}

impl PartialEq for Labels {
    /// Often both are one: who repeats a set hands on a clone of it.
    fn eq(&self, other: &Labels) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    /// Name by name, value by value; a prefix sorts first (Prometheus `labels.Compare`).
    fn cmp(&self, other: &Labels) -> Ordering {
        if self == other {
            return Ordering::Equal;
        }
        let start = common_labels(&self.0, &other.0);
        raw_pairs(&self.0[start..]).cmp(raw_pairs(&other.0[start..]))
    }
}

/// Length in bytes of the whole labels with which both sets begin. Sets that are compared mostly
/// begin alike: bytes are compared before any label is taken apart.
fn common_labels(a: &[u8], b: &[u8]) -> usize {
    const TOGETHER: usize = 16;
    let (words, _) = a.as_chunks::<TOGETHER>();
    let (others, _) = b.as_chunks::<TOGETHER>();
    let same = TOGETHER * words.iter().zip(others).take_while(|(x, y)| x == y).count();
    let same = same + a[same..].iter().zip(&b[same..]).take_while(|(x, y)| x == y).count();
    let mut labels = 0;
    while let Some((_, rest)) = split_delimited(&a[labels..same], TAG_LABEL) {
        labels = same - rest.len();
    }
    labels
}

/// The labels of a packed set as bytes: comparing them is comparing the strings, and selections
/// compare a hundred thousand sets.
fn raw_pairs(mut packed: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name, value, rest) = split_canonical(packed)?;
        packed = rest;
        Some((name, value))
    })
}

/// The labels of a set in ascending order of name.
#[derive(Clone, Debug)]
pub struct LabelIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for LabelIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, value, rest) =
            split_canonical(self.rest).expect("BUG: a Labels value holds only canonical labels");
        self.rest = rest;
        let utf8 = "BUG: a Labels value holds only UTF-8";
        Some((std::str::from_utf8(name).expect(utf8), std::str::from_utf8(value).expect(utf8)))
    }
}

/// Builds a label set by setting and deleting single labels.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// An empty builder.
    pub fn new() -> LabelsBuilder {
        LabelsBuilder::default()
    }

    /// Sets `name` to `value`, replacing an earlier value; an empty value deletes the label.
    pub fn set(&mut self, name: &str, value: &str) -> &mut LabelsBuilder {
        self.delete(name);
        if !value.is_empty() {
            self.pairs.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Removes `name` if present.
    pub fn delete(&mut self, name: &str) -> &mut LabelsBuilder {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// Current value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The label set built so far.
    ///
    /// # Errors
    /// As [`Labels::from_pairs`].
    pub fn build(&self) -> Result<Labels, LabelError> {
        Labels::from_pairs(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

/// Why a label set is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelError {
    /// A label without a name.
    EmptyName,
    /// The named label occurs twice.
    Duplicate(String),
    /// A name or value is not UTF-8.
    NotUtf8,
    /// The named label's name is too long: (excerpt, bytes).
    NameTooLong(String, usize),
    /// The named label's value is too long: (label name, bytes).
    ValueTooLong(String, usize),
    /// Too many labels: (count).
    TooMany(usize),
    /// The whole set is too large: (bytes).
    TooLarge(usize),
    /// Not the packed form, though perhaps a valid label list in another encoding or order.
    NotCanonical,
    /// Not a label list at all.
    Malformed,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelError::EmptyName => f.write_str("label name is empty"),
            LabelError::Duplicate(name) => write!(f, "label name {} occurs twice", Quoted(name)),
            LabelError::NotUtf8 => f.write_str("label name or value is not valid UTF-8"),
            LabelError::NameTooLong(name, bytes) => write!(
                f,
                "label name starting with {} has {bytes} bytes, at most {LABEL_NAME_BYTES_MAX} are accepted",
                Quoted(name)
            ),
            LabelError::ValueTooLong(name, bytes) => write!(
                f,
                "value of label {} has {bytes} bytes, at most {LABEL_VALUE_BYTES_MAX} are accepted",
                Quoted(name)
            ),
            LabelError::TooMany(count) => {
                write!(f, "series has {count} labels, at most {LABELS_PER_SERIES_MAX} are accepted")
            }
            LabelError::TooLarge(bytes) => write!(
                f,
                "label set has {bytes} bytes, at most {LABELS_PACKED_BYTES_MAX} are accepted"
            ),
            LabelError::NotCanonical => {
                f.write_str("label set is not in canonical order or encoding")
            }
            LabelError::Malformed => f.write_str("label set is malformed"),
        }
    }
}

impl std::error::Error for LabelError {}

/// The (name, value) pairs of a protobuf `repeated Label = 1` list in any order and any legal
/// encoding (fields in either order or absent, unknown fields skipped); the slow door beside
/// [`Labels::from_packed`].
///
/// # Errors
/// [`LabelError::Malformed`] or [`LabelError::NotUtf8`].
pub fn decode_pairs(list: &[u8]) -> Result<Vec<(&str, &str)>, LabelError> {
    let mut pairs = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (field, body, tail) = split_field(rest)?;
        rest = tail;
        let (1, Some(body)) = (field, body) else { continue };
        if pairs.len() == LABELS_PER_SERIES_MAX {
            return Err(LabelError::TooMany(pairs.len() + 1));
        }
        pairs.push(decode_pair(body)?);
    }
    Ok(pairs)
}

fn decode_pair(mut label: &[u8]) -> Result<(&str, &str), LabelError> {
    let (mut name, mut value) = ("", "");
    while !label.is_empty() {
        let (field, body, tail) = split_field(label)?;
        label = tail;
        let Some(body) = body else { continue };
        let text = || std::str::from_utf8(body).map_err(|_| LabelError::NotUtf8);
        match field {
            1 => name = text()?,
            2 => value = text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// A protobuf field: its number, its body when it is length-delimited, and what follows.
type Field<'a> = (u64, Option<&'a [u8]>, &'a [u8]);

fn split_field(bytes: &[u8]) -> Result<Field<'_>, LabelError> {
    let (key, rest) = varint(bytes).ok_or(LabelError::Malformed)?;
    let (skip, rest) = match key & 7 {
        0 => (0, varint(rest).ok_or(LabelError::Malformed)?.1),
        1 => (8, rest),
        2 => {
            let (len, rest) = varint(rest).ok_or(LabelError::Malformed)?;
            let len = usize::try_from(len).map_err(|_| LabelError::Malformed)?;
            let body = rest.get(..len).ok_or(LabelError::Malformed)?;
            return Ok((key >> 3, Some(body), &rest[len..]));
        }
        5 => (4, rest),
        _ => return Err(LabelError::Malformed),
    };
    Ok((key >> 3, None, rest.get(skip..).ok_or(LabelError::Malformed)?))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// Name, value and rest of a list that starts with a label in the shortest encoding.
#[inline]
fn split_canonical(list: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (label, rest) = split_delimited(list, TAG_LABEL)?;
    let (name, label) = split_delimited(label, TAG_NAME)?;
    let (value, label) = split_delimited(label, TAG_VALUE)?;
    label.is_empty().then_some((name, value, rest))
}

#[inline]
fn split_delimited(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (low, rest) = rest.split_first()?;
    let (len, rest) =
        if *low < 0x80 { (usize::from(*low), rest) } else { long_length(*low, rest)? };
    if rest.len() < len { None } else { Some(rest.split_at(len)) }
}

/// A length of two or three bytes, refused when it would have fitted fewer.
fn long_length(low: u8, rest: &[u8]) -> Option<(usize, &[u8])> {
    let (second, rest) = rest.split_first()?;
    let len = usize::from(low & 0x7f) | usize::from(second & 0x7f) << 7;
    if *second < 0x80 {
        return (*second != 0).then_some((len, rest));
    }
    let (third, rest) = rest.split_first()?;
    (*third != 0 && *third < 0x80).then_some((len | usize::from(*third) << 14, rest))
}

/// Appends one label in packed form. The caller keeps the order of names.
pub fn push_label(packed: &mut Vec<u8>, name: &str, value: &str) {
    let inner = 2 + length_bytes(name.len()) + name.len() + length_bytes(value.len()) + value.len();
    packed.push(TAG_LABEL);
    push_length(packed, inner);
    packed.push(TAG_NAME);
    push_length(packed, name.len());
    packed.extend_from_slice(name.as_bytes());
    packed.push(TAG_VALUE);
    push_length(packed, value.len());
    packed.extend_from_slice(value.as_bytes());
}

fn length_bytes(len: usize) -> usize {
    if len < 1 << 7 {
        1
    } else if len < 1 << 14 {
        2
    } else {
        3
    }
}

fn push_length(packed: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        packed.push(len as u8 | 0x80);
        len >>= 7;
    }
    packed.push(len as u8);
}

fn check_label(name: &str, value: &str) -> Result<(), LabelError> {
    if name.is_empty() {
        return Err(LabelError::EmptyName);
    }
    if name.len() > LABEL_NAME_BYTES_MAX {
        return Err(LabelError::NameTooLong(excerpt(name), name.len()));
    }
    if value.len() > LABEL_VALUE_BYTES_MAX {
        return Err(LabelError::ValueTooLong(excerpt(name), value.len()));
    }
    Ok(())
}

fn check_size(count: usize, packed_bytes: usize) -> Result<(), LabelError> {
    if count > LABELS_PER_SERIES_MAX {
        return Err(LabelError::TooMany(count));
    }
    if packed_bytes > LABELS_PACKED_BYTES_MAX {
        return Err(LabelError::TooLarge(packed_bytes));
    }
    Ok(())
}

/// The first characters of hostile input, fit for an error message.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Whether `name` is a label name of the old charset, `[a-zA-Z_][a-zA-Z0-9_]*`, which needs no
/// quotes in PromQL.
pub fn is_legacy_name(name: &str) -> bool {
    name.bytes()
        .enumerate()
        .all(|(i, b)| b == b'_' || b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit()))
        && !name.is_empty()
}

/// Whether `name` is a metric name of the old charset, `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_legacy_metric_name(name: &str) -> bool {
    name.bytes().enumerate().all(|(i, b)| {
        b == b'_' || b == b':' || b.is_ascii_alphabetic() || (i > 0 && b.is_ascii_digit())
    }) && !name.is_empty()
}

/// Displays a string in double quotes as Go's `strconv.Quote` does, which error messages, label
/// sets and the PromQL printer of Prometheus use.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        QuotedBytes(self.0.as_bytes()).fmt(f)
    }
}

/// As [`Quoted`], of bytes; those that are no UTF-8 are written by number (`\xff`).
pub struct QuotedBytes<'a>(pub &'a [u8]);

impl fmt::Display for QuotedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| write_escaped(f, c))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        f.write_str("\"")
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    use fmt::Write as _;
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0b' => f.write_str("\\v"),
        '\x0c' => f.write_str("\\f"),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => write!(f, "\\x{:02x}", c as u32),
        c if c.is_control() => write!(f, "\\u{:04x}", c as u32),
        c => f.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
    }

    #[test]
    fn packed_form_is_the_protobuf_label_list() {
        let packed = labels(&[("b", "2"), ("a", "1")]);
        assert_eq!(packed.as_packed(), b"\x0a\x06\x0a\x01a\x12\x011\x0a\x06\x0a\x01b\x12\x012");
        assert_eq!(Labels::from_packed(packed.as_packed()), Ok(packed));
    }

    #[test]
    fn long_values_use_longer_lengths_and_come_back() {
        let value = "v".repeat(5000);
        let packed = labels(&[("long", &value), ("n", &"x".repeat(130))]);
        assert_eq!(packed.get("long"), Some(value.as_str()));
        assert_eq!(Labels::from_packed(packed.as_packed()), Ok(packed));
    }

    #[test]
    fn other_orders_and_encodings_are_not_canonical_but_decode() {
        let swapped = b"\x0a\x06\x12\x011\x0a\x01a";
        assert_eq!(Labels::from_packed(swapped), Err(LabelError::NotCanonical));
        assert_eq!(decode_pairs(swapped), Ok(vec![("a", "1")]));
        let unsorted = b"\x0a\x06\x0a\x01b\x12\x012\x0a\x06\x0a\x01a\x12\x011";
        assert_eq!(Labels::from_packed(unsorted), Err(LabelError::NotCanonical));
        let wide_length = b"\x0a\x86\x00\x0a\x01a\x12\x011";
        assert_eq!(Labels::from_packed(wide_length), Err(LabelError::NotCanonical));
        assert_eq!(decode_pairs(wide_length), Ok(vec![("a", "1")]));
        let empty_value = b"\x0a\x05\x0a\x01a\x12\x00";
        assert_eq!(Labels::from_packed(empty_value), Err(LabelError::NotCanonical));
    }

    #[test]
    fn every_prefix_of_a_label_list_is_refused_or_shorter() {
        let whole = labels(&[("aa", "11"), ("bb", "22")]);
        for cut in 1..whole.as_packed().len() {
            if let Ok(prefix) = Labels::from_packed(&whole.as_packed()[..cut]) {
                assert_eq!(prefix, labels(&[("aa", "11")]), "prefix of {cut} bytes");
            }
            let _ = decode_pairs(&whole.as_packed()[..cut]);
        }
    }

    #[test]
    fn bad_labels_are_named() {
        let twice = Labels::from_pairs([("a", "1"), ("a", "2")]);
        assert_eq!(twice.expect_err("twice").to_string(), "label name \"a\" occurs twice");
        assert_eq!(Labels::from_pairs([("", "1")]), Err(LabelError::EmptyName));
        let long = "n".repeat(LABEL_NAME_BYTES_MAX + 1);
        assert!(matches!(
            Labels::from_pairs([(long.as_str(), "1")]),
            Err(LabelError::NameTooLong(..))
        ));
    }

    #[test]
    fn sets_are_in_the_order_of_their_pairs() {
        let value = |n: usize, len: usize| format!("{n:0len$}");
        let mut sets: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for n in 0..600 {
            let (common, len) = (n % 7, [1, 2, 15, 130, 300][n % 5]);
            let mut pairs: Vec<(String, String)> =
                (0..common).map(|i| (format!("common{i}"), value(i, 9))).collect();
            pairs.push((format!("common{}", common + n % 3), value(n / 40, len)));
            pairs.extend((n % 2 == 0).then(|| ("zone".to_owned(), value(n % 11, 3))));
            sets.push(pairs);
        }
        let packed = |pairs: &Vec<(String, String)>| {
            let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            Labels::from_pairs(pairs).expect("valid")
        };
        for a in &sets {
            let first = packed(a);
            assert!(sets.iter().all(|b| first.cmp(&packed(b)) == a.cmp(b)), "{first}");
        }
    }

    #[test]
    fn ordering_is_pair_by_pair_and_prefix_first() {
        let mut sorted = [
            labels(&[("a", "2")]),
            labels(&[("a", "1"), ("b", "1")]),
            labels(&[("a", "1")]),
            labels(&[("b", "0")]),
        ];
        sorted.sort();
        let shown: Vec<String> = sorted.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [r#"{a="1"}"#, r#"{a="1", b="1"}"#, r#"{a="2"}"#, r#"{b="0"}"#]);
    }

    #[test]
    fn builder_sets_replaces_and_deletes() {
        let mut builder = labels(&[("a", "1"), ("b", "2")]).to_builder();
        builder.set("a", "3").delete("b").set("c", "");
        assert_eq!(builder.build().expect("valid").to_string(), r#"{a="3"}"#);
    }
}
