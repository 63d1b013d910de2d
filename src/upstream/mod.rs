//! The client of the environments service: what is sent up, over which connection, and within what time.

mod breaker;
mod client;
mod deadline;
mod link;
mod origin;
mod pool;
mod resolver;
mod stream;
mod tls;
mod translate;
mod underway;

pub use client::{Client, Failure, Reply, SendPermit, SetUpError};
pub use deadline::Deadline;
pub use origin::{CONNECT_TIMEOUT, Origin};
pub use translate::{BETA, Translation, VERSION, request_headers};
pub use underway::Underway;
