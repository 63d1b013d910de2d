//! Export of spans by OTLP: `spans` makes the messages, `exporter` is the task that sends them, by way of a `client` that
//! connects with `connector`.
//!
//! The messages and the client of gRPC are the library's. Its SDK is not used: that makes objects of spans while they
//! happen, wakes a thread of its own for them, reads variables of the environment past the settings, and its clients of
//! HTTP bring another TLS provider.

mod client;
mod connector;
mod exporter;
mod spans;

pub use exporter::export_spans;
