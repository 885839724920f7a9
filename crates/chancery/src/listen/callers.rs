//! How many connections each caller has open, so that one of them can't take the places of all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::IpNet;
use web::limits::Network;

use crate::config::Settings;

/// The open connections by caller: an IPv4 address or an IPv6 /64.
#[derive(Debug)]
pub struct Callers {
    most: usize,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<Network, usize>>,
}

/// One connection's place, counted or not; dropped when the connection ends.
#[derive(Debug)]
pub struct Place(Option<(Arc<Callers>, Network)>);

impl Callers {
    /// At most so many connections of each, and any number from exempt networks; 0 is no limit.
    pub fn new(most: usize, exempt: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, exempt, open: Mutex::default() })
    }

    /// Nobody counts.
    pub fn unlimited() -> Arc<Self> {
        Self::new(0, Vec::new())
    }

    /// As configured: trusted proxies bring everybody, and whoever no limit holds for is not counted.
    pub fn public(settings: &Settings) -> Arc<Self> {
        let most = usize::try_from(settings.listen.max_connections_per_address).unwrap_or(usize::MAX);
        Self::new(most, [settings.proxy.trusted.as_slice(), &settings.limits.exempt].concat())
    }

    /// A place for one more connection.
    ///
    /// # Errors
    /// [`Full`].
    pub fn place(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let address = address.to_canonical();
        if self.most == 0 || self.exempt.iter().any(|network| network.contains(&address)) {
            return Ok(Place(None));
        }
        let network = Network::of(Some(address));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= self.most {
            return Err(Full);
        }
        *count += 1;
        Ok(Place(Some((Arc::clone(self), network))))
    }
}

/// The caller has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Drop for Place {
    fn drop(&mut self) {
        let Some((callers, network)) = &self.0 else { return };
        let mut open = callers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                open.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_caller_has_so_many_places_and_leaves_nothing_behind() {
        let callers = Callers::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let place = |address: &str| callers.place(address.parse().unwrap());
        let first = place("192.0.2.1").unwrap();
        let second = place("::ffff:192.0.2.1").unwrap();
        assert_eq!(place("192.0.2.1").unwrap_err(), Full);
        assert!(place("192.0.2.2").unwrap().0.is_some());
        assert!((0..9).all(|_| place("10.0.0.1").unwrap().0.is_none()), "a proxy brings everybody");
        drop(first);
        let third = place("192.0.2.1").unwrap();
        assert_eq!(place("192.0.2.1").unwrap_err(), Full);
        drop((second, third));
        assert!(callers.open.lock().unwrap().is_empty());
        assert!((0..9).all(|_| Callers::new(0, Vec::new()).place("192.0.2.1".parse().unwrap()).is_ok()));
    }
}
