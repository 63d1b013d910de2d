//! Whose an environment is after an adoption, here and on other replicas.

use super::{Old, STAMP, TOKEN, adopt, get, outcomes, second_tenant, text};
use crate::common::client::Request;
use crate::common::database;
use crate::common::envgate::eventually;
use serde_json::{Value, json};

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

#[test]
fn another_replica_forgets_the_old_owner() {
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
    eventually("the second replica has forgotten the first owner", || {
        get(second.gateway, &first.key, "env_1").status == 404
    });
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
