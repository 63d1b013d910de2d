//! What everything that listens has in common: connections are accepted, counted, and closed where there are
//! too many; some speak TLS.
//!
//! The gateway serves them with Pingora, health, metrics, the admin API and the embedded environments service
//! with hyper.

mod acceptor;
mod body;
mod client_network;
mod connections;
mod descriptors;
mod entry;
mod inherited;
mod router;
mod socket;
mod tls;

pub use acceptor::{Accepted, Acceptor, bind};
pub use body::{ReadBodyError, read_body};
pub use client_network::ClientNetwork;
pub use connections::{ClientFull, ConnectionLimits, Connections, OpenConnection};
pub use descriptors::DescriptorLimit;
pub use inherited::{InheritedListenerError, InheritedListeners, listens_at, take_over};
pub use router::{ShownCertificate, serve};
pub use socket::ClientSocket;
pub use tls::{PreparedTls, Protocols, TlsListener, establish};
