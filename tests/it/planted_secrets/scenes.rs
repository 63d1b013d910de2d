//! Gateways that are full of secrets, and what comes out of them.

use std::process::Stdio;

use envgate::store::{AuditQuery, Store};
use envgate_test_servers::redis::Redis;

use super::commands;
use super::outputs::Outputs;
use super::plants::Plants;
use super::requests::{self, IN_BODIES, indiscreet};
use crate::common::client::Request;
use crate::common::connect_proxy::{ConnectProxy, ProxyThen};
use crate::common::database;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::http2::{self, Http2};
use crate::common::tls::{self, TlsClient};
use crate::common::tls_upstream::{Authority, TlsUpstream};
use crate::common::upstream::{ClosedPort, Upstream};

/// Everything in one directory that a gateway leaves there.
fn collect_files(directory: &std::path::Path, outputs: &Outputs) {
    let files = [
        "log",
        "audit.jsonl",
        "audit.spool",
        "envgate.db",
        "envgate.db-wal",
        "envgate.db-journal",
    ];
    for name in files {
        outputs.file(&directory.join(name));
    }
}

/// The records of the audit, and the secrets that the store has made itself.
#[tokio::main(flavor = "current_thread")]
async fn look_into_store(url: &str, outputs: &Outputs) -> [u8; 32] {
    let store = Store::open_existing(url).await.unwrap();
    let all = AuditQuery {
        limit: 1000,
        ..AuditQuery::default()
    };
    let records = store.audit(&all).await.unwrap();
    assert!(!records.is_empty());
    outputs.add("records of the audit", serde_json::to_string(&records).unwrap());
    outputs.add("the store, shown by Debug", format!("{store:?}"));
    let cursor_key = store.secret("page_cursor").await.unwrap();
    store.close().await;
    cursor_key
}

fn talkative(setup: Setup, format: &str) -> Setup {
    setup
        .set("ENVGATE_LOG__LEVEL", "trace")
        .set("ENVGATE_LOG__FORMAT", format)
        .set("RUST_BACKTRACE", "1")
        .set("ENVGATE_AUDIT__FILE", "audit.jsonl")
        .set("ENVGATE_AUDIT__SPOOL", "audit.spool")
        .set("ENVGATE_LISTEN__UNKNOWN_KEYS_PER_MINUTE", "unlimited")
}

const SETTINGS: &str = r#"
[credentials.second]
key = { file = "second.key" }
budget = "default"

[plans.gold]
credential = "second"

[admin]
token = { env = "OPERATOR" }
metrics_token = { file = "metrics.token" }

[admin.tokens.ci]
token = { credential = "ci" }
rights = "keys"

[upstream]
circuit_failures = 0
"#;

#[test]
fn none_comes_out_of_a_gateway_before_an_indiscreet_upstream() {
    let (plants, outputs) = (Plants::default(), Outputs::default());
    let cookie = plants.plain("a cookie of the upstream");
    let upstream = Upstream::start(move |_, seen| indiscreet(seen, &cookie));
    let token = plants.odd("admin.token");
    let setup = talkative(Setup::new().upstream(upstream.address).file(SETTINGS), "json")
        .set("ENVGATE_UPSTREAM__CREDENTIAL", &plants.odd("upstream.credential"))
        .set("ENVGATE_UPSTREAM__LIST_AT_START", "true")
        .set("OPERATOR", &token)
        .set("UNUSED_SECRET", &plants.plain("a variable of somebody else"))
        .set("ENVGATE_SECRET", &plants.plain("a variable that sets nothing"))
        .set(
            "HTTPS_PROXY",
            &format!("http://me:{}@127.0.0.1:1", plants.plain("HTTPS_PROXY")),
        );
    for (file, place) in [
        ("second.key", "credentials.second.key"),
        ("metrics.token", "admin.metrics_token"),
        ("ci", "admin.tokens.ci.token"),
    ] {
        std::fs::write(setup.path().join(file), plants.odd(place)).unwrap();
    }
    let place = setup.path().to_str().unwrap().to_owned();
    let setup = setup.set("CREDENTIALS_DIRECTORY", &place);
    let gold = plants.tenant_key("the key of another tenant", setup.tenant("acme", "gold"));
    let demo = plants.tenant_key("the key of a tenant", setup.tenant("demo", "default"));

    let mut envgate = setup.start_for(&demo);
    outputs.command_line(envgate.pid());
    outputs.add("standard output of serve", envgate.said.clone());
    for key in [&demo, &gold] {
        requests::as_tenant(&envgate, key, &plants, &outputs);
    }
    let ask = |sent: Option<&str>, method: &str, path: &str, body: &str| {
        let mut request = Request::new(envgate.admin, method, path);
        if let Some(sent) = sent {
            request = request.header("authorization", &format!("Bearer {sent}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        request.send()
    };
    requests::as_operator(ask, &token, &plants, &outputs);
    for text in [
        format!(
            "{SETTINGS}\n[store]\nlisten_url = \"postgres://me:{}@db/x\"\n",
            plants.plain("a reload that is wrong")
        ),
        format!("{SETTINGS}\nlog = {}\n", plants.plain("a reload that is no TOML")),
        SETTINGS.replace("second.key", "third.key"),
    ] {
        std::fs::write(
            envgate.path().join("third.key"),
            plants.odd("credentials.second.key, the next"),
        )
        .unwrap();
        std::fs::write(envgate.path().join("envgate.toml"), text).unwrap();
        for method in ["GET", "POST"] {
            outputs.answer("a reload", &ask(Some(&token), method, "/api/v1/reload", ""));
        }
        outputs.command(
            "check --against-running",
            &envgate.run(&["check", "--against-running"]),
        );
        envgate.signal("HUP");
    }
    outputs.answer(
        "a read with the next credential",
        &envgate.get("/v1/environments/env_401"),
    );
    commands::beside(&envgate, &plants, &outputs);
    outputs.command_line(envgate.pid());
    envgate.stop();
    outputs.add("what serve said later", envgate.said_later());
    outputs.sent_up(&upstream.seen(), IN_BODIES);
    let url = format!("sqlite:{place}/envgate.db");
    let cursor_key = look_into_store(&url, &outputs);
    collect_files(envgate.path(), &outputs);
    outputs.expect_nothing_of(&plants);

    // The store has this one to keep; nobody else may.
    let (plants, outputs) = (Plants::default(), Outputs::default());
    plants.known("the key of page cursors", cursor_key);
    for name in ["log", "audit.jsonl"] {
        outputs.file(&envgate.path().join(name));
    }
    outputs.expect_nothing_of(&plants);
}

/// TLS on all sides, with certificates of clients, a proxy with a password before the upstream, and a PostgreSQL and
/// a Redis that have one each.
fn guarded(
    plants: &Plants,
    proxy: &ConnectProxy,
    authority: &Authority,
    redis: &str,
    store: &str,
) -> (Setup, TlsClient) {
    let setup = talkative(Setup::new(), "text");
    let own = authority.sign("envgate.test", |_| {});
    plants.private_key("upstream.client_key", &own.key);
    for (file, content) in [
        ("upstream.ca", &authority.certificate),
        ("own.crt", &own.certificate),
        ("own.key", &own.key),
    ] {
        std::fs::write(setup.path().join(file), content).unwrap();
    }
    let listening = tls::Authority::new();
    for (name, place) in [("listen", "listen.tls.key"), ("admin", "admin.tls.key")] {
        let pair = listening.issue("localhost");
        plants.private_key(place, &pair.key);
        pair.write(setup.path(), name);
    }
    let proxy = format!("http://me:{}@{}", plants.in_url("upstream.proxy"), proxy.address);
    let client = TlsClient::new(&listening);
    let setup = setup
        .admin_client(client.clone())
        .set("ENVGATE_LISTEN__TLS__CERTIFICATE", "listen.crt")
        .set("ENVGATE_LISTEN__TLS__KEY", "listen.key")
        .set("ENVGATE_ADMIN__TLS__CERTIFICATE", "admin.crt")
        .set("ENVGATE_ADMIN__TLS__KEY", "admin.key")
        .set("ENVGATE_UPSTREAM__URL", "https://upstream.test")
        .set("ENVGATE_UPSTREAM__CREDENTIAL", &plants.odd("upstream.credential"))
        .set("ENVGATE_UPSTREAM__CA_FILE", "upstream.ca")
        .set("ENVGATE_UPSTREAM__CLIENT_CERTIFICATE", "own.crt")
        .set("ENVGATE_UPSTREAM__CLIENT_KEY", "own.key")
        .set("ENVGATE_UPSTREAM__PROXY", &proxy)
        .set("ENVGATE_QUOTA__REPLICAS", "2")
        .set("ENVGATE_QUOTA__REDIS", redis)
        .set("ENVGATE_STORE__URL", store)
        .set("ENVGATE_STORE__LISTEN_URL", store);
    (setup, client)
}

fn read(envgate: &Envgate, outputs: &Outputs, client: &TlsClient) {
    for path in ["/v1/environments/env_1", "/v1/environments"] {
        let request = envgate.request("GET", path);
        outputs.answer(path, &client.send(envgate.gateway, &request));
    }
    for path in ["/readyz", "/metrics", "/api/v1/readiness", "/api/v1/audit"] {
        outputs.answer(path, &envgate.admin_get(path));
    }
}

/// The same within HTTP/2, with keys of all sorts.
fn read_http2(envgate: &Envgate, plants: &Plants, outputs: &Outputs, client: &TlsClient) {
    let unknown = format!("sk-eg-{}", plants.plain("an unknown key in HTTP/2"));
    for (name, key) in [
        ("x-api-key", envgate.key.as_str()),
        ("x-api-key", &unknown),
        ("X-Api-Key", &unknown),
        ("authorization", &unknown),
    ] {
        let mut connection = Http2::open(client, envgate);
        let request = [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", "/v1/environments"),
            (name, key),
        ];
        connection.request(1, &request);
        while let Some(frame) = connection.read_frame() {
            let is_last = matches!(frame.kind, http2::RST_STREAM | http2::GOAWAY)
                || frame.stream == 1 && frame.flags & http2::END_STREAM != 0;
            outputs.add("a frame of HTTP/2", frame.payload);
            if is_last {
                break;
            }
        }
    }
}

#[test]
fn none_comes_out_where_everything_is_guarded_by_one() {
    let (plants, outputs) = (Plants::default(), Outputs::default());
    let authority = Authority::new();
    let upstream = TlsUpstream::asking(&authority.sign("upstream.test", |_| {}), Some(&authority));
    let proxy = ConnectProxy::start(ProxyThen::Tunnel(upstream.address));
    let password = plants.plain("quota.redis");
    let redis = Redis::start_with(&["--requirepass", &password]);
    let database = database::migrated();
    let store = format!("{}&password={}", database.url(), plants.in_url("store.url"));
    let redis_url = format!("{}?pass={password}", redis.url());
    let (setup, client) = guarded(&plants, &proxy, &authority, &redis_url, &store);
    let key = plants.tenant_key("the key of a tenant", setup.tenant("demo", "default"));
    outputs.command("check", &setup.run(&["check"]));
    outputs.command("check --upstream", &setup.run(&["check", "--upstream"]));

    let mut envgate = setup.start_for(&key);
    outputs.command_line(envgate.pid());
    read(&envgate, &outputs, &client);
    read_http2(&envgate, &plants, &outputs, &client);
    assert!(
        upstream.requests() > 0,
        "the way through the proxy is good: {}",
        envgate.log()
    );
    // One after the other goes away.
    drop(redis);
    drop(proxy);
    read(&envgate, &outputs, &client);
    envgate.stop();
    look_into_store(&store, &outputs);
    collect_files(envgate.path(), &outputs);
    outputs.expect_nothing_of(&plants);
}

#[test]
fn none_comes_out_where_everything_is_refused() {
    let authority = Authority::new();
    let closed = ClosedPort::new();
    let wrong_redis = Redis::start_with(&["--requirepass", "another-password"]);
    let quoting = |status: &str| {
        // What a proxy was sent, it says again.
        ProxyThen::Answer(format!(
            "HTTP/1.1 {status}\r\nproxy-authenticate: Basic\r\n\r\nyou sent {status}"
        ))
    };
    let untrusted = Authority::new().sign("upstream.test", |_| {});
    let foreign = TlsUpstream::start(&untrusted);
    for (name, then) in [
        ("407", quoting("407 Proxy Authentication Required")),
        ("502", quoting("502 Bad Gateway")),
        ("no HTTP", ProxyThen::Answer("what?".to_owned())),
        ("a stranger's certificate", ProxyThen::Tunnel(foreign.address)),
    ] {
        let (plants, outputs) = (Plants::default(), Outputs::default());
        let proxy = ConnectProxy::start(then);
        let redis = format!("{}?pass={}", wrong_redis.url(), plants.plain("quota.redis"));
        let nowhere = format!(
            "postgres://envgate:{}@{}/envgate",
            plants.in_url("store.url"),
            closed.address()
        );
        let (setup, client) = guarded(&plants, &proxy, &authority, &redis, &nowhere);
        for command in [
            &["check"][..],
            &["check", "--upstream"],
            &["tenants", "list"],
            &["keys", "create", "--tenant", "demo"],
            &["store", "backup", "backup.db"],
        ] {
            outputs.command(&command.join(" "), &setup.run(command));
        }
        serve_until(&setup, &["the store cannot be reached", "Redis"], &outputs);
        let place = setup.path().to_str().unwrap().to_owned();
        let setup = setup
            .unset("ENVGATE_QUOTA__REDIS")
            .set("ENVGATE_STORE__URL", &format!("sqlite:{place}/envgate.db"))
            .unset("ENVGATE_STORE__LISTEN_URL");
        let key = plants.tenant_key("the key of a tenant", setup.tenant("demo", "default"));
        outputs.command("check --upstream", &setup.run(&["check", "--upstream"]));
        let mut envgate = setup.start_for(&key);
        read(&envgate, &outputs, &client);
        envgate.stop();
        collect_files(envgate.path(), &outputs);
        println!("{name}:");
        outputs.expect_nothing_of(&plants);
    }
}

/// Runs a gateway that never gets ready until it has said all this.
fn serve_until(setup: &Setup, said: &[&str], outputs: &Outputs) {
    let path = setup.path().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let mut serve = setup.command(&["serve"]);
    let mut child = serve.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    eventually("it says what is wrong", || {
        let log = std::fs::read_to_string(&path).unwrap();
        said.iter().all(|text| log.contains(text))
    });
    outputs.command_line(child.id());
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    outputs.add("standard output of serve", output.stdout);
    collect_files(setup.path(), outputs);
}

#[test]
fn none_comes_out_of_an_upstream_that_is_not_there() {
    let (plants, outputs) = (Plants::default(), Outputs::default());
    let closed = ClosedPort::new();
    let setup = talkative(Setup::new().upstream(closed.address()), "text")
        .set("ENVGATE_UPSTREAM__CREDENTIAL", &plants.odd("upstream.credential"))
        .set("ENVGATE_UPSTREAM__LIST_AT_START", "true");
    let key = plants.tenant_key("the key of a tenant", setup.tenant("demo", "default"));
    outputs.command("check --upstream", &setup.run(&["check", "--upstream"]));
    let mut envgate = setup.start_for(&key);
    for path in ["/v1/environments/env_1", "/v1/environments"] {
        outputs.answer(path, &envgate.get(path));
    }
    envgate.stop();
    collect_files(envgate.path(), &outputs);
    outputs.expect_nothing_of(&plants);
}
