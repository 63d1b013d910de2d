//! Tables of §6 and §7: where a body ends.

use crate::conformance::probe::{Case, answered, chunked, get, last, post, refused};

pub fn transfer_encoding() -> Vec<Case> {
    let whole = "2\r\n{}\r\n0\r\n\r\n";
    let coded = |lines: &str| post(lines, whole);
    vec![
        answered("chunked", 200, chunked(whole)),
        answered("in another case", 200, coded("Transfer-Encoding: CHUNKED\r\n")),
        refused(
            "gzip, chunked",
            501,
            coded("transfer-encoding: gzip, chunked\r\n"),
        ),
        refused(
            "gzip and chunked in two lines",
            501,
            coded("transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n"),
        ),
        refused(
            "identity, chunked",
            501,
            coded("transfer-encoding: identity, chunked\r\n"),
        ),
        refused(
            "chunked, chunked",
            400,
            coded("transfer-encoding: chunked, chunked\r\n"),
        ),
        refused(
            "chunked in two lines",
            400,
            coded("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ),
        refused(
            "chunked, gzip",
            400,
            coded("transfer-encoding: chunked, gzip\r\n"),
        ),
        refused(
            "chunked, identity",
            400,
            coded("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
        ),
        refused("gzip", 400, coded("transfer-encoding: gzip\r\n")),
        refused("identity", 400, coded("transfer-encoding: identity\r\n")),
        refused("nothing", 400, coded("transfer-encoding:\r\n")),
        refused(
            "nothing, then chunked",
            400,
            coded("transfer-encoding: , chunked\r\n"),
        ),
        refused(
            "chunked, then nothing",
            400,
            coded("transfer-encoding: chunked,\r\n"),
        ),
        refused("xchunked", 400, coded("transfer-encoding: xchunked\r\n")),
        refused(
            "chunked in quotes",
            400,
            coded("transfer-encoding: \"chunked\"\r\n"),
        ),
        refused(
            "chunked with a parameter",
            400,
            coded("transfer-encoding: chunked;q=1\r\n"),
        ),
        refused(
            "a vertical tab before chunked",
            400,
            coded("transfer-encoding: \u{b}chunked\r\n"),
        ),
        refused(
            "an 8-bit blank before chunked",
            400,
            coded("transfer-encoding: \u{a0}chunked\r\n"),
        ),
        refused(
            "a blank before the colon",
            400,
            coded("transfer-encoding : chunked\r\n"),
        ),
        refused("folded", 400, coded("transfer-encoding:\r\n chunked\r\n")),
        refused(
            "with a length after it",
            400,
            coded("transfer-encoding: chunked\r\ncontent-length: 2\r\n"),
        ),
        refused(
            "with a length before it",
            400,
            coded("content-length: 2\r\ntransfer-encoding: chunked\r\n"),
        ),
        refused(
            "with a length of nothing",
            400,
            coded("content-length: 0\r\ntransfer-encoding: chunked\r\n"),
        ),
        refused(
            "in HTTP/1.0",
            400,
            format!("POST {{path}} HTTP/1.0\r\n{{auth}}transfer-encoding: chunked\r\n\r\n{whole}"),
        ),
        answered(
            "a name that is only alike",
            200,
            post("transfer_encoding: chunked\r\ncontent-length: 2\r\n", "{}"),
        ),
    ]
}

pub fn content_length() -> Vec<Case> {
    let long = |lines: &str| post(lines, "{}");
    vec![
        answered("a number", 200, long("content-length: 2\r\n")),
        answered("leading zeros", 200, long("content-length: 0002\r\n")),
        answered("blanks around it", 200, long("content-length: \t2 \r\n")),
        answered("none, so there is no body", 400, post("", "")),
        answered(
            "nothing where a body is wanted",
            400,
            post("content-length: 0\r\n", ""),
        ),
        answered("of a GET", 200, format!("{}{{}}", get("content-length: 2\r\n"))),
        refused(
            "two that differ",
            400,
            long("content-length: 2\r\ncontent-length: 3\r\n"),
        ),
        refused(
            "two of the same",
            400,
            long("content-length: 2\r\ncontent-length: 2\r\n"),
        ),
        refused("a list that differs", 400, long("content-length: 2, 3\r\n")),
        refused("a list of the same", 400, long("content-length: 2, 2\r\n")),
        refused(
            "a list that ends with nothing",
            400,
            long("content-length: 2,\r\n"),
        ),
        refused("a plus", 400, long("content-length: +2\r\n")),
        refused("negative", 400, long("content-length: -2\r\n")),
        refused("hexadecimal", 400, long("content-length: 0x2\r\n")),
        refused("a fraction", 400, long("content-length: 2.0\r\n")),
        refused("an exponent", 400, long("content-length: 2e0\r\n")),
        refused("empty", 400, long("content-length:\r\n")),
        refused("a blank within", 400, long("content-length: 2 2\r\n")),
        refused("a letter after it", 400, long("content-length: 2a\r\n")),
        refused("in quotes", 400, long("content-length: \"2\"\r\n")),
        refused(
            "digits of another script",
            400,
            long("content-length: \u{d9}\u{a2}\r\n"),
        ),
        refused(
            "beyond 64 bits",
            400,
            long("content-length: 18446744073709551618\r\n"),
        ),
        refused(
            "far beyond",
            400,
            long(&format!("content-length: {}\r\n", "9".repeat(200))),
        ),
        last(
            "larger than the gateway takes",
            413,
            long("content-length: 99999999999\r\n"),
        ),
    ]
}

pub fn chunks() -> Vec<Case> {
    vec![
        answered("two", 200, chunked("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")),
        answered("leading zeros", 200, chunked("0002\r\n{}\r\n0000\r\n\r\n")),
        answered(
            "hexadecimal in both cases",
            200,
            chunked("a\r\n{        }\r\n0\r\n\r\n"),
        ),
        answered("an extension", 200, chunked("2;a=b\r\n{}\r\n0;c\r\n\r\n")),
        answered(
            "an extension in quotes",
            200,
            chunked("2;a=\"b;\\\"c\"\r\n{}\r\n0\r\n\r\n"),
        ),
        answered(
            "an extension with blanks",
            200,
            chunked("2 ; a = b\r\n{}\r\n0\r\n\r\n"),
        ),
        refused("a bare semicolon", 400, chunked("2;\r\n{}\r\n0\r\n\r\n")),
        refused(
            "a control character in an extension",
            400,
            chunked("2;a\u{1}b\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "NUL in an extension",
            400,
            chunked("2;a=\"\0\"\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "a bare LF in an extension",
            400,
            chunked("2;a\nb\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "a bare CR in an extension",
            400,
            chunked("2;a\rb\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "quotes without an end",
            400,
            chunked("2;a=\"b\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "an extension without an end",
            400,
            chunked(&format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(20_000))),
        ),
        refused("lines that end with LF", 400, chunked("2\n{}\n0\n\n")),
        refused("data that ends with LF", 400, chunked("2\r\n{}\n0\r\n\r\n")),
        refused("data without an end", 400, chunked("2\r\n{}0\r\n\r\n")),
        refused("more data than said", 400, chunked("1\r\n{}\r\n0\r\n\r\n")),
        refused("less data than said", 400, chunked("3\r\n{}\r\n0\r\n\r\n")),
        refused("no size", 400, chunked("\r\n{}\r\n0\r\n\r\n")),
        refused("no hexadecimal number", 400, chunked("zz\r\n{}\r\n0\r\n\r\n")),
        refused("a prefix", 400, chunked("0x2\r\n{}\r\n0\r\n\r\n")),
        refused("a plus", 400, chunked("+2\r\n{}\r\n0\r\n\r\n")),
        refused("negative", 400, chunked("-2\r\n{}\r\n0\r\n\r\n")),
        refused("an underscore", 400, chunked("0_2\r\n{}\r\n0\r\n\r\n")),
        refused("a blank before the size", 400, chunked(" 2\r\n{}\r\n0\r\n\r\n")),
        refused("a blank after the size", 400, chunked("2 \r\n{}\r\n0\r\n\r\n")),
        refused(
            "a size that overflows to another",
            400,
            chunked("10000000000000002\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "the largest size of 64 bits",
            400,
            chunked("ffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "a bad chunk after a good one",
            400,
            chunked("1\r\n{\r\n1;\r\n}\r\n0\r\n\r\n"),
        ),
    ]
}

pub fn trailers() -> Vec<Case> {
    let ended = |trailers: &str| chunked(&format!("2\r\n{{}}\r\n0\r\n{trailers}\r\n"));
    let keyless =
        "POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n{auth}\r\n";
    vec![
        answered("are passed over", 200, ended("x: y\r\nz:\r\n")),
        answered(
            "a length among them means nothing",
            200,
            ended("content-length: 50\r\n"),
        ),
        answered(
            "a coding among them means nothing",
            200,
            ended("transfer-encoding: chunked\r\n"),
        ),
        last("a key among them is none", 401, keyless),
        refused("no colon", 400, ended("x\r\n")),
        refused("a blank before the colon", 400, ended("x : y\r\n")),
        refused("folded", 400, ended("x: y\r\n z\r\n")),
        refused("a bare LF", 400, ended("x: y\n")),
        refused("NUL", 400, ended("x: \0\r\n")),
        refused("without an end", 400, ended(&"x: y\r\n".repeat(4000))),
    ]
}
