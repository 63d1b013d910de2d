//! The way of a request, in order. The only room that knows Pingora.
//!
//! An operation is one straight-line exchange inside `request_filter`, which answers and stops there. Pingora's
//! later phases lose a body over 64 KiB that was read early, cannot change a status once a header went out, and
//! do not see an upstream error without a body.

mod adopt;
mod answer;
mod audit;
mod body;
mod exchange;
mod generations;
mod head;
mod list;
mod owner;
mod ownership;
mod plans;
mod policy;
mod proxy;
mod read;
mod record;
mod reply;
mod requester;
mod server;
mod shared_reads;
mod state;
mod trail;
mod turns;
mod watch;

pub use server::{Running, bind, start};
pub use state::Gateway;
