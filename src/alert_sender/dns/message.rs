//! Messages of the domain name system: one question out, the records of its answer in.
//!
//! In: names, bytes of a server. Out: bytes of a question, records. Never here: sockets. Nothing in
//! an answer is believed: lengths are checked, and a name that points elsewhere points backwards.

use std::fmt;
use std::net::IpAddr;

/// Longest name in a message, in bytes (RFC 1035, 3.1).
const NAME_BYTES_MAX: usize = 255;
/// Longest part of a name, in bytes.
const PART_BYTES_MAX: usize = 63;
/// Bytes of the header.
const HEADER_BYTES: usize = 12;
/// Datagrams of this size are taken (RFC 6891).
const DATAGRAM_BYTES: u16 = 4096;

const CLASS_IN: u16 = 1;
const TYPE_OPT: u16 = 41;
const IS_ANSWER: u16 = 0x8000;
const IS_TRUNCATED: u16 = 0x0200;
const RECURSE: u16 = 0x0100;
const CODE: u16 = 0x000f;
const NO_SUCH_NAME: u16 = 3;

/// A kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// Addresses of version 4.
    A,
    /// Addresses of version 6.
    Aaaa,
    /// Servers of a service, with their ports.
    Srv,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

impl RecordKind {
    const fn number(self) -> u16 {
        match self {
            RecordKind::A => 1,
            RecordKind::Ns => 2,
            RecordKind::Mx => 15,
            RecordKind::Aaaa => 28,
            RecordKind::Srv => 33,
        }
    }
}

/// A record, without what nobody asks for. Names end with a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An address.
    Address(IpAddr),
    /// A server of a service.
    Srv {
        /// Its name.
        target: String,
        /// Its port.
        port: u16,
    },
    /// A mail server or name server.
    Name(String),
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name exists; its records of the kind, in the server's order.
    Records(Vec<Record>),
    /// There is no such name.
    NoSuchName,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is only a part.
    Truncated,
    /// It is no message, or one about something else.
    Malformed,
    /// The server could not or would not say; its code.
    Code(u16),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Truncated => f.write_str("the answer is cut off"),
            Refusal::Malformed => f.write_str("the answer is malformed"),
            Refusal::Code(1) => f.write_str("the server did not understand the question (FORMERR)"),
            Refusal::Code(2) => f.write_str("the server failed (SERVFAIL)"),
            Refusal::Code(5) => f.write_str("the server refused to answer (REFUSED)"),
            Refusal::Code(code) => write!(f, "the server answered with code {code}"),
        }
    }
}

/// A question.
#[derive(Clone, Debug)]
pub struct Query {
    bytes: Vec<u8>,
    /// Where the question ends.
    question_end: usize,
    kind: RecordKind,
}

impl Query {
    /// Asks for the records of a kind that the full `name` has.
    ///
    /// # Errors
    /// It cannot be a name.
    pub fn new(id: u16, name: &str, kind: RecordKind) -> Result<Query, String> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + name.len() + 17);
        // One question, no answers, one record besides: the largest datagram taken.
        for word in [id, RECURSE, 1, 0, 0, 1] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        push_name(&mut bytes, name)?;
        for word in [kind.number(), CLASS_IN] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        let question_end = bytes.len();
        bytes.push(0);
        for word in [TYPE_OPT, DATAGRAM_BYTES, 0, 0, 0] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        Ok(Query { bytes, question_end, kind })
    }

    /// What is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a message is about this question. Servers may write names in another case.
    pub fn is_answered_by(&self, message: &[u8]) -> bool {
        let mut reader = Reader { message, at: 0 };
        let Some([id, flags, questions]) = reader.words() else { return false };
        let own = [self.bytes[0], self.bytes[1]];
        let question = HEADER_BYTES..self.question_end;
        id.to_be_bytes() == own
            && flags & IS_ANSWER != 0
            && match (questions, message.get(question.clone())) {
                // A server that did not understand it may leave it out.
                (0, _) => flags & CODE != 0,
                (1, Some(asked)) => asked.eq_ignore_ascii_case(&self.bytes[question]),
                _ => false,
            }
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn read(&self, message: &[u8]) -> Result<Answer, Refusal> {
        if !self.is_answered_by(message) {
            return Err(Refusal::Malformed);
        }
        let mut reader = Reader { message, at: 2 };
        let [flags, _, answers] = reader.words().ok_or(Refusal::Malformed)?;
        match flags & CODE {
            _ if flags & IS_TRUNCATED != 0 => Err(Refusal::Truncated),
            0 => {
                reader.at = self.question_end;
                self.records(&mut reader, answers).map(Answer::Records).ok_or(Refusal::Malformed)
            }
            NO_SUCH_NAME => Ok(Answer::NoSuchName),
            code => Err(Refusal::Code(code)),
        }
    }

    /// Aliases on the way to the records are passed over, as is what was not asked for.
    fn records(&self, reader: &mut Reader<'_>, number: u16) -> Option<Vec<Record>> {
        let mut records = Vec::new();
        for _ in 0..number {
            reader.name()?;
            let [kind, class, _, _, length] = reader.words()?;
            let end = reader.at.checked_add(usize::from(length))?;
            let data = reader.message.get(..end)?;
            if (kind, class) == (self.kind.number(), CLASS_IN) {
                records.push(self.record(&mut Reader { message: data, at: reader.at })?);
            }
            reader.at = end;
        }
        Some(records)
    }

    fn record(&self, data: &mut Reader<'_>) -> Option<Record> {
        let record = match self.kind {
            RecordKind::A => Record::Address(IpAddr::from(data.take::<4>()?)),
            RecordKind::Aaaa => Record::Address(IpAddr::from(data.take::<16>()?)),
            RecordKind::Srv => {
                let [_priority, _weight, port] = data.words()?;
                Record::Srv { target: data.name()?, port }
            }
            RecordKind::Mx => {
                let [_preference] = data.words()?;
                Record::Name(data.name()?)
            }
            RecordKind::Ns => Record::Name(data.name()?),
        };
        (data.at == data.message.len()).then_some(record)
    }
}

fn push_name(bytes: &mut Vec<u8>, name: &str) -> Result<(), String> {
    let start = bytes.len();
    let name = name.strip_suffix('.').unwrap_or(name);
    for part in name.split('.').filter(|_| !name.is_empty()) {
        let length = u8::try_from(part.len()).unwrap_or(u8::MAX);
        if part.is_empty() || part.len() > PART_BYTES_MAX || !part.is_ascii() {
            return Err(format!(
                "{name:?} is no name: its part {part:?} is empty, long or not ASCII"
            ));
        }
        bytes.push(length);
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.push(0);
    match bytes.len() - start {
        ..=NAME_BYTES_MAX => Ok(()),
        _ => Err(format!("{name:?} is no name: it has more than {NAME_BYTES_MAX} bytes")),
    }
}

/// A place in a message.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.message.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*bytes)
    }

    fn words<const N: usize>(&mut self) -> Option<[u16; N]> {
        let mut words = [0; N];
        for word in &mut words {
            *word = u16::from_be_bytes(self.take()?);
        }
        Some(words)
    }

    /// Reads a name, and goes on behind it. What it points to lies before whatever pointed there, so
    /// it has an end. Bytes that could be mistaken are written as RFC 1035 does (5.1).
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut before, mut wire_bytes) = (self.at, self.at, 1);
        let mut after = None;
        loop {
            let length = *self.message.get(at)?;
            at += 1;
            match length >> 6 {
                0 if length == 0 => break,
                0 => {
                    let part = self.message.get(at..at + usize::from(length))?;
                    at += part.len();
                    wire_bytes += 1 + part.len();
                    if wire_bytes > NAME_BYTES_MAX {
                        return None;
                    }
                    part.iter().for_each(|byte| push_byte(&mut name, *byte));
                    name.push('.');
                }
                3 => {
                    let low = *self.message.get(at)?;
                    after = after.or(Some(at + 1));
                    at = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if at >= before {
                        return None;
                    }
                    before = at;
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at);
        if name.is_empty() {
            name.push('.');
        }
        Some(name)
    }
}

fn push_byte(name: &mut String, byte: u8) {
    use fmt::Write as _;
    let written = match byte {
        b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
            write!(name, "\\{}", char::from(byte))
        }
        b'!'..=b'~' => {
            name.push(char::from(byte));
            Ok(())
        }
        _ => write!(name, "\\{byte:03}"),
    };
    written.expect("BUG: a String takes everything");
}
