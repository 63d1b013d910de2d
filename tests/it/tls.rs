//! The upstream over TLS: trusted certificates only, HTTP/1.1 only.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::common::envgate::{OPERATOR_KEY, Setup};
use crate::common::upstream::ENVIRONMENT;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A TLS server for `localhost` that answers every read with an environment; gives back its certificate in PEM.
fn tls_upstream() -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, stream.unwrap()));
            std::thread::spawn(move || {
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line == "\r\n" {
                        assert_eq!(stream.get_ref().conn.alpn_protocol(), Some(&b"http/1.1"[..]));
                        let head =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ENVIRONMENT.len());
                        stream
                            .get_mut()
                            .write_all(&[head.as_bytes(), ENVIRONMENT.as_bytes()].concat())
                            .unwrap();
                        stream.get_mut().flush().unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    (address, pem)
}

fn before(address: SocketAddr, host: &str, trusted: &str) -> crate::common::envgate::Envgate {
    let setup = Setup::new();
    let roots = setup.path().join("roots.pem");
    std::fs::write(&roots, trusted).unwrap();
    setup
        .set("SSL_CERT_FILE", roots.to_str().unwrap())
        .set(
            "ENVGATE_UPSTREAM__URL",
            &format!("https://{host}:{}", address.port()),
        )
        .set("ENVGATE_UPSTREAM__CREDENTIAL", OPERATOR_KEY)
        .set("ENVGATE_OWNERSHIP__STAMP", "false")
        .start()
}

#[test]
fn a_trusted_upstream_is_spoken_to_over_tls() {
    let (address, pem) = tls_upstream();
    let envgate = before(address, "localhost", &pem);
    for _ in 0..3 {
        let response = envgate.get("/v1/environments/env_1");
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

#[test]
fn an_upstream_that_is_not_trusted_or_has_another_name_is_sent_nothing() {
    let (address, pem) = tls_upstream();
    let (_, other) = tls_upstream();
    before(address, "localhost", &other)
        .get("/v1/environments/env_1")
        .expect_error(503, "api_error");
    before(address, "127.0.0.1", &pem)
        .get("/v1/environments/env_1")
        .expect_error(503, "api_error");
}
