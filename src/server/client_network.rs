use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// What one client has to itself: an IPv4 address, or the /64 of an IPv6 address, within which it can take
/// whatever address it likes. An IPv4 address that is written as IPv6 is the IPv4 address.
///
/// ```
/// use envgate::server::ClientNetwork;
///
/// let network = |text: &str| ClientNetwork::of(text.parse().unwrap());
/// assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
/// assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
/// assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
/// assert_eq!(network("2001:db8::1").to_string(), "2001:db8::/64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The one of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let bits = address.to_bits() >> 64 << 64;
                Self(IpAddr::V6(Ipv6Addr::from_bits(bits)))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}
