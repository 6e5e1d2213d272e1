//! Streams of lines: TCP and Unix connections.
//!
//! In: connections. Out: chunks of whole lines to the worker's queue; a full queue holds the sender
//! back. Never here: parsing.
//!
//! A Unix connection may also carry what DogStatsD clients send there: packets, each after its
//! length in four bytes, little-endian. Which one it is shows in the first bytes: no text has zeros.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::source::Origin;
use super::{CHUNK_BYTES, DRAIN_MAX, DRAIN_PAUSE, IDLE_MAX, Lines};
use crate::statsd::metrics::{Meter, StatsdMetrics};
use crate::statsd::worker::Message;

/// Longest line or packet accepted over a stream, as long as the longest datagram; longer ones are
/// discarded.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of a packet's length.
const LENGTH_BYTES: usize = 4;

/// The meters of one transport.
#[derive(Clone, Copy, Debug)]
pub struct Meters {
    /// Accepted.
    pub connections: Meter,
    /// Failed or refused.
    pub errors: Meter,
    /// Open now.
    pub open: Meter,
    /// Discarded lines.
    pub too_long: Meter,
}

impl Meters {
    /// Those of TCP.
    pub const TCP: Meters = Meters {
        connections: Meter::TcpConnections,
        errors: Meter::TcpConnectionErrors,
        open: Meter::TcpOpen,
        too_long: Meter::TcpTooLongLines,
    };
    /// Those of Unix streams.
    pub const UNIX: Meters = Meters {
        connections: Meter::UnixConnections,
        errors: Meter::UnixConnectionErrors,
        open: Meter::UnixOpen,
        too_long: Meter::UnixTooLongLines,
    };
}

/// What serves the connections of one listener.
#[derive(Clone, Debug)]
pub struct StreamServer {
    /// Who sends.
    pub origin: Origin,
    /// The worker's queue.
    pub queue: mpsc::Sender<Message>,
    /// Where things are counted.
    pub metrics: Arc<StatsdMetrics>,
    /// Under what they are counted.
    pub meters: Meters,
    /// Whether packets with their length in front are understood.
    pub packets: bool,
    /// Turns true when the receiver stops.
    pub stopping: watch::Receiver<bool>,
}

/// Counts an open connection as long as it lives.
struct Open<'a>(&'a StreamServer);

impl<'a> Open<'a> {
    fn new(server: &'a StreamServer) -> Open<'a> {
        server.metrics.count(server.meters.open, 1);
        Open(server)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.metrics.lower(self.0.meters.open);
    }
}

impl StreamServer {
    /// Serves one connection to its end.
    pub async fn serve(self, mut stream: impl AsyncRead + Unpin) {
        let open = Open::new(&self);
        let mut framer = if self.packets { Framer::unknown() } else { Framer::lines() };
        if open.0.pump(&mut stream, &mut framer).await.is_err() {
            self.metrics.count(self.meters.errors, 1);
        }
        let rest = framer.finish();
        if !rest.is_empty() {
            // Fails only when the worker is gone.
            let _ = self.queue.send(self.message(rest)).await;
        }
    }

    fn message(&self, lines: Vec<u8>) -> Message {
        Message::Lines(Lines { origin: self.origin, lines })
    }

    /// Moves lines from the stream to the queue until its end, an error, [`IDLE_MAX`] without a
    /// byte, or the stop: then what the peer has already sent is taken, for at most [`DRAIN_MAX`].
    async fn pump(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        framer: &mut Framer,
    ) -> io::Result<()> {
        let mut stopping = self.stopping.clone();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut stop_at = None;
        loop {
            let read = match stop_at {
                None => tokio::select! {
                    read = timeout(IDLE_MAX, stream.read(&mut buffer)) => read?,
                    _ = stopping.wait_for(|stop| *stop) => {
                        stop_at = Some(Instant::now() + DRAIN_MAX);
                        continue;
                    }
                },
                Some(at) if Instant::now() >= at => return Ok(()),
                Some(_) => match timeout(DRAIN_PAUSE, stream.read(&mut buffer)).await {
                    Ok(read) => read,
                    Err(_) => return Ok(()),
                },
            };
            let length = read?;
            if length == 0 {
                return Ok(());
            }
            let (lines, too_long) = framer.push(&buffer[..length]);
            self.metrics.count(self.meters.too_long, too_long);
            if !lines.is_empty() && self.queue.send(self.message(lines)).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Cuts a stream into whole lines and discards over-long ones.
#[derive(Debug)]
struct Framer {
    form: Form,
    partial: Vec<u8>,
    /// In lines: whether the present one is too long. In packets: bytes of it still to come.
    discard: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Unknown,
    Lines,
    Packets,
}

impl Framer {
    fn lines() -> Framer {
        Framer { form: Form::Lines, partial: Vec::new(), discard: 0 }
    }

    fn unknown() -> Framer {
        Framer { form: Form::Unknown, ..Framer::lines() }
    }

    /// The lines completed by `bytes`, with their line ends, and how many were too long.
    fn push(&mut self, bytes: &[u8]) -> (Vec<u8>, u64) {
        match self.form {
            Form::Lines => self.push_lines(bytes),
            Form::Packets => self.push_packets(bytes),
            Form::Unknown => {
                self.partial.extend_from_slice(bytes);
                let Some(start) = self.partial.first_chunk::<LENGTH_BYTES>() else {
                    return (Vec::new(), 0);
                };
                self.form = if start.contains(&0) { Form::Packets } else { Form::Lines };
                let bytes = std::mem::take(&mut self.partial);
                self.push(&bytes)
            }
        }
    }

    fn push_lines(&mut self, bytes: &[u8]) -> (Vec<u8>, u64) {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            return (Vec::new(), self.keep(bytes));
        };
        let (mut whole, rest) = bytes.split_at(last + 1);
        let mut lines = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.discard) > 0 {
            let end = memchr::memchr(b'\n', whole).expect("BUG: there is a line end");
            whole = &whole[end + 1..];
        }
        lines.extend_from_slice(whole);
        (lines, self.keep(rest))
    }

    /// Keeps the start of a line; 1 when it is too long.
    fn keep(&mut self, bytes: &[u8]) -> u64 {
        if self.discard > 0 {
            return 0;
        }
        if self.partial.len() + bytes.len() > LINE_BYTES_MAX {
            self.partial = Vec::new();
            self.discard = 1;
            return 1;
        }
        self.partial.extend_from_slice(bytes);
        0
    }

    fn push_packets(&mut self, mut bytes: &[u8]) -> (Vec<u8>, u64) {
        let (mut lines, mut too_long) = (Vec::new(), 0);
        while !bytes.is_empty() {
            if self.discard > 0 {
                let gone = self.discard.min(bytes.len());
                self.discard -= gone;
                bytes = &bytes[gone..];
                continue;
            }
            let wanted = match self.partial.first_chunk::<LENGTH_BYTES>() {
                None => LENGTH_BYTES - self.partial.len(),
                Some(length) => {
                    // A length fits usize wherever this runs; too long ones are discarded below.
                    u32::from_le_bytes(*length) as usize + LENGTH_BYTES - self.partial.len()
                }
            };
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.partial.extend_from_slice(now);
            bytes = rest;
            let Some(length) = self.partial.first_chunk::<LENGTH_BYTES>() else { continue };
            let length = u32::from_le_bytes(*length) as usize;
            if length > LINE_BYTES_MAX {
                too_long += 1;
                self.discard = length;
                self.partial.clear();
            } else if self.partial.len() == LENGTH_BYTES + length {
                lines.extend_from_slice(&self.partial[LENGTH_BYTES..]);
                lines.push(b'\n');
                self.partial.clear();
            }
        }
        (lines, too_long)
    }

    /// The last line, when the stream ended without a line end. Half a packet is no line.
    fn finish(&mut self) -> Vec<u8> {
        match self.form {
            Form::Packets => Vec::new(),
            Form::Lines | Form::Unknown => std::mem::take(&mut self.partial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(mut framer: Framer, pieces: &[&[u8]]) -> (String, u64) {
        let (mut out, mut too_long) = (Vec::new(), 0);
        for piece in pieces {
            let (lines, discarded) = framer.push(piece);
            out.extend(lines);
            too_long += discarded;
        }
        out.extend(framer.finish());
        (String::from_utf8(out).expect("text"), too_long)
    }

    fn packet(text: &str) -> Vec<u8> {
        let mut packet = (text.len() as u32).to_le_bytes().to_vec();
        packet.extend_from_slice(text.as_bytes());
        packet
    }

    #[test]
    fn streams_are_cut_into_whole_lines_wherever_they_are_split() {
        let text = "a:1|c\nbb:2|g\n\nccc:3|ms\nlast:4|c";
        for cut in 0..text.len() {
            let pieces = [&text.as_bytes()[..cut], &text.as_bytes()[cut..]];
            for framer in [Framer::lines(), Framer::unknown()] {
                assert_eq!(frame(framer, &pieces), (text.to_owned(), 0), "cut at {cut}");
            }
        }
    }

    #[test]
    fn packets_are_cut_by_their_length_wherever_they_are_split() {
        let stream = [packet("a:1|c\nb:2|c"), packet(""), packet("c:3|c")].concat();
        for cut in 0..stream.len() {
            let (text, _) = frame(Framer::unknown(), &[&stream[..cut], &stream[cut..]]);
            assert_eq!(text, "a:1|c\nb:2|c\n\nc:3|c\n", "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frame(Framer::unknown(), &single).0, "a:1|c\nb:2|c\n\nc:3|c\n");
    }

    #[test]
    fn over_long_lines_and_packets_are_discarded_and_the_next_is_taken() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        let pieces: [&[u8]; 4] = [b"a:1|c\nb", &long, b"more", b"tail\nc:1|c\n"];
        assert_eq!(frame(Framer::lines(), &pieces), ("a:1|c\nc:1|c\n".to_owned(), 1));
        let long = packet(&"x".repeat(LINE_BYTES_MAX + 1));
        let stream = [packet("a:1|c"), long, packet("b:1|c")].concat();
        let pieces: Vec<&[u8]> = stream.chunks(1000).collect();
        assert_eq!(frame(Framer::unknown(), &pieces), ("a:1|c\nb:1|c\n".to_owned(), 1));
    }

    #[test]
    fn short_text_and_half_packets_end_with_the_stream() {
        assert_eq!(frame(Framer::unknown(), &[b"a"]).0, "a");
        let mut half = packet("a:1|c");
        half.pop();
        assert_eq!(frame(Framer::unknown(), &[&half]).0, "");
    }
}
