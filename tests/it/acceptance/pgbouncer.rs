//! A PostgreSQL behind PgBouncer in transaction mode, where no two transactions are sure of the same connection.

use std::thread::scope;

use crate::common::client::Request;
use crate::common::envgate::{Setup, eventually};
use envgate_test_servers::pgbouncer::PgBouncer;
use envgate_test_servers::postgres::Server;

const KEYS: usize = 10;
const AT_ONCE: usize = 5;

#[test]
#[ignore = "needs pgbouncer; run by make acceptance"]
fn commands_and_gateways_work_through_pgbouncer_in_transaction_mode() {
    let server = Server::start();
    let pooler = PgBouncer::start(&server);
    let setup = || Setup::new().set("ENVGATE_STORE__URL", &pooler.url());
    let operator = setup();
    // All of them find no tables, and one makes them.
    scope(|scope| {
        for number in 0..AT_ONCE {
            let operator = &operator;
            scope.spawn(move || operator.run_well(&["tenants", "create", &format!("t{number}")]));
        }
    });
    scope(|scope| {
        for number in 0..AT_ONCE {
            let operator = &operator;
            scope.spawn(move || {
                for _ in 0..KEYS {
                    operator.run_well(&["keys", "create", "--tenant", &format!("t{number}"), "--quiet"]);
                }
            });
        }
    });
    let keys = operator.run_well(&["keys", "list"]);
    assert_eq!(keys.lines().count(), 1 + AT_ONCE * KEYS, "{keys}");

    let listening = [None, Some(server.url())];
    for listen_url in listening {
        let key = operator.run_well(&["keys", "create", "--tenant", "t0", "--quiet"]);
        let mut gateway = setup();
        if let Some(url) = &listen_url {
            gateway = gateway.set("ENVGATE_STORE__LISTEN_URL", url);
        }
        let gateway = gateway.start_for(&key);
        let list = || {
            let request = Request::new(gateway.gateway, "GET", "/v1/environments").header("x-api-key", &key);
            request.send().status
        };
        for _ in 0..3 {
            assert_eq!(
                gateway.post("/v1/environments", r#"{"name":"pooled"}"#).status,
                200
            );
        }
        assert_eq!(list(), 200);
        operator.run_well(&["keys", "revoke", &key]);
        eventually("the key is dead", || list() == 401);
        let log = gateway.log();
        assert!(
            !log.contains("WARN") && !log.contains("ERROR"),
            "{listen_url:?}: {log}"
        );
    }
}
