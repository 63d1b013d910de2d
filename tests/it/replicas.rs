//! Two gateways on one PostgreSQL, in front of an environments service that knows nothing of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::client::Request;
use crate::common::database;
use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually, pause};
use envgate_test_servers::postgres::{CUT_LISTENERS, Server};
use sqlx::{Connection, PgConnection};

const ENVIRONMENTS: &str = "/v1/environments";

struct Replicas {
    gateways: [Envgate; 2],
    /// Where commands are run.
    operator: Setup,
    upstream: Child,
}

impl Replicas {
    fn start(database: &str) -> Self {
        let setup = || {
            Setup::new()
                .set("ENVGATE_STORE__URL", database)
                .set("ENVGATE_STORE__LISTEN_URL", database)
        };
        let operator = setup();
        let (upstream, address) = start_upstream(&operator);
        let first = setup().upstream(address).start();
        let second = setup().upstream(address).start_for(&first.key);
        Self {
            gateways: [first, second],
            operator,
            upstream,
        }
    }

    fn create_key(&self) -> String {
        self.operator
            .run_well(&["keys", "create", "--tenant", "demo", "--quiet"])
    }

    /// Makes keys and revokes them, one after the other.
    fn expect_that_revoked_keys_die(&self) {
        for _ in 0..3 {
            let key = self.create_key();
            eventually("the key works on both", || self.all_answer(&key, 200));
            self.operator.run_well(&["keys", "revoke", &key]);
            eventually("the key is dead on both", || self.all_answer(&key, 401));
        }
        assert!(self.all_answer(&self.gateways[0].key, 200), "other keys go on");
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

/// Lets nobody listen for long; gives how often somebody tried.
#[tokio::main(flavor = "current_thread")]
async fn cut_listeners(url: &str, is_over: &AtomicBool) -> usize {
    let mut database = PgConnection::connect(url).await.unwrap();
    let mut cut = 0;
    while !is_over.load(Ordering::Relaxed) {
        let listeners = sqlx::query(CUT_LISTENERS).fetch_all(&mut database).await;
        cut += listeners.unwrap().len();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cut
}

fn list(gateway: SocketAddr, key: &str) -> u16 {
    Request::new(gateway, "GET", ENVIRONMENTS)
        .header("x-api-key", key)
        .send()
        .status
}

#[test]
fn a_key_that_was_revoked_dies_on_every_replica() {
    let database = database::migrated();
    Replicas::start(&database.url()).expect_that_revoked_keys_die();
}

#[test]
fn a_key_that_was_revoked_is_as_dead_when_every_notification_is_cut() {
    let database = database::migrated();
    let mut replicas = Replicas::start(&database.url());
    let is_over = Arc::new(AtomicBool::new(false));
    let cutting = std::thread::spawn({
        let (url, is_over) = (database.url(), Arc::clone(&is_over));
        move || cut_listeners(&url, &is_over)
    });
    replicas.expect_that_revoked_keys_die();
    is_over.store(true, Ordering::Relaxed);
    let cut = cutting.join().unwrap();
    assert!(cut > 2, "{cut} connections were cut: nobody listens again");
    for gateway in &mut replicas.gateways {
        let log = gateway.stop();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    }
}

#[test]
fn no_request_fails_because_the_store_is_away_and_what_changes_later_is_seen() {
    let mut database = Server::start();
    let replicas = Replicas::start(&database.url());
    let key = replicas.gateways[0].key.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let answered = [Arc::default(), Arc::default()];
    let load: Vec<_> = replicas
        .gateways
        .iter()
        .zip(&answered)
        .map(|(gateway, answered)| {
            let (address, key, is_over) = (gateway.gateway, key.clone(), Arc::clone(&is_over));
            let answered: Arc<AtomicUsize> = Arc::clone(answered);
            std::thread::spawn(move || {
                let mut statuses = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    statuses.push(list(address, &key));
                    answered.fetch_add(1, Ordering::Relaxed);
                    pause(Duration::from_millis(10));
                }
                statuses
            })
        })
        .collect();

    database.kill();
    for gateway in &replicas.gateways {
        eventually("the gateway notices", || {
            gateway.admin_get("/readyz").text().contains("degraded")
        });
        assert_eq!(gateway.admin_get("/readyz").status, 200);
        assert!(gateway.metric("envgate_store_failures_total") >= 1.0);
        assert!(gateway.metric("envgate_store_up").abs() < f64::EPSILON);
    }
    let before = answered.each_ref().map(|count| count.load(Ordering::Relaxed));
    eventually("both have answered much meanwhile", || {
        let now = answered.each_ref().map(|count| count.load(Ordering::Relaxed));
        now.iter().zip(before).all(|(now, before)| *now > before + 50)
    });
    let refused = replicas.operator.run(&["keys", "create", "--tenant", "demo"]);
    assert_eq!(refused.status.code(), Some(1));
    let reason = String::from_utf8(refused.stderr).unwrap();
    assert!(reason.contains("the store cannot be reached"), "{reason}");

    database.start_again();
    let created = replicas.create_key();
    eventually("a new key works on both", || replicas.all_answer(&created, 200));
    for gateway in &replicas.gateways {
        assert!(!gateway.admin_get("/readyz").text().contains("degraded"));
    }
    is_over.store(true, Ordering::Relaxed);
    for statuses in load {
        let statuses = statuses.join().unwrap();
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
}

#[test]
fn the_embedded_service_keeps_its_environments_where_the_gateway_keeps_its_keys() {
    let database = database::migrated();
    let setup = || Setup::new().set("ENVGATE_STORE__URL", &database.url());
    let first = setup().start();
    let example = crate::common::EXAMPLE;
    assert_eq!(first.post(example, r#"{"name":"shared"}"#).status, 200);
    let second = setup().start_for(&first.key);
    assert_eq!(second.get(example).json()["name"], "shared");
}
