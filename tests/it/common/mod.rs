//! What the tests share: the built binary on free ports, a client that sees every byte, and an upstream that
//! records what it is sent and can misbehave.

pub mod client;
pub mod connect_proxy;
pub mod database;
pub mod envgate;
pub mod handover;
pub mod http2;
pub mod tls;
pub mod tls_upstream;
pub mod upstream;

pub const EXAMPLE: &str = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW";
