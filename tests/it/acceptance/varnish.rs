//! A cache in front: nobody is answered from what another was told.

use std::net::SocketAddr;

use crate::common::EXAMPLE;
use crate::common::client::{Request, Response};
use crate::common::envgate::{Setup, eventually};
use crate::common::upstream::{Then, Upstream};
use envgate_test_servers::varnish::Varnish;

const ENVIRONMENTS: &str = "/v1/environments";

fn get(address: SocketAddr, path: &str, key: Option<&str>) -> Response {
    let request = Request::new(address, "GET", path);
    match key {
        Some(key) => request.header("x-api-key", key).send(),
        None => request.send(),
    }
}

fn listed(response: &Response) -> Vec<String> {
    assert_eq!(response.status, 200, "{}", response.text());
    let list = response.json();
    let names = list["data"].as_array().unwrap().iter();
    names
        .map(|environment| environment["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
#[ignore = "needs Varnish: make acceptance"]
fn the_cache_of_these_tests_shares_what_is_not_forbidden_to_be_shared() {
    let server = Upstream::always(Then::environment());
    let varnish = Varnish::in_front_of(server.address);
    for key in ["of one", "of another"] {
        assert_eq!(get(varnish.address, EXAMPLE, Some(key)).status, 200);
    }
    assert_eq!(server.seen().len(), 1, "the second is answered by the cache");
}

#[test]
#[ignore = "needs Varnish: make acceptance"]
fn behind_a_cache_every_tenant_gets_its_own_list_and_who_has_no_key_none() {
    let envgate = Setup::new().start();
    envgate.run_well(&["tenants", "create", "acme"]);
    let acme = envgate.run_well(&["keys", "create", "--tenant", "acme", "--quiet"]);
    eventually("the new key works", || {
        get(envgate.gateway, ENVIRONMENTS, Some(&acme)).status == 200
    });
    let created = Request::new(envgate.gateway, "POST", ENVIRONMENTS)
        .header("x-api-key", &acme)
        .body(r#"{"name":"of acme"}"#)
        .send();
    assert_eq!(created.status, 200, "{}", created.text());

    let varnish = Varnish::in_front_of(envgate.gateway);
    for _ in 0..2 {
        let of_demo = listed(&get(varnish.address, ENVIRONMENTS, Some(&envgate.key)));
        assert!(
            !of_demo.is_empty() && !of_demo.contains(&"of acme".to_owned()),
            "{of_demo:?}"
        );
        assert_eq!(
            listed(&get(varnish.address, ENVIRONMENTS, Some(&acme))),
            ["of acme"]
        );
        get(varnish.address, ENVIRONMENTS, None).expect_error(401, "authentication_error");
    }
}

#[test]
#[ignore = "needs Varnish: make acceptance"]
fn behind_a_cache_a_404_is_for_nobody_else() {
    let envgate = Setup::new().start();
    envgate.run_well(&["tenants", "create", "acme"]);
    let acme = envgate.run_well(&["keys", "create", "--tenant", "acme", "--quiet"]);
    eventually("the new key works", || {
        get(envgate.gateway, ENVIRONMENTS, Some(&acme)).status == 200
    });

    let varnish = Varnish::in_front_of(envgate.gateway);
    for _ in 0..2 {
        get(varnish.address, EXAMPLE, Some(&acme)).expect_error(404, "not_found");
        get(varnish.address, EXAMPLE, None).expect_error(401, "authentication_error");
        assert_eq!(get(varnish.address, EXAMPLE, Some(&envgate.key)).status, 200);
    }
}
