//! Who sent a line: the origin, told by listener or by address.
//!
//! In: a sender's address. Out: an [`Origin`], the number of a configured instance. Never here: what
//! is made of it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The number of a configured sender; 0 stands for everybody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin(pub u16);

/// A range of addresses, such as `10.1.0.0/16` or `10.1.2.3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    first: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Whether `address` is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<AddressRange, String> {
        let wrong = || format!("{text:?} is not an address or range such as 10.1.0.0/16");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if first.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > bits {
            return Err(wrong());
        }
        Ok(AddressRange { first, prefix })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// How one listener tells its senders apart.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Ranges of addresses, tried in order.
    pub ranges: Vec<(AddressRange, Origin)>,
    /// Everybody else on this listener.
    pub default: Origin,
}

impl Sources {
    /// Whether the origin depends on the sender's address.
    pub fn needs_address(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// The origin of a sender.
    #[inline]
    pub fn origin(&self, sender: Option<IpAddr>) -> Origin {
        if self.ranges.is_empty() {
            return self.default;
        }
        let in_range = |sender: IpAddr| {
            self.ranges.iter().find(|(range, _)| range.contains(sender)).map(|(_, origin)| *origin)
        };
        sender.and_then(in_range).unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let range: AddressRange = "10.1.0.0/16".parse().expect("a range");
        assert!(range.contains([10, 1, 200, 3].into()));
        assert!(!range.contains([10, 2, 0, 1].into()));
        let all: AddressRange = "0.0.0.0/0".parse().expect("a range");
        assert!(all.contains([1, 2, 3, 4].into()));
        let one: AddressRange = "::1".parse().expect("a range");
        assert!(one.contains("::1".parse().expect("an address")));
        assert!(!one.contains("::2".parse().expect("an address")));
        for wrong in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/x", "10.0.0.0/"] {
            assert!(wrong.parse::<AddressRange>().is_err(), "{wrong}");
        }
        let sources = Sources { ranges: vec![(range, Origin(2))], default: Origin(1) };
        assert_eq!(sources.origin(Some([10, 1, 0, 1].into())), Origin(2));
        assert_eq!(sources.origin(Some([10, 9, 0, 1].into())), Origin(1));
        assert_eq!(sources.origin(None), Origin(1));
    }
}
