//! An upstream that costs next to nothing: it answers every request with the same environment, as long as the
//! request carries what the real upstream insists on. So a proxy that forgets the header swap gets no 200.
//!
//! `mock-upstream LISTEN KEY [TENANT]`, one thread, HTTP/1.1 with bodies that announce their length. With a tenant's id the environment has that tenant's
//! stamp.

use std::env;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ENVIRONMENT: &str = concat!(
    r#"{"id":"env_011CZkZ9X2dpNyB7HsEFoRfW","type":"environment","name":"python-data-analysis","#,
    r#""description":"Python environment with data-analysis packages.","config":{"type":"cloud","#,
    r#""networking":{"type":"limited","allowed_hosts":["api.example.com"],"allow_mcp_servers":false,"#,
    r#""allow_package_managers":true},"packages":{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"#,
    r#""npm":[],"pip":["pandas","numpy","scikit-learn"]}},"metadata":{"team":"data-analysis","#,
    r#""cost-center":"4711"},"scope":"organization","state":"active","#,
    r#""created_at":"2026-05-29T10:00:00.000000Z","updated_at":"2026-05-29T11:00:00.000000Z","archived_at":null}"#,
);

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (listen, key, tenant) = match arguments.as_slice() {
        [listen, key] => (listen, key, None),
        [listen, key, tenant] => (listen, key, Some(tenant)),
        _ => panic!("usage: mock-upstream LISTEN KEY [TENANT]"),
    };
    let environment = match tenant {
        None => ENVIRONMENT.to_owned(),
        Some(id) => ENVIRONMENT.replace(
            r#""metadata":{"#,
            &format!(r#""metadata":{{"envgate:tenant":"{id}","#),
        ),
    };
    let good = reply("200 OK", &environment);
    // The few bytes that live as long as the process save every task a copy.
    let (key, good): (&'static str, &'static [u8]) = (key.clone().leak(), good.leak());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (connection, _) = listener.accept().await?;
            tokio::task::spawn_local(serve(connection, key, good));
        }
    })
}

async fn serve(mut connection: TcpStream, key: &str, good: &[u8]) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let bad = reply(
        "401 Unauthorized",
        r#"{"type":"error","error":{"type":"authentication_error"}}"#,
    );
    let mut input = Vec::with_capacity(8 << 10);
    loop {
        let (length, is_good) = loop {
            if let Some(request) = judge(&input, key)? {
                break request;
            }
            if connection.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        };
        input.drain(..length);
        connection.write_all(if is_good { good } else { &bad }).await?;
    }
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nrequest-id: req_011CZkZAbCdEfGhJkMnPqRsT\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// How long the first request in the buffer is, and whether its header is as the upstream wants it; none while
/// some of it is still to come.
fn judge(input: &[u8], key: &str) -> io::Result<Option<(usize, bool)>> {
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
    Ok((input.len() >= length).then_some((length, has_key && has_version && has_beta)))
}
