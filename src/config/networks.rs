use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// A network: an address, and how many bits of it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// Networks, of which an address is in one or in none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// A text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\"")]
pub struct NetworkError;

impl Networks {
    /// Whether the address is in one of them. An IPv4 address that is written as IPv6 is the IPv4 address.
    ///
    /// ```
    /// use envgate::config::{Network, Networks};
    ///
    /// let networks: Networks = ["10.0.0.0/8".parse::<Network>()?].into_iter().collect();
    /// assert!(networks.contains("10.1.2.3".parse()?));
    /// assert!(networks.contains("::ffff:10.1.2.3".parse()?));
    /// assert!(!networks.contains("192.0.2.1".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.0.contains(&address))
    }

    /// Whether no address is in them.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// An address alone is the network that it is all of.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().map_err(|_| NetworkError)?,
        };
        Ok(Self(canonical(network)))
    }
}

/// The network of IPv4 that one of IPv6 stands for, where it does.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = network else { return network };
    let v4 = v6.addr().to_ipv4_mapped().and_then(|address| {
        let bits = v6.prefix_len().checked_sub(MAPPED_BITS)?;
        Ipv4Net::new(address, bits).ok()
    });
    v4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let networks: Networks = [network.parse::<Network>().unwrap()].into_iter().collect();
        networks.contains(address.parse().unwrap())
    }

    #[test]
    fn what_stands_behind_the_bits_that_count_does_not_matter() {
        assert!(contains("10.1.2.3/8", "10.200.0.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.1") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
    }

    #[test]
    fn an_ipv4_network_that_is_written_as_ipv6_is_the_ipv4_network() {
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(contains("::ffff:192.0.2.1", "192.0.2.1"));
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "localhost",
            "10.0.0.1:80",
            "::/129",
            "10.0.0.0/-1",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text:?}");
        }
    }
}
