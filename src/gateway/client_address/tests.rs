use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::config::{Source, load};

fn listen(header: &str) -> Listen {
    let text = format!(
        "listen.trusted_networks = [\"10.0.0.0/8\", \"fd00::/8\"]\nlisten.client_address_header = \"{header}\""
    );
    load(&Source::new("envgate.toml", &text, [])).unwrap().listen
}

fn told_by(connection: &str, header: &str, lines: &[&[u8]]) -> String {
    let name = if header == "none" {
        "x-forwarded-for"
    } else {
        header
    };
    let name: HeaderName = name.parse().unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name.clone(), HeaderValue::from_bytes(line).unwrap());
    }
    client_address(&listen(header), connection.parse().unwrap(), &headers).to_string()
}

#[test]
fn the_first_address_from_the_end_that_is_none_of_the_operators_counts() {
    for (lines, expected) in [
        (&["192.0.2.1"][..], "192.0.2.1"),
        (&["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
        (&["192.0.2.1, 10.0.0.2, 10.0.0.3"], "192.0.2.1"),
        (&["198.51.100.9", "192.0.2.1", "10.0.0.2,10.0.0.3"], "192.0.2.1"),
        (&["10.9.9.9, 10.0.0.2"], "10.9.9.9"),
        (&[], "10.0.0.1"),
        (&[""], "10.0.0.1"),
        (&["192.0.2.1,, ,"], "192.0.2.1"),
        (&["192.0.2.1:4711"], "192.0.2.1"),
        (&["[2001:db8::1]:4711"], "2001:db8::1"),
        (&["2001:db8::1, [fd00::2]"], "2001:db8::1"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&["::ffff:10.0.0.4"], "10.0.0.4"),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(
            told_by("10.0.0.1", "x-forwarded-for", &lines),
            expected,
            "{lines:?}"
        );
    }
}

#[test]
fn what_is_no_address_ends_the_search_at_the_last_that_was_one() {
    for garbage in [
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.1.",
        "192.0.2.1:",
        "192.0.2.1:x",
        "[192.0.2.1]",
        "[2001:db8::1",
        "2001:db8::1]",
        "\"192.0.2.1\"",
        "192.0.2.1 192.0.2.2",
        "fe80::1%eth0",
        "192.0.2.1;",
        "0x7f.1",
        "é",
    ] {
        let line = format!("192.0.2.1, {garbage}, 10.0.0.2");
        assert_eq!(
            told_by("10.0.0.1", "x-forwarded-for", &[line.as_bytes()]),
            "10.0.0.2",
            "{garbage}"
        );
    }
    assert_eq!(
        told_by("10.0.0.1", "x-forwarded-for", &[b"192.0.2.1, \xff"]),
        "10.0.0.1"
    );
}

#[test]
fn forwarded_is_read_with_its_quotes_ports_and_parameters() {
    for (lines, expected) in [
        (&["for=192.0.2.1"][..], "192.0.2.1"),
        (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
        (&["for=192.0.2.43, for=\"[fd00::1]\""], "192.0.2.43"),
        (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60"),
        (
            &["by=\"a,b;for=198.51.100.9\"; FOR = \"192.0.2.1:80\""],
            "192.0.2.1",
        ),
        (&["host=\"a\\\",\";for=192.0.2.1"], "192.0.2.1"),
        (&["for=192.0.2.1:_gazonk"], "192.0.2.1"),
        (&["for=198.51.100.9", "for=192.0.2.1, for=10.0.0.2"], "192.0.2.1"),
        // A client's quote that never ends takes nothing of what a proxy wrote after it.
        (&["for=\"198.51.100.9, for=192.0.2.1"], "192.0.2.1"),
        (&["for=\"198.51.100.9", "for=192.0.2.1"], "192.0.2.1"),
        (&["for=192.0.2.1, for=unknown, for=10.0.0.2"], "10.0.0.2"),
        (&["for=192.0.2.1, for=\"_hidden\""], "10.0.0.1"),
        (&["for=192.0.2.1, proto=https"], "10.0.0.1"),
        (&["for=192.0.2.1;for=192.0.2.2"], "10.0.0.1"),
        (&["192.0.2.1"], "10.0.0.1"),
        (&["for=\"192.0.2.1"], "10.0.0.1"),
    ] {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(told_by("10.0.0.1", "forwarded", &lines), expected, "{lines:?}");
    }
}

#[test]
fn nobody_else_is_believed_and_nobody_at_all_unless_a_header_is_named() {
    let line: &[&[u8]] = &[b"198.51.100.9"];
    assert_eq!(told_by("192.0.2.1", "x-forwarded-for", line), "192.0.2.1");
    assert_eq!(told_by("10.0.0.1", "none", line), "10.0.0.1");
}

proptest! {
    #[test]
    fn whatever_a_client_writes_before_it_the_word_of_the_proxy_counts(
        written in prop::collection::vec(any::<u8>().prop_filter("legal in a header", |byte| *byte == b'\t' || (*byte >= 32 && *byte != 127)), 0..80),
        client in any::<[u8; 4]>().prop_filter("not the operator's", |bytes| bytes[0] != 10),
    ) {
        let client = IpAddr::from(client);
        for (header, element) in [("x-forwarded-for", format!("{client}")), ("forwarded", format!("for={client}"))] {
            let line = [&written[..], b", ", element.as_bytes()].concat();
            prop_assert_eq!(told_by("10.0.0.1", header, &[&line]), client.to_string());
            prop_assert_eq!(told_by("10.0.0.1", header, &[&written, element.as_bytes()]), client.to_string());
        }
    }

    #[test]
    fn whatever_stands_there_an_address_comes_of_it(
        written in prop::collection::vec(any::<u8>().prop_filter("legal in a header", |byte| *byte == b'\t' || (*byte >= 32 && *byte != 127)), 0..200),
    ) {
        for header in ["x-forwarded-for", "forwarded"] {
            told_by("10.0.0.1", header, &[&written]);
        }
    }
}
