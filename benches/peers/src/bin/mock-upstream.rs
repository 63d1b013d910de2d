//! An upstream that costs next to nothing: it answers every request with the same environment, as long as the
//! request carries what the real upstream insists on. So a proxy that forgets the header swap gets no 200.
//!
//! `mock-upstream LISTEN KEY [TENANT]`, one thread, HTTP/1.1 with bodies that announce their length. With a tenant's id the environment has that tenant's
//! stamp. A list with a `limit` has as many of it.

use std::env;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ENVIRONMENT: &str = include_str!("../../../environment.json");

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (listen, key, tenant) = match arguments.as_slice() {
        [listen, key] => (listen, key, None),
        [listen, key, tenant] => (listen, key, Some(tenant)),
        _ => panic!("usage: mock-upstream LISTEN KEY [TENANT]"),
    };
    let environment = match tenant {
        None => ENVIRONMENT.trim_end().to_owned(),
        Some(id) => ENVIRONMENT.trim_end().replace(
            r#""metadata":{"#,
            &format!(r#""metadata":{{"envgate:tenant":"{id}","#),
        ),
    };
    // The few bytes that live as long as the process save every task a copy.
    let upstream: &'static Upstream = Box::leak(Box::new(Upstream {
        key: key.clone(),
        one: reply("200 OK", &environment),
        refusal: reply(
            "401 Unauthorized",
            r#"{"type":"error","error":{"type":"authentication_error"}}"#,
        ),
        environment,
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (connection, _) = listener.accept().await?;
            tokio::task::spawn_local(serve(connection, upstream));
        }
    })
}

struct Upstream {
    key: String,
    environment: String,
    one: Vec<u8>,
    refusal: Vec<u8>,
}

/// A whole request.
struct Request {
    length: usize,
    is_good: bool,
    /// How many a list should have.
    limit: Option<usize>,
}

async fn serve(mut connection: TcpStream, upstream: &Upstream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut input = Vec::with_capacity(8 << 10);
    // The last list, and its limit.
    let mut list = (0, Vec::new());
    loop {
        let request = loop {
            if let Some(request) = judge(&input, &upstream.key)? {
                break request;
            }
            if connection.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        };
        input.drain(..request.length);
        let reply = match request.limit {
            _ if !request.is_good => &upstream.refusal,
            None => &upstream.one,
            Some(limit) => {
                if list.0 != limit {
                    list = (limit, page(&upstream.environment, limit));
                }
                &list.1
            }
        };
        connection.write_all(reply).await?;
    }
}

fn page(environment: &str, limit: usize) -> Vec<u8> {
    let environments = vec![environment; limit].join(",");
    reply(
        "200 OK",
        &format!(r#"{{"data":[{environments}],"next_page":null}}"#),
    )
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nrequest-id: req_011CZkZAbCdEfGhJkMnPqRsT\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The first request in the buffer, and whether its header is as the upstream wants it; none while some of it is still
/// to come.
fn judge(input: &[u8], key: &str) -> io::Result<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(status) = request.parse(input) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let httparse::Status::Complete(header_length) = status else {
        return Ok(None);
    };
    let (mut body_length, mut has_key, mut has_version, mut has_beta) = (0, false, false, false);
    for header in request.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            body_length = str::from_utf8(header.value)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
        } else if is("x-api-key") {
            has_key = header.value == key.as_bytes();
        } else if is("anthropic-version") {
            has_version = true;
        } else if is("anthropic-beta") {
            has_beta = true;
        } else if is("authorization") || is("transfer-encoding") {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let length = header_length + body_length;
    let is_good = has_key && has_version && has_beta;
    let limit = request
        .path
        .and_then(|path| path.split_once("limit=")?.1.parse().ok());
    Ok((input.len() >= length).then_some(Request {
        length,
        is_good,
        limit,
    }))
}
