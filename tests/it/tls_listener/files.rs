//! The files of certificates: judged at the start, and followed while the gateway runs.

use crate::common::EXAMPLE;
use crate::common::client::Connection;
use crate::common::envgate::{Setup, eventually};
use crate::common::tls::{Authority, Pair, TlsClient, with_tls};

#[test]
fn new_files_are_used_and_no_connection_is_dropped() {
    let (old, new) = (Authority::new(), Authority::new());
    let envgate = with_tls(Setup::new(), &old).start();
    let request = envgate.request("GET", EXAMPLE);
    let mut kept = Connection::over_tls(TlsClient::new(&old).connect(envgate.gateway));
    kept.write(&request.bytes());
    assert_eq!(kept.read_response().status, 200);

    new.issue("localhost").write(envgate.path(), "listen");
    let new_client = TlsClient::new(&new);
    eventually("the new certificate is shown", || {
        new_client.try_connect(envgate.gateway).is_ok()
    });
    envgate.expect_log("new certificates are in use");
    assert!(TlsClient::new(&old).try_connect(envgate.gateway).is_err());
    kept.write(&request.bytes());
    assert_eq!(kept.read_response().status, 200, "who was connected stays");
    assert_eq!(new_client.send(envgate.gateway, &request).status, 200);
}

#[test]
fn a_broken_file_changes_nothing_but_the_log() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority).start();
    let client = TlsClient::new(&authority);
    let other = authority.issue("localhost");
    let valid = std::fs::read_to_string(envgate.path().join("listen.crt")).unwrap();
    for (content, told) in [
        ("no certificate", "is not PEM"),
        (other.certificate.as_str(), "belongs to another certificate"),
        (
            authority.issue_until("localhost", 2020).certificate.as_str(),
            "another certificate",
        ),
    ] {
        std::fs::write(envgate.path().join("listen.crt"), content).unwrap();
        envgate.expect_log(told);
        client.connect(envgate.gateway);
    }
    std::fs::remove_file(envgate.path().join("listen.crt")).unwrap();
    envgate.expect_log("cannot be read");
    client.connect(envgate.gateway);
    std::fs::write(envgate.path().join("listen.crt"), valid).unwrap();
    other.write(envgate.path(), "listen");
    envgate.expect_log("new certificates are in use");
    assert_eq!(
        client
            .send(envgate.gateway, &envgate.request("GET", EXAMPLE))
            .status,
        200
    );
}

#[test]
fn the_days_that_are_left_are_a_metric() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority).start();
    let metric = "envgate_tls_certificate_days_left{file=\"listen.crt\",used_for=\"listen\"}";
    eventually("it is told", || envgate.metric(metric) > 10_000.0);
}

/// What `check` says with these files.
fn check(pair: &Pair) -> (bool, String, String) {
    let setup = with_tls(Setup::new(), &Authority::new());
    pair.write(setup.path(), "listen");
    let output = setup.run(&["check"]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn files_that_are_no_good_are_faults_of_the_settings() {
    let authority = Authority::new();
    let good = authority.issue("localhost");
    let pair = |certificate: &str, key: &str| Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    for (pair, told) in [
        (
            authority.issue_until("localhost", 2020),
            "the certificate in listen.crt expired on 2020-01-01",
        ),
        (pair("", &good.key), "listen.crt is not PEM"),
        (
            pair(&good.key, &good.key),
            "there is no certificate in listen.crt",
        ),
        (
            pair(&good.certificate, &good.certificate),
            "there is no private key in listen.key",
        ),
        (
            pair(&good.certificate, &authority.issue("localhost").key),
            "the key in listen.key belongs to another certificate than the first one in listen.crt",
        ),
    ] {
        let (is_good, _, told_on_error) = check(&pair);
        assert!(!is_good);
        let expected = format!("ENVGATE_LISTEN__TLS__CERTIFICATE: {told}");
        assert!(
            told_on_error.contains(&expected),
            "{told_on_error}, not {expected}"
        );
    }
    let setup = Setup::new()
        .set("ENVGATE_LISTEN__TLS__CERTIFICATE", "missing.crt")
        .set("ENVGATE_LISTEN__TLS__KEY", "missing.key");
    let output = setup.run(&["serve"]);
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("missing.crt cannot be read: No such file"),
        "{told}"
    );
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn check_says_which_files_are_used_until_when_and_warns_before() {
    let authority = Authority::new();
    let (is_good, told, warned) = check(&authority.issue("localhost"));
    assert!(is_good, "{warned}");
    assert!(
        told.contains("ok: listen.tls: listen.crt is valid until 2099-01-01"),
        "{told}"
    );
    assert!(!warned.contains("listen.crt"), "{warned}");
    let (is_good, told, warned) = check(&authority.issue_for_days("localhost", 9));
    assert!(is_good, "a warning is no fault: {warned}");
    assert!(
        told.contains("ok: listen.tls: listen.crt is valid until"),
        "{told}"
    );
    assert!(
        warned.contains("listen.tls: listen.crt expires soon: on "),
        "{warned}"
    );
}
