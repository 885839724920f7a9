//! Who may connect.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::config::Settings;

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anyone,
    /// Only this machine and these networks; others are cut off without an answer.
    Only(Vec<IpNet>),
    /// Whom the other one admits, if they also come from one of these networks; this machine is not
    /// among them unless it is named.
    Within(Vec<IpNet>, Box<Self>),
}

impl Access {
    /// The public listener's: a plain one serves loopback and the proxies that end TLS, so that a
    /// browser that reaches past the proxy gets nothing in clear (BCP-15).
    pub fn public(settings: &Settings) -> Self {
        let access =
            if settings.has_tls() { Self::Anyone } else { Self::Only(settings.proxy.trusted.clone()) };
        access.within(&settings.listen.public_allow)
    }

    /// The admin listener's.
    pub fn admin(settings: &Settings) -> Self {
        Self::Anyone.within(&settings.listen.admin_allow)
    }

    /// The same, for these networks; for all if there are none.
    fn within(self, networks: &[IpNet]) -> Self {
        if networks.is_empty() { self } else { Self::Within(networks.to_vec(), Box::new(self)) }
    }

    pub(crate) fn admits(&self, address: SocketAddr) -> bool {
        // An IPv4 client of a dual-stack socket appears as ::ffff:a.b.c.d.
        let ip: IpAddr = address.ip().to_canonical();
        let among = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&ip));
        match self {
            Self::Anyone => true,
            Self::Only(networks) => ip.is_loopback() || among(networks),
            Self::Within(networks, access) => among(networks) && access.admits(address),
        }
    }
}
