//! Datagrams the kernel threw away before we could read them.
//!
//! In: the text of `/proc/net/udp` or `/proc/net/udp6`. Out: the drop counter of our socket. Where
//! there is no such file (not Linux), nothing is known and nothing is reported.

use std::fs;
use std::net::SocketAddr;

/// Datagrams dropped so far by the kernel on the UDP sockets bound to `local`; `None` when unknown.
pub fn drops(local: SocketAddr) -> Option<u64> {
    let path = if local.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    drops_of(&fs::read_to_string(path).ok()?, local.port())
}

/// Sum of the last column (drops) over the lines whose second column ends in our port.
fn drops_of(table: &str, port: u16) -> Option<u64> {
    let suffix = format!(":{port:04X}");
    let ours = table.lines().skip(1).filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let bound_here = columns.nth(1)?.ends_with(&suffix);
        bound_here.then(|| columns.last()?.parse::<u64>().ok())?
    });
    ours.reduce(u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1101: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0000000000000000 17
 1102: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0000000000000000 4
";

    #[test]
    fn finds_the_drops_of_a_port() {
        assert_eq!(drops_of(TABLE, 8125), Some(17));
        assert_eq!(drops_of(TABLE, 53), Some(4));
        assert_eq!(drops_of(TABLE, 54), None);
        assert_eq!(drops_of("", 53), None);
    }
}
