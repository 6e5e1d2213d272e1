//! Many datagrams a system call.
//!
//! In: a bound datagram socket with a read timeout. Out: datagrams and their senders' addresses.
//! Never here: queues, parsing. On Linux one `recvmmsg` takes up to [`BATCH`] datagrams; elsewhere
//! they are taken one by one.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

/// Most datagrams taken at a time: enough that the system call costs little for each.
pub const BATCH: usize = 128;
/// Largest UDP payload.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// A datagram socket.
#[derive(Debug)]
pub enum Datagrams {
    /// Over the network.
    Udp(UdpSocket),
    /// From this machine, through a path.
    Unix(UnixDatagram),
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io::IoSliceMut;
    use std::os::fd::{AsRawFd, RawFd};

    use nix::errno::Errno;
    use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrLike, SockaddrStorage, recvmmsg};

    use super::{BATCH, DATAGRAM_BYTES_MAX, Datagrams, IpAddr, io};

    /// Buffers for one batch. Pages that no datagram reaches take no memory.
    pub struct Receiver {
        socket: Datagrams,
        headers: Headers,
        buffers: Vec<u8>,
        received: Vec<(usize, Option<IpAddr>)>,
    }

    /// What the kernel fills in for each datagram. Addresses nobody asks for are a tenth of the cost
    /// of a small datagram.
    enum Headers {
        WithSender(MultiHeaders<SockaddrStorage>),
        Plain(MultiHeaders<()>),
    }

    impl Receiver {
        /// Takes from `socket`; tells the senders' addresses only when `with_sender`.
        pub fn new(socket: Datagrams, with_sender: bool) -> Receiver {
            Receiver {
                socket,
                headers: match with_sender {
                    true => Headers::WithSender(MultiHeaders::preallocate(BATCH, None)),
                    false => Headers::Plain(MultiHeaders::preallocate(BATCH, None)),
                },
                buffers: vec![0; BATCH * DATAGRAM_BYTES_MAX],
                received: Vec::with_capacity(BATCH),
            }
        }

        /// Hands what waits in the socket to `each`, at most [`BATCH`] datagrams; waits for the
        /// first one when `wait`.
        ///
        /// # Errors
        /// `WouldBlock` when nothing came in time; otherwise what the socket says.
        pub fn receive(
            &mut self,
            wait: bool,
            mut each: impl FnMut(&[u8], Option<IpAddr>),
        ) -> io::Result<()> {
            let flags = if wait { MsgFlags::MSG_WAITFORONE } else { MsgFlags::MSG_DONTWAIT };
            let descriptor = descriptor(&self.socket);
            let Receiver { headers, buffers, received, .. } = self;
            match headers {
                Headers::WithSender(headers) => {
                    fill(descriptor, headers, flags, buffers, ip, received)?;
                }
                Headers::Plain(headers) => {
                    fill(descriptor, headers, flags, buffers, |()| None, received)?;
                }
            }
            for (buffer, (length, sender)) in
                self.buffers.chunks(DATAGRAM_BYTES_MAX).zip(&self.received)
            {
                each(&buffer[..(*length).min(buffer.len())], *sender);
            }
            Ok(())
        }
    }

    /// One system call: fills `buffers`, and `received` with lengths and senders.
    fn fill<S: SockaddrLike + Copy>(
        descriptor: RawFd,
        headers: &mut MultiHeaders<S>,
        flags: MsgFlags,
        buffers: &mut [u8],
        address: fn(S) -> Option<IpAddr>,
        received: &mut Vec<(usize, Option<IpAddr>)>,
    ) -> io::Result<()> {
        received.clear();
        let buffers = buffers.chunks_mut(DATAGRAM_BYTES_MAX);
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            buffers.map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let messages = recvmmsg(descriptor, headers, slices.iter_mut(), flags, None);
        let messages = messages.map_err(|error: Errno| io::Error::from(error))?;
        received.extend(messages.map(|m| (m.bytes, m.address.and_then(address))));
        Ok(())
    }

    fn descriptor(socket: &Datagrams) -> RawFd {
        match socket {
            Datagrams::Udp(socket) => socket.as_raw_fd(),
            Datagrams::Unix(socket) => socket.as_raw_fd(),
        }
    }

    fn ip(address: SockaddrStorage) -> Option<IpAddr> {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().to_canonical()))
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::{BATCH, DATAGRAM_BYTES_MAX, Datagrams, IpAddr, io};

    /// A buffer for one datagram.
    pub struct Receiver {
        socket: Datagrams,
        buffer: Vec<u8>,
    }

    impl Receiver {
        /// Takes from `socket`; addresses cost nothing here, so they are always told.
        pub fn new(socket: Datagrams, _with_sender: bool) -> Receiver {
            Receiver { socket, buffer: vec![0; DATAGRAM_BYTES_MAX] }
        }

        /// Hands what waits in the socket to `each`, at most [`BATCH`] datagrams; waits for the
        /// first one when `wait`.
        ///
        /// # Errors
        /// `WouldBlock` when nothing came in time; otherwise what the socket says.
        pub fn receive(
            &mut self,
            wait: bool,
            mut each: impl FnMut(&[u8], Option<IpAddr>),
        ) -> io::Result<()> {
            for taken in 0..BATCH {
                self.set_nonblocking(!wait || taken > 0)?;
                let received = match &self.socket {
                    Datagrams::Udp(socket) => socket
                        .recv_from(&mut self.buffer)
                        .map(|(length, sender)| (length, Some(sender.ip().to_canonical()))),
                    Datagrams::Unix(socket) => {
                        socket.recv(&mut self.buffer).map(|length| (length, None))
                    }
                };
                match received {
                    Ok((length, sender)) => each(&self.buffer[..length], sender),
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => return Ok(()),
                }
            }
            Ok(())
        }

        fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
            match &self.socket {
                Datagrams::Udp(socket) => socket.set_nonblocking(nonblocking),
                Datagrams::Unix(socket) => socket.set_nonblocking(nonblocking),
            }
        }
    }
}

pub use imp::Receiver;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn datagrams_come_in_batches_with_their_senders() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        let target = socket.local_addr().expect("bound");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let plain = Datagrams::Udp(socket.try_clone().expect("a second handle"));
        let mut receiver = Receiver::new(Datagrams::Udp(socket), true);
        let idle = receiver.receive(false, |_, _| panic!("nothing was sent"));
        assert_eq!(idle.expect_err("nothing").kind(), io::ErrorKind::WouldBlock);
        for i in 0..BATCH + 5 {
            sender.send_to(format!("a:{i}|c").as_bytes(), target).expect("sent");
        }
        let mut taken = Vec::new();
        while taken.len() < BATCH + 5 {
            let each = |bytes: &[u8], sender: Option<IpAddr>| {
                taken.push((bytes.to_vec(), sender));
            };
            receiver.receive(true, each).expect("received");
        }
        let loopback: IpAddr = [127, 0, 0, 1].into();
        for (i, (bytes, sender)) in taken.iter().enumerate() {
            assert_eq!(*bytes, format!("a:{i}|c").into_bytes());
            assert_eq!(*sender, Some(loopback));
        }
        // Without senders, where nobody asks for them.
        sender.send_to(b"b:1|c", target).expect("sent");
        let mut plain = Receiver::new(plain, false);
        plain.receive(true, |bytes, _| assert_eq!(bytes, b"b:1|c")).expect("received");
    }
}
