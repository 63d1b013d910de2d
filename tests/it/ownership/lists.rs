use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use super::fake::{environment, ok, stamping};
use super::tenant::{COLLECTION, Tenant, ids};
use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{Seen, Upstream};

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

/// An upstream whose list has so many pages of others' environments, an environment with this stamp on each page that
/// `has_own` picks.
fn pages_of_others(
    pages: usize,
    stamp: Arc<Mutex<String>>,
    has_own: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> Upstream {
    Upstream::start(move |_, seen| {
        if seen.line.starts_with("POST") {
            let body: Value = serde_json::from_slice(&seen.body).unwrap();
            let metadata = body["metadata"].to_string();
            stamp.lock().clone_from(&metadata);
            return ok(&environment("env_made", &metadata));
        }
        let page = seen.line.split("page=p").nth(1);
        let page = page.map_or(0, |rest| {
            rest.split(['&', ' ']).next().unwrap().parse::<usize>().unwrap()
        });
        let next = match page + 1 == pages {
            true => "null".to_owned(),
            false => format!(r#""p{}""#, page + 1),
        };
        let mut listed = vec![environment("env_x", r#"{"envgate:tenant":"ten_else"}"#)];
        let stamp = stamp.lock().clone();
        if has_own(page) && !stamp.is_empty() {
            listed.push(environment(&format!("env_{page}"), &stamp));
        }
        ok(&format!(
            r#"{{"data":[{}],"extra":[1.0],"next_page":{next}}}"#,
            listed.join(",")
        ))
    })
}

/// The pages of the upstream's list that were asked for since `from`.
fn pages_read(upstream: &Upstream, from: usize) -> Vec<String> {
    let page = |seen: &Seen| {
        let line = seen.line.split(' ').nth(1).unwrap();
        let page = line.split("page=").nth(1).unwrap_or("first");
        page.split('&').next().unwrap().to_owned()
    };
    upstream.seen()[from..].iter().map(page).collect()
}

#[test]
fn a_list_that_found_something_reads_three_upstream_pages_at_most() {
    let upstream = pages_of_others(9, Arc::default(), |page| page == 0);
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    demo.post(COLLECTION, r#"{"name":"n"}"#);
    let first = demo.get("/v1/environments?beta=true");
    let lines: Vec<_> = upstream.seen()[1..]
        .iter()
        .map(|seen| seen.line.clone())
        .collect();
    assert_eq!(
        lines,
        [
            "GET /v1/environments?limit=1000&beta=true HTTP/1.1",
            "GET /v1/environments?limit=1000&page=p1&beta=true HTTP/1.1",
            "GET /v1/environments?limit=1000&page=p2&beta=true HTTP/1.1",
        ]
    );
    assert_eq!(ids(&first.json()), ["env_0"]);
    let next = first.json()["next_page"]
        .as_str()
        .expect("the list goes on")
        .to_owned();
    let second = demo.get(&format!("{COLLECTION}?page={next}"));
    assert_eq!(pages_read(&upstream, 4), ["p3", "p4", "p5", "p6", "p7", "p8"]);
    let text = r#"{"data":[],"extra":[1.0],"next_page":null}"#;
    assert_eq!(second.text(), text, "an empty page is the last one");
}

#[test]
fn no_page_is_empty_before_the_end_however_many_environments_of_others_come_first() {
    let upstream = pages_of_others(9, Arc::default(), |page| page == 7);
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    demo.post(COLLECTION, r#"{"name":"n"}"#);
    let listed = demo.get(COLLECTION);
    assert_eq!(ids(&listed.json()), ["env_7"]);
    assert_eq!(pages_read(&upstream, 1).len(), 8);
}

#[test]
fn a_list_that_found_nothing_yet_is_503_and_its_repeat_goes_on_from_there() {
    let upstream = pages_of_others(50, Arc::default(), |page| page == 45);
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_CACHE__TTL", "off")
        .start();
    let demo = Tenant::demo(&envgate);
    demo.post(COLLECTION, r#"{"name":"n"}"#);
    for repeat in 1..=2 {
        let refused = demo.get(COLLECTION);
        refused.expect_error(503, "api_error");
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.header("x-should-retry"), Some("true"));
        assert_eq!(pages_read(&upstream, 1).len(), repeat * 20);
    }
    let other = demo.get(&format!("{COLLECTION}?include_archived=true"));
    other.expect_error(503, "api_error");
    assert_eq!(
        pages_read(&upstream, 41)[0],
        "first",
        "another list begins at its start"
    );
    let found = demo.get(COLLECTION);
    assert_eq!(ids(&found.json()), ["env_45"]);
    assert_eq!(pages_read(&upstream, 61)[0], "p40");
    let before = upstream.seen().len();
    demo.get(COLLECTION).expect_error(503, "api_error");
    assert_eq!(
        pages_read(&upstream, before)[0],
        "first",
        "what was found begins anew"
    );
}

#[test]
fn what_a_tenant_makes_is_listed_although_a_list_stood_behind_it() {
    let upstream = pages_of_others(30, Arc::default(), |page| page == 0);
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_CACHE__TTL", "off")
        .set("ENVGATE_LIST__MAX_UPSTREAM_REQUESTS", "2")
        .start();
    let demo = Tenant::demo(&envgate);
    // Nothing is stamped before something was made.
    demo.get(COLLECTION).expect_error(503, "api_error");
    assert_eq!(demo.post(COLLECTION, r#"{"name":"n"}"#).status, 200);
    assert_eq!(ids(&demo.get(COLLECTION).json()), ["env_0"]);
}

#[test]
fn each_page_that_a_list_reads_counts_against_the_tenant() {
    let upstream = pages_of_others(30, Arc::default(), |_| false);
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_CACHE__TTL", "off")
        .file("[plans.small]\nrequests_per_minute = 8\n[list]\nmax_upstream_requests = 5\n");
    let key = setup.tenant("demo", "small");
    let envgate = setup.start_for(&key);
    let demo = Tenant {
        envgate: &envgate,
        key,
    };
    let remaining = "anthropic-ratelimit-requests-remaining";
    let first = demo.get(COLLECTION);
    first.expect_error(503, "api_error");
    assert_eq!(first.header(remaining), Some("3"));
    let second = demo.get(COLLECTION);
    let error = second.expect_error(429, "rate_limit_error");
    assert_eq!(error["details"]["error_code"], "tenant_limit");
    assert_eq!(second.header(remaining), Some("0"));
    assert_eq!(
        pages_read(&upstream, 0),
        ["first", "p1", "p2", "p3", "p4", "p5", "p6", "p7"],
        "the second went on where the first stood"
    );
}

#[test]
fn a_key_of_named_environments_lists_those_only_with_the_stamp_and_without() {
    for stamp in ["true", "false"] {
        let envgate = Setup::new().set("ENVGATE_OWNERSHIP__STAMP", stamp).start();
        let demo = Tenant::demo(&envgate);
        let named: Vec<_> = (0..6).map(|number| demo.create(&format!("n{number}"))).collect();
        let named = [&named[1], &named[4]];
        let options = ["--environment", named[0], "--environment", named[1]];
        let create = [&["keys", "create", "--tenant", "demo", "--quiet"][..], &options].concat();
        let created = envgate.run(&create);
        assert!(created.status.success());
        let restricted = Tenant {
            envgate: &envgate,
            key: String::from_utf8(created.stdout).unwrap().trim().to_owned(),
        };
        eventually("the gateway knows the new key", || {
            restricted.get(COLLECTION).status == 200
        });
        assert_eq!(
            restricted.pages("limit=1"),
            [[named[1].as_str()], [named[0]]],
            "stamp: {stamp}"
        );
    }
}
