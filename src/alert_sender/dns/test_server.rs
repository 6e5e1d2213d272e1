//! A name server for tests: one thread, UDP and TCP on one port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};

/// A record of an answer: owner, type, data.
pub type Row = (&'static str, u16, Vec<u8>);

/// What the server says to a question for a name and a type: code and records; `None`: nothing.
pub type Zone = fn(&str, u16) -> Option<(u16, Vec<Row>)>;

/// The name in a message, uncompressed.
pub fn wire_name(name: &str) -> Vec<u8> {
    let parts = name.trim_end_matches('.').split('.').filter(|part| !part.is_empty());
    let bytes = parts.flat_map(|part| [&[part.len() as u8], part.as_bytes()].concat());
    bytes.chain([0]).collect()
}

/// Data of an SRV record.
pub fn srv(target: &str, port: u16) -> Vec<u8> {
    [&[0, 1, 0, 2][..], &port.to_be_bytes(), &wire_name(target)].concat()
}

/// Starts a server; over UDP it cuts off what is longer than `udp_bytes_max`. It lasts as long as
/// the tests.
pub fn start(zone: Zone, udp_bytes_max: usize) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")) {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut question) {
            let Some(mut whole) = answer(&question[..length], zone) else { continue };
            let mut stray = whole.clone();
            stray[0] ^= 1; // an answer to another question comes first
            udp.send_to(&stray, from).expect("sent");
            if whole.len() > udp_bytes_max {
                whole.truncate(udp_bytes_max);
                whole[2] |= 2;
            }
            udp.send_to(&whole, from).expect("sent");
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.expect("a connection");
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).expect("a question");
            let Some(whole) = answer(&question, zone) else { continue };
            let length = u16::try_from(whole.len()).expect("short enough").to_be_bytes();
            for byte in [&length, &whole[..]].concat() {
                stream.write_all(&[byte]).expect("sent"); // one by one, as nobody should
            }
        }
    });
    address
}

fn answer(question: &[u8], zone: Zone) -> Option<Vec<u8>> {
    let (mut name, mut at) = (String::new(), 12);
    while question[at] != 0 {
        let length = usize::from(question[at]);
        let part = std::str::from_utf8(&question[at + 1..][..length]).expect("a name");
        name = format!("{name}{part}.");
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let (code, rows) = zone(&name, kind)?;
    let mut whole = question[..at + 5].to_vec();
    whole[2] = 0x81;
    whole[3] = 0x80 | code as u8;
    whole[6..12].copy_from_slice(&[0, rows.len() as u8, 0, 0, 0, 0]);
    for (owner, kind, data) in rows {
        match owner {
            // The name that was asked for, as servers write it.
            "" => whole.extend_from_slice(&[0xc0, 12]),
            owner => whole.extend_from_slice(&wire_name(owner)),
        }
        whole.extend_from_slice(&kind.to_be_bytes());
        whole.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        whole.extend_from_slice(&(data.len() as u16).to_be_bytes());
        whole.extend_from_slice(&data);
    }
    Some(whole)
}
