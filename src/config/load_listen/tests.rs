use std::net::IpAddr;
use std::time::Duration;

use crate::config::ClientAddressHeader;
use crate::config::load::tests::{faults, settings};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn without_a_word_only_this_machine_is_trusted_and_no_header_is_believed() {
    let listen = settings("", &[]).listen;
    assert!(listen.trusted_networks.contains(address("127.9.9.9")));
    assert!(listen.trusted_networks.contains(address("::1")));
    assert!(!listen.trusted_networks.contains(address("10.0.0.1")));
    assert!(!listen.has_proxy_protocol);
    assert_eq!(listen.client_address_header, None);
    assert_eq!(listen.unknown_keys_per_minute, Some(60));
    assert_eq!(listen.max_requests_per_connection, 10_000);
    assert_eq!(listen.max_connection_age, Duration::from_secs(60 * 60));
    assert_eq!(
        (listen.max_connections_per_address, listen.max_in_flight),
        (None, None)
    );
}

#[test]
fn networks_are_a_list_in_the_file_and_have_commas_in_the_environment() {
    let listen = settings(
        "[listen]\ntrusted_networks = [\"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\"]\nclient_address_header = \"forwarded\"",
        &[],
    )
    .listen;
    for (text, is_trusted) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("2001:db8:1::1", true),
        ("127.0.0.1", false),
    ] {
        assert_eq!(
            listen.trusted_networks.contains(address(text)),
            is_trusted,
            "{text}"
        );
    }
    assert_eq!(listen.client_address_header, Some(ClientAddressHeader::Forwarded));

    let variable = |value: &'static str| [("ENVGATE_LISTEN__TRUSTED_NETWORKS", value)];
    let listen = settings("", &variable("10.0.0.0/8,192.0.2.7")).listen;
    assert!(listen.trusted_networks.contains(address("192.0.2.7")));
    assert!(settings("", &variable("")).listen.trusted_networks.is_empty());
}

#[test]
fn what_is_no_network_is_said() {
    assert_eq!(
        faults("listen.trusted_networks = [\"10.0.0.0/33\"]", &[]),
        [
            "envgate.toml:1:28: listen.trusted_networks: expected an address or a network, such as \"192.0.2.7\", \"10.0.0.0/8\" or \"2001:db8::/32\""
        ]
    );
    assert_eq!(
        faults("listen.trusted_networks = \"10.0.0.0/8\"", &[]),
        ["envgate.toml:1:27: listen.trusted_networks: expected an array, found a string"]
    );
}

#[test]
fn whoever_believes_proxies_has_to_trust_some() {
    let trusted = "listen.trusted_networks = []\n";
    assert_eq!(
        faults(&format!("{trusted}listen.proxy_protocol = true"), &[]),
        [
            "envgate.toml:2:25: listen.proxy_protocol: nobody could be believed, because listen.trusted_networks is empty"
        ]
    );
    assert_eq!(
        faults(
            &format!("{trusted}listen.client_address_header = \"x-forwarded-for\""),
            &[]
        ),
        [
            "envgate.toml:2:32: listen.client_address_header: nobody could be believed, because listen.trusted_networks is empty"
        ]
    );
}
