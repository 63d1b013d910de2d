//! The environments service within the process.

use std::net::{SocketAddr, TcpListener};

use tokio::sync::watch;

use super::super::output::CommandError;
use super::shutdown::wait_for_stop;
use crate::config::{Secret, UpstreamService, UpstreamUrl};
use crate::embedded;
use crate::server;
use crate::store::{Store, StoreError};
use crate::tenancy::KeyText;

/// The embedded environments service, bound to a loopback port of its own but not started.
pub(super) struct EmbeddedUpstream {
    listener: TcpListener,
    pub(super) service: UpstreamService,
}

impl EmbeddedUpstream {
    pub(super) fn bind() -> Result<Self, CommandError> {
        let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        // Nobody but this process ever needs the credential, so a new one is made at every start.
        let credential = KeyText::generate().map_err(StoreError::from)?;
        let url = UpstreamUrl {
            is_tls: false,
            host: address.ip().to_string(),
            port: address.port(),
            path_prefix: String::new(),
        };
        let credential = Secret::new(credential.reveal().to_owned());
        Ok(Self {
            listener,
            service: UpstreamService { url, credential },
        })
    }

    pub(super) fn start(self, store: &Store, stopped: watch::Receiver<bool>) {
        tokio::spawn(embedded::serve(
            self.listener,
            store.clone(),
            self.service.credential,
            wait_for_stop(stopped),
        ));
    }
}
