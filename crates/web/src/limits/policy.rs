//! How much is allowed.

use std::{net::IpAddr, num::NonZeroU32};

use ipnet::IpNet;

/// What a route costs, and so which limit stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Tries a credential of a person: it guesses, and a password is hashed.
    Guess,
    /// Another page: it may write.
    Page,
    /// An endpoint for programs.
    Endpoint,
    /// The registration of clients: it writes for good.
    Registration,
}

impl Class {
    /// The name of the limit in `RateLimit` fields and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guess => "guess",
            Self::Page => "page",
            Self::Endpoint => "endpoint",
            Self::Registration => "registration",
        }
    }
}

/// Requests per minute. A whole minute's share may be used at once; it grows back evenly (GCRA).
/// `None` is no limit, and the default is none at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitPolicy {
    /// Of one address, on routes of [`Class::Guess`].
    pub guesses: Option<NonZeroU32>,
    /// Of one address, on routes of [`Class::Page`].
    pub pages: Option<NonZeroU32>,
    /// Of one address, on routes of [`Class::Endpoint`], all together.
    pub endpoints: Option<NonZeroU32>,
    /// Of one address, on routes of [`Class::Registration`].
    pub registrations: Option<NonZeroU32>,
    /// Of one authenticated client.
    pub clients: Option<NonZeroU32>,
    /// Networks whose addresses are not limited, such as the bank's own gateways.
    pub exempt: Vec<IpNet>,
}

impl LimitPolicy {
    pub(super) fn exempts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.exempt.iter().any(|network| network.contains(&address))
    }
}
