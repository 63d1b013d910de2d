//! RFC 9112, HTTP/1.1: how messages are framed.

use super::probe::{Case, Probe, Section, answered, chunked, dropped, get, last, post, refused};

/// All tables, by section.
pub const SECTIONS: [Section; 11] = [
    ("2.2 message parsing", message_parsing),
    ("2.3 HTTP version", http_version),
    ("3 request line", request_line),
    ("3.2 request target", request_target),
    ("3.2 host", host),
    ("5 field syntax", field_syntax),
    ("6.1 transfer-encoding", transfer_encoding),
    ("6.2 content-length", content_length),
    ("7.1 chunked transfer coding", chunks),
    ("7.1.2 trailers", trailers),
    ("8, 9.3 incomplete messages, persistence", persistence),
];

fn message_parsing() -> Vec<Case> {
    vec![
        answered("one empty line before a request", 200, format!("\r\n{}", get(""))),
        refused(
            "two empty lines before a request",
            400,
            format!("\r\n\r\n{}", get("")),
        ),
        refused("a bare LF before a request", 400, format!("\n{}", get(""))),
        refused("a bare CR before a request", 400, format!("\r{}", get(""))),
        refused(
            "request line ends with a bare LF",
            400,
            "GET {path} HTTP/1.1\nhost: a\r\n{auth}\r\n",
        ),
        refused(
            "field ends with a bare LF",
            400,
            "GET {path} HTTP/1.1\r\nhost: a\n{auth}\r\n",
        ),
        refused(
            "all lines end with a bare LF",
            400,
            "GET {path} HTTP/1.1\nhost: a\n\n",
        ),
        refused(
            "head ends with a bare LF",
            400,
            "GET {path} HTTP/1.1\r\nhost: a\r\n{auth}\n",
        ),
        refused(
            "request line ends with a bare CR",
            400,
            "GET {path} HTTP/1.1\rhost: a\r\n{auth}\r\n",
        ),
        refused("a bare CR within a field", 400, get("x: a\rb\r\n")),
        refused("CR CR LF after a field", 400, get("x: a\r\r\n")),
        refused(
            "a field that begins with a blank after the request line",
            400,
            "GET {path} HTTP/1.1\r\n host: a\r\n{auth}\r\n",
        ),
        refused(
            "a blank line of blanks",
            400,
            "GET {path} HTTP/1.1\r\nhost: a\r\n{auth}  \r\n\r\n",
        ),
        refused("NUL within a field", 400, get("x: a\0b\r\n")),
        refused(
            "a handshake of TLS",
            400,
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        ),
        refused("no HTTP at all", 400, "hello\r\n\r\n"),
    ]
}

fn http_version() -> Vec<Case> {
    let line = |version: &str| format!("GET {{path}} {version}\r\nhost: a\r\n{{auth}}\r\n");
    vec![
        answered("1.2 is answered as 1.1", 200, line("HTTP/1.2")),
        answered("1.9 is answered as 1.1", 200, line("HTTP/1.9")),
        last("1.0", 200, line("HTTP/1.0")),
        refused("2.0", 505, line("HTTP/2.0")),
        refused("3.0", 505, line("HTTP/3.0")),
        refused("0.9", 505, line("HTTP/0.9")),
        refused("the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        refused("lower case", 400, line("http/1.1")),
        refused("two digits", 400, line("HTTP/1.10")),
        refused("a leading zero", 400, line("HTTP/01.1")),
        refused("no minor version", 400, line("HTTP/1")),
        refused("a comma", 400, line("HTTP/1,1")),
        refused("another protocol", 400, line("RTSP/1.1")),
        refused("a blank within", 400, line("HTTP /1.1")),
        refused("none, as in HTTP/0.9", 400, "GET {path}\r\n\r\n"),
    ]
}

fn request_line() -> Vec<Case> {
    let line = |line: &str| format!("{line}\r\nhost: a\r\n{{auth}}\r\n");
    let long = "a".repeat(40_000);
    vec![
        refused("two blanks after the method", 400, line("GET  {path} HTTP/1.1")),
        refused("two blanks before the version", 400, line("GET {path}  HTTP/1.1")),
        refused("a blank at the start", 400, line(" GET {path} HTTP/1.1")),
        refused("a blank at the end", 400, line("GET {path} HTTP/1.1 ")),
        refused("a tab for a blank", 400, line("GET\t{path}\tHTTP/1.1")),
        refused("a form feed for a blank", 400, line("GET {path}\u{c}HTTP/1.1")),
        refused("a fourth word", 400, line("GET {path} HTTP/1.1 x")),
        refused("no target", 400, line("GET HTTP/1.1")),
        refused("the method alone", 400, line("GET")),
        refused("no method", 400, line("{path} HTTP/1.1")),
        refused("a method with a bracket", 400, line("G(T {path} HTTP/1.1")),
        refused("a method with a colon", 400, line("GET: {path} HTTP/1.1")),
        refused(
            "a method with an 8-bit byte",
            400,
            line("G\u{c9}T {path} HTTP/1.1"),
        ),
        answered(
            "a method in lower case is another",
            405,
            line("get {path} HTTP/1.1"),
        ),
        answered("an unknown method", 405, line("BREW {path} HTTP/1.1")),
        answered("TRACE", 405, line("TRACE {path} HTTP/1.1")),
        refused("CONNECT", 405, line("CONNECT a:443 HTTP/1.1")),
        refused("CONNECT with a path", 405, line("CONNECT {path} HTTP/1.1")),
        refused(
            "a target without an end",
            414,
            line(&format!("GET /{long} HTTP/1.1")),
        ),
        refused(
            "a method without an end",
            414,
            line(&format!("{long} / HTTP/1.1")),
        ),
        refused("a field without an end", 431, get(&format!("x: {long}\r\n"))),
        refused("fields without an end", 431, get(&"x: y\r\n".repeat(300))),
    ]
}

fn request_target() -> Vec<Case> {
    let to = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\n{{auth}}\r\n");
    let options = |target: &str| format!("OPTIONS {target} HTTP/1.1\r\nhost: a\r\n\r\n");
    vec![
        refused("* with GET", 400, to("*")),
        refused(
            "* with POST",
            400,
            "POST * HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        ),
        answered("* with OPTIONS", 204, options("*")),
        refused("NUL", 400, to("{path}\0")),
        refused("a control character", 400, to("{path}\u{1}")),
        refused("DEL", 400, to("{path}\u{7f}")),
        refused("an 8-bit byte", 400, to("{path}\u{e9}")),
        refused("overlong UTF-8", 400, to("{path}/\u{c0}\u{af}")),
        refused("UTF-8 in the query", 400, to("{path}?x=\u{c3}\u{a9}")),
        refused("a fragment", 400, to("{path}#x")),
        refused("no slash", 400, to("v1/environments")),
        refused("the form of CONNECT", 400, to("a:443")),
        refused("a blank within", 400, to("{path} x")),
        answered("NUL percent-encoded is no id", 404, to("{path}%00")),
        answered("overlong UTF-8 percent-encoded is no id", 404, to("{path}%C0%AF")),
        answered("half an escape is no id", 404, to("{path}%4")),
        answered("a path that climbs is none", 404, to("/v1/../v1/environments")),
        answered("absolute", 200, to("http://a{path}")),
        answered(
            "absolute, and its host is not Host",
            200,
            to("http://b.example:8080{path}"),
        ),
        answered("absolute with https", 200, to("HTTPS://a{path}")),
        answered("absolute without a path", 404, to("http://a")),
        answered(
            "absolute with OPTIONS and without a path",
            204,
            options("http://a"),
        ),
        last(
            "absolute in HTTP/1.0",
            200,
            "GET http://a{path} HTTP/1.0\r\n{auth}\r\n",
        ),
        refused(
            "absolute without Host",
            400,
            "GET http://a{path} HTTP/1.1\r\n{auth}\r\n",
        ),
        refused("absolute without a host", 400, to("http://{path}")),
        refused("absolute with a user", 400, to("http://u:p@a{path}")),
        refused("absolute with a bad port", 400, to("http://a:b{path}")),
        refused("absolute with another scheme", 400, to("ftp://a{path}")),
        refused("absolute with one slash", 400, to("http:/a{path}")),
    ]
}

fn host() -> Vec<Case> {
    let of = |lines: &str| format!("GET {{path}} HTTP/1.1\r\n{lines}{{auth}}\r\n");
    vec![
        refused("missing", 400, of("")),
        refused("empty", 400, of("host:\r\n")),
        refused("blanks alone", 400, of("host:  \t\r\n")),
        refused("with a path", 400, of("host: a/b\r\n")),
        refused("with a scheme", 400, of("host: http://a\r\n")),
        refused("a list", 400, of("host: a, b\r\n")),
        refused("a list without blanks", 400, of("host: a,b\r\n")),
        refused("a port that is no number", 400, of("host: a:b\r\n")),
        refused("a port that is too large", 400, of("host: a:65536\r\n")),
        refused("a port with a sign", 400, of("host: a:+80\r\n")),
        refused("two ports", 400, of("host: a:80:80\r\n")),
        refused("a blank within", 400, of("host: a b\r\n")),
        refused("a tab within", 400, of("host: a\tb\r\n")),
        refused("with a user", 400, of("host: u@a\r\n")),
        refused("an 8-bit byte", 400, of("host: \u{e9}\r\n")),
        refused("half an IPv6 address", 400, of("host: [::1\r\n")),
        refused("an IPv6 address without brackets", 400, of("host: ::1\r\n")),
        refused("twice", 400, of("host: a\r\nhost: b\r\n")),
        refused("twice the same", 400, of("host: a\r\nHost: a\r\n")),
        refused("missing in HTTP/1.2", 400, "GET {path} HTTP/1.2\r\n{auth}\r\n"),
        refused(
            "bad in HTTP/1.0",
            400,
            "GET {path} HTTP/1.0\r\nhost: a/b\r\n{auth}\r\n",
        ),
        last("missing in HTTP/1.0", 200, "GET {path} HTTP/1.0\r\n{auth}\r\n"),
        answered("with a port", 200, of("host: a:8080\r\n")),
        answered("with an empty port", 200, of("host: a:\r\n")),
        answered("an IPv6 address", 200, of("Host: [::1]:8080\r\n")),
        answered("blanks around it", 200, of("hOST: \t a \t\r\n")),
    ]
}

fn field_syntax() -> Vec<Case> {
    vec![
        refused("no colon", 400, get("x\r\n")),
        refused("no name", 400, get(": x\r\n")),
        refused("a blank before the colon", 400, get("x : y\r\n")),
        refused("a tab before the colon", 400, get("x\t: y\r\n")),
        refused("a folded field", 400, get("x: y\r\n z\r\n")),
        refused("a field folded with a tab", 400, get("x: y\r\n\tz\r\n")),
        refused(
            "a folded field that hides a length",
            400,
            post("x: y\r\n content-length: 2\r\n", "{}"),
        ),
        refused("a name with a bracket", 400, get("x[y]: z\r\n")),
        refused("a name with an 8-bit byte", 400, get("x\u{e9}: y\r\n")),
        refused("a name with NUL", 400, get("x\0: y\r\n")),
        refused("a value with a control character", 400, get("x: \u{8}\r\n")),
        refused("a value with DEL", 400, get("x: \u{7f}\r\n")),
        answered("a value with a tab", 200, get("x: a\tb\r\n")),
        answered("a value with an 8-bit byte", 200, get("x: \u{e9}\r\n")),
        answered("no value", 200, get("x:\r\n")),
        answered("every mark of a token", 200, get("!#$%&'*+-.^_`|~: x\r\n")),
    ]
}

fn transfer_encoding() -> Vec<Case> {
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

fn content_length() -> Vec<Case> {
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

fn chunks() -> Vec<Case> {
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

fn trailers() -> Vec<Case> {
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
    Probe::start().run(&message_parsing());
}

#[test]
fn section_2_3_every_minor_version_of_http_1_is_answered_and_no_other_major_version() {
    Probe::start().run(&http_version());
}

#[test]
fn section_3_a_request_line_is_three_words_of_bounded_length() {
    Probe::start().run(&request_line());
}

#[test]
fn section_3_2_a_target_has_one_meaning() {
    Probe::start().run(&request_target());
}

#[test]
fn section_3_2_host_is_there_once_and_a_host() {
    Probe::start().run(&host());
}

#[test]
fn section_5_a_field_is_on_one_line_with_its_name_before_the_colon() {
    Probe::start().run(&field_syntax());
}

#[test]
fn section_6_1_the_only_transfer_coding_is_chunked() {
    Probe::start().run(&transfer_encoding());
}

#[test]
fn section_6_2_a_length_is_one_number() {
    Probe::start().run(&content_length());
}

#[test]
fn section_7_1_chunks_have_one_meaning() {
    Probe::start().run(&chunks());
}

#[test]
fn section_7_1_2_trailers_are_read_and_mean_nothing() {
    Probe::start().run(&trailers());
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
