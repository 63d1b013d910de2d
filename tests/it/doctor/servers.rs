//! What stands behind a gateway: the upstream, Redis, the store.

use std::net::TcpListener;

use envgate_test_servers::postgres::Database;
use envgate_test_servers::redis::Redis;
use jiff::{SignedDuration, Timestamp};

use super::ask;
use crate::common::database;
use crate::common::envgate::{OPERATOR_KEY, Setup};
use crate::common::tls::{Authority, Pair};
use crate::common::tls_upstream::{self, Certificate, TlsUpstream};
use crate::common::upstream::{ClosedPort, Then, Upstream};

const JSON: (&str, &str) = ("content-type", "application/json");
const LIST: &str = r#"{"data":[],"next_page":null}"#;

fn refusal(status: &str, message: &str) -> Then {
    let body = format!(r#"{{"type":"error","error":{{"type":"x","message":{message:?}}}}}"#);
    Then::respond(status, &[JSON], &body)
}

/// An upstream that refuses, and quotes what it was sent.
pub(super) fn quoting(secret: &str) -> Upstream {
    Upstream::always(refusal(
        "401 Unauthorized",
        &format!("the key {secret} is not valid"),
    ))
}

#[test]
fn an_upstream_that_takes_the_credential_is_asked_once() {
    let upstream = Upstream::always(Then::respond("200 OK", &[JSON], LIST));
    let told = ask(&Setup::new().upstream(upstream.address));
    told.expect("upstream", "ok", &["is at 127.0.0.1"]).expect(
        "upstream",
        "ok",
        &["takes the upstream credential"],
    );
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].all("x-api-key"), [OPERATOR_KEY]);
}

#[test]
fn what_an_upstream_refuses_is_told_with_what_to_do() {
    for (status, message, words) in [
        (
            "401 Unauthorized",
            "invalid x-api-key",
            &["status 401: invalid x-api-key", "make a new key"][..],
        ),
        ("403 Forbidden", "no", &["the beta (upstream.beta)", "workspace"]),
        (
            "404 Not Found",
            "no",
            &["whether upstream.url and the workspace are right"],
        ),
        ("402 Payment Required", "no", &["look at the bills"]),
        (
            "400 Bad Request",
            "anthropic-workspace-id header must be a valid workspace ID",
            &["set the plan's workspace_id"],
        ),
        (
            "400 Bad Request",
            "Unexpected value(s) `x` for the `anthropic-beta` header.",
            &["does not know a beta"],
        ),
        ("301 Moved Permanently", "", &["no redirect is followed"]),
    ] {
        let upstream = Upstream::always(refusal(status, message));
        ask(&Setup::new().upstream(upstream.address)).expect_fault("upstream", words);
    }
    for (status, words) in [
        ("429 Too Many Requests", "compare the limits in [budgets]"),
        ("529 Overloaded", "trouble of its own"),
    ] {
        let upstream = Upstream::always(refusal(status, "no"));
        let told = ask(&Setup::new().upstream(upstream.address));
        assert_eq!(told.code, Some(0), "{:#?}", told.findings);
        told.expect("upstream", "warning", &[words]);
    }
}

#[test]
fn an_upstream_that_is_not_there_does_not_answer_or_has_no_name_is_told() {
    let closed = ClosedPort::new();
    ask(&Setup::new().upstream(closed.address()))
        .expect_fault("upstream", &["cannot connect", "look whether it runs"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new()
        .upstream(silent.local_addr().unwrap())
        .set("ENVGATE_UPSTREAM__TIMEOUT", "1s");
    ask(&setup).expect_fault(
        "upstream",
        &["no complete reply within 1 s", "ask whoever runs it"],
    );
    let nowhere = setup.set("ENVGATE_UPSTREAM__URL", "https://no-such-name.invalid");
    ask(&nowhere).expect_fault(
        "upstream",
        &["no-such-name.invalid, cannot be looked up", "/etc/resolv.conf"],
    );
}

#[test]
fn an_upstreams_certificate_is_told_and_one_that_is_not_trusted_too() {
    let authority = Authority::new();
    let upstream = |pair: Pair| {
        TlsUpstream::start(&Certificate {
            certificate: pair.certificate,
            key: pair.key,
        })
    };
    let ask_trusting = |upstream: &TlsUpstream, trusted: &str| {
        let setup = Setup::new();
        std::fs::write(setup.path().join("ca.pem"), trusted).unwrap();
        let url = format!("https://localhost:{}", upstream.address.port());
        ask(&setup
            .upstream(upstream.address)
            .set("ENVGATE_UPSTREAM__URL", &url)
            .set("ENVGATE_UPSTREAM__CA_FILE", "ca.pem"))
    };
    let good = upstream(authority.issue_for_days("localhost", 100));
    ask_trusting(&good, &authority.pem()).expect("upstream", "ok", &["its certificate is valid until"]);
    let stranger = tls_upstream::Authority::new().certificate;
    ask_trusting(&good, &stranger).expect_fault(
        "upstream",
        &["signed by nobody who is trusted", "upstream.ca_file"],
    );
    let soon = upstream(authority.issue_for_days("localhost", 5));
    ask_trusting(&soon, &authority.pem()).expect(
        "upstream",
        "warning",
        &["expires soon", "ask whoever runs it"],
    );
    let expired = upstream(authority.issue_until("localhost", 2020));
    ask_trusting(&expired, &authority.pem())
        .expect_fault("upstream", &["xpired", "look at the clock of this machine"]);
}

#[test]
fn a_clock_that_differs_from_the_upstreams_is_told() {
    for (seconds, grade, words) in [
        (0, "ok", "as that of the upstream"),
        (-60, "warning", "ahead of that of the upstream"),
        (3600, "fault", "behind that of the upstream"),
    ] {
        let upstream = Upstream::start(move |_, _| {
            let date = Timestamp::now() + SignedDuration::from_secs(seconds);
            let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            Then::respond("200 OK", &[JSON, ("date", &date)], LIST)
        });
        let told = ask(&Setup::new().upstream(upstream.address));
        told.expect("clock", grade, &[words]);
        assert_eq!(told.code, Some(i32::from(grade == "fault")));
    }
}

#[test]
fn a_redis_that_is_away_or_not_made_for_budgets_is_told() {
    let setup = |url: &str| {
        Setup::new()
            .set("ENVGATE_QUOTA__REDIS", url)
            .set("ENVGATE_QUOTA__REPLICAS", "2")
    };
    let mut redis = Redis::start();
    let told = ask(&setup(&redis.url()));
    assert_eq!(told.code, Some(0), "{:#?}", told.findings);
    told.expect("redis", "ok", &["standalone", "noeviction"])
        .expect("clock", "ok", &["as that of Redis"]);
    redis.kill();
    ask(&setup(&redis.url())).expect_fault("redis", &["tenants get 429", "look whether it runs"]);

    let forgetful = Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    ask(&setup(&forgetful.url())).expect(
        "redis",
        "warning",
        &["allkeys-lru", "set maxmemory-policy to noeviction"],
    );
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", "1"]);
    ask(&setup(&replica.url())).expect_fault("redis", &["a replica of another", "name the primary"]);
    let locked = Redis::start_with(&["--requirepass", "planted-password"]);
    let told = ask(&setup(&locked.url()));
    told.expect_fault("redis", &["user and password in quota.redis"]);
    let closed = Setup::new().set("ENVGATE_QUOTA__REPLICAS", "2");
    ask(&closed).expect("redis", "warning", &["not used", "set quota.redis"]);
}

#[test]
fn a_store_that_takes_no_writes_or_is_of_tomorrow_is_told() {
    let database = database::migrated();
    let name = crate::store::name(&database);
    let setup = Setup::new().set("ENVGATE_STORE__URL", &database.url());
    let told = ask(&setup);
    told.expect("store", "ok", &["PostgreSQL"])
        .expect("clock", "ok", &["as that of the store"]);
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    crate::store::execute_beside(&database, &[&read_only]);
    ask(&setup).expect_fault(
        "store",
        &["default_transaction_read_only is on", "name the primary"],
    );

    let newer = database::migrated();
    crate::store::execute(
        &newer,
        &[
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
           VALUES (9999, 'of tomorrow', TRUE, '', 0)",
        ],
    );
    ask(&Setup::new().set("ENVGATE_STORE__URL", &newer.url())).expect_fault(
        "store",
        &[
            "are of version 9999",
            "run the envgate that made them or a newer one",
        ],
    );
    let empty = Database::empty();
    let waits = Setup::new()
        .set("ENVGATE_STORE__URL", &empty.url())
        .set("ENVGATE_STORE__AUTO_MIGRATE", "false");
    ask(&waits).expect_fault("store", &["there are no tables yet", "run envgate store migrate"]);
}
