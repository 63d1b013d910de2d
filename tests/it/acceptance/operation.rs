//! What an operator does to gateways that are in use behind a balancer: no client notices, and the audit has it all.

use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envgate::store::{AuditQuery, Store};
use envgate_test_servers::haproxy::{HaProxy, free_address};
use envgate_test_servers::redis::Redis;
use parking_lot::Mutex;

use super::steady_load::{Outcome, SteadyLoad};
use crate::common::client::Request;
use crate::common::database;
use crate::common::envgate::{Setup, eventually, pause, signal};
use crate::common::tls::{Authority, Pair, TlsClient, with_tls};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};

const HEALTH_PATH: &str = "/ready";
/// What an end may take that waits for nobody.
const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for a balancer to have asked several times how everybody is.
const A_MOMENT: usize = 750;

/// A gateway at addresses that outlive it.
struct Instance {
    setup: Setup,
    child: Child,
    gateway: SocketAddr,
    admin: SocketAddr,
}

impl Instance {
    fn start(setup: Setup) -> Self {
        Self::start_at(setup, free_address())
    }

    fn start_at(setup: Setup, gateway: SocketAddr) -> Self {
        let admin = free_address();
        let setup = setup
            .set("ENVGATE_LISTEN__ADDRESS", &gateway.to_string())
            .set("ENVGATE_ADMIN__ADDRESS", &admin.to_string())
            .set("ENVGATE_LISTEN__HEALTH_PATH", HEALTH_PATH);
        let child = serve(&setup);
        let instance = Self {
            setup,
            child,
            gateway,
            admin,
        };
        eventually("the gateway is ready", || instance.is_ready());
        instance
    }

    fn is_ready(&self) -> bool {
        // Nobody may listen yet.
        std::net::TcpStream::connect(self.admin).is_ok() && self.ask("/readyz").0 == 200
    }

    fn ask(&self, path: &str) -> (u16, String) {
        let answer = Request::new(self.admin, "GET", path).send();
        (answer.status, answer.text())
    }

    fn reloads(&self, outcome: &str) -> u64 {
        let name = format!("envgate_reloads_total{{outcome=\"{outcome}\"}} ");
        let metrics = self.ask("/metrics").1;
        let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Has the settings read again, and waits for what comes of it.
    fn reload(&self, settings: &str, outcome: &str) {
        replace(&self.setup.path().join("envgate.toml"), settings);
        let before = self.reloads(outcome);
        signal(&self.child, "HUP");
        eventually(&format!("a reload is {outcome}"), || {
            self.reloads(outcome) > before
        });
    }

    /// Starts the binary once more, which takes over, and waits for the old one to end.
    fn upgrade(&mut self) {
        let new = serve(&self.setup);
        let mut old = std::mem::replace(&mut self.child, new);
        assert!(wait(&mut old), "the old one ends in order: {}", self.log());
        eventually("the new one is ready", || self.is_ready());
    }

    fn stop(&mut self) {
        signal(&self.child, "TERM");
        assert!(wait(&mut self.child), "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.setup.path().join("log")).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of {}:\n{}", self.gateway, self.log());
        }
    }
}

fn serve(setup: &Setup) -> Child {
    let log = setup.path().join("log");
    let log = OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut command = setup.command(&["serve"]);
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Whether the process ends well.
fn wait(child: &mut Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        pause(Duration::from_millis(20));
    }
    false
}

/// Puts a whole file in another's place.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

/// All that the clients asked for was done, and stands in the audit.
#[track_caller]
fn expect_whole(outcome: &Outcome, store: &str) {
    println!(
        "{} requests, {} updates, {} failed",
        outcome.requests,
        outcome.updates.len(),
        outcome.failures.len()
    );
    let first = &outcome.failures[..outcome.failures.len().min(20)];
    assert!(
        outcome.failures.is_empty(),
        "{} failed: {first:#?}",
        outcome.failures.len()
    );
    let recorded = recorded(store);
    let missing: Vec<_> = outcome
        .updates
        .iter()
        .filter(|id| !recorded.contains(*id))
        .collect();
    assert!(
        missing.is_empty(),
        "{} are not in the audit: {missing:?}",
        missing.len()
    );
}

#[tokio::main(flavor = "current_thread")]
async fn recorded(store: &str) -> std::collections::BTreeSet<String> {
    let store = Store::open_existing(store).await.unwrap();
    let all = AuditQuery {
        limit: u16::MAX,
        ..AuditQuery::default()
    };
    let records = store.audit(&all).await.unwrap();
    let ids = records
        .iter()
        .map(|record| serde_json::to_value(record).unwrap()["request_id"].clone());
    ids.filter_map(|id| id.as_str().map(str::to_owned)).collect()
}

/// An environment, without a request id, so that each request has one of the gateway's.
fn environment() -> Then {
    Then::respond("200 OK", &[("content-type", "application/json")], ENVIRONMENT)
}

/// An upstream that knows one key at a time.
fn upstream_with_a_key(key: &Arc<Mutex<String>>) -> Upstream {
    let key = Arc::clone(key);
    Upstream::start(move |_, seen| {
        if seen.all("x-api-key") == [key.lock().as_str()] {
            return environment();
        }
        let body =
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
        Then::respond("401 Unauthorized", &[("content-type", "application/json")], body)
    })
}

fn settings(upstream: SocketAddr, weight: &str) -> String {
    format!(
        "[upstream]\nurl = \"http://{upstream}\"\ncredential = {{ file = \"credential\" }}\nlist_at_start = false\n\
         [ownership]\nstamp = false\n[plans.default]\nweight = {weight}\n"
    )
}

fn is_shown(certificate: &Pair, client: &TlsClient, address: SocketAddr) -> bool {
    let Ok(stream) = client.try_connect(address) else {
        return false;
    };
    let shown = stream.conn.peer_certificates().unwrap();
    shown.first() == Some(&certificate.der())
}

#[test]
#[ignore = "needs HAProxy: make acceptance"]
fn reloads_new_certificates_new_credentials_and_upgrades_are_not_noticed() {
    let key = Arc::new(Mutex::new("sk-ant-first".to_owned()));
    let upstream = upstream_with_a_key(&key);
    let authority = Authority::new();
    let client = TlsClient::new(&authority);
    let setup = with_tls(Setup::new(), &authority)
        .set("ENVGATE_SERVER__HANDOVER_DIRECTORY", "handover")
        .file(&settings(upstream.address, "1"));
    let directory = setup.path().to_owned();
    // Nobody else may enter it.
    fs::DirBuilder::new()
        .mode(0o700)
        .create(directory.join("handover"))
        .unwrap();
    fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    fs::write(directory.join("credential"), key.lock().as_str()).unwrap();
    let store = format!("sqlite:{}", directory.join("envgate.db").display());
    let tenant_key = setup.tenant("acme", "default");
    let mut instance = Instance::start(setup);
    let haproxy = HaProxy::in_front_of(&[instance.gateway], HEALTH_PATH, Some(&directory.join("ca.pem")));

    let load = SteadyLoad::start(haproxy.address, &tenant_key);
    load.go_on_for(A_MOMENT);
    for number in 0..20 {
        if number % 4 == 3 {
            instance.reload(&settings(upstream.address, "\"heavy\""), "refused");
            replace(
                &directory.join("envgate.toml"),
                &settings(upstream.address, &number.to_string()),
            );
        } else {
            instance.reload(&settings(upstream.address, &(number + 2).to_string()), "applied");
        }
        if number % 4 == 1 {
            let certificate = authority.issue("localhost");
            certificate.write(&directory, "listen");
            eventually("the new certificate is shown", || {
                is_shown(&certificate, &client, instance.gateway)
            });
        }
        if number % 7 == 2 {
            // The old key is no good from the moment that the new one is there.
            let new = format!("sk-ant-number-{number}");
            replace(&directory.join("credential"), &new);
            *key.lock() = new;
        }
        if number % 7 == 5 {
            instance.upgrade();
        }
        load.go_on_for(A_MOMENT / 5);
    }
    load.go_on_for(A_MOMENT);
    let outcome = load.stop();
    instance.stop();
    expect_whole(&outcome, &store);
}

fn replica(database: &str, upstream: SocketAddr) -> Setup {
    Setup::new()
        .upstream(upstream)
        .set("ENVGATE_STORE__URL", database)
        .set("ENVGATE_STORE__LISTEN_URL", database)
        .set("ENVGATE_SERVER__DRAIN_DELAY", "2s")
}

#[test]
#[ignore = "needs HAProxy: make acceptance"]
fn a_second_instance_takes_over_from_one_that_is_told_to_stop() {
    let database = database::migrated();
    let upstream = Upstream::always(environment());
    let setup = replica(&database.url(), upstream.address);
    let key = setup.tenant("acme", "default");
    let mut first = Instance::start(setup);
    // HAProxy knows of it before it is there.
    let second = replica(&database.url(), upstream.address);
    let second_gateway = free_address();
    let haproxy = HaProxy::in_front_of(&[first.gateway, second_gateway], HEALTH_PATH, None);
    let load = SteadyLoad::start(haproxy.address, &key);
    load.go_on_for(A_MOMENT);
    let mut second = Instance::start_at(second, second_gateway);
    load.go_on_for(A_MOMENT);
    first.stop();
    load.go_on_for(A_MOMENT);
    let outcome = load.stop();
    second.stop();
    expect_whole(&outcome, &database.url());
}

#[test]
#[ignore = "needs HAProxy: make acceptance"]
fn a_rolling_update_of_three_replicas_with_surge_is_not_noticed() {
    let database = database::migrated();
    let redis = Redis::start();
    let upstream = Upstream::always(environment());
    let setup = || {
        let budget = "[budgets.default]\nrequests_per_minute = 120000\nconcurrent_requests = 1000\n";
        replica(&database.url(), upstream.address)
            .set("ENVGATE_QUOTA__REDIS", &redis.url())
            .set("ENVGATE_QUOTA__REPLICAS", "4")
            .file(budget)
    };
    let key = setup().tenant("acme", "default");
    let addresses: Vec<_> = (0..6).map(|_| free_address()).collect();
    let (old, new) = addresses.split_at(3);
    let mut replicas: Vec<_> = old
        .iter()
        .map(|address| Instance::start_at(setup(), *address))
        .collect();
    // Before it has heard of as many as there may be, a Redis that knows nothing lets nobody send for a minute.
    Instance::start(setup()).stop();
    let haproxy = HaProxy::in_front_of(&addresses, HEALTH_PATH, None);
    let load = SteadyLoad::start(haproxy.address, &key);
    load.go_on_for(A_MOMENT);
    for (replica, address) in replicas.iter_mut().zip(new) {
        let successor = Instance::start_at(setup(), *address);
        load.go_on_for(A_MOMENT);
        replica.stop();
        *replica = successor;
    }
    load.go_on_for(A_MOMENT);
    let outcome = load.stop();
    replicas.iter_mut().for_each(Instance::stop);
    expect_whole(&outcome, &database.url());
}
