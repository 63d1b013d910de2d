//! RFC 9112, HTTP/1.1: how messages are framed.

mod bodies;
mod heads;

use super::probe::{Case, Probe, Section, answered, chunked, dropped, get, last, post};

/// All tables, by section.
pub const SECTIONS: [Section; 11] = [
    ("2.2 message parsing", heads::message_parsing),
    ("2.3 HTTP version", heads::http_version),
    ("3 request line", heads::request_line),
    ("3.2 request target", heads::request_target),
    ("3.2 host", heads::host),
    ("5 field syntax", heads::field_syntax),
    ("6.1 transfer-encoding", bodies::transfer_encoding),
    ("6.2 content-length", bodies::content_length),
    ("7.1 chunked transfer coding", bodies::chunks),
    ("7.1.2 trailers", bodies::trailers),
    ("8, 9.3 incomplete messages, persistence", persistence),
];

fn persistence() -> Vec<Case> {
    let get_1_0 = |lines: &str| format!("GET {{path}} HTTP/1.0\r\n{{auth}}{lines}\r\n");
    vec![
        answered("HTTP/1.1 stays", 200, get("")),
        answered(
            "HTTP/1.1 stays with keep-alive",
            200,
            get("connection: keep-alive\r\n"),
        ),
        last("close", 200, get("connection: close\r\n")),
        last("close in another case", 200, get("Connection: CLOSE\r\n")),
        last("close in a list", 200, get("connection: x, close\r\n")),
        last(
            "close in a second line",
            200,
            get("connection: x\r\nconnection: close\r\n"),
        ),
        last(
            "close beside keep-alive",
            200,
            get("connection: keep-alive\r\nconnection: close\r\n"),
        ),
        last("HTTP/1.0 closes", 200, get_1_0("")),
        answered(
            "HTTP/1.0 stays with keep-alive",
            200,
            get_1_0("connection: keep-alive\r\n"),
        ),
        answered(
            "after an answer that is an error",
            404,
            get("").replace("{path}", "/nowhere"),
        ),
        answered(
            "after a body that nobody read",
            401,
            post("content-length: 2\r\n", "{}").replace("{auth}", ""),
        ),
        last(
            "a body that ends too soon",
            400,
            post("content-length: 100000\r\n", "{}"),
        ),
        last("chunks that end too soon", 400, chunked("fffff\r\n{}")),
        dropped(
            "a head that ends too soon",
            "GET {path} HTTP/1.1\r\nhost: a\r\nx: ",
        ),
    ]
}

#[test]
fn section_2_2_lines_end_with_cr_lf_and_nothing_stands_between_them() {
    Probe::start().run(&heads::message_parsing());
}

#[test]
fn section_2_3_every_minor_version_of_http_1_is_answered_and_no_other_major_version() {
    Probe::start().run(&heads::http_version());
}

#[test]
fn section_3_a_request_line_is_three_words_of_bounded_length() {
    Probe::start().run(&heads::request_line());
}

#[test]
fn section_3_2_a_target_has_one_meaning() {
    Probe::start().run(&heads::request_target());
}

#[test]
fn section_3_2_host_is_there_once_and_a_host() {
    Probe::start().run(&heads::host());
}

#[test]
fn section_5_a_field_is_on_one_line_with_its_name_before_the_colon() {
    Probe::start().run(&heads::field_syntax());
}

#[test]
fn section_6_1_the_only_transfer_coding_is_chunked() {
    Probe::start().run(&bodies::transfer_encoding());
}

#[test]
fn section_6_2_a_length_is_one_number() {
    Probe::start().run(&bodies::content_length());
}

#[test]
fn section_7_1_chunks_have_one_meaning() {
    Probe::start().run(&bodies::chunks());
}

#[test]
fn section_7_1_2_trailers_are_read_and_mean_nothing() {
    Probe::start().run(&bodies::trailers());
}

#[test]
fn section_8_and_9_3_a_connection_stays_while_everybody_knows_where_the_next_request_begins() {
    Probe::start().run(&persistence());
}

#[test]
fn section_9_3_2_requests_of_one_segment_are_answered_in_order() {
    let probe = Probe::start();
    let requests = [
        probe.bytes(&get(""), "env_a"),
        probe.bytes(&post("content-length: 2\r\n", "{}"), "env_b"),
        probe.bytes(&chunked("2;x=y\r\n{}\r\n0\r\nx: y\r\n\r\n"), "env_c"),
        probe.bytes(&get("x: y\r\n"), "not.an.id"),
        probe.bytes(&get("connection: close\r\n"), "env_d"),
        probe.bytes(&get(""), "env_never"),
    ];
    for piece_bytes in [usize::MAX, 100, 1] {
        let responses = probe.send(&requests.concat(), piece_bytes);
        let told: Vec<_> = responses
            .iter()
            .map(|response| (response.status, response.json()["id"].as_str().map(str::to_owned)))
            .collect();
        let environment = |id: &str| (200, Some(id.to_owned()));
        assert_eq!(
            told,
            [
                environment("env_a"),
                environment("env_b"),
                environment("env_c"),
                (404, None),
                environment("env_d")
            ]
        );
        assert!(
            responses[..4]
                .iter()
                .all(|response| response.header("connection") == Some("keep-alive"))
        );
        assert_eq!(responses[4].header("connection"), Some("close"));
    }
}

#[test]
fn section_9_3_2_requests_that_follow_a_refused_one_are_never_read() {
    let probe = Probe::start();
    let many: Vec<u8> = (0..200)
        .flat_map(|n| probe.bytes(&get(""), &format!("env_{n}")))
        .collect();
    let refused = probe.bytes("GET {path} HTTP/1.1\r\n{auth}\r\n", "env_x");
    let responses = probe.send(&[many.clone(), refused, many].concat(), usize::MAX);
    let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [vec![200; 200], vec![400]].concat());
    assert_eq!(probe.upstream.seen().len(), 200);
}
