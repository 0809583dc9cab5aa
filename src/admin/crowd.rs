//! How many connections each address has. One that takes them all would keep probes out, and a container whose probes fail
//! is ended.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Of one address; loopback may have all there are.
const EACH: usize = 16;

#[derive(Debug, Clone, Default)]
pub(super) struct Crowd {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    /// `None`: this address has as many as it may have.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= EACH && !address.is_loopback() {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { crowd: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Whoever has an IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let crowd = Crowd::default();
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut places: Vec<_> = (0..EACH).map(|_| crowd.enter(at("192.0.2.1")).unwrap()).collect();
        assert!(crowd.enter(at("192.0.2.1")).is_none());
        assert!(crowd.enter(at("::ffff:192.0.2.1")).is_none());
        assert!(crowd.enter(at("192.0.2.2")).is_some());
        places.pop();
        assert!(crowd.enter(at("192.0.2.1")).is_some());
        let _ours: Vec<_> = (0..=EACH).map(|_| crowd.enter(at("127.0.0.1")).unwrap()).collect();
        let _theirs: Vec<_> =
            (0..EACH).map(|n| crowd.enter(at(&format!("2001:db8::{n}"))).unwrap()).collect();
        assert!(crowd.enter(at("2001:db8::ffff")).is_none(), "the same network");
        assert!(crowd.enter(at("2001:db8:0:1::1")).is_some());
        drop(places);
        assert!(!crowd.counts.lock().unwrap().contains_key(&at("192.0.2.1")), "who has none is forgotten");
    }
}
