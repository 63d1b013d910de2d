//! HTTP/2 with tenants: over TLS alone, within bounds, and answered as HTTP/1.1 is.

mod abuse;
mod exchanges;
mod limits;
