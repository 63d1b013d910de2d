//! envgate beside other people's servers, as they are installed. Not part of `make test`: `make acceptance` installs what
//! these tests need, and runs them.

mod pgbouncer;
mod tls_clients;
mod varnish;
