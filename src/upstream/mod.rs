//! The client of the environments service: what is sent up, over which connection, and within what time. It
//! counts no budget and decides nothing: whoever sends says whether, and whether again.
//!
//! | what | where |
//! |---|---|
//! | one credential's client, which sends a request once | `client`; why it could not, `error` |
//! | the header as it goes up | `translate` |
//! | how long all may take | `deadline` |
//! | where the upstream is, and how a connection to it is made | `origin`, `resolver`, `address_race`, `proxy`, `tls`, `pinned_certificate` |
//! | what must not come down: the operator's credential | `redaction` |
//! | a connection, and those that are idle | `connection`, on a `transport`; `pool` |
//! | what goes up on it, and what comes | `request`; `reply`, `chunks`, and when, `received_bytes`; what of that is no reply, `framing` |
//! | whether the upstream is asked at all | `circuit` |

mod address_race;
mod chunks;
mod circuit;
mod client;
mod connection;
mod deadline;
mod error;
mod framing;
mod origin;
mod pinned_certificate;
mod pool;
mod proxy;
mod received_bytes;
mod redaction;
mod reply;
mod request;
mod resolver;
mod tls;
mod translate;
mod transport;

pub use circuit::Sender;
pub use client::{Client, Reuse, WriteSent};
pub use deadline::Deadline;
pub use error::{SendError, SetUpError};
pub use framing::ReplyFault;
pub use origin::{CONNECT_TIMEOUT, Origin};
pub use pinned_certificate::PinnedCertificates;
pub use proxy::ProxyError;
pub use received_bytes::ReceivedBytes;
pub use reply::Reply;
pub use request::{InvalidTarget, UpstreamRequest};
pub use tls::CertificateFile;
pub use translate::{Translation, UpstreamHeader, request_headers};
