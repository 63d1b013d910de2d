//! What the operator does: commands, settings, health, logs, stopping.

mod drain;
mod request_lines;
mod start;
mod stop;
mod telemetry;
mod tenants;
mod top;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
