//! TLS at the addresses of tenants and operators: certificates, their files, and clients that show one.

mod clients;
mod files;
mod handshakes;
mod memory;
