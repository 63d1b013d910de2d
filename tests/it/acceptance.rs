//! envgate beside other people's servers, as they are installed, and as it comes to those who run it. Not part of
//! `make test`: `make acceptance` installs what these tests need, and runs them.

mod image;
mod installed;
mod manifests;
mod metrics;
mod monitoring;
mod operation;
mod package;
mod pgbouncer;
mod steady_load;
mod tls_clients;
mod units;
mod varnish;
