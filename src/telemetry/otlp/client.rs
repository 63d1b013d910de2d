//! What a collector is sent, and what it says to it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use super::connector::Connector;
use crate::config::{OtlpProtocol, SpanExport};

/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const NAME: HeaderValue = HeaderValue::from_static(concat!("envgate/", env!("CARGO_PKG_VERSION")));
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// A client of one collector, which connects when it has something to send, and again where a connection broke.
pub(super) enum Client {
    Grpc(Box<GrpcClient>),
    Http(HttpClient),
}

pub(super) struct GrpcClient {
    service: TraceServiceClient<Channel>,
    headers: HeaderMap,
}

pub(super) struct HttpClient {
    export: Arc<SpanExport>,
    connector: Connector,
    /// The connection, where one is left from before.
    kept: Option<http1::SendRequest<Full<Bytes>>>,
}

/// Why a collector has not taken a batch. Nothing of what it was sent is in it, and no text of the collector's.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("{0}")]
    Io(String),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it answered {}", .0.description())]
    Grpc(Code),
    #[error("its URL is none that can be asked for")]
    Url,
    #[error("no answer in time")]
    Timeout,
}

impl ExportError {
    fn of(error: &(dyn Error + 'static)) -> Self {
        // The causes say more than the error itself, which is the same for all of them.
        let mut cause = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Self::Io(cause.to_string())
    }

    /// Whether the same batch may be taken later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Io(_) | Self::Timeout => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Grpc(code) => matches!(
                code,
                Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Aborted
                    | Code::OutOfRange
                    | Code::Unavailable
                    | Code::DataLoss
                    | Code::ResourceExhausted
            ),
            Self::Url => false,
        }
    }
}

impl Client {
    pub(super) fn new(export: &Arc<SpanExport>) -> Result<Self, ExportError> {
        let connector = Connector::new(Arc::clone(export));
        match export.protocol {
            OtlpProtocol::Http => Ok(Self::Http(HttpClient {
                export: Arc::clone(export),
                connector,
                kept: None,
            })),
            OtlpProtocol::Grpc => {
                let scheme = if export.collector.is_tls { "https" } else { "http" };
                let url = format!("{scheme}://{}", export.collector.authority);
                let endpoint = Endpoint::from_shared(url).map_err(|_| ExportError::Url)?;
                let channel = endpoint
                    .user_agent(NAME)
                    .map_err(|_| ExportError::Url)?
                    .connect_timeout(export.timeout)
                    .connect_with_connector_lazy(connector);
                let client = TraceServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
                Ok(Self::Grpc(Box::new(GrpcClient {
                    service: client,
                    headers: export.headers.iter().cloned().collect(),
                })))
            }
        }
    }

    /// Sends a batch. Gives back how many spans of it the collector has refused.
    pub(super) async fn send(&mut self, message: &ExportTraceServiceRequest) -> Result<u64, ExportError> {
        let answer = match self {
            Self::Grpc(client) => {
                let mut request = tonic::Request::new(message.clone());
                *request.metadata_mut() = MetadataMap::from_headers(client.headers.clone());
                let answer = client.service.export(request).await;
                answer.map_err(|status| of_grpc(&status))?.into_inner()
            }
            Self::Http(client) => client.post(message.encode_to_vec().into()).await?,
        };
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or_default())
    }
}

/// What came from the collector has a code that says enough; what did not, a cause.
fn of_grpc(status: &tonic::Status) -> ExportError {
    match status.source() {
        Some(source) => ExportError::of(source),
        None => ExportError::Grpc(status.code()),
    }
}

impl HttpClient {
    async fn post(&mut self, body: Bytes) -> Result<ExportTraceServiceResponse, ExportError> {
        let mut sender = match self.kept.take().filter(|kept| !kept.is_closed()) {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        sender.ready().await.map_err(|error| ExportError::of(&error))?;
        let request = self.request(body)?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| ExportError::of(&error))?;
        let status = answer.status();
        let read = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = read.map_err(|error| ExportError::of(&*error))?.to_bytes();
        self.kept = Some(sender);
        if !status.is_success() {
            return Err(ExportError::Status(status));
        }
        // What it says beyond that is of no interest.
        Ok(ExportTraceServiceResponse::decode(body).unwrap_or_default())
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>, ExportError> {
        let of_io = |error: io::Error| ExportError::of(&error);
        let connection = self.connector.connect().await.map_err(of_io)?;
        let (sender, driver) = http1::handshake(connection)
            .await
            .map_err(|error| ExportError::of(&error))?;
        // It ends with the sender, or with the connection.
        tokio::spawn(driver);
        Ok(sender)
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, ExportError> {
        let collector = &self.export.collector;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&collector.path)
            .header(HOST, &collector.authority)
            .header(USER_AGENT, NAME)
            .header(CONTENT_TYPE, PROTOBUF)
            .body(Full::new(body))
            .map_err(|_| ExportError::Url)?;
        request.headers_mut().extend(self.export.headers.iter().cloned());
        Ok(request)
    }
}
