//! `envgate health`: one word and an exit status for whoever has no other client.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::common::client::Connection;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::tls::{Authority, TlsClient};
use crate::common::upstream::{Gate, Then, Upstream};

/// Asks for the health of a gateway, with the settings of another setup.
fn ask(address: std::net::SocketAddr, setup: Setup) -> (Option<i32>, String, String) {
    answer(
        &setup
            .set("ENVGATE_ADMIN__ADDRESS", &address.to_string())
            .run(&["health"]),
    )
}

fn answer(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_gateway_that_is_ready_is_said_to_be_in_one_word() {
    let envgate = Envgate::start();
    let expected = (Some(0), "ready\n".to_owned(), String::new());
    assert_eq!(ask(envgate.admin, Setup::new()), expected);
    let everywhere = format!("0.0.0.0:{}", envgate.admin.port());
    assert_eq!(
        ask(everywhere.parse().unwrap(), Setup::new()),
        expected,
        "asked on loopback"
    );
}

#[test]
fn nothing_but_the_address_has_to_be_right_or_readable() {
    let envgate = Envgate::start();
    let setup = Setup::new().file(
        "[upstream]\nurl = \"https://api.anthropic.com\"\ncredential = { env = \"NOT_SET_HERE\" }\n\
         [admin]\ntoken = { file = \"secret\" }\n[store]\nurl = { file = \"/no/such/file\" }\n",
    );
    let secret = setup.path().join("secret");
    std::fs::write(&secret, "a token that nobody reads").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    assert_eq!(
        ask(envgate.admin, setup),
        (Some(0), "ready\n".to_owned(), String::new())
    );
}

#[test]
fn one_that_stops_is_said_to() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let envgate = Envgate::in_front_of(upstream.address);
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
    eventually("it is in flight", || !upstream.seen().is_empty());
    envgate.signal("TERM");
    eventually("it is told", || {
        ask(envgate.admin, Setup::new()) == (Some(1), "stopping\n".to_owned(), String::new())
    });
    gate.open();
    assert_eq!(busy.read_response().status, 200);
}

#[test]
fn where_nobody_answers_it_is_unreachable_within_a_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, word, why) = ask(silent.local_addr().unwrap(), Setup::new());
    assert_eq!((code, word.as_str()), (Some(1), "unreachable\n"));
    assert!(why.contains("took too long"), "{why}");
    let address = silent.local_addr().unwrap();
    drop(silent);
    let (code, word, why) = ask(address, Setup::new());
    assert_eq!((code, word.as_str()), (Some(1), "unreachable\n"));
    assert!(why.contains("no gateway answers"), "{why}");
    let (code, _, why) = ask("127.0.0.1:0".parse().unwrap(), Setup::new());
    assert!(code == Some(1) && why.contains("port 0"), "{why}");
}

#[test]
fn an_address_that_speaks_tls_is_asked_within_it_and_shown_its_own_certificate_if_it_wants_one() {
    let authority = Authority::new();
    let own = authority.issue("localhost");
    let setup = Setup::new();
    own.write(setup.path(), "admin");
    std::fs::write(setup.path().join("ca.pem"), authority.pem()).unwrap();
    let envgate = setup
        .set("ENVGATE_ADMIN__TLS__CERTIFICATE", "admin.crt")
        .set("ENVGATE_ADMIN__TLS__KEY", "admin.key")
        .set("ENVGATE_ADMIN__TLS__CLIENT_CA", "ca.pem")
        .admin_client(TlsClient::with_certificate(&authority, &own))
        .start();
    let with_tls = || {
        let path = |name: &str| envgate.path().join(name).display().to_string();
        Setup::new()
            .set("ENVGATE_ADMIN__TLS__CERTIFICATE", &path("admin.crt"))
            .set("ENVGATE_ADMIN__TLS__KEY", &path("admin.key"))
    };
    let wanted = with_tls().set("ENVGATE_ADMIN__TLS__CLIENT_CA", "ca.pem");
    assert_eq!(
        ask(envgate.admin, wanted),
        (Some(0), "ready\n".to_owned(), String::new())
    );
    let (code, word, why) = ask(envgate.admin, with_tls());
    assert_eq!((code, word.as_str()), (Some(1), "unreachable\n"), "{why}");
}
