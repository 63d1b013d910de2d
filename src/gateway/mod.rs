//! The way of a request, in order. The only room that knows Pingora.
//!
//! An operation is one straight-line exchange in Pingora's `HttpServerApp`, fed by an accept loop of our own.
//! The phases of its proxy lose a body over 64 KiB that was read early, cannot change a status once a header
//! went out, do not see an upstream error without a body, and answer malformed heads themselves; its listener
//! can neither count connections before their handshake nor give their memory back.
//!
//! | what | where |
//! |---|---|
//! | listening, and the threads that serve | `listener`, `workers` |
//! | the border to Pingora: a connection, and the stream beneath it | `connection`, `stream`, `head_limit` |
//! | the way itself, step by step | `exchange` |
//! | the header, the plan, the body | `head`, `plans`, `body` |
//! | whose an environment is | `ownership` remembers, `owner` asks, `list` picks, `adopt` changes it |
//! | what a plan allows | `policy`, one update of an environment after the other by `turns` |
//! | a read that others want too | `read`, `shared_reads`, outdated by `generations` |
//! | the upstream, with a place in the budget | `upstream_session`; `watch` looks after the client meanwhile |
//! | the reply, and the answer that it becomes | `reply`, `answer`, written by `write` |
//! | what stays of a request | `record`; of a write, `trail` and `audit` |

mod adopt;
mod answer;
mod audit;
mod body;
mod connection;
mod exchange;
mod generations;
mod head;
mod head_limit;
mod list;
mod listener;
mod owner;
mod ownership;
mod plans;
mod policy;
mod read;
mod record;
mod reply;
mod shared_reads;
mod state;
mod stream;
mod trail;
mod turns;
mod upstream_session;
mod watch;
mod workers;
mod write;

pub use listener::{Running, start};
pub use state::Gateway;
