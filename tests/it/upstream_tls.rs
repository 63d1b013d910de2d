//! The upstream over TLS with files of the operator's: whom the gateway trusts, and whom it shows itself as.

use std::path::PathBuf;

use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};

use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually};
use crate::common::tls_upstream::{Authority, Certificate, TlsUpstream};

const PATH: &str = "/v1/environments/env_1";

/// A gateway before an upstream over TLS at `localhost`; each file stands in a setting of `[upstream]`.
fn before(upstream: &TlsUpstream, files: &[(&str, &str)]) -> Setup {
    let url = format!("https://localhost:{}", upstream.address.port());
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__URL", &url)
        .set("ENVGATE_UPSTREAM__CREDENTIAL", OPERATOR_KEY)
        .set("ENVGATE_SERVER__THREADS", "1")
        .set("ENVGATE_CACHE__TTL", "off");
    files.iter().fold(setup, |setup, (setting, content)| {
        let path = path_of(&setup, setting);
        std::fs::write(&path, content).unwrap();
        let variable = format!("ENVGATE_UPSTREAM__{}", setting.to_uppercase());
        setup.set(&variable, path.to_str().unwrap())
    })
}

fn path_of(setup: &Setup, setting: &str) -> PathBuf {
    setup.path().join(format!("{setting}.pem"))
}

#[track_caller]
fn expect_served(envgate: &Envgate) {
    let response = envgate.get(PATH);
    assert_eq!(response.status, 200, "{}: {}", response.text(), envgate.log());
}

#[track_caller]
fn expect_unreachable(envgate: &Envgate, reason: &str) {
    envgate.get(PATH).expect_error(503, "api_error");
    envgate.expect_log(reason);
}

fn as_client(params: &mut rcgen::CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn expired(params: &mut rcgen::CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

#[test]
fn an_authority_of_the_operators_is_trusted_instead_of_the_systems() {
    let (ours, other) = (Authority::new(), Authority::new());
    let upstream = TlsUpstream::start(&ours.sign("localhost", |_| {}));
    let envgate = before(&upstream, &[("ca_file", &ours.certificate)]).start();
    expect_served(&envgate);
    let envgate = before(&upstream, &[("ca_file", &other.certificate)]).start();
    expect_unreachable(&envgate, "is signed by nobody who is trusted");
    let elsewhere = TlsUpstream::start(&ours.sign("upstream.example.com", |_| {}));
    let envgate = before(&elsewhere, &[("ca_file", &ours.certificate)]).start();
    expect_unreachable(&envgate, "not valid for name");
}

#[test]
fn a_certificate_that_is_its_own_authority_is_taken_where_it_is_pinned() {
    let made = Certificate::of_openssl();
    let upstream = TlsUpstream::start(&made);
    let envgate = before(&upstream, &[("pinned_certificate", &made.certificate)]).start();
    expect_served(&envgate);
    let envgate = before(&upstream, &[("ca_file", &made.certificate)]).start();
    expect_unreachable(&envgate, "upstream.pinned_certificate has to name it");
    let other = Certificate::of_openssl();
    let envgate = before(&upstream, &[("pinned_certificate", &other.certificate)]).start();
    expect_unreachable(&envgate, "it is not one of upstream.pinned_certificate");
}

#[test]
fn what_openssl_makes_can_be_pinned() {
    let directory = envgate_test_servers::temporary_directory();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let output = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=upstream",
        ])
        .args(["-keyout", &path("key.pem"), "-out", &path("certificate.pem")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let made = Certificate {
        certificate: std::fs::read_to_string(path("certificate.pem")).unwrap(),
        key: std::fs::read_to_string(path("key.pem")).unwrap(),
    };
    let upstream = TlsUpstream::start(&made);
    let envgate = before(&upstream, &[("pinned_certificate", &made.certificate)]).start();
    expect_served(&envgate);
    eventually("the metric says how long it is good", || {
        let text = envgate.admin_get("/metrics").text();
        let mut lines = text.lines();
        lines.any(|line| {
            line.starts_with("envgate_tls_certificate_days_left{")
                && line.contains(r#"used_for="upstream""#)
                && line.ends_with(" 29")
        })
    });
}

#[test]
fn nobody_is_taken_who_has_the_pinned_certificate_and_not_its_key() {
    let pinned = Certificate::of_openssl();
    let stolen = Certificate {
        key: Certificate::of_openssl().key,
        ..pinned.clone()
    };
    let upstream = TlsUpstream::start(&stolen);
    let envgate = before(&upstream, &[("pinned_certificate", &pinned.certificate)]).start();
    expect_unreachable(&envgate, "BadSignature");
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn the_gateway_shows_its_certificate_to_an_upstream_that_wants_one() {
    let authority = Authority::new();
    let shown = authority.sign("localhost", |_| {});
    let upstream = TlsUpstream::asking(&shown, Some(&authority));
    let ours = authority.sign("gateway", as_client);
    let files = [
        ("ca_file", authority.certificate.as_str()),
        ("client_certificate", &ours.certificate),
        ("client_key", &ours.key),
    ];
    expect_served(&before(&upstream, &files).start());
    let without = before(&upstream, &files[..1]).start();
    let answer = without.get(PATH);
    assert!([502, 503].contains(&answer.status), "{}", answer.text());
}

#[test]
fn new_certificates_are_used_for_new_connections_and_broken_ones_change_nothing() {
    let (first, second) = (Certificate::of_openssl(), Certificate::of_openssl());
    let upstream = TlsUpstream::start(&second);
    let setup = before(&upstream, &[("pinned_certificate", &first.certificate)]);
    let file = path_of(&setup, "pinned_certificate");
    let envgate = setup.start();
    expect_unreachable(&envgate, "it is not one of upstream.pinned_certificate");
    std::fs::write(&file, "nothing of use").unwrap();
    envgate.expect_log("the certificates in use stay");
    std::fs::write(&file, &second.certificate).unwrap();
    envgate.expect_log("new certificates are in use");
    expect_served(&envgate);
    let connections = upstream.connections();
    std::fs::write(&file, &first.certificate).unwrap();
    eventually("they are looked at", || {
        envgate.log().matches("new certificates are in use").count() == 2
    });
    expect_served(&envgate);
    assert_eq!(upstream.connections(), connections, "the connection was kept");
}

#[test]
fn check_tells_whom_the_upstream_has_to_be_and_until_when_that_is_good() {
    let authority = Authority::new();
    let upstream = TlsUpstream::start(&authority.sign("localhost", |_| {}));
    let soon = authority.sign("gateway", |params| {
        as_client(params);
        let end = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let end = end.checked_add(jiff::Span::new().days(5)).unwrap();
        let (month, day) = (end.month().try_into().unwrap(), end.day().try_into().unwrap());
        params.not_after = date_time_ymd(end.year().into(), month, day);
    });
    let files = [
        ("ca_file", authority.certificate.as_str()),
        ("client_certificate", &soon.certificate),
        ("client_key", &soon.key),
    ];
    let setup = before(&upstream, &files);
    let output = setup.run(&["check", "--upstream"]);
    let (said, warned) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{warned}");
    assert!(said.contains("ok: upstream.ca_file: "), "{said}");
    assert!(said.contains("ok: upstream.client_certificate: "), "{said}");
    assert!(
        warned.contains("upstream.client_certificate") && warned.contains("expires soon"),
        "{warned}"
    );
    assert!(!warned.contains("ca_file"), "{warned}");
}

#[test]
fn check_says_which_file_is_missing_or_of_no_use() {
    let authority = Authority::new();
    let upstream = TlsUpstream::start(&authority.sign("localhost", |_| {}));
    let old = Certificate::self_signed("gateway", expired);
    let (ours, other) = (authority.sign("a", as_client), authority.sign("b", as_client));
    for (files, reason) in [
        (vec![("ca_file", "")], "is not PEM"),
        (vec![("ca_file", ours.key.as_str())], "there is no certificate in"),
        (
            vec![("pinned_certificate", old.certificate.as_str())],
            "expired on 2021-01-01",
        ),
        (
            vec![("client_certificate", ours.certificate.as_str())],
            "key is missing",
        ),
        (
            vec![
                ("client_certificate", ours.certificate.as_str()),
                ("client_key", &other.key),
            ],
            "belongs to another certificate",
        ),
        (
            vec![
                ("ca_file", authority.certificate.as_str()),
                ("pinned_certificate", &ours.certificate),
            ],
            "rule each other out",
        ),
    ] {
        let setup = before(&upstream, &files);
        let output = setup.run(&["check"]);
        let told = text(&output.stderr);
        assert!(
            !output.status.success() && told.contains(reason),
            "{reason}: {told}"
        );
    }
    let setup = before(&upstream, &[]).set("ENVGATE_UPSTREAM__CA_FILE", "/nowhere/ca.pem");
    let told = text(&setup.run(&["check"]).stderr);
    assert!(told.contains("/nowhere/ca.pem cannot be read"), "{told}");
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__CA_FILE", "/nowhere/ca.pem");
    let told = text(&setup.run(&["check"]).stderr);
    assert!(told.contains("needs an https:// upstream.url"), "{told}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
