//! `[listen]`.

use super::errors::Problem;
use super::networks::Networks;
use super::reader::Reader;
use super::settings::Listen;
use super::tree::Raw;
use super::values;

impl Reader<'_> {
    pub(super) fn listen(&mut self) -> Option<Listen> {
        let address = self.read("listen.address", values::address);
        let max_body_bytes = self.read("listen.max_body_bytes", |raw| {
            values::integer(raw, 1 << 10..=32 << 20)
        });
        let body_timeout = self.read("listen.body_timeout", values::duration);
        let header_timeout = self.read("listen.header_timeout", values::duration);
        let keepalive_timeout = self.read("listen.keepalive_timeout", values::duration);
        let max_connections = self.read_optional("listen.max_connections", |raw| {
            values::integer(raw, 1..=1_000_000)
        });
        let max_connections_per_address = self.read_optional("listen.max_connections_per_address", |raw| {
            values::integer(raw, 1..=1_000_000)
        });
        let max_requests_per_connection = self.read("listen.max_requests_per_connection", |raw| {
            values::integer(raw, 1..=1_000_000_000)
        });
        let max_connection_age = self.read("listen.max_connection_age", values::duration_or_off);
        let max_in_flight =
            self.read_optional("listen.max_in_flight", |raw| values::integer(raw, 1..=1_000_000));
        let unknown_keys_per_minute = self.read("listen.unknown_keys_per_minute", values::limit);
        let trusted_networks = self.networks("listen.trusted_networks");
        let has_proxy_protocol = self.read("listen.proxy_protocol", values::boolean);
        let client_address_header = self.read("listen.client_address_header", values::client_address_header);
        if trusted_networks.as_ref().is_some_and(Networks::is_empty) {
            if has_proxy_protocol == Some(true) {
                self.fault("listen.proxy_protocol", Problem::NobodyTrusted);
            }
            if client_address_header.is_some_and(|header| header.is_some()) {
                self.fault("listen.client_address_header", Problem::NobodyTrusted);
            }
        }
        let write_timeout = self.read("listen.write_timeout", values::duration);
        let min_send_bytes_per_second = self.read("listen.min_send_bytes_per_second", |raw| {
            values::integer(raw, 1..=1 << 20)
        });
        let max_unread_bytes = self.read("listen.max_unread_bytes", |raw| {
            values::integer(raw, 1 << 20..=u32::MAX)
        });
        let probe_half_closed = self.read("listen.probe_half_closed", values::boolean);
        let health_path = self.read_optional("listen.health_path", values::health_path);
        let tls = self.server_tls("listen.tls");
        Some(Listen {
            address: address?,
            max_body_bytes: max_body_bytes?,
            body_timeout: body_timeout?,
            header_timeout: header_timeout?,
            keepalive_timeout: keepalive_timeout?,
            max_connections: max_connections?,
            max_connections_per_address: max_connections_per_address?,
            max_requests_per_connection: max_requests_per_connection?,
            max_connection_age: max_connection_age?,
            max_in_flight: max_in_flight?,
            unknown_keys_per_minute: unknown_keys_per_minute?,
            trusted_networks: trusted_networks?,
            has_proxy_protocol: has_proxy_protocol?,
            client_address_header: client_address_header?,
            write_timeout: write_timeout?,
            min_send_bytes_per_second: min_send_bytes_per_second?,
            max_unread_bytes: max_unread_bytes?,
            probe_half_closed: probe_half_closed?,
            health_path: health_path?,
            tls: tls?,
        })
    }

    fn networks(&mut self, path: &str) -> Option<Networks> {
        let written = self.entries.settings.get(path);
        if written.is_none_or(|written| !matches!(written.raw, Raw::List(_))) {
            return self.read(path, values::networks);
        }
        let networks = self.read_list(path, values::network)??;
        Some(networks.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
