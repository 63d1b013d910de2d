use super::api::{TENANTS, expect, expect_problem, get, request, send, setup};
use crate::common::client::Response;
use crate::common::envgate::eventually;
use envgate_test_servers::postgres::Server;

fn expect_away(response: &Response) {
    expect_problem(response, 503, "store_unavailable");
    assert_eq!(response.header("retry-after"), Some("2"));
}

#[test]
fn while_the_store_is_away_the_api_says_so_and_afterwards_goes_on() {
    let mut database = Server::start();
    let envgate = setup().set("ENVGATE_STORE__URL", &database.url()).start();
    expect(&get(&envgate, TENANTS), 200);
    expect(&get(&envgate, "/api/v1/audit?tenant=demo&outcome=ok"), 200);
    database.kill();
    expect_away(&get(&envgate, TENANTS));
    expect_away(&get(&envgate, "/api/v1/plans"));
    expect_away(&get(&envgate, "/api/v1/audit"));
    expect_away(&send(&envgate, "POST", TENANTS, r#"{"name":"acme"}"#));
    expect_away(&send(&envgate, "POST", "/api/v1/tenants/demo/keys", "{}"));
    expect_away(&request(&envgate, "DELETE", "/api/v1/tenants/demo").send());
    assert_eq!(envgate.admin_get("/healthz").status, 200);
    database.start_again();
    eventually("the API answers", || get(&envgate, TENANTS).status == 200);
    expect(&send(&envgate, "POST", TENANTS, r#"{"name":"acme"}"#), 201);
}
