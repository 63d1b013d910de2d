//! Tables of §2, §3 and §5: request lines and fields.

use crate::conformance::probe::{Case, answered, get, last, post, refused};

pub fn message_parsing() -> Vec<Case> {
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

pub fn http_version() -> Vec<Case> {
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

pub fn request_line() -> Vec<Case> {
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

pub fn request_target() -> Vec<Case> {
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

pub fn host() -> Vec<Case> {
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

pub fn field_syntax() -> Vec<Case> {
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
