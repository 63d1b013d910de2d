//! Everything that is promised to users, through the built binary and real sockets: a module for each capability.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod common;

mod acceptance;
mod admin;
mod adopt;
mod asking;
mod audit;
mod bad_input;
mod budget;
mod captured_requests;
mod circuit;
mod client_address;
mod client_gone;
mod clients;
mod conformance;
mod connections;
mod contract_refusals;
mod doctor;
mod documents;
mod drift;
mod embedded;
mod examples;
mod exchange;
mod faults;
mod fuzzing;
mod handover;
mod health;
mod health_path;
mod http2;
mod keys;
mod limits;
mod log;
mod metrics;
mod monitoring;
mod operator;
mod operator_faults;
mod overlays;
mod ownership;
mod plans;
mod planted_secrets;
mod policy;
mod reload;
mod replicas;
mod shared_budget;
mod shared_reads;
mod signals;
mod slow_readers;
mod stopping;
mod store;
mod systemd;
mod tls;
mod tls_listener;
mod traces;
mod upstream_connections;
mod upstream_faults;
mod upstream_proxy;
mod upstream_tls;
