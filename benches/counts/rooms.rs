//! Times and allocations of the pure rooms: what a request passes through, one by one.
//!
//! `cargo bench --profile fast -p envgate-counts --bench rooms`
#![allow(missing_docs)]

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box};
use envgate::contract::{
    Dialect, Layout, Operation, PageOutline, RequestQuery, StampKey, Strictness, Target, parse_document,
};
use envgate::environment::{CreateParams, Environment, EnvironmentId, UpdateParams};
use envgate::gateway::judge_bytes;
use envgate::tenancy::{Directory, KeyRecord, KeyText, Tenant, TenantId};
use http::Method;
use jiff::Timestamp;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const ENVIRONMENT: &str = include_str!("../environment.json");
const GOOD: &str =
    r#"{"description":"Data analysis","config":{"type":"cloud","packages":{"pip":["pandas","numpy"]}}}"#;
const BAD: &str =
    r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.example.com"]}}}"#;
const DIALECT: &Dialect = &Dialect::SANDBASE;

fn main() {
    divan::main();
}

#[divan::bench]
fn framing_of_a_request(bencher: Bencher<'_, '_>) {
    let head = "POST /v1/environments/env_1 HTTP/1.1\r\nhost: a\r\nx-api-key: sk-eg-x\r\nanthropic-version: 2023-06-01\r\n\
                content-type: application/json\r\nuser-agent: x\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{GOOD}", GOOD.len()).into_bytes();
    bencher
        .with_inputs(|| [request.clone()])
        .bench_values(|pieces| judge_bytes(pieces, 4096));
}

#[divan::bench]
fn target() -> Target {
    Target::find(
        black_box(&Method::POST),
        black_box("/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW"),
    )
    .unwrap()
}

#[divan::bench]
fn query_of_a_list() -> RequestQuery {
    RequestQuery::parse(Operation::List, black_box(Some("limit=20&include_archived=true")))
        .unwrap()
        .0
}

#[divan::bench(args = [10, 100_000])]
fn caller(bencher: Bencher<'_, '_>, keys: usize) {
    let directory = Directory::default();
    let tenant = Tenant {
        id: TenantId::generate().unwrap(),
        name: "bench".to_owned(),
        plan: Tenant::DEFAULT_PLAN.to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        is_suspended: false,
    };
    let record = |key: &KeyText| KeyRecord {
        tenant: tenant.id.clone(),
        digest: key.digest(),
        expires_at: None,
        is_revoked: false,
        restrictions: None,
    };
    let texts: Vec<_> = (0..keys).map(|_| KeyText::generate().unwrap()).collect();
    directory.apply(vec![tenant.clone()], texts.iter().map(record).collect());
    let (now, mut turns) = (Timestamp::now(), texts.iter().cycle());
    bencher.bench_local(|| {
        let key = turns.next().map(KeyText::reveal).unwrap_or_default();
        directory.caller(key.as_bytes(), now).map(drop)
    });
}

#[divan::bench]
fn strict_json_of_an_update() -> serde_json::Value {
    parse_document(black_box(GOOD.as_bytes())).unwrap()
}

#[divan::bench]
fn strict_json_of_an_environment() -> serde_json::Value {
    parse_document(black_box(ENVIRONMENT.as_bytes())).unwrap()
}

#[divan::bench]
fn schema_keeps_it(bencher: Bencher<'_, '_>) {
    let value = parse_document(GOOD.as_bytes()).unwrap();
    bencher.bench(|| {
        DIALECT
            .validate(Operation::Update, black_box(&value), Strictness::default())
            .is_ok()
    });
}

#[divan::bench]
fn schema_refuses_and_explains(bencher: Bencher<'_, '_>) {
    let value = parse_document(BAD.as_bytes()).unwrap();
    bencher.bench(|| {
        DIALECT
            .validate(Operation::Update, black_box(&value), Strictness::default())
            .is_err()
    });
}

#[divan::bench]
fn stamp_in_a_create() -> Option<String> {
    StampKey::default().insert(black_box(GOOD), "ten_011CZkZ9X2dpNyB7HsEFoRfW")
}

#[divan::bench]
fn reply_read_and_shown(bencher: Bencher<'_, '_>) {
    let (body, stamp_key) = (Bytes::from_static(ENVIRONMENT.as_bytes()), StampKey::default());
    bencher.bench(|| {
        let layout = Layout::of(black_box(ENVIRONMENT)).unwrap();
        let object = layout.object(ENVIRONMENT).unwrap();
        let outline = DIALECT.outline(Operation::Update, object, &stamp_key).unwrap();
        outline.show(&body)
    });
}

#[divan::bench(args = [10, 1000])]
fn page_read(bencher: Bencher<'_, '_>, environments: usize) {
    let data = vec![ENVIRONMENT.trim_end(); environments].join(",");
    let page = format!(r#"{{"data":[{data}],"next_page":null}}"#);
    bencher.bench(|| {
        let layout = Layout::of(black_box(&page)).unwrap();
        PageOutline::read(layout.object(&page).unwrap(), &StampKey::default()).is_some()
    });
}

#[divan::bench]
fn update_merged(bencher: Bencher<'_, '_>) {
    let create: CreateParams =
        serde_json::from_str(r#"{"name":"a","metadata":{"team":"a"},"config":{"type":"cloud"}}"#).unwrap();
    let id = EnvironmentId::parse("env_1").unwrap();
    let stored = Environment::create(create, id, Timestamp::UNIX_EPOCH).unwrap();
    let update: UpdateParams = serde_json::from_str(GOOD).unwrap();
    bencher.bench(|| stored.merge(black_box(&update), Timestamp::UNIX_EPOCH).is_ok());
}
