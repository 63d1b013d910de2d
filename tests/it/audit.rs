//! What the audit keeps of writes: all that is needed to know who did what, and no secret.

mod keeping;
mod records;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup, eventually};
use envgate::store::{AuditQuery, Store};
use serde_json::Value;

const COLLECTION: &str = "/v1/environments";

/// A gateway and the place of its audit.
struct Audited {
    envgate: Envgate,
    store: String,
    directory: PathBuf,
}

impl Audited {
    /// Starts what was set up, with a file of JSON lines beside its SQLite store.
    fn start(setup: Setup, start: impl FnOnce(Setup) -> Envgate) -> Self {
        let directory = setup.path().to_owned();
        Self {
            store: sqlite(&directory),
            envgate: start(setup.set("ENVGATE_AUDIT__FILE", "audit.jsonl")),
            directory,
        }
    }

    /// Waits until there are so many records, and gives them back, oldest first.
    #[track_caller]
    fn records(&self, count: usize) -> Vec<Value> {
        eventually("the records are written", || read(&self.store).len() >= count);
        let records = read(&self.store);
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }

    /// Ends the gateway as an operator would, so that all it knows is written.
    fn stop(&mut self) {
        self.envgate.signal("TERM");
        assert!(self.envgate.wait(Duration::from_secs(15)).success());
    }

    fn send(&self, key: &str, method: &str, path: &str, body: Option<&str>) -> Response {
        let request = Request::new(self.envgate.gateway, method, path).header("x-api-key", key);
        match body {
            Some(body) => request.body(body).send(),
            None => request.send(),
        }
    }
}

/// Whether a record is of a change that the operator made to tenants or keys.
fn is_operators(record: &Value) -> bool {
    let operation = record["operation"].as_str().unwrap();
    operation.ends_with("_tenant") || operation.ends_with("_key")
}

fn sqlite(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("envgate.db").display())
}

/// All records of what tenants did, oldest first; what the operator did for the test is left out.
#[tokio::main(flavor = "current_thread")]
async fn read(store: &str) -> Vec<Value> {
    let store = Store::open_existing(store).await.unwrap();
    let all = AuditQuery {
        limit: u16::MAX,
        ..AuditQuery::default()
    };
    let records = store.audit(&all).await.unwrap();
    records
        .iter()
        .rev()
        .map(|record| serde_json::to_value(record).unwrap())
        .filter(|record| !is_operators(record))
        .collect()
}
