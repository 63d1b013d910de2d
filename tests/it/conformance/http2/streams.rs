//! Section 5: streams and their states.

use super::{Server, connection_error};
use crate::common::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM,
    STREAM_CLOSED, Taken, WINDOW_UPDATE, block, frame,
};
use crate::common::upstream::{Gate, Then};

#[test]
fn section_5_1_frames_on_a_stream_that_is_idle() {
    let server = Server::start();
    for idle in [
        frame(DATA, END_STREAM, 1, b"x"),
        frame(RST_STREAM, 0, 1, &[0; 4]),
        frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100]),
        frame(CONTINUATION, END_HEADERS, 1, &server.good()),
    ] {
        assert_eq!(
            server.connection_error(&idle),
            connection_error(PROTOCOL_ERROR),
            "{idle:?}"
        );
    }
    server.expect_nothing_above();
}

#[test]
fn section_5_1_frames_on_a_stream_that_the_client_has_ended() {
    let gate = Gate::default();
    let server = Server::before(Then::environment().behind(&gate));
    for late in [
        frame(DATA, END_STREAM, 1, b"x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &server.good()),
    ] {
        let mut http2 = server.open();
        http2.write_frame(HEADERS, END_HEADERS | END_STREAM, 1, &server.good());
        http2.write(&late);
        let taken = http2.taken(1);
        let expected = [
            Taken::StreamError(STREAM_CLOSED),
            connection_error(STREAM_CLOSED),
            connection_error(PROTOCOL_ERROR),
        ];
        assert!(expected.contains(&taken), "{taken:?}");
    }
    gate.open();
    server.envgate.expect_metric("envgate_requests_in_flight", 0.0);
}

#[test]
fn section_5_1_1_numbers_of_streams_are_odd_and_grow() {
    let server = Server::start();
    let whole = |stream| {
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            stream,
            &block(&[(":method", "GET")]),
        )
    };
    assert_eq!(
        server.connection_error(&whole(2)),
        connection_error(PROTOCOL_ERROR)
    );

    assert_eq!(
        server.connection_error(&whole(0)),
        connection_error(PROTOCOL_ERROR)
    );

    let taken = server.connection_error(&[whole(5), whole(3)].concat());
    assert!(
        [connection_error(PROTOCOL_ERROR), connection_error(STREAM_CLOSED)].contains(&taken),
        "{taken:?}"
    );
    server.expect_nothing_above();
}

#[test]
fn section_5_1_2_no_more_streams_than_were_agreed() {
    let gate = Gate::default();
    let server = Server::before(Then::environment().behind(&gate));
    let mut http2 = server.open();
    let post = block(&server.fields("POST"));
    for number in 0..101_u32 {
        http2.write_frame(HEADERS, END_HEADERS, 2 * number + 1, &post);
    }
    assert_eq!(http2.taken(201), Taken::StreamError(REFUSED_STREAM));

    server.envgate.expect_metric("envgate_requests_in_flight", 100.0);
    drop(http2);
    gate.open();
    server.expect_nothing_above();
}
