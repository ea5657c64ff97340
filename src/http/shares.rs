//! What each address has of the handshakes that are under way at the listener for certificates.
//!
//! A place is a connection that was accepted and whose handshake is not over. All addresses together have [`ROOM`] of them, one
//! has [`SEATS`], and [`TURNS`] of these at a time are worked on; the others wait for theirs. So whoever fills the room has many
//! addresses. Of IPv6 a network of 64 bits counts as one, since that is what one subscriber has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Connections of all addresses.
const ROOM: usize = 4096;
/// Connections of one address.
const SEATS: usize = 256;
/// Handshakes of one address at once.
const TURNS: usize = 32;

/// The places of all addresses.
pub(super) struct Shares {
    room: Arc<Semaphore>,
    seats: Mutex<HashMap<IpAddr, Taken>>,
}

struct Taken {
    count: usize,
    turns: Arc<Semaphore>,
}

/// A place of an address, until it is dropped.
pub(super) struct Seat {
    shares: Arc<Shares>,
    network: IpAddr,
    turns: Arc<Semaphore>,
}

impl Default for Shares {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM)), seats: Mutex::default() }
    }
}

impl Shares {
    /// Waits until there is room for one more connection.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// A place for a connection from an address; none if the address has all of its own.
    pub(super) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network(address);
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Taken { count: 0, turns: Arc::new(Semaphore::new(TURNS)) };
        let taken = seats.entry(network).or_insert_with(fresh);
        if taken.count >= SEATS {
            return None;
        }
        taken.count += 1;
        Some(Seat { shares: self.clone(), network, turns: taken.turns.clone() })
    }
}

impl Seat {
    /// Waits for its turn among the connections of the same address.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.shares.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.network) {
            taken.count -= 1;
            if taken.count == 0 {
                seats.remove(&self.network);
            }
        }
    }
}

/// Whom an address belongs to.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_own_places_and_takes_no_others() {
        let shares = Arc::new(Shares::default());
        let mut all: Vec<Seat> = (0..SEATS).map(|_| shares.seat(address("192.0.2.1")).unwrap()).collect();
        assert!(shares.seat(address("192.0.2.1")).is_none());
        assert!(shares.seat(address("::ffff:192.0.2.1")).is_none(), "the same address in its other form");
        assert!(shares.seat(address("192.0.2.2")).is_some());
        all.pop();
        assert!(shares.seat(address("192.0.2.1")).is_some(), "a connection that ended gives its place back");
        drop(all);
        assert!(shares.seats.lock().unwrap().is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let shares = Arc::new(Shares::default());
        let _all: Vec<Seat> =
            (0..SEATS).map(|at| shares.seat(address(&format!("2001:db8::{at:x}"))).unwrap()).collect();
        assert!(shares.seat(address("2001:db8::ffff:1")).is_none());
        assert!(shares.seat(address("2001:db8:0:1::1")).is_some());
    }

    #[tokio::test]
    async fn those_of_one_address_wait_for_each_other() {
        let shares = Arc::new(Shares::default());
        let seats: Vec<Seat> = (0..=TURNS).map(|_| shares.seat(address("192.0.2.1")).unwrap()).collect();
        let mut turns = Vec::new();
        for seat in &seats[..TURNS] {
            turns.push(seat.turn().await.unwrap());
        }
        let at_once = std::time::Duration::ZERO;
        assert!(tokio::time::timeout(at_once, seats[TURNS].turn()).await.is_err(), "it waits");
        turns.pop();
        assert!(tokio::time::timeout(at_once, seats[TURNS].turn()).await.is_ok(), "its turn has come");
        let other = shares.seat(address("192.0.2.2")).unwrap();
        assert!(other.turn().await.is_some());
    }
}
