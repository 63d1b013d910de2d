//! Traces: what goes up, and what a collector gets that shares no code with the gateway.

mod collectors;
mod context;
mod spans;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup, eventually};

/// A trace that its caller keeps.
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const KEPT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const EXPORTED: &str = "envgate_spans_exported_total";

/// A collector of OTLP: `tests/clients/python/otlp_receiver.py`.
struct Collector {
    child: Child,
    answer: ChildStdin,
    grpc: u64,
    http: u64,
    /// What it has said of each batch.
    batches: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Self {
        Self::start_at("0", &[])
    }

    /// With gRPC at this port, and the files of a certificate and its key where it speaks TLS.
    fn start_at(port: &str, pair: &[&Path]) -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = project.join(".venv/otlp/bin/python");
        assert!(
            python.exists(),
            "run scripts/setup test: {} is missing",
            python.display()
        );
        let mut child = Command::new(python)
            .arg(project.join("tests/clients/python/otlp_receiver.py"))
            .arg(port)
            .args(pair)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answer = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let ports = lines.next().expect("the collector says its ports");
        let batches = Arc::<Mutex<Vec<Value>>>::default();
        let later = Arc::clone(&batches);
        std::thread::spawn(move || lines.for_each(|batch| later.lock().push(batch)));
        Self {
            child,
            answer,
            grpc: ports["grpc"].as_u64().unwrap(),
            http: ports["http"].as_u64().unwrap(),
            batches,
        }
    }

    /// How it answers from now on: `take`, `refuse` or `hang`.
    fn answer(&mut self, how: &str) {
        writeln!(self.answer, "{how}").unwrap();
    }

    fn batches(&self) -> Vec<Value> {
        self.batches.lock().clone()
    }

    /// The spans that it has taken.
    fn spans(&self) -> Vec<Value> {
        let batches = self.batches();
        let taken = batches.iter().filter(|batch| batch["answer"] == "take");
        taken
            .flat_map(|batch| batch["spans"].as_array().unwrap().clone())
            .collect()
    }

    /// Waits until it has taken so many spans.
    #[track_caller]
    fn expect_spans(&self, count: usize) -> Vec<Value> {
        eventually("the collector has the spans", || self.spans().len() >= count);
        self.spans()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exports to this URL by this protocol, every moment, and of its own accord nothing.
fn exporting(setup: Setup, url: &str, protocol: &str) -> Setup {
    setup
        .set("ENVGATE_TELEMETRY__TRACES_ENDPOINT", url)
        .set("ENVGATE_TELEMETRY__PROTOCOL", protocol)
        .set("ENVGATE_TELEMETRY__BATCH_DELAY", "50ms")
        .set("ENVGATE_TELEMETRY__SAMPLE_RATIO", "0")
        .set("ENVGATE_TELEMETRY__CLIENT_SAMPLED_PER_SECOND", "100000")
}

/// The same to a collector that takes gRPC.
fn exporting_to(collector: &Collector, setup: Setup) -> Setup {
    exporting(setup, &format!("http://127.0.0.1:{}", collector.grpc), "grpc")
}

fn kept(envgate: &Envgate, method: &str, path: &str) -> Request {
    envgate.request(method, path).header("traceparent", KEPT)
}

/// The one attribute of a span.
fn attribute<'s>(span: &'s Value, name: &str) -> &'s Value {
    &span["attributes"][name]
}
