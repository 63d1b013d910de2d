//! Commands beside a gateway that runs.

use super::outputs::Outputs;
use super::plants::Plants;
use crate::common::envgate::Envgate;

/// Runs every command, well and badly. A key that is made is shown once, where it was asked for.
pub fn beside(envgate: &Envgate, plants: &Plants, outputs: &Outputs) {
    let admin = format!("http://{}", envgate.admin);
    for arguments in [
        &["check"][..],
        &["check", "--upstream"],
        &["tenants", "list"],
        &["tenants", "create", "beta", "--plan", "nowhere"],
        &["tenants", "suspend", "beta"],
        &["tenants", "delete", "beta"],
        &["tenants", "delete", "beta"],
        &["keys", "list"],
        &["keys", "create", "--tenant", "nobody"],
        &["keys", "revoke", "sk-eg-12345678"],
        &["adopt", "--tenant", "demo", "--admin", &admin, "env_1", "env_401"],
        &[
            "adopt",
            "--tenant",
            "demo",
            "--admin",
            "http://me:me@127.0.0.1",
            "env_1",
        ],
        &["store", "backup", "backup.db"],
        &["audit"],
        &["audit", "--json"],
        &["health"],
        &["doctor"],
        &["doctor", "--json"],
        &["check", "--against-running"],
        &["store", "check"],
        &["store", "migrate"],
        &["--help"],
        &["serve", "--no-such-option"],
    ] {
        outputs.command(&arguments.join(" "), &envgate.run(arguments));
    }
    let made = envgate.run_well(&["keys", "create", "--tenant", "demo", "--label", "planted"]);
    let (key, rest) = made.split_once('\n').unwrap();
    let key = plants.tenant_key("a key that a command made", key.to_owned());
    outputs.add("what is said of a new key", rest);
    let rotated = envgate.run_well(&["keys", "rotate", &key, "--grace", "1h"]);
    let (new, rest) = rotated.split_once('\n').unwrap();
    let new = plants.tenant_key("a key that a command rotated to", new.to_owned());
    outputs.add("what is said of a rotated key", rest);
    outputs.command("keys revoke", &envgate.run(&["keys", "revoke", &new]));
    outputs.command("keys list", &envgate.run(&["keys", "list"]));
    outputs.file(&envgate.path().join("backup.db"));
}
