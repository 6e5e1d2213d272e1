//! `resolv.conf`: whom to ask, and which names a short one may stand for.
//!
//! In: its text. Out: servers and names. Never here: files, questions. What is not understood is
//! passed over, as resolvers do. Source: `resolv.conf(5)`.

use std::net::{IpAddr, SocketAddr};

/// Port of name servers.
const PORT: u16 = 53;
/// Most servers that are asked.
const SERVERS_MAX: usize = 8;
/// Most domains that are tried.
const SEARCH_MAX: usize = 32;
/// Most dots that `ndots` may ask for.
const DOTS_MAX: usize = 15;

/// Whom to ask, and for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolver {
    /// The servers, in the order in which they are asked.
    pub(super) servers: Vec<SocketAddr>,
    /// Domains that short names may be in.
    search: Vec<String>,
    /// A name with fewer dots is looked for in the domains first.
    dots: usize,
}

impl Resolver {
    /// Reads the text of a `resolv.conf`.
    pub fn parse(text: &str) -> Resolver {
        let mut own = Resolver { servers: Vec::new(), search: Vec::new(), dots: 1 };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    own.servers.extend(address.map(|address| SocketAddr::new(address, PORT)));
                }
                Some("domain") => own.search = words.take(1).map(str::to_owned).collect(),
                Some("search") => own.search = words.take(SEARCH_MAX).map(str::to_owned).collect(),
                Some("options") => {
                    let given = |word: &str| word.strip_prefix("ndots:")?.parse::<usize>().ok();
                    let dots = words.filter_map(given).next_back();
                    own.dots = dots.map_or(own.dots, |dots| dots.min(DOTS_MAX));
                }
                _ => {}
            }
        }
        own.servers.truncate(SERVERS_MAX);
        own
    }

    /// One that asks only `servers`, for nothing but the very names.
    pub fn of(servers: Vec<SocketAddr>) -> Resolver {
        Resolver { servers, search: Vec::new(), dots: 1 }
    }

    /// The full names that `name` may stand for, in the order in which they are tried.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let itself = format!("{name}.");
        let within = |domain: &String| match domain.trim_end_matches('.') {
            "" => itself.clone(),
            domain => format!("{name}.{domain}."),
        };
        let mut all: Vec<String> = self.search.iter().map(within).collect();
        let has_dots = name.matches('.').count() >= self.dots;
        all.insert(if has_dots { 0 } else { all.len() }, itself);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_resolvers_do() {
        let text = "# a comment\nnameserver 10.0.0.1\nnameserver fe80::1\nnameserver x\ndomain old\n\
                    search a.example. b.example\noptions timeout:1 ndots:2 rotate\nsortlist x\n";
        let own = Resolver::parse(text);
        let servers = ["10.0.0.1:53", "[fe80::1]:53"].map(|text| text.parse().expect("valid"));
        assert_eq!(own.servers, servers);
        assert_eq!(own.candidates("am."), ["am."]);
        assert_eq!(own.candidates("am.x"), ["am.x.a.example.", "am.x.b.example.", "am.x."]);
        let long = own.candidates("_am._tcp.x");
        assert_eq!(long, ["_am._tcp.x.", "_am._tcp.x.a.example.", "_am._tcp.x.b.example."]);
        let few = Resolver::parse("domain only here\noptions ndots:99\n");
        assert_eq!((few.servers.len(), few.dots), (0, 15));
        assert_eq!(few.candidates("am"), ["am.only.", "am."]);
        assert_eq!(Resolver::parse("search .").candidates("a.b"), ["a.b.", "a.b."]);
    }
}
