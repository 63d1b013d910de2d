//! Two gateways on one PostgreSQL, in front of an environments service that knows nothing of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::client::Request;
use common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually, pause};
use common::postgres::Server;

const ENVIRONMENTS: &str = "/v1/environments";
/// How long a key that was revoked may live.
const LONGEST_LIFE: Duration = Duration::from_millis(1500);

struct Replicas {
    gateways: [Envgate; 2],
    /// Where commands are run.
    operator: Setup,
    database: Server,
    upstream: Child,
}

impl Replicas {
    fn start() -> Self {
        let database = Server::start();
        let setup = || Setup::new().set("ENVGATE_STORE__URL", &database.url());
        let operator = setup();
        let (upstream, address) = start_upstream(&operator);
        let first = setup().upstream(address).start();
        let second = setup().upstream(address).start_for(&first.key);
        Self {
            gateways: [first, second],
            operator,
            database,
            upstream,
        }
    }

    fn create_key(&self) -> String {
        self.operator
            .run_well(&["keys", "create", "--tenant", "demo", "--quiet"])
    }

    fn all_answer(&self, key: &str, status: u16) -> bool {
        let mut gateways = self.gateways.iter();
        gateways.all(|gateway| list(gateway.gateway, key) == status)
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        let _ = self.upstream.kill();
        let _ = self.upstream.wait();
    }
}

fn start_upstream(setup: &Setup) -> (Child, SocketAddr) {
    let arguments = [
        "upstream",
        "--address",
        "127.0.0.1:0",
        "--store",
        "sqlite:upstream.db",
    ];
    let mut child = setup
        .command(&arguments)
        .env("ENVGATE_UPSTREAM__CREDENTIAL", OPERATOR_KEY)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
    (child, address)
}

fn list(gateway: SocketAddr, key: &str) -> u16 {
    Request::new(gateway, "GET", ENVIRONMENTS)
        .header("x-api-key", key)
        .send()
        .status
}

#[test]
fn a_key_that_was_revoked_is_dead_on_every_replica_within_a_second_and_a_half() {
    let replicas = Replicas::start();
    for _ in 0..3 {
        let key = replicas.create_key();
        eventually("the key works on both", || replicas.all_answer(&key, 200));
        replicas.operator.run_well(&["keys", "revoke", &key]);
        let revoked = Instant::now();
        while !replicas.all_answer(&key, 401) {
            assert!(
                revoked.elapsed() < LONGEST_LIFE,
                "still alive after {LONGEST_LIFE:?}"
            );
            pause(Duration::from_millis(10));
        }
    }
    assert!(
        replicas.all_answer(&replicas.gateways[0].key, 200),
        "other keys go on"
    );
}

#[test]
fn no_request_fails_because_the_store_is_away_and_what_changes_later_is_seen() {
    let mut replicas = Replicas::start();
    let key = replicas.gateways[0].key.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = replicas
        .gateways
        .iter()
        .map(|gateway| {
            let (address, key, is_over) = (gateway.gateway, key.clone(), Arc::clone(&is_over));
            std::thread::spawn(move || {
                let mut statuses = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    statuses.push(list(address, &key));
                    pause(Duration::from_millis(10));
                }
                statuses
            })
        })
        .collect();

    replicas.database.kill();
    for gateway in &replicas.gateways {
        eventually("the gateway notices", || {
            gateway.admin_get("/readyz").text().contains("degraded")
        });
        assert_eq!(gateway.admin_get("/readyz").status, 200);
        assert!(gateway.metric("envgate_store_failures_total") >= 1.0);
        assert!(gateway.metric("envgate_store_up").abs() < f64::EPSILON);
    }
    let refused = replicas.operator.run(&["keys", "create", "--tenant", "demo"]);
    assert_eq!(refused.status.code(), Some(1));
    let reason = String::from_utf8(refused.stderr).unwrap();
    assert!(reason.contains("the store cannot be reached"), "{reason}");

    replicas.database.start_again();
    let created = replicas.create_key();
    eventually("a new key works on both", || replicas.all_answer(&created, 200));
    for gateway in &replicas.gateways {
        assert!(!gateway.admin_get("/readyz").text().contains("degraded"));
    }
    is_over.store(true, Ordering::Relaxed);
    for statuses in load {
        let statuses = statuses.join().unwrap();
        assert!(statuses.len() > 100, "the load was {} requests", statuses.len());
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
}

#[test]
fn the_embedded_service_keeps_its_environments_where_the_gateway_keeps_its_keys() {
    let database = Server::start();
    let setup = || Setup::new().set("ENVGATE_STORE__URL", &database.url());
    let first = setup().start();
    let example = common::EXAMPLE;
    assert_eq!(first.post(example, r#"{"name":"shared"}"#).status, 200);
    let second = setup().start_for(&first.key);
    assert_eq!(second.get(example).json()["name"], "shared");
}
