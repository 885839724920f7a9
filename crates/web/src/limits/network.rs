//! Which callers count as one.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

/// Callers that share one count: an IPv4 address, or an IPv6 /64, which is what one subscriber gets
/// and can change within at will (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// One IPv4 address.
    V4(u32),
    /// The upper half of an IPv6 address.
    V6(u64),
    /// No address is known.
    Unknown,
}

impl Network {
    /// The network of an address. An IPv4 address written in IPv6 (`::ffff:a.b.c.d`) is that address.
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::V4(address.to_bits()),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                let upper = [a, b, c, d].into_iter().fold(0, |upper, part| upper << 16 | u64::from(part));
                Self::V6(upper)
            }
            None => Self::Unknown,
        }
    }
}

/// As many counts as there ever are, so that nobody can fill the memory by coming from ever new
/// addresses. Networks are spread over them by a keyed hash whose key nobody knows: two that meet
/// share a limit until the process restarts, and neither can choose to meet the other.
#[derive(Clone, Debug, Default)]
pub struct Buckets(RandomState);

/// 2¹⁸ counts of some twenty bytes each.
const MASK: u64 = (1 << 18) - 1;

impl Buckets {
    /// The count of a network.
    pub fn of(&self, network: Network) -> u32 {
        u32::try_from(self.0.hash_one(network) & MASK).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(Some(text.parse().unwrap()))
    }

    #[test]
    fn ipv4_counts_by_address_and_ipv6_by_64() {
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:2:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2002:db8:1:2::1"));
    }

    #[test]
    fn there_are_never_more_counts_than_buckets() {
        let buckets = Buckets::default();
        let bucket = |n: u64| buckets.of(Network::V6(n));
        assert!((0..10_000).all(|n| u64::from(bucket(n)) <= MASK));
        assert_eq!(bucket(7), bucket(7));
        let distinct: std::collections::BTreeSet<u32> = (0..10_000).map(bucket).collect();
        assert!(distinct.len() > 9_000, "{} of 10000", distinct.len());
    }
}
