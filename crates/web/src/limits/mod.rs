//! How much one caller may ask for.
//!
//! Before anybody is authenticated the caller is an address; after it, at the endpoints for clients,
//! also the client. The order matters: only a client that proved who it is is counted, else a
//! stranger could use up a client's share by naming it. The third limit, the growing delay of an
//! account, is a fact of the account and lives in `mfa::throttle`.
//!
//! * [`LimitPolicy`] says how much; [`Limits`] counts, in memory of a fixed size: nodes count apart.
//! * [`layer`] stands before the routes of a [`Class`]; [`fields`] writes what answers say of it.
//! * [`header`] refuses requests whose header is too large to be honest.

pub mod fields;
pub mod header;
pub mod layer;
mod limiter;
mod network;
mod policy;
#[cfg(test)]
mod tests;
mod timer;

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use axum::response::Response;
use protocol::ClientId;

pub use governor::clock::FakeRelativeClock;
pub use limiter::{Standing, Verdict};
pub use network::Network;
pub use policy::{Class, LimitPolicy};
pub use timer::Timer;

use crate::limits::{limiter::Limiter, network::Buckets};

/// How often forgotten callers are removed.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// The counts of one process.
pub struct Limits {
    policy: LimitPolicy,
    buckets: Buckets,
    guesses: Option<Limiter<u32>>,
    pages: Option<Limiter<u32>>,
    endpoints: Option<Limiter<u32>>,
    registrations: Option<Limiter<u32>>,
    clients: Option<Limiter<ClientId>>,
}

impl Limits {
    /// Nobody has asked for anything yet.
    pub fn new(policy: LimitPolicy, timer: &Timer) -> Self {
        let by_address = |class: Class, per_minute| Limiter::new(class.name(), per_minute, timer);
        Self {
            buckets: Buckets::default(),
            guesses: policy.guesses.map(|n| by_address(Class::Guess, n)),
            pages: policy.pages.map(|n| by_address(Class::Page, n)),
            endpoints: policy.endpoints.map(|n| by_address(Class::Endpoint, n)),
            registrations: policy.registrations.map(|n| by_address(Class::Registration, n)),
            clients: policy.clients.map(|n| Limiter::new("client", n, timer)),
            policy,
        }
    }

    /// Counts a request of an address; `None` where nothing is limited. A caller without a known
    /// address is limited together with all others like it.
    pub fn address(&self, class: Class, address: Option<IpAddr>) -> Option<Verdict> {
        let limiter = match class {
            Class::Guess => self.guesses.as_ref(),
            Class::Page => self.pages.as_ref(),
            Class::Endpoint => self.endpoints.as_ref(),
            Class::Registration => self.registrations.as_ref(),
        }?;
        if address.is_some_and(|address| self.policy.exempts(address)) {
            return None;
        }
        Some(limiter.check(&self.buckets.of(Network::of(address))))
    }

    /// Counts a request of a client that has proved who it is; `None` where nothing is limited.
    pub fn client(&self, client: &ClientId) -> Option<Verdict> {
        self.clients.as_ref().map(|limiter| limiter.check(client))
    }

    fn by_address(&self) -> impl Iterator<Item = &Limiter<u32>> {
        [&self.guesses, &self.pages, &self.endpoints, &self.registrations].into_iter().flatten()
    }

    /// How many callers are remembered at this moment.
    pub fn remembered(&self) -> usize {
        self.by_address().map(Limiter::len).sum::<usize>() + self.clients.as_ref().map_or(0, Limiter::len)
    }

    /// Forgets callers whose share is whole again.
    pub fn tidy(&self) {
        self.by_address().for_each(Limiter::tidy);
        self.clients.iter().for_each(Limiter::tidy);
    }

    /// Tidies every minute, for ever; whoever serves spawns it.
    pub async fn tend(&self) {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            self.tidy();
        }
    }
}

/// The share of the client of one request: asked when the client has proved who it is, and told in
/// the answer.
pub struct ClientShare<'a> {
    limits: &'a Limits,
    standing: OnceLock<Standing>,
}

impl<'a> ClientShare<'a> {
    /// Of a request whose client is not known yet.
    pub const fn new(limits: &'a Limits) -> Self {
        Self { limits, standing: OnceLock::new() }
    }

    /// Counts the request for an authenticated client.
    ///
    /// # Errors
    /// The seconds after which it may come again.
    pub fn admit(&self, client: &ClientId) -> Result<(), u64> {
        let Some(verdict) = self.limits.client(client) else { return Ok(()) };
        fields::count(&verdict);
        let (standing, answer) = match verdict {
            Verdict::Within(standing) => (standing, Ok(())),
            Verdict::Beyond(standing) => (standing, Err(standing.reset)),
        };
        self.standing.get_or_init(|| standing);
        answer
    }

    /// Leaves the standing with the response, for the [`layer`] to write beside the address's.
    #[must_use]
    pub fn tell(self, mut response: Response) -> Response {
        if let Some(standing) = self.standing.into_inner() {
            response.extensions_mut().insert(standing);
        }
        response
    }
}
