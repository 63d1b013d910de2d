use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

struct Made {
    certificate: String,
    key: String,
}

fn make(name: &str, years: std::ops::Range<i32>) -> Made {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.start, 1, 1);
    params.not_after = date_time_ymd(years.end, 1, 1);
    let key = KeyPair::generate().unwrap();
    Made {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn file(name: &str, content: &str) -> PemFile {
    PemFile {
        path: name.into(),
        content: content.as_bytes().to_vec().into(),
    }
}

fn now() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

#[test]
fn a_certificate_and_its_key_are_a_pair_with_an_end() {
    let made = make("localhost", 2026..2027);
    let both = file("both.pem", &format!("{}{}", made.key, made.certificate));
    let (pair, validity) = key_pair(&both, &both, now()).unwrap();
    assert_eq!(pair.cert.len(), 1);
    assert_eq!(validity.days_left(now()), 199);
    assert_eq!(validity.to_string(), "until 2027-01-01");
}

#[test]
fn each_thing_that_is_wrong_with_files_has_words_of_its_own() {
    let made = make("localhost", 2026..2027);
    let other = make("localhost", 2026..2027);
    let chain = file("chain.pem", &made.certificate);
    let key = file("key.pem", &made.key);
    let broken = made.certificate.replacen("MII", "III", 1);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let errors = [
        (
            key_pair(&chain, &file("other.pem", &other.key), now()),
            "belongs to another certificate",
        ),
        (key_pair(&key, &key, now()), "no certificate in key.pem"),
        (key_pair(&chain, &chain, now()), "no private key in chain.pem"),
        (
            key_pair(&file("der", "0\u{1}\u{2}"), &key, now()),
            "der is not PEM",
        ),
        (key_pair(&file("empty", ""), &key, now()), "empty is not PEM"),
        (
            key_pair(&file("bad.pem", &broken), &key, now()),
            "cannot be understood",
        ),
        (
            key_pair(&chain, &file("locked.pem", encrypted), now()),
            "encrypted",
        ),
        (
            key_pair(&chain, &file("short.pem", no_key), now()),
            "broken, or neither",
        ),
    ];
    for (outcome, expected) in errors {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}, not {expected}");
    }
    let missing = PemFile::read(Path::new("/nowhere/cert.pem"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("/nowhere/cert.pem cannot be read: "),
        "{missing}"
    );
}

#[test]
fn what_is_over_or_has_not_begun_is_no_pair() {
    for (years, expected) in [
        (2024..2025, "expired on 2025-01-01 at 00:00 UTC"),
        (2027..2028, "valid only from 2027"),
    ] {
        let made = make("localhost", years);
        let error = key_pair(&file("c", &made.certificate), &file("k", &made.key), now()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn roots_are_good_while_one_of_them_is_valid() {
    let old = make("old", 2024..2025).certificate;
    let new = make("new", 2026..2028).certificate;
    let error = file("old.pem", &old).roots(now()).unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    let (roots, validity) = file("both.pem", &format!("{old}{new}")).roots(now()).unwrap();
    assert_eq!(roots.len(), 2);
    assert_eq!(validity.to_string(), "until 2028-01-01");
}

#[test]
fn an_end_that_is_near_is_warned_of() {
    let until = |text: &str| Validity {
        not_before: Timestamp::UNIX_EPOCH,
        not_after: text.parse().unwrap(),
    };
    let far = until("2026-06-30T12:00:00Z");
    assert_eq!((far.days_left(now()), far.warning(now())), (15, None));
    let near = until("2026-06-29T12:00:00Z");
    assert_eq!(
        near.warning(now()).unwrap(),
        "expires soon: on 2026-06-29 at 12:00 UTC"
    );
    let over = until("2026-06-15T11:59:59Z");
    assert_eq!(over.days_left(now()), -1);
    assert_eq!(over.warning(now()).unwrap(), "expired on 2026-06-15 at 11:59 UTC");
}
