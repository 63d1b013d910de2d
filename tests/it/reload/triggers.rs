//! Who can have the settings read again: a signal, the admin API, and the file itself.

use std::fs;
use std::os::unix::fs::symlink;

use super::{APPLIED, REFUSED, apply, in_front_of, setup, write};
use crate::common::envgate::{Setup, eventually};
use crate::common::upstream::{Then, Upstream};

#[test]
fn a_hang_up_reads_the_settings_again() {
    let envgate = setup("listen.max_body_bytes = 4096\n").start();
    let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(2000));
    write(&envgate, "listen.max_body_bytes = 1024\n");
    envgate.signal("HUP");
    envgate.expect_log("the settings were read again");
    envgate.expect_metric(APPLIED, 1.0);
    assert_eq!(envgate.post("/v1/environments", &body).status, 413);
    write(&envgate, "listen.max_body_bytes = 1\n");
    envgate.signal("HUP");
    envgate.expect_metric(REFUSED, 1.0);
    envgate.expect_log("listen.max_body_bytes");
}

#[test]
fn a_changed_file_is_read_again_where_that_is_wished_for_and_a_wrong_one_is_told_once() {
    let envgate = setup("server.reload_on_change = true\n").start();
    let on_change = |more: &str| format!("server.reload_on_change = true\n{more}");
    fs::write(
        envgate.path().join("new.toml"),
        on_change("upstream.timeout = \"5s\"\n"),
    )
    .unwrap();
    fs::rename(
        envgate.path().join("new.toml"),
        envgate.path().join("envgate.toml"),
    )
    .unwrap();
    eventually("it was read", || envgate.metric(APPLIED) >= 1.0);
    write(&envgate, &on_change("upstream.timeout = "));
    eventually("it was refused", || envgate.metric(REFUSED) >= 1.0);
    write(&envgate, &on_change("upstream.timeout = \"6s\"\n"));
    eventually("the next one was read", || envgate.metric(APPLIED) >= 2.0);
    assert_eq!(
        envgate.metric(REFUSED),
        1.0,
        "each state of the file is read once"
    );
    // From then on nobody looks.
    write(&envgate, "upstream.timeout = \"7s\"\n");
    eventually("the last one was read", || envgate.metric(APPLIED) >= 3.0);
}

#[test]
fn the_swap_of_links_that_kubernetes_makes_is_a_change() {
    let setup = Setup::new();
    let at = |name: &str| setup.path().join(name);
    for (version, timeout) in [("one", "20s"), ("two", "5s")] {
        fs::create_dir(at(version)).unwrap();
        let text = format!("server.reload_on_change = true\nupstream.timeout = \"{timeout}\"\n");
        fs::write(at(version).join("envgate.toml"), text).unwrap();
    }
    symlink("one", at("..data")).unwrap();
    // The file of the setup gives way to a link through the one that is swapped.
    let setup = setup.file("");
    let at = |name: &str| setup.path().join(name);
    fs::remove_file(at("envgate.toml")).unwrap();
    symlink("..data/envgate.toml", at("envgate.toml")).unwrap();
    let envgate = setup.start();
    symlink("two", envgate.path().join("..data_tmp")).unwrap();
    fs::rename(envgate.path().join("..data_tmp"), envgate.path().join("..data")).unwrap();
    eventually("it was read", || envgate.metric(APPLIED) >= 1.0);
    envgate.expect_log("upstream.timeout");
}

#[test]
fn the_level_of_the_log_is_another_at_once() {
    let upstream = Upstream::always(Then::environment());
    let envgate = in_front_of(&upstream, "log.level = \"info\"\n").start();
    assert_eq!(envgate.get("/v1/environments/env_1").status, 200);
    envgate.expect_log("operation=\"retrieve\"");
    apply(&envgate, "log.level = \"info,envgate::access=off\"\n");
    assert_eq!(
        envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#).status,
        200
    );
    apply(&envgate, "log.level = \"debug\"\n");
    assert_eq!(envgate.post("/v1/environments/env_1/archive", "").status, 200);
    envgate.expect_log("operation=\"archive\"");
    envgate.expect_log("DEBUG");
    assert!(!envgate.log().contains("operation=\"update\""));
}
