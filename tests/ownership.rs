//! Two tenants, one upstream credential: neither sees the other's environments, nor the stamp that parts them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::EXAMPLE;
use common::client::{Request, Response};
use common::envgate::{Envgate, Setup, eventually};
use common::upstream::{Seen, Then, Upstream};
use parking_lot::Mutex;
use serde_json::{Value, json};

const COLLECTION: &str = "/v1/environments";

/// A tenant at a gateway, by its key.
struct Tenant<'a> {
    envgate: &'a Envgate,
    key: String,
}

impl<'a> Tenant<'a> {
    fn demo(envgate: &'a Envgate) -> Self {
        Self {
            envgate,
            key: envgate.key.clone(),
        }
    }

    /// A second tenant, once the gateway knows its key.
    fn new(envgate: &'a Envgate, name: &str) -> Self {
        let command = |arguments: &[&str]| {
            let output = envgate.run(arguments);
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        command(&["tenants", "create", name]);
        let key = command(&["keys", "create", "--tenant", name, "--quiet"]);
        let tenant = Self { envgate, key };
        eventually("the gateway knows the new key", || {
            tenant.get("/v1/environments?limit=0").status == 400
        });
        tenant
    }

    fn send(&self, method: &str, path: &str, body: Option<&str>) -> Response {
        let request = Request::new(self.envgate.gateway, method, path).header("x-api-key", &self.key);
        match body {
            Some(body) => request.body(body).send(),
            None => request.send(),
        }
    }

    fn get(&self, path: &str) -> Response {
        self.send("GET", path, None)
    }

    fn post(&self, path: &str, body: &str) -> Response {
        self.send("POST", path, Some(body))
    }

    fn create(&self, name: &str) -> String {
        let created = self.post(COLLECTION, &json!({ "name": name }).to_string());
        assert_eq!(created.status, 200, "{}", created.text());
        created.json()["id"].as_str().unwrap().to_owned()
    }

    /// All pages of a list, each as the ids in it.
    fn pages(&self, query: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let page = cursor.map_or(String::new(), |cursor| format!("&page={cursor}"));
            let reply = self.get(&format!("{COLLECTION}?{query}{page}"));
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(!reply.text().contains("envgate:tenant"), "{}", reply.text());
            pages.push(ids(&reply.json()));
            cursor = reply.json()["next_page"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return pages;
            }
        }
    }
}

fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().unwrap();
    data.iter()
        .map(|environment| environment["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The body of a refusal without the name of its request.
fn without_request_id(response: &Response) -> (u16, Value) {
    let mut body = response.json();
    body.as_object_mut().unwrap().remove("request_id").unwrap();
    (response.status, body)
}

/// The operations with an id, as requests.
fn with_id(id: &str) -> [(&'static str, String, Option<&'static str>); 4] {
    let path = format!("{COLLECTION}/{id}");
    [
        ("GET", path.clone(), None),
        ("POST", path.clone(), Some(r#"{"name":"mine now"}"#)),
        ("POST", format!("{path}/archive"), None),
        ("DELETE", path, None),
    ]
}

#[test]
fn each_of_two_tenants_lists_exactly_its_own() {
    let envgate = Envgate::start();
    let (demo, other) = (Tenant::demo(&envgate), Tenant::new(&envgate, "other"));
    let mut own = [vec![EXAMPLE.rsplit('/').next().unwrap().to_owned()], Vec::new()];
    for number in 0..200 {
        let tenant = [&demo, &other][number % 2];
        own[number % 2].push(tenant.create(&format!("n{number}")));
    }
    // The oldest of each is archived, and listed only where that is asked for.
    for (tenant, own) in [(&demo, &own[0]), (&other, &own[1])] {
        let oldest = &own[1];
        assert_eq!(
            tenant.post(&format!("{COLLECTION}/{oldest}/archive"), "").status,
            200
        );
        let all: BTreeSet<_> = own.iter().cloned().collect();
        let mut active = all.clone();
        active.remove(oldest);
        for (query, expected) in [("limit=7", active), ("limit=7&include_archived=true", all)] {
            let pages = tenant.pages(query);
            let (last, full) = pages.split_last().unwrap();
            assert!(full.iter().all(|page| page.len() == 7), "{pages:?}");
            assert!((1..=7).contains(&last.len()), "{pages:?}");
            let listed: Vec<_> = pages.into_iter().flatten().collect();
            assert_eq!(listed.len(), expected.len(), "nothing is told twice");
            assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
    assert_eq!(
        ids(&demo.get(COLLECTION).json()).len(),
        20,
        "the documented default"
    );
    assert_eq!(ids(&demo.get("/v1/environments?limit=1000").json()).len(), 100);
}

#[test]
fn a_foreign_environment_is_answered_like_one_that_does_not_exist() {
    let envgate = Envgate::start();
    let (demo, other) = (Tenant::demo(&envgate), Tenant::new(&envgate, "other"));
    for operation in 0..4 {
        let foreign = demo.create("theirs");
        let absent = format!("env_01absent{operation}");
        let ask = |id: &str| {
            let (method, path, body) = &with_id(id)[operation];
            without_request_id(&other.send(method, path, *body))
        };
        let expected =
            json!({"type": "error", "error": {"type": "not_found", "message": "environment not found"}});
        for _ in 0..2 {
            assert_eq!(ask(&foreign), (404, expected.clone()));
            assert_eq!(ask(&absent), (404, expected.clone()));
        }
        let untouched = demo.get(&format!("{COLLECTION}/{foreign}")).json();
        assert_eq!(untouched["name"], "theirs");
        assert_eq!(untouched["archived_at"], Value::Null);
    }
}

#[test]
fn the_owner_reads_changes_archives_and_deletes_and_sees_no_stamp() {
    for dialect in ["sandbase", "anthropic"] {
        let envgate = Setup::new().set("ENVGATE_CONTRACT__DIALECT", dialect).start();
        let demo = Tenant::demo(&envgate);
        let created = demo.post(COLLECTION, r#"{"name":"a","metadata":{"team":"x"}}"#);
        let path = format!("{COLLECTION}/{}", created.json()["id"].as_str().unwrap());
        let expect = |response: Response, metadata: Value| {
            assert_eq!(response.status, 200, "{}", response.text());
            assert_eq!(response.json()["metadata"], metadata);
            assert!(!response.text().contains("ten_"), "{}", response.text());
        };
        expect(created, json!({"team": "x"}));
        expect(demo.get(&path), json!({"team": "x"}));
        expect(demo.post(&path, r#"{"metadata":{"team":null}}"#), json!({}));
        expect(demo.post(&path, "{}"), json!({}));
        expect(demo.post(&format!("{path}/archive"), ""), json!({}));
        assert_eq!(demo.send("DELETE", &path, None).status, 200);
        assert_eq!(demo.get(&path).status, 404);
        expect(demo.post(EXAMPLE, r#"{"metadata":{"a":"b"}}"#), json!({"a": "b"}));
    }
}

#[test]
fn nobody_writes_the_stamp() {
    let envgate = Envgate::start();
    let demo = Tenant::demo(&envgate);
    for path in [COLLECTION, EXAMPLE] {
        for metadata in [
            r#"{"envgate:tenant":"ten_1"}"#,
            r#"{"a":"b","\u0065nvgate:tenant":"ten_1"}"#,
            r#"{"envgate\u003atenant":""}"#,
        ] {
            let refused = demo.post(path, &format!(r#"{{"name":"a","metadata":{metadata}}}"#));
            let error = refused.expect_error(400, "invalid_request");
            let violations = &error["details"]["violations"];
            assert_eq!(violations[0]["pointer"], "/metadata/envgate:tenant", "{error}");
            assert_eq!(violations.as_array().unwrap().len(), 1);
        }
    }
    let removed = demo.post(EXAMPLE, r#"{"metadata":{"envgate:tenant":null}}"#);
    removed.expect_error(400, "invalid_request");
    assert_eq!(demo.get(EXAMPLE).status, 200, "it is still the tenant's");
}

#[test]
fn a_cursor_is_good_for_its_own_list_only() {
    let envgate = Envgate::start();
    let (demo, other) = (Tenant::demo(&envgate), Tenant::new(&envgate, "other"));
    for tenant in [&demo, &other] {
        (0..3).for_each(|number| drop(tenant.create(&format!("n{number}"))));
    }
    let cursor = |tenant: &Tenant<'_>| {
        let page = tenant.get("/v1/environments?limit=1").json();
        page["next_page"].as_str().unwrap().to_owned()
    };
    let good = cursor(&demo);
    let mut forged = good.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    for (what, query) in [
        ("forged", format!("page={}", String::from_utf8(forged).unwrap())),
        ("cut", format!("page={}", &good[..good.len() - 4])),
        ("made up", "page=page_2".to_owned()),
        ("of another tenant", format!("page={}", cursor(&other))),
        ("of another list", format!("page={good}&include_archived=true")),
    ] {
        let refused = demo.get(&format!("{COLLECTION}?{query}"));
        let error = refused.expect_error(400, "invalid_request");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("query parameter page: "), "{what}: {message}");
    }
    let query = format!("{COLLECTION}?page={good}&include_archived=false&limit=2");
    assert_eq!(ids(&demo.get(&query).json()).len(), 2, "the limit may change");
}

#[test]
fn a_tenant_that_deletes_every_page_before_it_asks_for_the_next_meets_all() {
    let envgate = Envgate::start();
    let (demo, other) = (Tenant::demo(&envgate), Tenant::new(&envgate, "other"));
    for number in 0..12 {
        demo.create(&format!("n{number}"));
        other.create(&format!("m{number}"));
    }
    let mut met = 0;
    let mut query = "limit=5".to_owned();
    loop {
        let page = demo.get(&format!("{COLLECTION}?{query}")).json();
        for id in ids(&page) {
            assert_eq!(
                demo.send("DELETE", &format!("{COLLECTION}/{id}"), None).status,
                200
            );
            met += 1;
        }
        let Some(next) = page["next_page"].as_str() else {
            break;
        };
        query = format!("limit=5&page={next}");
    }
    assert_eq!(met, 13, "twelve and the example");
    assert_eq!(other.pages("limit=5").concat().len(), 12);
}

/// A gateway that stamps, in front of an upstream of the test's own.
fn stamping(upstream: &Upstream) -> Envgate {
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .start()
}

fn environment(id: &str, metadata: &str) -> String {
    format!(r#"{{"id":"{id}","type":"environment","name":"n","metadata":{metadata},"n":1.0}}"#)
}

fn not_found() -> Then {
    let body = r#"{"type":"error","error":{"type":"not_found_error","message":"theirs","details":{"error_code":"x"}}}"#;
    Then::respond("404 Not Found", &[], body)
}

fn ok(body: &str) -> Then {
    Then::respond("200 OK", &[("content-type", "application/json")], body)
}

#[test]
fn what_is_not_the_callers_costs_the_upstream_one_read_and_then_none() {
    // Foreign, unstamped and absent.
    let upstream = Upstream::start(|_, seen| match seen.line.split(' ').nth(1).unwrap() {
        path if path.ends_with("foreign") => ok(&environment("foreign", r#"{"envgate:tenant":"ten_else"}"#)),
        path if path.ends_with("unstamped") => ok(&environment("unstamped", "{}")),
        _ => not_found(),
    });
    for operation in 0..4 {
        let envgate = stamping(&upstream);
        for id in ["foreign", "unstamped", "absent"] {
            let before = upstream.seen().len();
            let (method, path, body) = &with_id(id)[operation];
            for _ in 0..2 {
                let refused = Tenant::demo(&envgate).send(method, path, *body);
                let error = refused.expect_error(404, "not_found");
                assert_eq!(
                    error,
                    json!({"type": "not_found", "message": "environment not found"})
                );
            }
            let seen = &upstream.seen()[before..];
            assert_eq!(seen.len(), 1, "{method} {path}: {seen:?}");
            assert_eq!(seen[0].line, format!("GET {COLLECTION}/{id} HTTP/1.1"));
        }
    }
}

/// An upstream that keeps one environment: it gives back the metadata that it was sent at its creation.
fn one_environment() -> Upstream {
    let created = Arc::new(Mutex::new(None::<String>));
    Upstream::start(move |_, seen: &Seen| {
        let mut created = created.lock();
        if seen.line.starts_with("POST /v1/environments ") {
            let body: Value = serde_json::from_slice(&seen.body).unwrap();
            *created = Some(environment("env_1", &body["metadata"].to_string()));
        }
        if seen.line.starts_with("DELETE") {
            return match created.take() {
                Some(_) => Then::respond("204 No Content", &[], ""),
                None => not_found(),
            };
        }
        created.as_deref().map_or_else(not_found, ok)
    })
}

#[test]
fn a_body_goes_up_as_it_came_but_for_the_stamp_of_a_create() {
    let upstream = one_environment();
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    for (sent, before, after) in [
        (
            "{ \"metadata\" : {\"b\":\"\\u00e9\" , \"a\":\"/\"}\n,\"name\":\"a\\/b\" }",
            "{ \"metadata\" : {\"b\":\"\\u00e9\" , \"a\":\"/\",",
            "}\n,\"name\":\"a\\/b\" }",
        ),
        (
            r#"{"name":"a","metadata":{ }}"#,
            r#"{"name":"a","metadata":{"#,
            " }}",
        ),
        (r#" {"name":"a"} "#, r#" {"name":"a","metadata":{"#, "}} "),
    ] {
        let reply = demo.post(COLLECTION, sent);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let metadata = &serde_json::from_str::<Value>(sent).unwrap()["metadata"];
        let shown = if metadata.is_null() {
            "{}".to_owned()
        } else {
            metadata.to_string()
        };
        assert_eq!(reply.text(), environment("env_1", &shown));

        let up = String::from_utf8(upstream.seen().last().unwrap().body.clone()).unwrap();
        let stamp = up.strip_prefix(before).unwrap().strip_suffix(after).unwrap();
        assert!(stamp.starts_with(r#""envgate:tenant":"ten_"#), "{stamp}");
        assert_eq!(stamp.matches('"').count(), 4, "{stamp}");
    }
    let update = "{ \"metadata\": {\"a\":null} }\n";
    let before = upstream.seen().len();
    assert_eq!(demo.post("/v1/environments/env_1", update).status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), before + 1, "whose it is was known since its creation");
    assert_eq!(seen[before].body, update.as_bytes());
}

#[test]
fn what_was_deleted_is_known_to_be_gone() {
    let upstream = one_environment();
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    assert_eq!(demo.post(COLLECTION, r#"{"name":"a"}"#).status, 200);
    assert_eq!(demo.send("DELETE", "/v1/environments/env_1", None).status, 200);
    let before = upstream.seen().len();
    for (method, path, body) in with_id("env_1") {
        demo.send(method, &path, body).expect_error(404, "not_found");
    }
    assert_eq!(upstream.seen().len(), before);
}

#[test]
fn a_failed_look_at_the_owner_is_no_answer_about_the_environment() {
    let upstream = Upstream::start(|number, _| match number {
        0 => Then::respond("529 Overloaded", &[("retry-after", "3")], "{}"),
        1 => Then::respond("401 Unauthorized", &[], "{}"),
        2 => ok("[]"),
        _ => not_found(),
    });
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    let update = || demo.post("/v1/environments/env_1", "{}");
    let overloaded = update();
    overloaded.expect_error(529, "overloaded_error");
    assert_eq!(overloaded.header("retry-after"), Some("3"));
    update().expect_error(502, "api_error");
    let unreadable = update();
    unreadable.expect_error(502, "api_error");
    assert_eq!(
        unreadable.header("x-should-retry"),
        None,
        "nothing was written, so it may be tried again"
    );
    update().expect_error(404, "not_found");
    assert_eq!(upstream.seen().len(), 4, "no write went up");
}

#[test]
fn a_list_reads_three_upstream_pages_at_most() {
    let upstream = Upstream::start(|_, seen| {
        let page = seen
            .line
            .split("page=p")
            .nth(1)
            .map_or(0, |rest| rest[..1].parse::<u8>().unwrap());
        let next = if page == 4 {
            "null".to_owned()
        } else {
            format!(r#""p{}""#, page + 1)
        };
        let foreign = environment("env_x", r#"{"envgate:tenant":"ten_else"}"#);
        ok(&format!(
            r#"{{"data":[{foreign}],"extra":[1.0],"next_page":{next}}}"#
        ))
    });
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    let first = demo.get("/v1/environments?beta=true");
    let lines = |from: usize| -> Vec<String> {
        let seen = upstream.seen();
        seen[from..]
            .iter()
            .map(|seen| seen.line.split(' ').nth(1).unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        lines(0),
        [
            "/v1/environments?limit=1000&beta=true",
            "/v1/environments?limit=1000&page=p1&beta=true",
            "/v1/environments?limit=1000&page=p2&beta=true",
        ]
    );
    let next = first.json()["next_page"]
        .as_str()
        .expect("the list goes on")
        .to_owned();
    assert_eq!(
        first.text(),
        format!(r#"{{"data":[],"extra":[1.0],"next_page":"{next}"}}"#)
    );
    let second = demo.get(&format!("{COLLECTION}?page={next}"));
    assert_eq!(
        lines(3),
        [
            "/v1/environments?limit=1000&page=p3",
            "/v1/environments?limit=1000&page=p4"
        ]
    );
    assert_eq!(second.json()["next_page"], Value::Null);
}

#[test]
fn a_client_whose_metadata_is_refused_near_the_limit_learns_of_the_reserved_pair() {
    let body = r#"{"error":{"type":"invalid_request_error","message":"metadata: at most 16 pairs"}}"#;
    let upstream = Upstream::always(Then::respond("400 Bad Request", &[], body));
    let envgate = stamping(&upstream);
    let create = |pairs: usize| {
        let metadata: Value = (0..pairs)
            .map(|number| (format!("k{number}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let sent = json!({"name": "a", "metadata": metadata}).to_string();
        let error = Tenant::demo(&envgate)
            .post(COLLECTION, &sent)
            .expect_error(400, "invalid_request");
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(create(16).ends_with("(one pair of the metadata is reserved by the gateway)"));
    assert_eq!(create(3), "metadata: at most 16 pairs");
}

#[test]
fn without_the_stamp_there_is_one_tenant_at_most() {
    let setup = Setup::new().set("ENVGATE_OWNERSHIP__STAMP", "false");
    let refused = |setup: &Setup, arguments: &[&str]| {
        let output = setup.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("ownership.stamp is off, and 2 tenants would share"),
            "{said}"
        );
    };
    setup.run_well(&["check"]);
    setup.run_well(&["tenants", "create", "one"]);
    setup.run_well(&["check"]);
    refused(&setup, &["tenants", "create", "two"]);
    assert!(!setup.run_well(&["tenants", "list"]).contains("two"));

    let setup = setup.set("ENVGATE_OWNERSHIP__STAMP", "true");
    setup.run_well(&["tenants", "create", "two"]);
    setup.run_well(&["check"]);
    let setup = setup.set("ENVGATE_OWNERSHIP__STAMP", "false");
    refused(&setup, &["check"]);
    refused(&setup, &["serve"]);
}
