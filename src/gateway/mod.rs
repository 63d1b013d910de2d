//! The way of a request, in order. The only room that knows Pingora.
//!
//! An operation is one straight-line exchange inside `request_filter`, which answers and stops there. Pingora's
//! later phases lose a body over 64 KiB that was read early, cannot change a status once a header went out, and
//! do not see an upstream error without a body.
//!
//! | what | where |
//! |---|---|
//! | listening, and the border to Pingora | `server`, `proxy` |
//! | the way itself, step by step | `exchange` |
//! | the header, the plan, the body | `head`, `plans`, `body` |
//! | whose an environment is | `ownership` remembers, `owner` asks, `list` picks, `adopt` changes it |
//! | what a plan allows | `policy`, one update of an environment after the other by `turns` |
//! | a read that others want too | `read`, `shared_reads`, outdated by `generations` |
//! | the upstream, with a place in the budget | `upstream_session`; `watch` looks after the client meanwhile |
//! | the reply, and the answer that it becomes | `reply`, `answer` |
//! | what stays of a request | `record`; of a write, `trail` and `audit` |

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
mod server;
mod shared_reads;
mod state;
mod trail;
mod turns;
mod upstream_session;
mod watch;

pub use server::{Running, bind, start};
pub use state::Gateway;
