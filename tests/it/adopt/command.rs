//! What the command needs, and what it says where that is not there.

use std::process::Output;

use super::{Old, TOKEN, adopt, get, text};
use crate::common::envgate::{OPERATOR_KEY, Setup};
use crate::common::tls::{Authority, TlsClient};
use crate::common::upstream::ClosedPort;

#[test]
fn a_plans_own_credential_is_the_one_that_adopts() {
    let old = Old::start(&[("env_1", &[])]);
    let plans = "[credentials]\nresearch = { key = { env = \"RESEARCH\" }, budget = \"default\" }\n[plans]\nresearch.credential = \"research\"\n";
    let setup = old.setup().set("RESEARCH", "sk-research").file(plans);
    let key = setup.tenant("acme", "research");
    let mut envgate = setup.start_for(&key);
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
    assert!(!envgate.stop().contains(OPERATOR_KEY));
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

    let closed = ClosedPort::new();
    let free = closed.address();
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

#[test]
fn an_admin_address_within_tls_is_known_by_its_certificate() {
    let (authority, old) = (Authority::new(), Old::start(&[("env_1", &[])]));
    let setup = old.setup();
    // The name is none that anybody connects to.
    authority.issue("localhost").write(setup.path(), "admin");
    let envgate = setup
        .set("ENVGATE_ADMIN__TLS__CERTIFICATE", "admin.crt")
        .set("ENVGATE_ADMIN__TLS__KEY", "admin.key")
        .admin_client(TlsClient::new(&authority))
        .start();
    let admin = format!("https://{}", envgate.admin);
    let done = envgate.run(&["adopt", "--admin", &admin, "--tenant", "demo", "env_1"]);
    assert!(done.status.success(), "{}", text(&done.stderr));

    let alone = Setup::new().set("ENVGATE_ADMIN__TOKEN", TOKEN);
    let arguments = ["adopt", "--admin", &admin, "--tenant", "demo", "env_1"];
    let unknown = text(&alone.run(&arguments).stderr);
    assert!(
        unknown.contains("names no certificate that it shows"),
        "{unknown}"
    );
    Authority::new().issue("localhost").write(alone.path(), "admin");
    let alone = alone
        .set("ENVGATE_ADMIN__TLS__CERTIFICATE", "admin.crt")
        .set("ENVGATE_ADMIN__TLS__KEY", "admin.key");
    let another = text(&alone.run(&arguments).stderr);
    assert!(another.contains("it is not one of admin.tls"), "{another}");
}
