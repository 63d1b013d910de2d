//! The least that a Pingora proxy can do: exchange the credential headers and forward, in Pingora's ordinary phases.
//!
//! `bare-proxy LISTEN UPSTREAM KEY`, one thread.

use std::env;
use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

struct Forward {
    upstream: SocketAddr,
    key: String,
}

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        _ctx: &mut (),
    ) -> Result<()> {
        request.remove_header("authorization");
        request.insert_header("x-api-key", &self.key)?;
        request.insert_header("anthropic-version", "2023-06-01")?;
        request.insert_header("anthropic-beta", "managed-agents-2026-04-01")
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, upstream, key] = arguments.as_slice() else {
        panic!("usage: bare-proxy LISTEN UPSTREAM KEY");
    };
    let forward = Forward {
        upstream: upstream.parse().expect("UPSTREAM is an address and a port"),
        key: key.clone(),
    };
    let conf = ServerConf {
        threads: 1,
        // With one thread there is nothing to steal, and the plain runtime is the faster one.
        work_stealing: false,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, forward);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}
