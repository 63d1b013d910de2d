use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use tokio::time::sleep;

use super::*;
use crate::contract::{Dialect, Operation, StampKey};
use crate::gateway::received_reply::ReceivedReply;

const TTL: Duration = Duration::from_secs(2);
pub(super) const KEEPING: config::Cache = config::Cache {
    ttl: TTL,
    max_bytes: 1 << 20,
};
pub(super) const NOT_KEEPING: config::Cache = config::Cache {
    ttl: Duration::ZERO,
    ..KEEPING
};

pub(super) fn id() -> EnvironmentId {
    EnvironmentId::parse("env_1").unwrap()
}

pub(super) fn access() -> Arc<str> {
    Arc::from("default ")
}

pub(super) fn retrieve() -> ReadKey {
    ReadKey {
        subject: Subject::Environment(id(), TenantId("tenant".to_owned())),
        access: access(),
        dialect: "sandbase",
        version: HeaderValue::from_static("2023-06-01"),
        betas: HeaderValue::from_static("managed-agents-2026-04-01"),
        path_and_query: "/v1/environments/env_1".to_owned(),
    }
}

fn list() -> ReadKey {
    ReadKey {
        subject: Subject::List,
        path_and_query: "/v1/environments?limit=1000".to_owned(),
        ..retrieve()
    }
}

fn reply(status: StatusCode, body: impl Into<Bytes>) -> ReadReply {
    let reply = Reply {
        status,
        headers: HeaderMap::new(),
        body: body.into(),
    };
    // An operation of whose reply nothing more is asked than that it is an object.
    let received = ReceivedReply::new(reply);
    ReadReply::new(
        received,
        Operation::Delete,
        &Dialect::SANDBASE,
        &StampKey::default(),
    )
}

/// A reply that says something.
pub(super) fn state(body: &str) -> ReadReply {
    reply(StatusCode::OK, format!(r#"{{"state":"{body}"}}"#))
}

/// What it says.
pub(super) fn said(reply: &ReadReply) -> String {
    let body: serde_json::Value = serde_json::from_slice(&reply.reply.body).unwrap();
    body["state"].as_str().unwrap().to_owned()
}

pub(super) fn asked(cache_control: &str) -> Freshness {
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::try_from(cache_control).unwrap());
    Freshness::from_cache_control(&headers)
}

/// Somebody of the one tenant.
fn reader(freshness: Freshness) -> Reader<'static> {
    static TENANT: LazyLock<TenantId> = LazyLock::new(|| TenantId("tenant".to_owned()));
    Reader {
        tenant: &TENANT,
        freshness,
        may_wait: true,
        // Of each reader's own.
        progress: Box::leak(Box::default()),
    }
}

/// Somebody of this tenant.
fn of(tenant: &TenantId) -> Reader<'_> {
    Reader { tenant, ..anybody() }
}

/// An attempt that ended before it came into flight.
fn in_vain() -> AskError {
    AskError {
        error: ApiError::UpstreamUnreachable,
        may_wait: false,
    }
}

pub(super) fn anybody() -> Reader<'static> {
    reader(anything())
}

pub(super) fn anything() -> Freshness {
    Freshness::from_cache_control(&HeaderMap::new())
}

/// Reads where the upstream would give `body` after a while.
pub(super) async fn read(
    reads: &SharedReads,
    key: ReadKey,
    freshness: Freshness,
    body: &str,
) -> (String, ReadSource) {
    let shared = reads
        .read(key, reader(freshness), async {
            sleep(Duration::from_millis(100)).await;
            Ok::<_, AskError>(state(body))
        })
        .await
        .unwrap();
    (said(&shared.reply), shared.source)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_ask_at_once_cost_one_request() {
    let reads = Arc::new(SharedReads::new(&NOT_KEEPING));
    let asked = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..1000)
        .map(|_| {
            let (reads, asked) = (Arc::clone(&reads), Arc::clone(&asked));
            tokio::spawn(async move {
                let ask = async {
                    asked.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_secs(1)).await;
                    Ok::<_, AskError>(reply(StatusCode::OK, "state"))
                };
                reads.read(retrieve(), anybody(), ask).await.unwrap()
            })
        })
        .collect();
    let mut misses = 0;
    for reader in readers {
        let shared = reader.await.unwrap();
        assert_eq!(shared.reply.reply.body, "state");
        misses += usize::from(shared.source == ReadSource::Miss);
    }
    assert_eq!((asked.load(Ordering::SeqCst), misses), (1, 1));
    assert!(reads.in_flight.is_empty(), "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_kept_for_its_time_and_tells_its_age() {
    let reads = SharedReads::new(&KEEPING);
    assert_eq!(
        read(&reads, retrieve(), anything(), "1").await.1,
        ReadSource::Miss
    );
    sleep(Duration::from_millis(1500)).await;
    let (body, source) = read(&reads, retrieve(), anything(), "2").await;
    assert_eq!(body, "1");
    assert_eq!(source, ReadSource::Hit(Duration::from_millis(1500)));
    let headers: Vec<_> = source.headers().collect();
    assert_eq!(headers[0], (http::header::AGE, HeaderValue::from_static("1")));
    assert_eq!(headers[1].1, "hit");
}

#[tokio::test(start_paused = true)]
async fn what_a_reply_depends_on_is_never_mixed() {
    let reads = SharedReads::new(&KEEPING);
    read(&reads, retrieve(), anything(), "1").await;
    let others = [
        ReadKey {
            subject: Subject::Environment(id(), TenantId("other".to_owned())),
            ..retrieve()
        },
        ReadKey {
            access: Arc::from("other "),
            ..retrieve()
        },
        ReadKey {
            dialect: "anthropic",
            ..retrieve()
        },
        ReadKey {
            version: HeaderValue::from_static("2026-10-21"),
            ..retrieve()
        },
        ReadKey {
            betas: HeaderValue::from_static("another"),
            ..retrieve()
        },
        ReadKey {
            path_and_query: "/v1/environments/env_1?beta=true".to_owned(),
            ..retrieve()
        },
    ];
    for key in others {
        assert_eq!(read(&reads, key, anything(), "2").await.1, ReadSource::Miss);
    }
}

#[tokio::test(start_paused = true)]
async fn cache_control_is_honoured() {
    let reads = SharedReads::new(&KEEPING);
    read(&reads, retrieve(), asked("no-store"), "1").await;
    let (body, _) = read(&reads, retrieve(), anything(), "2").await;
    assert_eq!(body, "2", "the first was not to be stored");
    for directive in ["no-cache", "max-age=0, No-Cache", "no-store"] {
        let (body, source) = read(&reads, retrieve(), asked(directive), "3").await;
        assert_eq!((body, source), ("3".to_owned(), ReadSource::Miss), "{directive}");
    }
    sleep(Duration::from_millis(1500)).await;
    let (_, source) = read(&reads, retrieve(), asked("max-age=2"), "4").await;
    assert!(matches!(source, ReadSource::Hit(_)), "{source:?}");
    let (body, _) = read(&reads, retrieve(), asked("max-age=1"), "4").await;
    assert_eq!(body, "4");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_serves_those_who_wait_and_nobody_after() {
    let reads = SharedReads::new(&KEEPING);
    let ask = |status| async move {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, AskError>(reply(status, ""))
    };
    let (first, second) = tokio::join!(
        reads.read(retrieve(), anybody(), ask(StatusCode::NOT_FOUND)),
        reads.read(retrieve(), anybody(), ask(StatusCode::OK)),
    );
    assert_eq!(first.unwrap().reply.reply.status, StatusCode::NOT_FOUND);
    let second = second.unwrap();
    assert_eq!(second.reply.reply.status, StatusCode::NOT_FOUND);
    assert_eq!(second.source, ReadSource::Coalesced);
    let third = reads.read(retrieve(), anybody(), ask(StatusCode::OK)).await;
    assert_eq!(third.unwrap().source, ReadSource::Miss);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_one_tenant_is_not_handed_to_another() {
    let reads = SharedReads::new(&KEEPING);
    let other = TenantId("other".to_owned());
    let ask = |status| async move {
        sleep(Duration::from_millis(100)).await;
        Ok::<_, AskError>(reply(status, "{}"))
    };
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let (first, same, others) = tokio::join!(
        reads.read(list(), anybody(), ask(too_large)),
        reads.read(list(), anybody(), ask(StatusCode::OK)),
        reads.read(list(), of(&other), ask(StatusCode::OK)),
    );
    assert_eq!(first.unwrap().reply.reply.status, too_large);
    assert_eq!(same.unwrap().reply.reply.status, too_large);
    let others = others.unwrap();
    assert_eq!(
        (others.reply.reply.status, others.source),
        (StatusCode::OK, ReadSource::Miss)
    );
    assert!(reads.in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_wait_asks_beside_the_one_who_does() {
    let reads = SharedReads::new(&NOT_KEEPING);
    let hurried = Reader {
        may_wait: false,
        ..anybody()
    };
    let ask = |millis| async move {
        sleep(Duration::from_millis(millis)).await;
        Ok::<_, AskError>(state(&millis.to_string()))
    };
    let (slow, hurried, patient) = tokio::join!(
        reads.read(retrieve(), anybody(), ask(900)),
        reads.read(retrieve(), hurried, ask(100)),
        reads.read(retrieve(), anybody(), ask(200)),
    );
    let told = [slow, hurried, patient].map(|shared| said(&shared.unwrap().reply));
    assert_eq!(told, ["900", "100", "900"]);
    assert!(reads.in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_keeps_nothing_else_alive() {
    let reads = SharedReads::new(&KEEPING);
    let ask = async {
        let mut reply = reply(StatusCode::OK, "{}");
        reply
            .reply
            .headers
            .insert("server", HeaderValue::from_static("upstream"));
        Ok::<_, AskError>(reply)
    };
    let first = reads.read(retrieve(), anybody(), ask).await.unwrap();
    let second = reads
        .read(retrieve(), anybody(), async { Err(in_vain()) })
        .await
        .unwrap();
    assert!(matches!(second.source, ReadSource::Hit(_)));
    assert_eq!(second.reply.reply.body, first.reply.reply.body);
    assert_ne!(
        second.reply.reply.body.as_ptr(),
        first.reply.reply.body.as_ptr(),
        "a copy"
    );
    assert!(second.reply.reply.headers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_success_that_cannot_be_read_is_not_kept() {
    let reads = SharedReads::new(&KEEPING);
    let ask = async { Ok::<_, AskError>(reply(StatusCode::OK, "[]")) };
    reads.read(retrieve(), anybody(), ask).await.unwrap();
    assert_eq!(
        read(&reads, retrieve(), anything(), "1").await.1,
        ReadSource::Miss
    );
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_hands_the_lead_to_the_next() {
    let reads = Arc::new(SharedReads::new(&KEEPING));
    let leader = tokio::spawn({
        let reads = Arc::clone(&reads);
        async move { read(&reads, retrieve(), anything(), "first").await }
    });
    sleep(Duration::from_millis(10)).await;
    let follower = tokio::spawn({
        let reads = Arc::clone(&reads);
        async move { read(&reads, retrieve(), anything(), "second").await }
    });
    sleep(Duration::from_millis(10)).await;
    leader.abort();
    assert_eq!(follower.await.unwrap(), ("second".to_owned(), ReadSource::Miss));
    assert!(reads.in_flight.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_outdates_its_environment_and_the_lists_and_nothing_else() {
    let reads = SharedReads::new(&KEEPING);
    let other = ReadKey {
        subject: Subject::Environment(
            EnvironmentId::parse("env_2").unwrap(),
            TenantId("tenant".to_owned()),
        ),
        path_and_query: "/v1/environments/env_2".to_owned(),
        ..retrieve()
    };
    for key in [retrieve(), list(), other.clone()] {
        read(&reads, key, anything(), "old").await;
    }
    drop(reads.write(&access(), Some(&id())));
    assert_eq!(read(&reads, retrieve(), anything(), "new").await.0, "new");
    assert_eq!(read(&reads, list(), anything(), "new").await.0, "new");
    assert_eq!(read(&reads, other, anything(), "new").await.0, "old");
}

#[tokio::test(start_paused = true)]
async fn what_was_made_is_there_for_who_asked_for_it_before() {
    let reads = SharedReads::new(&KEEPING);
    let mut making = reads.write(&access(), None);
    let before = reads.read(retrieve(), anybody(), async {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, AskError>(reply(StatusCode::NOT_FOUND, ""))
    });
    let after = async {
        sleep(Duration::from_millis(10)).await;
        making.made(&id());
        drop(making);
        read(&reads, retrieve(), anything(), "made").await
    };
    let (before, after) = tokio::join!(before, after);
    assert_eq!(before.unwrap().reply.reply.status, StatusCode::NOT_FOUND);
    assert_eq!(after.0, "made");
}

#[test]
fn a_list_of_several_pages_is_as_fresh_as_its_oldest() {
    let hit = |seconds| ReadSource::Hit(Duration::from_secs(seconds));
    assert_eq!(hit(1).and(hit(2)), hit(2));
    assert_eq!(hit(1).and(ReadSource::Coalesced), ReadSource::Coalesced);
    assert_eq!(ReadSource::Miss.and(hit(1)), ReadSource::Miss);
}
