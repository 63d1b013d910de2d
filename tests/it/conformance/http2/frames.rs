//! Section 6: each kind of frame.

use super::{Server, connection_error, expect_connection_error};
use crate::common::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS,
    Http2, INITIAL_WINDOW_SIZE, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, Taken,
    WINDOW_UPDATE, block, frame,
};

#[test]
fn section_6_1_data_belongs_to_a_stream_and_is_not_padding_alone() {
    let server = Server::start();
    const PADDED: u8 = 8;
    assert_eq!(
        server.connection_error(&frame(DATA, 0, 0, b"x")),
        connection_error(PROTOCOL_ERROR)
    );

    let begun = frame(HEADERS, END_HEADERS, 1, &block(&server.fields("POST")));
    let padded = frame(DATA, END_STREAM | PADDED, 1, &[6, b'x', 0, 0, 0]);
    assert_eq!(
        server.connection_error(&[begun, padded].concat()),
        connection_error(PROTOCOL_ERROR)
    );

    server.expect_nothing_above();
}

#[test]
fn section_6_2_headers_are_not_padding_alone() {
    let server = Server::start();
    const PADDED: u8 = 8;
    let padded = frame(
        HEADERS,
        END_HEADERS | END_STREAM | PADDED,
        1,
        &[200, 0x82, 0x87, 0x84],
    );
    assert_eq!(server.connection_error(&padded), connection_error(PROTOCOL_ERROR));
}

#[test]
fn section_6_3_priority_belongs_to_a_stream_and_has_five_bytes() {
    let server = Server::start();
    assert_eq!(
        server.connection_error(&frame(PRIORITY, 0, 0, &[0, 0, 0, 3, 15])),
        connection_error(PROTOCOL_ERROR)
    );

    let short = server.connection_error(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3]));
    expect_connection_error(&short, FRAME_SIZE_ERROR);
}

#[test]
fn section_6_4_a_reset_belongs_to_a_stream_and_has_four_bytes() {
    let server = Server::start();
    assert_eq!(
        server.connection_error(&frame(RST_STREAM, 0, 0, &[0; 4])),
        connection_error(PROTOCOL_ERROR)
    );

    let begun = frame(HEADERS, END_HEADERS, 1, &block(&server.fields("POST")));
    let short = [begun, frame(RST_STREAM, 0, 1, &[0; 3])].concat();
    expect_connection_error(&server.connection_error(&short), FRAME_SIZE_ERROR);
    server.expect_nothing_above();
}

#[test]
fn section_6_5_settings_are_of_the_connection_and_well_formed() {
    let server = Server::start();
    for (settings, reason) in [
        (frame(SETTINGS, ACK, 0, &[0; 6]), FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1, &[0, 3, 0, 0, 0, 1]), PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, &[0, 3, 0]), FRAME_SIZE_ERROR),
    ] {
        expect_connection_error(&server.connection_error(&settings), reason);
    }
}

#[test]
fn section_6_5_2_settings_have_values_within_their_range() {
    let server = Server::start();
    for (setting, value, reason) in [
        (2_u16, 2_u32, PROTOCOL_ERROR),
        (INITIAL_WINDOW_SIZE, 0x8000_0000, FLOW_CONTROL_ERROR),
        (5, 16_383, PROTOCOL_ERROR),
        (5, 16_777_216, PROTOCOL_ERROR),
    ] {
        let payload = [&setting.to_be_bytes()[..], &value.to_be_bytes()].concat();
        let taken = server.connection_error(&frame(SETTINGS, 0, 0, &payload));
        expect_connection_error(&taken, reason);
    }
}

#[test]
fn section_6_5_3_settings_are_acknowledged_and_unknown_ones_passed_over() {
    let server = Server::start();
    let mut http2 = server.open();
    http2.write_frame(SETTINGS, 0, 0, &[0xba, 0xba, 0, 0, 0, 1]);
    for _ in 0..2 {
        assert_eq!(
            http2.read_until(SETTINGS).flags,
            ACK,
            "those of the beginning, and these"
        );
    }
    http2.expect_alive();
}

#[test]
fn section_6_6_clients_promise_nothing() {
    let server = Server::start();
    let promise = frame(
        PUSH_PROMISE,
        END_HEADERS,
        1,
        &[&[0, 0, 0, 2][..], &server.good()].concat(),
    );
    assert_eq!(
        server.connection_error(&promise),
        connection_error(PROTOCOL_ERROR)
    );

    server.expect_nothing_above();
}

#[test]
fn section_6_7_a_ping_is_of_the_connection_and_has_eight_bytes() {
    let server = Server::start();
    assert_eq!(
        server.connection_error(&frame(PING, 0, 1, &[0; 8])),
        connection_error(PROTOCOL_ERROR)
    );

    expect_connection_error(
        &server.connection_error(&frame(PING, 0, 0, &[0; 6])),
        FRAME_SIZE_ERROR,
    );
    let mut http2 = server.open();
    http2.write_frame(PING, ACK, 0, b"nobody's");
    http2.expect_alive();
}

#[test]
fn section_6_8_goaway_is_of_the_connection() {
    let server = Server::start();
    assert_eq!(
        server.connection_error(&frame(GOAWAY, 0, 1, &[0; 8])),
        connection_error(PROTOCOL_ERROR)
    );
}

#[test]
fn section_6_9_windows_grow_by_something() {
    let server = Server::start();
    assert_eq!(
        server.connection_error(&frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        connection_error(PROTOCOL_ERROR)
    );

    expect_connection_error(
        &server.connection_error(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1])),
        FRAME_SIZE_ERROR,
    );
    let mut http2 = server.open();
    http2.write_frame(HEADERS, END_HEADERS, 1, &block(&server.fields("POST")));
    http2.write_frame(WINDOW_UPDATE, 0, 1, &[0; 4]);
    let taken = http2.taken(1);
    let expected = [
        Taken::StreamError(PROTOCOL_ERROR),
        connection_error(PROTOCOL_ERROR),
    ];
    assert!(expected.contains(&taken), "{taken:?}");
    server.expect_nothing_above();
}

#[test]
fn section_6_9_1_no_window_is_larger_than_it_can_be() {
    let server = Server::start();
    let most = [0x7f, 0xff, 0xff, 0xff];
    expect_connection_error(
        &server.connection_error(&frame(WINDOW_UPDATE, 0, 0, &most)),
        FLOW_CONTROL_ERROR,
    );
    let mut http2 = server.open();
    http2.write_frame(HEADERS, END_HEADERS, 1, &block(&server.fields("POST")));
    http2.write_frame(WINDOW_UPDATE, 0, 1, &most);
    let taken = http2.taken(1);
    let expected = [
        Taken::StreamError(FLOW_CONTROL_ERROR),
        connection_error(FLOW_CONTROL_ERROR),
    ];
    assert!(expected.contains(&taken), "{taken:?}");
    server.expect_nothing_above();
}

#[test]
fn section_6_9_1_an_answer_keeps_within_its_window() {
    let server = Server::start();
    let mut http2 = Http2::open_with(&server.client, &server.envgate, &[(INITIAL_WINDOW_SIZE, 10)]);
    http2.write_frame(HEADERS, END_HEADERS | END_STREAM, 1, &server.good());
    assert_eq!(http2.read_until(DATA).payload.len(), 10);

    http2.write_frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 5]);
    assert_eq!(http2.read_until(DATA).payload.len(), 5);
}

#[test]
fn section_6_10_a_continuation_goes_on_with_a_header_block() {
    let server = Server::start();
    let whole = frame(HEADERS, END_HEADERS, 1, &block(&server.fields("POST")));
    let more = frame(CONTINUATION, END_HEADERS, 1, &block(&[("x-more", "1")]));
    assert_eq!(
        server.connection_error(&[whole, more.clone()].concat()),
        connection_error(PROTOCOL_ERROR)
    );

    assert_eq!(
        server.connection_error(&frame(CONTINUATION, END_HEADERS, 0, &server.good())),
        connection_error(PROTOCOL_ERROR)
    );

    server.expect_nothing_above();
}

#[test]
fn section_6_10_a_block_in_several_parts_is_as_good_as_in_one() {
    let server = Server::start();
    let block = server.good();
    let (first, rest) = block.split_at(20);
    let (second, third) = rest.split_at(20);
    let mut http2 = server.open();
    http2.write_frame(HEADERS, END_STREAM, 1, first);
    http2.write_frame(CONTINUATION, 0, 1, second);
    http2.write_frame(CONTINUATION, END_HEADERS, 1, third);
    assert_eq!(http2.taken(1), Taken::Answered(200));
}
