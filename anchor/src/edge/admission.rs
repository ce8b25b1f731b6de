//! [`Admission`]: how many connections there are, in total and of one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are as many as there may be.
    Total,
    /// This address has as many as one may have.
    Address,
}

/// Counts connections. Cloning gives the same counts.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    total_max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One admitted connection; dropping it makes room.
#[derive(Debug)]
pub struct Admitted {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Admission {
    /// At most `total_max` connections, and `per_address_max` of one address.
    pub fn new(total_max: usize, per_address_max: usize) -> Self {
        Self(Arc::new(Counts {
            total_max,
            per_address_max,
            open: Mutex::default(),
        }))
    }

    /// Takes a connection of `address`, where there is room.
    pub fn admit(&self, address: IpAddr) -> Result<Admitted, Full> {
        let address = subscriber_of(address);
        let mut open = self.0.open.lock();
        if open.total >= self.0.total_max {
            return Err(Full::Total);
        }
        let of_address = open.by_address.entry(address).or_default();
        if *of_address >= self.0.per_address_max {
            return Err(Full::Address);
        }
        *of_address += 1;
        open.total += 1;
        Ok(Admitted {
            counts: self.0.clone(),
            address,
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.counts.open.lock();
        open.total -= 1;
        if let Some(of_address) = open.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// What stands for one subscriber line: an IPv4 address, or the first 64 bits of an IPv6 address.
pub fn subscriber_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn both_bounds_hold_and_leaving_makes_room() {
        let admission = Admission::new(3, 2);
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        assert_eq!(admission.admit(a).unwrap_err(), Full::Address);
        let _third = admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).unwrap_err(), Full::Total);
        drop(first);
        assert!(admission.admit(b).is_ok());
        assert_eq!(admission.0.open.lock().by_address.len(), 2);
    }

    #[test]
    fn a_subscriber_line_is_one_address() {
        for (address, line) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(
                subscriber_of(address.parse().unwrap()),
                line.parse::<IpAddr>().unwrap()
            );
        }
    }
}
