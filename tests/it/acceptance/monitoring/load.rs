//! Tenants at work, each in a way of its own: some do all right, some do not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::common::client::{Connection, Request, Response};
use crate::common::envgate::{Envgate, pause};
use crate::common::tls::TlsClient;

const ENVIRONMENTS: &str = "/v1/environments";

/// The keys of the tenants that work.
pub struct Keys {
    pub builder: String,
    pub poller: String,
    pub clumsy: String,
    pub small: String,
    pub guarded: String,
    pub research: String,
}

pub struct Load {
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(envgate: &Envgate, tls: &TlsClient, keys: &Keys) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let work = |key: &str, between: u64, work: fn(&mut Client, usize)| {
            let mut client = Client::new(envgate.gateway, tls, key);
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    work(&mut client, number);
                    number += 1;
                    pause(Duration::from_millis(between));
                }
            })
        };
        let clients = vec![
            work(&keys.builder, 40, build),
            work(&keys.builder, 60, build),
            work(&keys.poller, 30, poll),
            work(&keys.poller, 30, poll),
            work(&keys.clumsy, 80, err),
            work("", 150, come_without_right),
            work(&keys.small, 250, list),
            work(&keys.guarded, 120, keep_to_a_policy),
            work(&keys.research, 100, research),
            work(&keys.research, 100, research),
        ];
        Self { is_over, clients }
    }

    pub fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
    }
}

/// Creates, updates, reads, lists, archives and deletes.
fn build(client: &mut Client, number: usize) {
    let path = client.environment("built");
    match number % 8 {
        0 | 4 => drop(client.ask("POST", &path, Some(r#"{"description":"once more"}"#))),
        1 => list(client, number),
        2 => drop(client.ask("GET", "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRf0", None)),
        7 if number % 32 == 7 => {
            drop(client.ask("POST", &format!("{path}/archive"), None));
            drop(client.ask("DELETE", &path, None));
            client.path = None;
        }
        _ => drop(client.ask("GET", &path, None)),
    }
}

/// Asks for the same again and again.
fn poll(client: &mut Client, number: usize) {
    let path = client.environment("watched");
    if number.is_multiple_of(4) {
        list(client, number);
    }
    drop(client.ask("GET", &path, None));
}

fn list(client: &mut Client, _: usize) {
    drop(client.ask("GET", ENVIRONMENTS, None));
}

fn err(client: &mut Client, number: usize) {
    let bodies = [
        r#"{"name":"n","config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.com"]}}}"#,
        r#"{"name":7}"#,
        r#"{"name":"n","config":{"type":"cloudy"}}"#,
        r#"{"description":"no name"}"#,
        r#"{"name":"n",}"#,
        r#"{"name":"n","config":{"type":"cloud","packages":{"type":"packages","pip":"numpy"}}}"#,
    ];
    match number % 8 {
        6 => drop(client.ask("GET", "/v1/environments?colour=red", None)),
        7 => drop(client.ask("PUT", ENVIRONMENTS, None)),
        step => drop(client.ask("POST", ENVIRONMENTS, Some(bodies[step]))),
    }
}

fn come_without_right(client: &mut Client, number: usize) {
    client.key = match number % 3 {
        0 => String::new(),
        1 => "sk-eg-2Nn3aPLq8vS7cWfYtR5xKdMjHgB4uEz9".to_owned(),
        _ => "no key at all".to_owned(),
    };
    let path = if number.is_multiple_of(4) {
        "/v1/nothing"
    } else {
        ENVIRONMENTS
    };
    drop(client.ask("GET", path, None));
}

fn keep_to_a_policy(client: &mut Client, number: usize) {
    let limited = r#"{"type":"limited","allowed_hosts":["api.example.com"]}"#;
    let create = format!(r#"{{"name":"guarded","config":{{"type":"cloud","networking":{limited}}}}}"#);
    let path = client.environment_like(&create);
    let update = match number % 3 {
        0 => r#"{"config":{"type":"cloud","networking":{"type":"unrestricted"}}}"#.to_owned(),
        1 => format!(r#"{{"config":{{"type":"cloud","networking":{limited}}}}}"#),
        _ => r#"{"description":"as before"}"#.to_owned(),
    };
    drop(client.ask("POST", &path, Some(&update)));
}

/// Of another organisation, whose small budget is soon spent; what nobody knows goes up with a warning.
fn research(client: &mut Client, number: usize) {
    let path = client.environment("research");
    match number % 3 {
        0 => drop(client.ask("POST", &path, Some(r#"{"description":"found","colour":"red"}"#))),
        1 => list(client, number),
        _ => drop(client.ask("POST", &path, Some(r#"{"description":"found"}"#))),
    }
}

struct Client {
    address: SocketAddr,
    tls: TlsClient,
    key: String,
    connection: Option<Connection>,
    path: Option<String>,
}

impl Client {
    fn new(address: SocketAddr, tls: &TlsClient, key: &str) -> Self {
        Self {
            address,
            tls: tls.clone(),
            key: key.to_owned(),
            connection: None,
            path: None,
        }
    }

    fn environment(&mut self, name: &str) -> String {
        self.environment_like(&format!(r#"{{"name":"{name}"}}"#))
    }

    /// The path of an environment of its own; of one that nobody has where none could be created.
    fn environment_like(&mut self, body: &str) -> String {
        if self.path.is_none() {
            let created = self
                .ask("POST", ENVIRONMENTS, Some(body))
                .filter(|created| created.status == 200);
            let id = created.map(|created| created.json()["id"].as_str().unwrap().to_owned());
            self.path = id.map(|id| format!("{ENVIRONMENTS}/{id}"));
        }
        let nobodys = || format!("{ENVIRONMENTS}/env_011CZkZ9X2dpNyB7HsEFoRf1");
        self.path.clone().unwrap_or_else(nobodys)
    }

    /// The answer; none where the connection was closed, which is no matter here.
    fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> Option<Response> {
        let mut request = Request::new(self.address, method, path);
        if !self.key.is_empty() {
            request = request.header("x-api-key", &self.key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::over_tls(self.tls.try_connect(self.address).ok()?),
        };
        connection.write(&request.bytes());
        let answer = connection.read_any_response()?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Some(answer)
    }
}
