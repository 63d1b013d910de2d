//! Sections 3 and 4: how a connection begins, frames, header blocks.

use super::{Server, connection_error, expect_connection_error};
use crate::common::http2::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_SIZE_ERROR, HEADERS, Http2, PING,
    PRIORITY, PROTOCOL_ERROR, SETTINGS, block, frame,
};

#[test]
fn section_3_4_a_connection_begins_with_the_preface() {
    let server = Server::start();
    for preface in [
        &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut http2 = Http2::open_silent(&server.client, &server.envgate);
        http2.write(preface);
        let end = http2.end();
        assert!(end.is_none_or(|reason| reason == PROTOCOL_ERROR), "{end:?}");
    }
    server.expect_nothing_above();
}

#[test]
fn section_4_1_frames_and_flags_that_nobody_knows_are_passed_over() {
    let server = Server::start();
    let mut http2 = server.open();
    http2.write_frame(0xbb, 0xff, 0, b"unknown");
    http2.write_frame(PING, 0xfe, 0, b"flagged!");
    assert_eq!(http2.read_until(PING).payload, b"flagged!");

    // The first bit of a stream's number says nothing.
    http2.write_frame(PING, 0, 0x8000_0000, b"reserved");
    assert_eq!(http2.read_until(PING).payload, b"reserved");
}

#[test]
fn section_4_2_a_frame_is_no_larger_than_was_agreed() {
    let server = Server::start();
    let large = vec![0; 16_385];
    for frames in [
        [
            frame(HEADERS, END_HEADERS, 1, &block(&server.fields("POST"))),
            frame(DATA, END_STREAM, 1, &large),
        ]
        .concat(),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &large),
        frame(SETTINGS, 0, 0, &vec![0; 16_386]),
    ] {
        expect_connection_error(&server.connection_error(&frames), FRAME_SIZE_ERROR);
    }
    server.expect_nothing_above();
}

#[test]
fn section_4_3_a_header_block_that_cannot_be_decoded_ends_the_connection() {
    let server = Server::start();
    for block in [
        &[0xff, 0xff, 0xff, 0xff, 0xff][..],
        &[0xc5],
        &[0x80],
        &[0x00, 0x85, 0xf2, 0xb2],
    ] {
        let taken = server.connection_error(&frame(HEADERS, END_HEADERS | END_STREAM, 1, block));
        expect_connection_error(&taken, COMPRESSION_ERROR);
    }
    server.expect_nothing_above();
}

#[test]
fn section_4_3_nothing_comes_between_the_parts_of_a_header_block() {
    let server = Server::start();
    let block = server.good();
    let (first, rest) = block.split_at(10);
    let begun = frame(HEADERS, END_STREAM, 1, first);
    for between in [
        frame(DATA, 0, 1, b"x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, &block),
        frame(CONTINUATION, END_HEADERS, 3, rest),
        frame(PING, 0, 0, &[0; 8]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 15]),
        frame(0xbb, 0, 0, b"unknown"),
    ] {
        let frames = [begun.clone(), between, frame(CONTINUATION, END_HEADERS, 1, rest)].concat();
        assert_eq!(server.connection_error(&frames), connection_error(PROTOCOL_ERROR));
    }
    server.expect_nothing_above();
}
