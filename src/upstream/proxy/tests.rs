use tokio::io::{DuplexStream, duplex};

use super::*;

fn tunnel(authorization: Option<&str>) -> Tunnel {
    let proxy = Proxy {
        host: "p".to_owned(),
        port: 1,
        authorization: authorization.map(|value| Secret::new(value.to_owned())),
    };
    Tunnel::new(&proxy, &UpstreamUrl::parse("https://api.example.com").unwrap())
}

/// What comes of an answer that arrives in these parts, after which the proxy closes.
async fn answered(parts: &[&[u8]]) -> Result<(), ProxyError> {
    let (mut here, mut there): (DuplexStream, DuplexStream) = duplex(1 << 20);
    for part in parts {
        there.write_all(part).await.unwrap();
    }
    there.shutdown().await.unwrap();
    tunnel(None).open(&mut here).await
}

#[test]
fn the_tunnel_is_asked_for_by_host_and_port_with_the_credentials_of_the_proxy_alone() {
    assert_eq!(
        tunnel(None).request.reveal(),
        "CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\n\r\n"
    );
    let request = tunnel(Some("Basic eA==")).request;
    assert!(
        request
            .reveal()
            .ends_with("\r\nproxy-authorization: Basic eA==\r\n\r\n")
    );
    let proxy = Proxy {
        host: "p".to_owned(),
        port: 1,
        authorization: None,
    };
    let tunnel = Tunnel::new(&proxy, &UpstreamUrl::parse("https://[fd00::1]:8443/p").unwrap());
    assert!(
        tunnel
            .request
            .reveal()
            .starts_with("CONNECT [fd00::1]:8443 HTTP/1.1\r\n")
    );
}

#[tokio::test]
async fn a_success_is_a_tunnel_whatever_its_header_says_and_however_it_comes() {
    for parts in [
        &[&b"HTTP/1.1 200 Connection established\r\n\r\n"[..]][..],
        &[b"HTTP/1.0 200 OK\r\nvia: p\r\n\r\n"],
        &[b"HTTP/1.1 2", b"04 No Content\r\ncontent-length: 5\r", b"\n\r\n"],
        &[b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"],
        &[b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"],
    ] {
        let outcome = answered(parts).await;
        assert!(outcome.is_ok(), "{outcome:?}: {parts:?}");
    }
}

#[tokio::test]
async fn what_is_no_success_says_whose_fault_it_is() {
    for (answer, expected) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "credentials",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\nhunter2",
            "refuses to make a way to the upstream (403)",
        ),
        ("HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", "(302)"),
        (
            "HTTP/1.1 500 hunter2\r\n\r\n",
            "refuses to make a way to the upstream (500)",
        ),
        (
            "HTTP/1.1 503 Unavailable\r\n\r\n",
            "does not reach the upstream (503)",
        ),
        (
            "HTTP/1.1 504 Timeout\r\n\r\n",
            "does not reach the upstream (504)",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhunter2", "is not HTTP"),
        ("HTTP/1.1 101 Switching\r\n\r\n", "closed"),
        ("SSH-2.0-hunter2\r\n", "is not HTTP"),
        ("HTTP/2 200\r\n\r\n", "is not HTTP"),
        ("HTTP/1.1 200 OK\r\nhunter2\r\n\r\n", "is not HTTP"),
        ("HTTP/1.1 200 OK\r\n", "closed the connection"),
        ("", "closed the connection"),
    ] {
        let error = answered(&[answer.as_bytes()]).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{answer:?}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_header_without_an_end_is_given_up() {
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "a".repeat(2 * MAX_HEAD_BYTES));
    let many = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(MAX_HEADERS + 1));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MAX_HEAD_BYTES / 20);
    for answer in [long, many, interim] {
        let outcome = answered(&[answer.as_bytes()]).await;
        assert!(matches!(outcome, Err(ProxyError::EndlessHead)), "{outcome:?}");
    }
}
