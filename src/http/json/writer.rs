//! The writer: commas, quotes, escapes and chunks.

use bytes::Bytes;

use super::number;
use super::time_texts::TimeTexts;
use crate::model::Labels;

/// Size at which a chunk is closed, in bytes: large enough to cost little per chunk, small enough
/// that a big answer never needs one contiguous block or a copy of it.
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes one JSON document. Commas come by themselves; the caller pairs `begin` and `end`.
#[derive(Debug, Default)]
pub struct JsonWriter {
    chunks: Vec<Bytes>,
    buffer: Vec<u8>,
    /// Whether the next key or value follows another one in the same object or array.
    comma: bool,
}

impl JsonWriter {
    /// An empty document.
    pub fn new() -> JsonWriter {
        JsonWriter::default()
    }

    /// `{`
    pub fn begin_object(&mut self) {
        self.open(b'{');
    }

    /// `}`
    pub fn end_object(&mut self) {
        self.close(b'}');
    }

    /// `[`
    pub fn begin_array(&mut self) {
        self.open(b'[');
    }

    /// `]`
    pub fn end_array(&mut self) {
        self.close(b']');
    }

    /// The key of the next value.
    pub fn key(&mut self, key: &str) {
        self.separate();
        push_string(&mut self.buffer, key.as_bytes());
        self.buffer.push(b':');
        self.comma = false;
    }

    /// A text.
    pub fn string(&mut self, text: &str) {
        self.separate();
        push_string(&mut self.buffer, text.as_bytes());
    }

    /// A key and its text.
    pub fn string_field(&mut self, key: &str, text: &str) {
        self.key(key);
        self.string(text);
    }

    /// The labels of a set, each a key and its text.
    pub fn label_fields(&mut self, labels: &Labels) {
        for (name, value) in labels.byte_pairs() {
            self.separate();
            push_string(&mut self.buffer, name);
            self.buffer.push(b':');
            push_string(&mut self.buffer, value);
        }
    }

    /// An array of texts.
    pub fn strings<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        self.begin_array();
        for text in texts {
            self.string(text);
            self.close_chunk_when_full();
        }
        self.end_array();
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        self.separate();
        number::push_integer(&mut self.buffer, value);
    }

    /// An integer without a sign.
    pub fn unsigned(&mut self, value: u64) {
        self.separate();
        number::push_unsigned(&mut self.buffer, value);
    }

    /// A bare float; `null` when JSON has no such number.
    pub fn float(&mut self, value: f64) {
        self.separate();
        if value.is_finite() {
            number::push_value(&mut self.buffer, value);
        } else {
            self.buffer.extend_from_slice(b"null");
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: bool) {
        self.raw(if value { b"true" } else { b"false" });
    }

    /// `null`
    pub fn null(&mut self) {
        self.raw(b"null");
    }

    /// A sample's value: a float in quotes, as the API writes it.
    #[inline]
    pub fn value(&mut self, value: f64) {
        self.separate();
        self.buffer.push(b'"');
        number::push_value(&mut self.buffer, value);
        self.buffer.push(b'"');
    }

    /// A time in ms, written as seconds.
    #[inline]
    pub fn timestamp(&mut self, ms: i64) {
        self.separate();
        number::push_timestamp(&mut self.buffer, ms);
    }

    /// `[time, "value"]`
    #[inline]
    pub fn point(&mut self, ms: i64, value: f64) {
        self.separate();
        self.buffer.push(b'[');
        number::push_timestamp(&mut self.buffer, ms);
        self.buffer.extend_from_slice(b",\"");
        number::push_value(&mut self.buffer, value);
        self.buffer.extend_from_slice(b"\"]");
    }

    /// An array of such points.
    pub fn points(&mut self, points: &[(i64, f64)], times: &mut TimeTexts) {
        self.open(b'[');
        for (index, (ms, value)) in points.iter().enumerate() {
            if index > 0 {
                self.buffer.push(b',');
            }
            times.push(&mut self.buffer, index, *ms);
            number::push_value(&mut self.buffer, *value);
            self.buffer.extend_from_slice(b"\"]");
        }
        self.close(b']');
    }

    /// What another writer wrote, as the next elements.
    pub fn append(&mut self, other: JsonWriter) {
        self.separate();
        let before = std::mem::replace(&mut self.buffer, other.buffer);
        if !before.is_empty() {
            self.chunks.push(Bytes::from(before));
        }
        self.chunks.extend(other.chunks);
    }

    /// The finished document in chunks.
    pub fn finish(mut self) -> Vec<Bytes> {
        if !self.buffer.is_empty() {
            self.chunks.push(Bytes::from(self.buffer));
        }
        self.chunks
    }

    fn raw(&mut self, text: &[u8]) {
        self.separate();
        self.buffer.extend_from_slice(text);
    }

    fn open(&mut self, bracket: u8) {
        self.separate();
        self.buffer.push(bracket);
        self.comma = false;
    }

    fn close(&mut self, bracket: u8) {
        self.buffer.push(bracket);
        self.comma = true;
        self.close_chunk_when_full();
    }

    #[inline]
    fn separate(&mut self) {
        if self.comma {
            self.buffer.push(b',');
        }
        self.comma = true;
    }

    fn close_chunk_when_full(&mut self) {
        if self.buffer.len() >= CHUNK_BYTES {
            let next = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
            self.chunks.push(Bytes::from(std::mem::replace(&mut self.buffer, next)));
        }
    }
}

/// Appends the UTF-8 of a text in quotes. Escaped are only the quote, the backslash and control
/// characters; few texts have any.
fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    // without a branch, so that many bytes are looked at in one instruction
    match text.iter().fold(false, |any, byte| any | is_escaped(*byte)) {
        true => push_escaped(out, text),
        false => out.extend_from_slice(text),
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match is_escaped(*byte) {
            true => push_escape(out, *byte),
            false => out.push(*byte),
        }
    }
}

#[inline]
fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut JsonWriter)) -> String {
        let mut writer = JsonWriter::new();
        write(&mut writer);
        String::from_utf8(writer.finish().concat()).expect("JSON is UTF-8")
    }

    #[test]
    fn commas_and_nesting_come_out_right() {
        let text = written(|w| {
            w.begin_object();
            w.key("a");
            w.begin_array();
            w.integer(1);
            w.begin_object();
            w.end_object();
            w.boolean(true);
            w.end_array();
            w.string_field("b", "x");
            w.key("c");
            w.null();
            w.end_object();
        });
        assert_eq!(text, r#"{"a":[1,{},true],"b":"x","c":null}"#);
    }

    #[test]
    fn strings_are_escaped_as_json_demands() {
        let hostile = "a\"b\\c\nd\re\tf\u{1}g\u{7f}<&>\u{2028}\u{e9}";
        let text = written(|w| w.string(hostile));
        let back: String = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!(back, hostile);
        assert!(text.starts_with(r#""a\"b\\c\nd\re\tf\u0001g"#), "{text}");
    }

    #[test]
    fn big_documents_come_in_chunks_and_join_to_one() {
        let mut writer = JsonWriter::new();
        let name = "n".repeat(1000);
        writer.strings((0..1000).map(|_| name.as_str()));
        let chunks = writer.finish();
        assert!(chunks.len() > 10, "{} chunks", chunks.len());
        assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES + 1010));
        let back: Vec<String> = serde_json::from_slice(&chunks.concat()).expect("valid JSON");
        assert_eq!(back.len(), 1000);
    }
}
