//! Binding the StatsD sockets.
//!
//! In: addresses and paths. Out: sockets with the buffers and timeouts they need. Never here:
//! receiving.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::datagram::PATIENCE;
use super::source::Origin;
use super::{Listen, Options};

/// Tries to find a port that is free for both UDP and TCP, when asked for any port.
const ANY_PORT_TRIES: usize = 16;
/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// A bound socket.
#[derive(Debug)]
pub enum Bound {
    /// UDP.
    Udp(UdpSocket, Origin),
    /// TCP.
    Tcp(TcpListener, Origin),
    /// Unix datagrams.
    Unixgram(UnixDatagram),
    /// Unix streams.
    Unix(UnixListener),
}

/// Binds everything the options ask for; also returns the network addresses, in their order.
///
/// # Errors
/// Something cannot be bound; the message names it.
pub fn bind_all(options: &Options) -> io::Result<(Vec<Bound>, Vec<SocketAddr>)> {
    let (mut bound, mut addresses) = (Vec::new(), Vec::new());
    for listen in &options.listens {
        let local = bind_network(*listen, options.read_buffer_bytes, &mut bound);
        addresses.push(local.map_err(|error| named(&listen.address, &error))?);
    }
    if let Some(path) = &options.unixgram {
        let socket = bind_unixgram(path, options.unix_mode);
        bound.push(Bound::Unixgram(socket.map_err(|error| named(&path.display(), &error))?));
    }
    if let Some(path) = &options.unix {
        let listener = bind_unix(path, options.unix_mode);
        bound.push(Bound::Unix(listener.map_err(|error| named(&path.display(), &error))?));
    }
    Ok((bound, addresses))
}

fn named(what: &impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen for statsd on {what}: {error}"))
}

fn bind_network(
    listen: Listen,
    buffer_bytes: usize,
    bound: &mut Vec<Bound>,
) -> io::Result<SocketAddr> {
    let origin = listen.origin;
    if !listen.tcp {
        let socket = bind_udp(listen.address, buffer_bytes)?;
        let local = socket.local_addr()?;
        bound.push(Bound::Udp(socket, origin));
        return Ok(local);
    }
    let mut tries = if listen.address.port() == 0 { ANY_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let tcp = bind_tcp(listen.address)?;
        let local = tcp.local_addr()?;
        let udp = listen.udp.then(|| bind_udp(local, buffer_bytes)).transpose();
        match udp {
            Ok(udp) => {
                bound.push(Bound::Tcp(tcp, origin));
                bound.extend(udp.map(|socket| Bound::Udp(socket, origin)));
                return Ok(local);
            }
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    listener.set_reuse_address(true)?;
    listener.set_nonblocking(true)?;
    listener.bind(&address.into())?;
    listener.listen(BACKLOG)?;
    TcpListener::from_std(listener.into())
}

fn bind_udp(address: SocketAddr, buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    enlarge(&socket, buffer_bytes)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Asks for the buffer, past `net.core.rmem_max` where the process may.
fn enlarge(socket: &Socket, wanted: usize) -> io::Result<()> {
    force(socket, wanted);
    if socket.recv_buffer_size()? >= wanted {
        return Ok(());
    }
    socket.set_recv_buffer_size(wanted)?;
    let granted = socket.recv_buffer_size()?;
    if granted < wanted {
        tracing::info!(
            granted_bytes = granted,
            wanted_bytes = wanted,
            "the kernel limits the statsd receive buffer, raise net.core.rmem_max if it drops packets"
        );
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn force(socket: &Socket, wanted: usize) {
    use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
    // Takes a privilege; without it the ordinary way is tried next.
    let _ = setsockopt(socket, RcvBufForce, &wanted);
}

#[cfg(not(target_os = "linux"))]
fn force(_: &Socket, _: usize) {}

fn bind_unixgram(path: &Path, mode: u32) -> io::Result<UnixDatagram> {
    remove_stale(path)?;
    let socket = UnixDatagram::bind(path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(socket)
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    remove_stale(path)?;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Removes the socket a process left that did not stop in order; any other file stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
        _ => Ok(()),
    }
}
