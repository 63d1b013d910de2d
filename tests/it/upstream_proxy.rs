//! The upstream behind a proxy that makes tunnels by `CONNECT`.

use crate::common::connect_proxy::{ConnectProxy, ProxyThen};
use crate::common::envgate::{OPERATOR_KEY, Setup};
use crate::common::tls_upstream::{Certificate, TlsUpstream};
use crate::common::upstream::{Then, Upstream};

const PATH: &str = "/v1/environments/env_1";
/// No name server knows it; the proxy does.
const NAME: &str = "upstream.test";
const PASSWORD: &str = "hunter2";
const CREDENTIALS: &str = "proxy-authorization: Basic bWU6aHVudGVyMg==\r\n";

/// A gateway that has to ask a proxy for the way to an upstream over TLS.
fn behind_proxy(certificate: &Certificate) -> Setup {
    let setup = Setup::new();
    let pinned = setup.path().join("pinned.pem");
    std::fs::write(&pinned, &certificate.certificate).unwrap();
    setup
        .set("ENVGATE_UPSTREAM__URL", &format!("https://{NAME}"))
        .set("ENVGATE_UPSTREAM__CREDENTIAL", OPERATOR_KEY)
        .set("ENVGATE_UPSTREAM__PINNED_CERTIFICATE", pinned.to_str().unwrap())
        .set("ENVGATE_UPSTREAM__LIST_AT_START", "false")
        .set("ENVGATE_OWNERSHIP__STAMP", "false")
        .set("ENVGATE_SERVER__THREADS", "1")
        .set("ENVGATE_CACHE__TTL", "off")
}

#[test]
fn requests_go_through_the_tunnel_which_is_kept() {
    let certificate = Certificate::of_openssl();
    let upstream = TlsUpstream::start(&certificate);
    let proxy = ConnectProxy::start(ProxyThen::Tunnel(upstream.address));
    let envgate = behind_proxy(&certificate)
        .set(
            "ENVGATE_UPSTREAM__PROXY",
            &format!("http://me:{PASSWORD}@{}", proxy.address),
        )
        .start();
    for _ in 0..3 {
        let response = envgate.get(PATH);
        assert_eq!(response.status, 200, "{}: {}", response.text(), envgate.log());
    }
    let expected = format!("CONNECT {NAME}:443 HTTP/1.1\r\nhost: {NAME}:443\r\n{CREDENTIALS}\r\n");
    assert_eq!(proxy.seen(), [expected]);
    assert_eq!(upstream.requests(), 3);
}

#[test]
fn the_environment_names_the_proxy_where_the_setting_asks_it() {
    let certificate = Certificate::of_openssl();
    let upstream = TlsUpstream::start(&certificate);
    for (variable, setting) in [
        ("HTTPS_PROXY", "environment"),
        ("https_proxy", "environment"),
        ("ALL_PROXY", "environment"),
    ] {
        let proxy = ConnectProxy::start(ProxyThen::Tunnel(upstream.address));
        let url = format!("http://me:{PASSWORD}@{}", proxy.address);
        let mut envgate = behind_proxy(&certificate)
            .set(variable, &url)
            .set("NO_PROXY", "localhost,127.0.0.0/8,.example.com")
            .set("ENVGATE_UPSTREAM__PROXY", setting)
            .start();
        assert_eq!(envgate.get(PATH).status, 200, "{variable}");
        assert_eq!(proxy.seen().len(), 1);
        assert!(proxy.seen()[0].contains(CREDENTIALS));
        let check = envgate.run(&["check"]);
        let said = String::from_utf8(check.stdout).unwrap();
        assert!(
            said.contains(&format!(
                "upstream.proxy: http://{}, which {variable} names",
                proxy.address
            )),
            "{said}"
        );
        let log = envgate.stop();
        for text in [said, String::from_utf8(check.stderr).unwrap(), log] {
            assert!(
                !text.contains(PASSWORD) && !text.contains("bWU6aHVudGVyMg"),
                "{text}"
            );
        }
    }
}

#[test]
fn an_upstream_that_is_excepted_or_on_this_machine_is_reached_without_the_environments_proxy() {
    let upstream = Upstream::always(Then::environment());
    let proxy = ConnectProxy::start(ProxyThen::Tunnel(upstream.address));
    for exceptions in ["", "*", "127.0.0.1"] {
        let envgate = Setup::new()
            .upstream(upstream.address)
            .set("ALL_PROXY", &format!("http://{}", proxy.address))
            .set("NO_PROXY", exceptions)
            .set("ENVGATE_UPSTREAM__PROXY", "environment")
            .start();
        assert_eq!(envgate.get(PATH).status, 200);
    }
    assert!(proxy.seen().is_empty());
}

#[test]
fn a_proxy_of_the_environments_that_nobody_asked_for_is_not_used_and_that_is_told() {
    let setup = behind_proxy(&Certificate::of_openssl())
        .set("HTTPS_PROXY", &format!("http://me:{PASSWORD}@127.0.0.1:1"));
    let output = setup.run(&["check"]);
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{warned}");
    assert!(
        warned.contains("HTTPS_PROXY names a proxy") && !warned.contains(PASSWORD),
        "{warned}"
    );
    let output = setup.set("ENVGATE_UPSTREAM__PROXY", "none").run(&["check"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_plain_upstream_is_tunnelled_to_as_well() {
    let upstream = Upstream::always(Then::environment());
    let proxy = ConnectProxy::start(ProxyThen::Tunnel(upstream.address));
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__PROXY", &format!("http://{}", proxy.address))
        .start();
    assert_eq!(envgate.get(PATH).status, 200);
    assert!(proxy.seen()[0].starts_with(&format!("CONNECT {} HTTP/1.1\r\n", upstream.address)));
}

/// What a proxy does, the kind of the error, and what the log says.
fn faults() -> Vec<(ProxyThen, &'static str, &'static str)> {
    let answer = |text: &str| ProxyThen::Answer(text.replace('|', "\r\n"));
    vec![
        (
            answer("HTTP/1.1 407 hunter2|proxy-authenticate: Basic realm=\"hunter2\"|content-length: 0||"),
            "upstream_proxy",
            "does not take the credentials of the gateway",
        ),
        (
            answer("HTTP/1.1 403 Forbidden||hunter2"),
            "upstream_proxy",
            "refuses to make a way to the upstream (403)",
        ),
        (
            answer("SSH-2.0-OpenSSH_9|"),
            "upstream_proxy",
            "what the proxy answered is not HTTP",
        ),
        (
            answer("HTTP/1.1 200 OK||HTTP/1.1 200 OK||{}"),
            "upstream_proxy",
            "what the proxy answered is not HTTP",
        ),
        (answer(""), "upstream_proxy", "closed the connection"),
        (
            answer(&format!("HTTP/1.1 200 OK|a: {}", "a".repeat(100_000))),
            "upstream_proxy",
            "the header of the proxy's answer is larger",
        ),
        (
            ProxyThen::Hang("HTTP/1.1 200".to_owned()),
            "upstream_proxy",
            "the proxy made no way to the upstream within",
        ),
        (
            answer("HTTP/1.1 503 Unavailable||"),
            "upstream_unreachable",
            "does not reach the upstream (503)",
        ),
        (
            answer("HTTP/1.1 502 Bad Gateway||"),
            "upstream_unreachable",
            "does not reach the upstream (502)",
        ),
    ]
}

#[test]
fn a_proxy_that_makes_no_way_is_not_the_upstreams_fault_and_its_password_is_told_to_nobody() {
    for (then, kind, reason) in faults() {
        // Only who waits in vain should not wait for long.
        let timeout = match &then {
            ProxyThen::Hang(_) => "300ms",
            _ => "60s",
        };
        let proxy = ConnectProxy::start(then);
        let mut envgate = behind_proxy(&Certificate::of_openssl())
            .set(
                "ENVGATE_UPSTREAM__PROXY",
                &format!("http://me:{PASSWORD}@{}", proxy.address),
            )
            .set("ENVGATE_UPSTREAM__TIMEOUT", timeout)
            .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "2")
            .start();
        for _ in 0..3 {
            let answer = envgate.get(PATH);
            assert!(!answer.text().contains(PASSWORD));
            if kind == "upstream_proxy" {
                answer.expect_error(503, "api_error");
                assert_eq!(answer.header("x-should-retry"), Some("true"));
            }
        }
        let label =
            format!("envgate_requests_total{{error=\"{kind}\",operation=\"retrieve\",status=\"5xx\"}}");
        let is_proxys = kind == "upstream_proxy";
        envgate.expect_metric(&label, if is_proxys { 3.0 } else { 2.0 });
        envgate.expect_metric("envgate_circuit_opened_total", if is_proxys { 0.0 } else { 1.0 });
        let log = envgate.stop();
        assert!(log.contains(reason), "{reason}: {log}");
        assert!(
            !log.contains(PASSWORD) && !log.contains("bWU6aHVudGVyMg"),
            "{log}"
        );
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named_as_such() {
    let nobody = crate::common::upstream::ClosedPort::new();
    let envgate = behind_proxy(&Certificate::of_openssl())
        .set("ENVGATE_UPSTREAM__PROXY", &format!("http://{}", nobody.address()))
        .start();
    envgate.get(PATH).expect_error(503, "api_error");
    envgate.expect_log("no connection to the proxy");
}

#[test]
fn the_upstreams_certificate_is_checked_at_the_end_of_the_tunnel() {
    let upstream = TlsUpstream::start(&Certificate::of_openssl());
    let proxy = ConnectProxy::start(ProxyThen::Tunnel(upstream.address));
    let envgate = behind_proxy(&Certificate::of_openssl())
        .set("ENVGATE_UPSTREAM__PROXY", &format!("http://{}", proxy.address))
        .start();
    envgate.get(PATH).expect_error(503, "api_error");
    envgate.expect_log("it is not one of upstream.pinned_certificate");
    assert_eq!(upstream.requests(), 0);
}
