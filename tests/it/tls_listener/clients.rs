//! Clients that show a certificate.

use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup};
use crate::common::tls::{Authority, TlsClient, with_tls};

fn asking(authority: &Authority) -> Setup {
    let setup = with_tls(Setup::new(), authority);
    std::fs::write(setup.path().join("clients.crt"), authority.pem()).unwrap();
    setup.set("ENVGATE_LISTEN__TLS__CLIENT_CA", "clients.crt")
}

fn request(envgate: &Envgate, key: &str) -> Request {
    Request::new(envgate.gateway, "GET", EXAMPLE).header("authorization", &format!("Bearer {key}"))
}

#[test]
fn a_client_needs_a_certificate_of_the_authority_that_the_settings_name() {
    let (authority, other) = (Authority::new(), Authority::new());
    let envgate = asking(&authority).start();
    let request = request(&envgate, &envgate.key);
    let own = TlsClient::with_certificate(&authority, &authority.issue("builder"));
    assert_eq!(own.send(envgate.gateway, &request).status, 200);
    let none = TlsClient::new(&authority);
    assert!(!none.is_let_in(envgate.gateway, &request), "it has shown none");
    let forged = TlsClient::with_certificate(&authority, &other.issue("builder"));
    assert!(
        !forged.is_let_in(envgate.gateway, &request),
        "another authority's"
    );
    let expired = TlsClient::with_certificate(&authority, &authority.issue_until("builder", 2020));
    assert!(!expired.is_let_in(envgate.gateway, &request), "its time is over");
}

#[test]
fn where_it_is_optional_one_of_another_authority_is_refused_all_the_same() {
    let (authority, other) = (Authority::new(), Authority::new());
    let envgate = asking(&authority)
        .set("ENVGATE_LISTEN__TLS__CLIENT_CERTIFICATE", "optional")
        .start();
    let request = request(&envgate, &envgate.key);
    assert_eq!(
        TlsClient::new(&authority).send(envgate.gateway, &request).status,
        200
    );
    let forged = TlsClient::with_certificate(&authority, &other.issue("builder"));
    assert!(!forged.is_let_in(envgate.gateway, &request));
}

#[test]
fn a_plan_can_demand_whom_the_certificate_is_of() {
    let authority = Authority::new();
    let setup = asking(&authority)
        .set("ENVGATE_LISTEN__TLS__CLIENT_CERTIFICATE", "optional")
        .file("[plans.guarded]\nclient_subject = \"builder\"\n");
    let key = setup.tenant("acme", "guarded");
    let envgate = setup.start_for(&key);
    // The environment is nobody's here: what matters is how far a client comes.
    let request = request(&envgate, &key);
    let named = |name: &str| TlsClient::with_certificate(&authority, &authority.issue(name));
    let builder = named("builder");
    for _ in 0..2 {
        // The second time the session is taken up again, and with it who was known.
        builder
            .send(envgate.gateway, &request)
            .expect_error(404, "not_found");
    }
    let error = named("somebody")
        .send(envgate.gateway, &request)
        .expect_error(403, "permission_error");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("the subject of this one is \"CN=somebody\""),
        "{message}"
    );
    assert!(
        !message.contains("builder"),
        "whom it expects is nobody's business: {message}"
    );
    let error = TlsClient::new(&authority)
        .send(envgate.gateway, &request)
        .expect_error(403, "permission_error");
    assert!(
        error["message"].as_str().unwrap().contains("has shown none"),
        "{error}"
    );
}
