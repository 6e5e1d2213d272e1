//! SOCKS 5: has a proxy open a connection.
//!
//! Sources: RFC 1928; RFC 1929 (user and password). Names are resolved by the proxy.

use std::io::{Error, Read, Result, Write};
use std::net::IpAddr;

const VERSION: u8 = 5;
/// Ways to log in: none, user and password.
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;

/// Opens a connection to `host` (of version 6 of IP in brackets) through the proxy at the other end
/// of `wire`.
///
/// # Errors
/// The proxy refuses, or does not speak SOCKS 5.
pub fn connect(
    wire: &mut (impl Read + Write),
    login: Option<&(String, String)>,
    host: &str,
    port: u16,
) -> Result<()> {
    let ways: &[u8] = if login.is_some() { &[NO_LOGIN, PASSWORD] } else { &[NO_LOGIN] };
    wire.write_all(&[&[VERSION, if login.is_some() { 2 } else { 1 }], ways].concat())?;
    match (read(wire)?, login) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, PASSWORD], Some((user, password))) => log_in(wire, user, password)?,
        ([VERSION, _], _) => return Err(Error::other("the SOCKS proxy wants another login")),
        _ => return Err(Error::other("the proxy does not speak SOCKS 5")),
    }
    let mut request = vec![VERSION, 1, 0];
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            request.push(3);
            request.extend_from_slice(&with_length(bare)?);
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    wire.write_all(&request)?;
    let [_, reply, _, kind] = read(wire)?;
    if reply != 0 {
        return Err(Error::other(format!("the SOCKS proxy refuses with code {reply}")));
    }
    // The address it uses itself.
    let rest = match kind {
        1 => 4 + 2,
        4 => 16 + 2,
        3 => usize::from(read::<1>(wire)?[0]) + 2,
        _ => return Err(Error::other("the SOCKS proxy answers with an unknown kind of address")),
    };
    wire.read_exact(&mut vec![0; rest])
}

fn log_in(wire: &mut (impl Read + Write), user: &str, password: &str) -> Result<()> {
    wire.write_all(&[&[1], &with_length(user)?[..], &with_length(password)?[..]].concat())?;
    match read(wire)? {
        [_, 0] => Ok(()),
        _ => Err(Error::other("the SOCKS proxy refuses the login")),
    }
}

fn with_length(text: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(text.len());
    let length = length.map_err(|_| Error::other("a text is too long for the SOCKS proxy"))?;
    Ok([&[length], text.as_bytes()].concat())
}

fn read<const N: usize>(wire: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    wire.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Proxy(&'static [u8], Vec<u8>);

    impl Read for Proxy {
        fn read(&mut self, into: &mut [u8]) -> Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Proxy {
        fn write(&mut self, from: &[u8]) -> Result<usize> {
            self.1.write(from)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_connection_is_opened_with_a_login() {
        let mut proxy =
            Proxy(b"\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50rest", vec![]);
        let login = ("u".to_owned(), "pw".to_owned());
        connect(&mut proxy, Some(&login), "x.example", 443).expect("open");
        let expected = b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01\x00\x03\x09x.example\x01\xbb";
        assert_eq!(proxy.1, expected);
        assert_eq!(proxy.0, b"rest");
    }

    #[test]
    fn refusals_are_told() {
        for (answer, hint) in [
            (&b"HTTP/1.1 400"[..], "does not speak"),
            (b"\x05\xff", "another login"),
            (b"\x05\x00\x05\x05\x00\x01", "code 5"),
            (b"\x05", "fill"),
        ] {
            let error = connect(&mut Proxy(answer, vec![]), None, "[::1]", 80).expect_err(hint);
            assert!(error.to_string().contains(hint), "{error}");
        }
    }
}
