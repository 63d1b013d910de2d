use serde_json::{Value, json};

use super::api::{TENANTS, expect, expect_problem, get, request, send, setup};
use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::{Envgate, eventually};

fn create(envgate: &Envgate, name: &str) -> Value {
    expect(
        &send(envgate, "POST", TENANTS, &json!({ "name": name }).to_string()),
        201,
    )
}

fn names(page: &Value) -> Vec<&str> {
    let data = page["data"].as_array().unwrap();
    data.iter()
        .map(|tenant| tenant["name"].as_str().unwrap())
        .collect()
}

#[test]
fn a_tenant_is_created_read_changed_and_deleted() {
    let envgate = setup().file("[plans.gold]\n").start();
    let name = "Acmé & Söhne/1";
    let created = send(
        &envgate,
        "POST",
        TENANTS,
        &json!({ "name": name, "plan": "gold" }).to_string(),
    );
    let tenant = expect(&created, 201);
    assert!(tenant["id"].as_str().unwrap().starts_with("ten_"), "{tenant}");
    assert_eq!(
        (&tenant["name"], &tenant["plan"], &tenant["suspended"]),
        (&name.into(), &"gold".into(), &false.into())
    );
    let path = created.header("location").unwrap();
    assert_eq!(expect(&get(&envgate, path), 200), tenant);

    let changed = expect(&send(&envgate, "PATCH", path, r#"{"suspended":true}"#), 200);
    assert_eq!(
        (&changed["plan"], &changed["suspended"]),
        (&"gold".into(), &true.into())
    );
    let changed = expect(
        &send(&envgate, "PATCH", path, r#"{"plan":"default","suspended":false}"#),
        200,
    );
    assert_eq!(
        (&changed["plan"], &changed["suspended"]),
        (&"default".into(), &false.into())
    );
    assert_eq!(
        expect(&send(&envgate, "PATCH", path, "{}"), 200),
        changed,
        "nothing named, nothing changed"
    );

    let deleted = request(&envgate, "DELETE", path).send();
    assert_eq!((deleted.status, deleted.text().as_str()), (204, ""));
    expect_problem(&get(&envgate, path), 404, "tenant_not_found");
    expect_problem(&request(&envgate, "DELETE", path).send(), 404, "tenant_not_found");
    expect_problem(&send(&envgate, "PATCH", path, "{}"), 404, "tenant_not_found");
    assert_ne!(
        create(&envgate, name)["id"],
        tenant["id"],
        "an id is never used again"
    );
}

#[test]
fn a_running_gateway_learns_of_what_was_changed() {
    let envgate = setup().start();
    let demo = "/api/v1/tenants/demo";
    let status = || {
        Request::new(envgate.gateway, "GET", EXAMPLE)
            .header("x-api-key", &envgate.key)
            .send()
            .status
    };
    assert_eq!(status(), 200);
    expect(&send(&envgate, "PATCH", demo, r#"{"suspended":true}"#), 200);
    eventually("the tenant is turned away", || status() == 401);
    expect(&send(&envgate, "PATCH", demo, r#"{"suspended":false}"#), 200);
    eventually("the tenant is let in", || status() == 200);
    assert_eq!(request(&envgate, "DELETE", demo).send().status, 204);
    eventually("the tenant is gone", || status() == 401);
}

#[test]
fn pages_go_on_by_name_whatever_is_made_and_deleted_meanwhile() {
    let envgate = setup().start();
    for name in ["a", "b", "c", "e", "f"] {
        create(&envgate, name);
    }
    let page = |query: &str| expect(&get(&envgate, &format!("{TENANTS}?{query}")), 200);
    let first = page("limit=2");
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(
        request(&envgate, "DELETE", "/api/v1/tenants/b").send().status,
        204
    );
    create(&envgate, "aa");
    create(&envgate, "d");
    let next = |page: &Value| page["next_page"].as_str().unwrap().to_owned();
    let second = page(&format!("limit=3&page={}", next(&first)));
    assert_eq!(
        names(&second),
        ["c", "d", "demo"],
        "nothing twice, nothing passed over"
    );
    let third = page(&format!("page={}", next(&second)));
    assert_eq!(
        (names(&third), &third["next_page"]),
        (vec!["e", "f"], &Value::Null)
    );
    assert_eq!(
        page("limit=7")["next_page"],
        Value::Null,
        "a full last page is the last"
    );

    let cursor = next(&first);
    for query in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=",
        "limit=2&limit=2",
        "page=",
        "page=nonsense",
        "offset=2",
        &format!("page={}", &cursor[1..]),
    ] {
        expect_problem(&get(&envgate, &format!("{TENANTS}?{query}")), 400, "bad_query");
    }
    let other_list = format!("/api/v1/tenants/demo/keys?page={cursor}");
    expect_problem(&get(&envgate, &other_list), 400, "bad_query");
}

#[test]
fn without_a_stamp_a_second_tenant_on_a_credential_is_a_conflict_that_names_both() {
    let plans = "[credentials]\nresearch = { key = { env = \"RESEARCH\" }, budget = \"default\" }\n[plans]\nresearch.credential = \"research\"\n";
    let upstream = crate::common::upstream::Upstream::always(crate::common::upstream::Then::environment());
    let envgate = setup()
        .set("RESEARCH", "sk-research")
        .upstream(upstream.address)
        .file(plans)
        .start();
    let second = send(&envgate, "POST", TENANTS, r#"{"name":"acme"}"#);
    let problem = expect_problem(&second, 409, "stamp_required");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("would share the upstream credential: demo, acme;"),
        "{detail}"
    );

    let apart = send(&envgate, "POST", TENANTS, r#"{"name":"acme","plan":"research"}"#);
    expect(&apart, 201);
    let together = send(&envgate, "PATCH", "/api/v1/tenants/acme", r#"{"plan":"default"}"#);
    expect_problem(&together, 409, "stamp_required");
    let key = expect(&send(&envgate, "POST", "/api/v1/tenants/acme/keys", "{}"), 201)["key"].clone();
    let get = |key: &str| {
        Request::new(envgate.gateway, "GET", EXAMPLE)
            .header("x-api-key", key)
            .send()
    };
    eventually("each has a credential for itself", || {
        get(key.as_str().unwrap()).status == 200
    });
    assert_eq!(get(&envgate.key).status, 200);
    let adopted = send(
        &envgate,
        "POST",
        "/api/v1/tenants/acme/environments",
        r#"{"environments":["env_1"]}"#,
    );
    expect_problem(&adopted, 409, "stamp_off");
}
