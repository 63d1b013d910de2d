//! Environments from before the gateway become a tenant's, and nobody takes another's unnoticed.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use crate::common::client::{Connection, Request, Response};
use crate::common::database;
use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually};
use crate::common::upstream::{Seen, Then, Upstream};
use parking_lot::Mutex;
use serde_json::{Value, json};

const TOKEN: &str = "the-token-of-the-operator";
const STAMP: &str = "envgate:tenant";

type Metadata = BTreeMap<String, String>;

/// An upstream with environments that somebody made without a gateway, each with this metadata. It takes 16 pairs.
struct Old {
    upstream: Upstream,
    stored: Arc<Mutex<BTreeMap<String, Metadata>>>,
}

impl Old {
    fn start(environments: &[(&str, &[(&str, &str)])]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let stored: BTreeMap<_, Metadata> = environments
            .iter()
            .map(|(id, metadata)| ((*id).to_owned(), metadata.iter().map(own).collect()))
            .collect();
        let stored = Arc::new(Mutex::new(stored));
        let shared = Arc::clone(&stored);
        let upstream = Upstream::start(move |_, seen| answer(&mut shared.lock(), seen));
        Self { upstream, stored }
    }

    fn metadata(&self, id: &str) -> Metadata {
        self.stored.lock()[id].clone()
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .upstream(self.upstream.address)
            .set("ENVGATE_OWNERSHIP__STAMP", "true")
            .set("ENVGATE_ADMIN__TOKEN", TOKEN)
    }
}

fn answer(stored: &mut BTreeMap<String, Metadata>, seen: &Seen) -> Then {
    let error = |status, kind, message: &str| {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        Then::respond(status, &[], &body.to_string())
    };
    let path = seen.line.split(' ').nth(1).unwrap();
    let id = path.strip_prefix("/v1/environments/").unwrap_or_default();
    let Some(metadata) = stored.get_mut(id) else {
        return error("404 Not Found", "not_found_error", "Environment not found.");
    };
    if seen.line.starts_with("POST") {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let mut changed = metadata.clone();
        for (name, value) in body["metadata"].as_object().into_iter().flatten() {
            changed.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        if changed.len() > 16 {
            return error(
                "400 Bad Request",
                "invalid_request_error",
                "metadata: at most 16 pairs",
            );
        }
        let breaks = metadata.contains_key(STAMP) && metadata.contains_key("breaks");
        *metadata = changed;
        if breaks {
            return Then::Reset;
        }
    }
    let body = json!({"id": id, "type": "environment", "name": id, "metadata": metadata});
    Then::respond(
        "200 OK",
        &[("content-type", "application/json")],
        &body.to_string(),
    )
}

/// Runs the command against a gateway, with a token.
fn adopt(envgate: &Envgate, token: &str, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", envgate.admin);
    Setup::new()
        .set("ENVGATE_ADMIN__TOKEN", token)
        .run(&[&["adopt", "--admin", &admin], arguments].concat())
}

/// The table that a command printed, as the outcome of each environment.
fn outcomes(output: &Output) -> BTreeMap<String, String> {
    let said = text(&output.stdout);
    let mut lines = said.lines();
    assert!(
        lines.next().unwrap().starts_with("ENVIRONMENT"),
        "{said}{}",
        text(&output.stderr)
    );
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(id, outcome)| (id.to_owned(), outcome.trim().to_owned()))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn get(gateway: SocketAddr, key: &str, id: &str) -> Response {
    Request::new(gateway, "GET", &format!("/v1/environments/{id}"))
        .header("x-api-key", key)
        .send()
}

/// Another tenant of the gateway, and its key.
fn second_tenant(envgate: &Envgate) -> String {
    for arguments in [
        &["tenants", "create", "acme"][..],
        &["keys", "create", "--tenant", "acme", "--quiet"],
    ] {
        let output = envgate.run(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        if arguments[0] == "keys" {
            return text(&output.stdout).trim().to_owned();
        }
    }
    unreachable!()
}

#[test]
fn an_environment_from_before_is_nobodys_and_then_the_tenants() {
    let old = Old::start(&[("env_old", &[("team", "x")]), ("env_two", &[])]);
    let envgate = old.setup().start();
    for id in ["env_old", "env_two"] {
        assert_eq!(get(envgate.gateway, &envgate.key, id).status, 404);
    }
    let done = adopt(&envgate, TOKEN, &["--tenant", "demo", "env_old", "env_two"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(outcomes(&done)["env_old"], "adopted");
    assert_eq!(outcomes(&done)["env_two"], "adopted");

    let read = get(envgate.gateway, &envgate.key, "env_old");
    assert_eq!(
        read.status,
        200,
        "at once, although it was known as nobody's: {}",
        read.text()
    );
    assert_eq!(read.json()["metadata"], json!({"team": "x"}), "no stamp is shown");
    assert_eq!(old.metadata("env_old")["team"], "x");
    assert!(old.metadata("env_old")[STAMP].starts_with("ten_"));
    let updates = old.upstream.seen();
    let update = updates.iter().find(|seen| seen.line.starts_with("POST")).unwrap();
    let body: Value = serde_json::from_slice(&update.body).unwrap();
    let stamp = &old.metadata("env_old")[STAMP];
    assert_eq!(
        body,
        json!({"metadata": {STAMP: stamp}}),
        "nothing else was written"
    );

    let again = adopt(&envgate, TOKEN, &["--tenant", "demo", "env_old"]);
    assert!(again.status.success());
    assert_eq!(outcomes(&again)["env_old"], "already its own");
}

#[test]
fn what_cannot_be_adopted_is_told_each_for_itself_and_the_rest_is_done() {
    let full: Vec<_> = (0..16).map(|number| format!("k{number}")).collect();
    let full: Vec<_> = full.iter().map(|name| (name.as_str(), "v")).collect();
    let old = Old::start(&[
        ("env_full", &full),
        ("env_good", &[]),
        ("env_theirs", &[(STAMP, "ten_of_somebody_deleted")]),
    ]);
    let envgate = old.setup().start();
    let ids = ["env_full", "env_absent", "env_theirs", "env_good"];
    let done = adopt(&envgate, TOKEN, &[&["--tenant", "demo"], &ids[..]].concat());
    assert_eq!(done.status.code(), Some(1));
    let outcomes = outcomes(&done);
    assert_eq!(outcomes["env_good"], "adopted");
    for (id, reason) in [
        ("env_full", "takes no further pair of metadata"),
        ("env_absent", "there is no such environment"),
        ("env_theirs", "another tenant's"),
    ] {
        let outcome = &outcomes[id];
        assert!(
            outcome.starts_with("refused: ") && outcome.contains(reason),
            "{id}: {outcome}"
        );
    }
    assert_eq!(old.metadata("env_theirs")[STAMP], "ten_of_somebody_deleted");
    assert_eq!(old.metadata("env_full").len(), 16);
    assert_eq!(get(envgate.gateway, &envgate.key, "env_good").status, 200);
}

#[test]
fn another_tenants_environment_changes_hands_with_force_alone() {
    let old = Old::start(&[("env_1", &[])]);
    let envgate = old.setup().start();
    let acme = second_tenant(&envgate);
    assert!(
        adopt(&envgate, TOKEN, &["--tenant", "demo", "env_1"])
            .status
            .success()
    );
    eventually("the gateway knows the second tenant", || {
        get(envgate.gateway, &acme, "env_1").status == 404
    });
    assert_eq!(get(envgate.gateway, &envgate.key, "env_1").status, 200);

    let refused = adopt(&envgate, TOKEN, &["--tenant", "acme", "env_1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(get(envgate.gateway, &envgate.key, "env_1").status, 200);

    let forced = adopt(&envgate, TOKEN, &["--tenant", "acme", "--force", "env_1"]);
    assert!(forced.status.success(), "{}", text(&forced.stderr));
    assert_eq!(get(envgate.gateway, &acme, "env_1").status, 200);
    let before = old.upstream.seen().len();
    let delete =
        Request::new(envgate.gateway, "DELETE", "/v1/environments/env_1").header("x-api-key", &envgate.key);
    assert_eq!(
        delete.send().status,
        404,
        "the first tenant's claim is forgotten too"
    );
    let seen = old.upstream.seen();
    assert!(
        seen[before..].iter().all(|seen| seen.line.starts_with("GET")),
        "{seen:?}"
    );
}

/// The adoptions that the audit has, newest first, once there are so many.
#[test]
fn an_adoption_of_which_nobody_knows_whether_it_happened_is_the_end_of_the_old_claim() {
    // Whoever takes it from its tenant gets no answer.
    let old = Old::start(&[("env_1", &[("breaks", "yes")])]);
    let envgate = old.setup().start();
    let acme = second_tenant(&envgate);
    let first = adopt(&envgate, TOKEN, &["--tenant", "demo", "env_1"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    eventually("the gateway knows the second tenant", || {
        get(envgate.gateway, &acme, "env_1").status == 404
    });
    assert_eq!(get(envgate.gateway, &envgate.key, "env_1").status, 200);

    let forced = adopt(&envgate, TOKEN, &["--tenant", "acme", "--force", "env_1"]);
    assert_eq!(forced.status.code(), Some(1));
    let delete =
        Request::new(envgate.gateway, "DELETE", "/v1/environments/env_1").header("x-api-key", &envgate.key);
    assert_eq!(delete.send().status, 404);
    let seen = old.upstream.seen();
    assert!(
        seen.iter().all(|seen| !seen.line.starts_with("DELETE")),
        "{seen:?}"
    );
}

fn audited(envgate: &Envgate, count: usize) -> Vec<Value> {
    let read = || {
        let audit = Request::new(envgate.admin, "GET", "/api/v1/audit?operation=adopt")
            .header("authorization", &format!("Bearer {TOKEN}"))
            .send();
        audit.json()["data"].as_array().unwrap().clone()
    };
    eventually("the adoptions are recorded", || read().len() >= count);
    let records = read();
    assert_eq!(records.len(), count, "{records:#?}");
    records
}

#[test]
fn an_adoption_and_its_refusal_are_in_the_audit() {
    let old = Old::start(&[("env_1", &[("team", "s3cret")]), ("env_2", &[(STAMP, "ten_2")])]);
    let envgate = old.setup().start();
    let demo = ["--tenant", "demo"];
    adopt(
        &envgate,
        TOKEN,
        &[&demo[..], &["env_1", "env_2", "env_absent"]].concat(),
    );
    // The second time nothing is written.
    adopt(&envgate, TOKEN, &[&demo[..], &["env_1"]].concat());
    adopt(&envgate, TOKEN, &[&demo[..], &["--force", "env_2"]].concat());
    let records = audited(&envgate, 4);
    let told = |record: &Value| {
        assert_eq!(record["tenant"]["name"], "demo", "{record}");
        assert_eq!(record["key"], "(the operator)", "{record}");
        assert_eq!(record["status"], Value::Null, "{record}");
        assert!(record["request_id"].as_str().unwrap().starts_with("req_"));
        json!([record["environment"], record["outcome"], record["error"]])
    };
    assert_eq!(
        records.iter().map(told).collect::<Vec<_>>(),
        [
            json!(["env_2", "ok", null]),
            json!(["env_absent", "refused", "environment_not_found"]),
            json!(["env_2", "refused", "another_tenants"]),
            json!(["env_1", "ok", null]),
        ]
    );
    let path = format!("/metadata/{STAMP}");
    assert_eq!(
        records[3]["change"],
        json!([{"op": "add", "path": path, "value": "***"}])
    );
    assert_eq!(
        records[0]["change"],
        json!([
            {"op": "test", "path": path, "value": "***"},
            {"op": "replace", "path": path, "value": "***"},
        ]),
        "it was another's"
    );
}

#[test]
fn an_adoption_is_finished_although_nobody_waits_for_it_any_more() {
    let environment = |metadata| json!({"id": "env_1", "type": "environment", "metadata": metadata});
    let upstream = Upstream::start(move |_, seen| {
        if seen.line.starts_with("GET") {
            return Then::respond("200 OK", &[], &environment(json!({})).to_string());
        }
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        let Then::Reply(reply) =
            Then::respond("200 OK", &[], &environment(sent["metadata"].clone()).to_string())
        else {
            unreachable!()
        };
        Then::Late(Duration::from_millis(500), reply)
    });
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_ADMIN__TOKEN", TOKEN)
        .start();
    let mut connection = Connection::open(envgate.admin);
    let request = Request::new(envgate.admin, "POST", "/api/v1/tenants/demo/environments")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .body(r#"{"environments":["env_1"]}"#);
    connection.write(&request.bytes());
    eventually("the update went up", || upstream.seen().len() == 2);
    drop(connection);
    assert_eq!(audited(&envgate, 1)[0]["outcome"], "ok");
}

#[test]
fn another_replica_forgets_the_old_owner_within_a_second_and_a_half() {
    let old = Old::start(&[("env_1", &[])]);
    let database = database::migrated();
    let setup = || old.setup().set("ENVGATE_STORE__URL", &database.url());
    let first = setup().start();
    let acme = setup().tenant("acme", "default");
    let second = setup().start_for(&first.key);
    assert!(
        adopt(&first, TOKEN, &["--tenant", "demo", "env_1"])
            .status
            .success()
    );
    eventually("the second replica sees the first owner", || {
        get(second.gateway, &first.key, "env_1").status == 200
    });
    assert!(
        adopt(&first, TOKEN, &["--tenant", "acme", "--force", "env_1"])
            .status
            .success()
    );
    crate::common::envgate::pause(std::time::Duration::from_millis(1500));
    let before = old.upstream.seen().len();
    let delete =
        Request::new(second.gateway, "DELETE", "/v1/environments/env_1").header("x-api-key", &first.key);
    assert_eq!(delete.send().status, 404);
    let seen = old.upstream.seen();
    assert!(
        seen[before..].iter().all(|seen| seen.line.starts_with("GET")),
        "{seen:?}"
    );
    assert_eq!(get(second.gateway, &acme, "env_1").status, 200);
}

#[test]
fn a_plans_own_credential_is_the_one_that_adopts() {
    let old = Old::start(&[("env_1", &[])]);
    let plans = "[credentials]\nresearch = { key = { env = \"RESEARCH\" }, budget = \"default\" }\n[plans]\nresearch.credential = \"research\"\n";
    let setup = old.setup().set("RESEARCH", "sk-research").file(plans);
    let key = setup.tenant("acme", "research");
    let envgate = setup.start_for(&key);
    assert!(
        adopt(&envgate, TOKEN, &["--tenant", "acme", "env_1"])
            .status
            .success()
    );
    let seen = old.upstream.seen();
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter().all(|seen| seen.all("x-api-key") == ["sk-research"]),
        "{seen:?}"
    );
    assert!(!envgate.log().contains(OPERATOR_KEY));
}

#[test]
fn what_stands_in_the_way_is_said() {
    let old = Old::start(&[("env_1", &[])]);
    let envgate = old.setup().start();
    let said = |output: &Output| {
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    let demo = ["--tenant", "demo", "env_1"];
    let wrong = said(&adopt(&envgate, "another-token-altogether", &demo));
    assert!(wrong.contains("does not take the admin token"), "{wrong}");
    let nobody = said(&adopt(&envgate, TOKEN, &["--tenant", "nobody", "env_1"]));
    assert!(nobody.contains("there is no tenant \"nobody\""), "{nobody}");
    assert_eq!(
        adopt(&envgate, TOKEN, &["--tenant", "demo"]).status.code(),
        Some(2)
    );
    assert_eq!(
        adopt(&envgate, TOKEN, &["--tenant", "demo", "../keys"])
            .status
            .code(),
        Some(2)
    );
    assert!(old.upstream.seen().is_empty());

    let admin = format!("http://{}", envgate.admin);
    let missing = said(&Setup::new().run(&["adopt", "--admin", &admin, "--tenant", "demo", "env_1"]));
    assert!(missing.contains("set ENVGATE_ADMIN__TOKEN"), "{missing}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let alone = Setup::new()
        .set("ENVGATE_ADMIN__TOKEN", TOKEN)
        .set("ENVGATE_ADMIN__ADDRESS", &free.to_string());
    let nowhere = said(&alone.run(&[&["adopt"], &demo[..]].concat()));
    assert!(
        nowhere.contains(&format!("no gateway answers at {free}")),
        "{nowhere}"
    );
    let gateway = format!("http://{}", envgate.gateway);
    let elsewhere = said(&alone.run(&[&["adopt", "--admin", &gateway], &demo[..]].concat()));
    assert!(elsewhere.contains("is not the admin API"), "{elsewhere}");
}

#[test]
fn without_a_stamp_there_is_nothing_to_adopt() {
    let old = Old::start(&[("env_1", &[])]);
    let envgate = old.setup().set("ENVGATE_OWNERSHIP__STAMP", "false").start();
    let refused = adopt(&envgate, TOKEN, &["--tenant", "demo", "env_1"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("there is nothing to adopt"), "{said}");
    assert!(old.upstream.seen().is_empty());
}

#[test]
fn the_admin_address_of_the_settings_is_where_the_gateway_is_looked_for() {
    let old = Old::start(&[("env_1", &[])]);
    let envgate = old.setup().start();
    let command = Setup::new()
        .set("ENVGATE_ADMIN__TOKEN", TOKEN)
        .set("ENVGATE_ADMIN__ADDRESS", &envgate.admin.to_string());
    command.run_well(&["adopt", "--tenant", "demo", "env_1"]);
    assert_eq!(get(envgate.gateway, &envgate.key, "env_1").status, 200);
}
