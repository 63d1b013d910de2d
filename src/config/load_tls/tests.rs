use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::load::tests::{faults, settings};

/// A directory with two certificates, `a` and `b`, and their keys.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        let made = rcgen::generate_simple_self_signed([format!("{name}.example")]).unwrap();
        fs::write(directory.path().join(format!("{name}.crt")), made.cert.pem()).unwrap();
        fs::write(
            directory.path().join(format!("{name}.key")),
            made.signing_key.serialize_pem(),
        )
        .unwrap();
    }
    directory
}

/// A text in which `@` stands for the directory.
fn text(directory: &TempDir, text: &str) -> String {
    text.replace('@', directory.path().to_str().unwrap())
}

#[test]
fn the_pair_of_its_own_comes_before_those_of_the_list() {
    let directory = directory();
    let text = text(
        &directory,
        r#"
        [listen.tls]
        certificate = "@/b.crt"
        key = "@/b.key"
        min_version = "1.3"
        client_ca = "@/a.crt"
        client_certificate = "optional"
        [[listen.tls.certificates]]
        certificate = "@/a.crt"
        key = "@/a.key"
        [admin.tls]
        certificates = [{ certificate = "@/a.crt", key = "@/a.key" }]
        "#,
    );
    let settings = settings(&text, &[]);
    let pair = |name: &str| KeyPairFiles {
        certificate: directory.path().join(format!("{name}.crt")),
        key: directory.path().join(format!("{name}.key")),
    };
    let listen = settings.listen.tls.unwrap();
    assert_eq!(listen.certificates, [pair("b"), pair("a")]);
    assert_eq!(listen.min_version, TlsVersion::Tls13);
    assert_eq!(listen.client_ca, Some(directory.path().join("a.crt")));
    assert!(!listen.needs_client_certificate);
    let admin = settings.admin.tls.unwrap();
    assert_eq!(admin.certificates, [pair("a")]);
    assert_eq!((admin.min_version, admin.client_ca), (TlsVersion::Tls12, None));
}

#[test]
fn variables_set_the_files_too() {
    let directory = directory();
    let (certificate, key) = (text(&directory, "@/a.crt"), text(&directory, "@/a.key"));
    let environment = [
        ("ENVGATE_LISTEN__TLS__CERTIFICATE", certificate.as_str()),
        ("ENVGATE_LISTEN__TLS__KEY", key.as_str()),
    ];
    assert!(settings("", &environment).listen.tls.is_some());
    assert!(settings("", &[]).listen.tls.is_none());
}

#[test]
fn every_fault_is_told_where_it_was_written() {
    let directory = directory();
    for (written, expected) in [
        (
            "certificate = \"@/a.crt\"",
            "envgate.toml:2:15: listen.tls.certificate: a certificate and its key go together, and key is missing",
        ),
        ("key = \"@/a.key\"", "and certificate is missing"),
        (
            "certificate = \"@/a.crt\"\nkey = \"@/b.key\"",
            "belongs to another certificate",
        ),
        (
            "certificate = \"@/no.crt\"\nkey = \"@/b.key\"",
            "no.crt cannot be read",
        ),
        (
            "certificates = [{ certificate = \"@/a.crt\", kye = \"@/a.key\" }]",
            "expected { certificate = \"path\", key = \"path\" }",
        ),
        ("certificates = [{ certificate = \"@/a.crt\" }]", "key is missing"),
        (
            "certificates = [{ certificate = \"@/a.key\", key = \"@/a.key\" }]",
            "there is no certificate in",
        ),
        ("certificates = [\"@/a.crt\"]", "expected { certificate = "),
        (
            "min_version = \"1.3\"",
            "there is no certificate; set certificate and key",
        ),
        ("", "envgate.toml:1:9: listen.tls: there is no certificate"),
        (
            "certificate = \"@/a.crt\"\nkey = \"@/a.key\"\nmin_version = \"1.1\"",
            "expected one of \"1.2\", \"1.3\"",
        ),
        (
            "certificate = \"@/a.crt\"\nkey = \"@/a.key\"\nclient_ca = \"@/a.key\"",
            "listen.tls.client_ca: there is no certificate in",
        ),
        (
            "certificate = \"@/a.crt\"\nkey = \"@/a.key\"\nclient_certificate = \"optional\"",
            "nobody asks for client certificates: listen.tls.client_ca is not set",
        ),
    ] {
        let faults = faults(&text(&directory, &format!("[listen.tls]\n{written}\n")), &[]);
        assert_eq!(faults.len(), 1, "{written}: {faults:?}");
        assert!(faults[0].contains(expected), "{faults:?}, not {expected}");
    }
}

#[test]
fn a_plan_cannot_demand_what_no_client_is_asked_for() {
    let faults = faults("[plans.gold]\nclient_subject = \"builder\"\n", &[]);
    assert_eq!(
        faults,
        [
            "envgate.toml:2:18: plans.gold.client_subject: nobody asks for client certificates: listen.tls.client_ca is not set"
        ]
    );
}
