//! Whose request it is that a proxy of the operator's passes on. It decides about logs, the audit and limits,
//! and never about a right.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use super::forwarded;
use crate::config::{ClientAddressHeader, Listen, Networks};

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of whoever asks, where the connection is from `connection`.
pub(super) fn client_address(listen: &Listen, connection: IpAddr, headers: &HeaderMap) -> IpAddr {
    let Some(header) = listen.client_address_header else {
        return connection;
    };
    if !listen.trusted_networks.contains(connection) {
        return connection;
    }
    let (name, address): (_, fn(&[u8]) -> _) = match header {
        ClientAddressHeader::Forwarded => (FORWARDED, forwarded::address),
        ClientAddressHeader::XForwardedFor => (X_FORWARDED_FOR, forwarded::node),
    };
    let lines = headers.get_all(name).iter().rev();
    let elements = lines.flat_map(|line| forwarded::elements_from_end(line.as_bytes()));
    first_untrusted(connection, elements.map(address), &listen.trusted_networks)
}

/// Goes from one machine to the one that it had the request from, as long as it is to be believed: to the
/// first that is none of the operator's, or as far as they tell an address.
fn first_untrusted(
    connection: IpAddr,
    told: impl Iterator<Item = Option<IpAddr>>,
    trusted: &Networks,
) -> IpAddr {
    let mut last = connection;
    for address in told {
        let Some(address) = address else { return last };
        last = address;
        if !trusted.contains(address) {
            return address;
        }
    }
    last
}

#[cfg(test)]
mod tests;
