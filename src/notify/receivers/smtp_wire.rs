//! A connection to a mail server: commands and replies, in the clear or within TLS.
//!
//! In: lines. Out: replies. Never here: what they are about.
//!
//! Source: RFC 5321, 4.2 (replies), 4.5.2 (dots), 4.5.3 (lengths).

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Longest line of a reply in bytes: RFC 5321 allows 512.
const LINE_BYTES_MAX: usize = 4096;
/// Most lines of one reply.
const LINES_MAX: usize = 200;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The texts behind them.
    pub lines: Vec<String>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" "))
    }
}

/// Why a command failed.
#[derive(Debug)]
pub enum SmtpError {
    /// The connection.
    Io(io::Error),
    /// The server refuses.
    Refused(Reply),
    /// What it says is no reply.
    Malformed(&'static str),
}

impl SmtpError {
    /// Whether the time was over; a socket says so in one of two ways, depending on the system.
    pub fn is_timeout(&self) -> bool {
        matches!(self, SmtpError::Io(error)
            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

impl fmt::Display for SmtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SmtpError::Io(error) => error.fmt(f),
            SmtpError::Refused(reply) => reply.fmt(f),
            SmtpError::Malformed(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for SmtpError {
    fn from(error: io::Error) -> SmtpError {
        SmtpError::Io(error)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(into),
            Stream::Tls(stream) => stream.read(into),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// A connection to a mail server.
pub struct Connection {
    stream: Stream,
    until: Instant,
    /// What was read beyond the last line.
    rest: Vec<u8>,
}

impl Connection {
    /// Connects to a server; everything has to be over at `until`.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn open(host: &str, port: u16, until: Instant) -> Result<Connection, SmtpError> {
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let mut failed = io::Error::new(ErrorKind::NotFound, "the host has no address");
        for (tried, address) in addresses.iter().enumerate() {
            let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match TcpStream::connect_timeout(address, left(until)? / others) {
                Ok(socket) => {
                    let (stream, rest) = (Stream::Plain(socket), Vec::new());
                    return Ok(Connection { stream, until, rest });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed.into())
    }

    /// Whether TLS is spoken.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Speaks TLS from now on.
    ///
    /// # Errors
    /// The server is not trusted, or does not speak it.
    pub fn encrypt(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), SmtpError> {
        if !self.rest.is_empty() {
            // Somebody on the way may have put it there.
            return Err(SmtpError::Malformed("the server says more before TLS begins"));
        }
        self.hurry()?;
        let mut socket = self.stream.socket().try_clone()?;
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            if tls.complete_io(&mut socket)? == (0, 0) {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(tls, socket)));
        Ok(())
    }

    /// Sends a command, which holds no line ends; the reply when it is not a refusal.
    ///
    /// # Errors
    /// See [`SmtpError`].
    pub fn command(&mut self, command: &str) -> Result<Reply, SmtpError> {
        if command.contains(['\r', '\n']) {
            return Err(SmtpError::Malformed("a command must not hold line ends"));
        }
        self.hurry()?;
        self.stream.write(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    /// Sends a message after `DATA`; the reply when it is not a refusal.
    ///
    /// # Errors
    /// See [`SmtpError`].
    pub fn message(&mut self, text: &str) -> Result<Reply, SmtpError> {
        self.hurry()?;
        self.stream.write(with_dots(text).as_bytes())?;
        self.reply()
    }

    /// What the server says next, when it is not a refusal.
    ///
    /// # Errors
    /// See [`SmtpError`].
    pub fn reply(&mut self) -> Result<Reply, SmtpError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let code = code.ok_or(SmtpError::Malformed("the server's reply has no code"))?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            match line.as_bytes().get(3) {
                Some(b'-') if lines.len() < LINES_MAX => {}
                Some(b'-') => return Err(SmtpError::Malformed("the server's reply has no end")),
                _ if (200..400).contains(&code) => return Ok(Reply { code, lines }),
                _ => return Err(SmtpError::Refused(Reply { code, lines })),
            }
        }
    }

    fn line(&mut self) -> Result<String, SmtpError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.rest.len() > LINE_BYTES_MAX {
                return Err(SmtpError::Malformed("a line of the server is too long"));
            }
            self.hurry()?;
            let mut bytes = [0; 1024];
            let count = self.stream.read(&mut bytes)?;
            if count == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
            self.rest.extend_from_slice(&bytes[..count]);
        }
    }

    /// Lets the socket wait for no longer than there is time.
    fn hurry(&self) -> io::Result<()> {
        let left = Some(left(self.until)?);
        let socket = self.stream.socket();
        socket.set_read_timeout(left).and_then(|()| socket.set_write_timeout(left))
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A message as it is sent: a dot more where a line begins with one, and a lone one at the end.
fn with_dots(text: &str) -> String {
    let dotted = text.replace("\r\n.", "\r\n..");
    let first = if dotted.starts_with('.') { "." } else { "" };
    let end = if dotted.ends_with("\r\n") { "" } else { "\r\n" };
    format!("{first}{dotted}{end}.\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection to a server that has said `said` and closed.
    fn heard(said: &str) -> Result<Reply, SmtpError> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let until = Instant::now() + Duration::from_secs(10);
        let mut connection = Connection::open("127.0.0.1", port, until)?;
        let (mut stream, _) = listener.accept()?;
        stream.write_all(said.as_bytes())?;
        drop(stream);
        connection.reply()
    }

    #[test]
    fn replies_have_a_code_and_lines() {
        let reply = heard("250-mail\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n").expect("a reply");
        assert_eq!(
            (reply.code, reply.lines),
            (250, vec!["mail".to_owned(), "AUTH PLAIN".to_owned(), "STARTTLS".to_owned(),])
        );
        assert_eq!(heard("250\n").expect("bare").to_string(), "250 ");
        let refused = heard("550-no\r\n550 such user\r\n").expect_err("refused");
        assert_eq!(refused.to_string(), "550 no such user");
        for bad in ["hello\r\n", "", "250-x\r\n", &"x".repeat(9000), &"250-x\r\n".repeat(300)] {
            let error = heard(bad).expect_err(bad);
            assert!(!matches!(error, SmtpError::Refused(_)), "{error}");
        }
    }

    #[test]
    fn a_lone_dot_ends_a_message() {
        assert_eq!(with_dots("a\r\n.\r\n..b"), "a\r\n..\r\n...b\r\n.\r\n");
        assert_eq!(with_dots(".a\r\n"), "..a\r\n.\r\n");
    }
}
