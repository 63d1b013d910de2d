use std::collections::BTreeSet;

use serde_json::Value;

use super::fake::{environment, ok, stamping};
use super::tenant::{COLLECTION, Tenant, ids};
use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::Upstream;

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
