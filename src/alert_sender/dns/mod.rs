//! Records of names, asked of the system's name servers: what the system's own look-up of addresses
//! does not tell, services and mail servers above all.
//!
//! In: a name and a kind of records. Out: the records; none when the servers agree that there is no
//! such name. Never here: a cache, DNSSEC, what the records are for.
//!
//! Source of the behaviour: Prometheus' `discovery/dns`; of the messages: RFC 1035, 2782, 3596, 6891.

pub mod message;
mod resolv_conf;

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use message::{Answer, Query, Record, RecordKind, Refusal};
pub use resolv_conf::Resolver;
use ring::rand::{SecureRandom, SystemRandom};

/// Where the system says whom to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Largest such file, in bytes.
const RESOLV_CONF_BYTES_MAX: u64 = 1 << 20;
/// How long one server may take for one question (as in Prometheus).
const TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer in one datagram, in bytes; a longer one is fetched over TCP.
const DATAGRAM_BYTES_MAX: usize = 4096;

impl Resolver {
    /// The system's, as its file says at this moment.
    ///
    /// # Errors
    /// The file cannot be read, or names no server.
    pub fn of_system() -> Result<Resolver, String> {
        let failed = |why: String| format!("reading {RESOLV_CONF}: {why}");
        let path = Path::new(RESOLV_CONF);
        let bytes = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
        if bytes > RESOLV_CONF_BYTES_MAX {
            return Err(failed(format!("it has {bytes} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Ok(Resolver::parse(&text))
    }

    /// The records of `name`. Of the names it may stand for, the first that exists counts.
    ///
    /// # Errors
    /// No server has answered for one of these names, and none of the others exists.
    pub fn look_up(&self, name: &str, kind: RecordKind) -> Result<Vec<Record>, String> {
        let mut failure = None;
        for full in self.candidates(name) {
            match self.ask_any(&full, kind) {
                Ok(Some(records)) => return Ok(records),
                Ok(None) => {}
                Err(why) => failure = Some(format!("looking up {full}: {why}")),
            }
        }
        failure.map_or(Ok(Vec::new()), Err)
    }

    /// What the first server says that knows; `None`: there is no such name.
    fn ask_any(&self, full: &str, kind: RecordKind) -> Result<Option<Vec<Record>>, String> {
        let mut failure = "no name server is known".to_owned();
        for server in &self.servers {
            match ask(*server, full, kind) {
                Ok(Answer::Records(records)) => return Ok(Some(records)),
                Ok(Answer::NoSuchName) => return Ok(None),
                Err(why) => failure = format!("name server {server}: {why}"),
            }
        }
        Err(failure)
    }
}

/// Asks one server, over TCP when the answer is too long for a datagram.
fn ask(server: SocketAddr, name: &str, kind: RecordKind) -> Result<Answer, String> {
    let mut id = [0; 2];
    SystemRandom::new().fill(&mut id).map_err(|_| "the system has no random numbers")?;
    let query = Query::new(u16::from_be_bytes(id), name, kind)?;
    let answer = over_udp(server, &query).map_err(|error| error.to_string())?;
    match query.read(&answer) {
        Err(Refusal::Truncated) => {
            let answer = over_tcp(server, &query).map_err(|error| error.to_string())?;
            query.read(&answer).map_err(|refusal| refusal.to_string())
        }
        other => other.map_err(|refusal| refusal.to_string()),
    }
}

/// What comes back for a query; datagrams that answer something else are not looked at.
fn over_udp(server: SocketAddr, query: &Query) -> std::io::Result<Vec<u8>> {
    let until = Instant::now() + TIMEOUT;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(query.bytes())?;
    let mut answer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let length = socket.recv(&mut answer)?;
        if query.is_answered_by(&answer[..length]) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

fn over_tcp(server: SocketAddr, query: &Query) -> std::io::Result<Vec<u8>> {
    let until = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(query.bytes().len()).expect("BUG: a query has one short name");
    stream.write_all(&[&length.to_be_bytes(), query.bytes()].concat())?;
    let mut length = [0; 2];
    read_until(&mut stream, &mut length, until)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    read_until(&mut stream, &mut answer, until)?;
    Ok(answer)
}

/// Fills `bytes`, however slowly they come, by `until`.
fn read_until(stream: &mut TcpStream, mut bytes: &mut [u8], until: Instant) -> std::io::Result<()> {
    while !bytes.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(bytes)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => bytes = &mut bytes[read..],
        }
    }
    Ok(())
}

fn left(until: Instant) -> std::io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
