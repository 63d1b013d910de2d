//! A service on a port of its own, and a client that says no more than it is told.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use envgate::config::Secret;
use envgate::store::Store;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const CREDENTIAL: &str = "sk-ant-of-the-operator";
pub(crate) const COLLECTION: &str = "/v1/environments";

/// The service; it stops when this is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) directory: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

/// What the service answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Reply {
    /// The JSON of a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        self.json
    }

    /// The message of an error, after its whole envelope was checked.
    pub(crate) fn refused(&self, status: u16, error_type: &str) -> &str {
        assert_eq!(self.status, status, "{}", self.json);
        assert_eq!(self.json["type"], "error", "{}", self.json);
        assert_eq!(self.json["error"]["type"], error_type, "{}", self.json);
        assert_eq!(
            self.json["request_id"].as_str(),
            self.headers["request-id"].to_str().ok(),
            "{}",
            self.json
        );
        self.json["error"]["message"].as_str().expect("a message")
    }

    /// `error.details.error_code`
    pub(crate) fn code(&self) -> &str {
        self.json["error"]["details"]["error_code"]
            .as_str()
            .unwrap_or_default()
    }
}

/// A request as a well-behaved client sends it.
pub(crate) fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("x-api-key", CREDENTIAL)
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "managed-agents-2026-04-01")
        .body(Full::new(body.into()))
        .unwrap()
}

impl Service {
    /// Starts the service over an empty store.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("envgate.db").display());
        let store = Store::open(&url).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let credential = Secret::new(CREDENTIAL.to_owned());
        let ended = tokio::spawn(envgate::embedded::serve(
            listener.into_std().unwrap(),
            store.clone(),
            credential,
            async move {
                let _ = stopped.await;
            },
        ));
        Self {
            address,
            store,
            directory,
            stop,
            ended,
        }
    }

    /// Tells the service to stop and waits until it has.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.ended.await.unwrap().unwrap();
    }

    /// Sends a request over a connection of its own.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        drop(sender);
        connection.await.unwrap().unwrap();
        let json = (!bytes.is_empty())
            .then(|| serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}")));
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: json.unwrap_or_default(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(request(Method::GET, path, "")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(request(Method::POST, path, body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(request(Method::DELETE, path, "")).await
    }

    /// Creates an environment; its path.
    pub(crate) async fn create(&self, params: &Value) -> String {
        let created = self.post(COLLECTION, params).await.ok();
        format!("{COLLECTION}/{}", created["id"].as_str().unwrap())
    }
}
