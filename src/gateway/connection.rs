use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora::ErrorType;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;
use tokio::select;

use super::Gateway;
use super::configuration::Configuration;
use super::exchange::answer_request;
use super::lifetime::{Lifetime, Worn};
use super::pace::{Pace, WriteError};
use super::request_log::{Identity, RequestLog};
use super::response;
use super::stream::{ClientStream, client_stream};
use super::write;
use crate::contract::{ApiError, MalformedRequest};
use crate::server::{ClientSocket, OpenConnection};
use crate::telemetry::TraceContext;
use crate::tenancy::ClientCertificate;

/// One client's connection, and the border between Pingora's sessions and the exchange.
pub(super) struct Connection {
    pub(super) gateway: Arc<Gateway>,
    /// Whose it is: of whoever connected, unless a balancer says otherwise.
    pub(super) client: IpAddr,
    pub(super) lifetime: Lifetime,
    pub(super) requests: AtomicU64,
    pub(super) open: OpenConnection,
    /// What the client has shown in the handshake.
    pub(super) certificate: Option<ClientCertificate>,
}

/// Serves a connection of HTTP/1.1 to its end: one of Pingora's sessions after the other. Its own loop around
/// them makes room for HTTP/2 on each connection, and asks for memory again for each request.
pub(super) async fn serve(connection: &Connection, socket: ClientSocket) {
    let mut next = Some(Box::new(ClientStream::new(socket)));
    while let Some(mut stream) = next {
        // On the heap, so that a connection that waits for its next request does not hold the room for it.
        next = match connection.head(&mut stream).await {
            Ok(Some(configuration)) => Box::pin(connection.serve_request(stream, configuration)).await,
            Ok(None) => return,
            Err(error) => return Box::pin(connection.reject_head(stream, error)).await,
        };
    }
}

impl Connection {
    /// One request, from its head on to when the connection can be used for the next. There is none where the
    /// connection should close. What holds for it is what held when its head began.
    async fn serve_request(
        &self,
        mut stream: Box<ClientStream>,
        configuration: Arc<Configuration>,
    ) -> Option<Box<ClientStream>> {
        let (head, wants_close) = (stream.take_head(), stream.filter().wants_close());
        let mut session = ServerSession::new_http1(stream);
        match parse_head(&mut session, head, configuration.listen.header_timeout).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(malformed) => {
                // So is what is needed only now and then.
                Box::pin(self.reject(session, ApiError::Malformed(malformed))).await;
                return None;
            }
        }
        self.open.begin_service();
        // The answer says so: a client that is told sends nothing more that would be lost. Pingora looks at the
        // first line of `Connection` alone.
        if self.count_request() || wants_close {
            session.set_keepalive(None);
        }
        let certificate = self.certificate.as_ref();
        let answering = answer_request(
            &self.gateway,
            &configuration,
            &mut session,
            self.client,
            certificate,
        );
        if let Err(error) = answering.await {
            tracing::debug!(%error, "an answer could not be written");
            if let (WriteError::TooSlow, Some(stream)) = (error, client_stream(&session)) {
                stream.reset();
            }
            return None;
        }
        let filter = client_stream(&session).map(ClientStream::filter);
        let is_last = session.get_keepalive().is_none();
        if filter.is_some_and(|filter| filter.refusal().is_some() || is_last && filter.has_more()) {
            // There is something that nobody will read, which must not cost the client its answer.
            Box::pin(write::close(session)).await;
            return None;
        }
        // What came of the next request already is with the stream's filter.
        let has_ended = !is_last && session.is_body_done();
        let stream = match session {
            // As a rule there is nothing to wait for, and no need of all that Pingora does for the others.
            ServerSession::H1(mut session) if has_ended => {
                session.finish_body().await.ok()?;
                session.into_inner()
            }
            session => Box::pin(session.finish()).await.ok()??.into_parts().0,
        };
        stream.into_any().downcast().ok()
    }

    pub(super) fn new(
        gateway: Arc<Gateway>,
        client: IpAddr,
        lifetime: Lifetime,
        open: OpenConnection,
        certificate: Option<ClientCertificate>,
    ) -> Self {
        Self {
            gateway,
            client,
            lifetime,
            requests: AtomicU64::new(0),
            open,
            certificate,
        }
    }

    /// Counts one more request. Where it is the last that the connection may have, the connection closes once
    /// it is idle; gives back whether it is.
    pub(super) fn count_request(&self) -> bool {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(worn) = self.lifetime.is_over_with(number) else {
            return false;
        };
        // Of HTTP/2 more may come before the client hears of it.
        if !self.open.is_closing() {
            let metrics = &self.gateway.metrics.clients;
            match worn {
                Worn::Requests => metrics.worn_by_requests.inc(),
                Worn::Age => metrics.worn_by_age.inc(),
            }
            self.open.retire();
        }
        true
    }

    /// Waits for the head of the next request, and gives back what held when it began. There is none where the
    /// client leaves, says nothing for too long, or the connection should close.
    async fn head(&self, stream: &mut ClientStream) -> Result<Option<Arc<Configuration>>, ApiError> {
        // Where it is not certain that a request begins here, none does.
        if !stream.filter().is_between_requests() {
            return Ok(None);
        }
        let configuration = select! {
            biased;
            outcome = self.read_head(stream) => outcome?,
            () = self.open.closed() => None,
        };
        match stream.refusal() {
            // What is refused of a body already is told to whoever reads it.
            Some(refusal) if !stream.filter().has_head() => Err(refusal.into()),
            _ => Ok(configuration),
        }
    }

    async fn read_head(&self, stream: &mut ClientStream) -> Result<Option<Arc<Configuration>>, ApiError> {
        let is_first = self.requests.load(Ordering::Relaxed) == 0;
        let silence = {
            // Given back before the wait: who is idle keeps nothing of what is replaced meanwhile.
            let configuration = self.gateway.current.load();
            let listen = &configuration.listen;
            if is_first {
                listen.header_timeout
            } else {
                listen.keepalive_timeout
            }
        };
        if !is_first {
            self.open.begin_idling();
        }
        let waiting_since = Instant::now();
        match timeout(silence, stream.readable()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(None),
            Err(_) => {
                self.gateway.metrics.clients.idle.inc();
                return Ok(None);
            }
        }
        let configuration = self.gateway.configuration();
        let header_timeout = configuration.listen.header_timeout;
        let mut time = header_timeout;
        if is_first {
            time = time.saturating_sub(self.lifetime.age());
        } else {
            self.open.begin_head();
        }
        loop {
            match timeout(time, stream.read_head()).await {
                Ok(Ok(is_there)) => return Ok(is_there.then_some(configuration)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a client left in the middle of a header");
                    return Ok(None);
                }
                Err(_) if stream.filter().is_within_head() => {
                    return Err(ApiError::Malformed(MalformedRequest::Late(header_timeout)));
                }
                // There was nothing to read after all.
                Err(_) if waiting_since.elapsed() < silence => {}
                Err(_) => return Ok(None),
            }
        }
    }

    async fn reject_head(&self, stream: Box<ClientStream>, error: ApiError) {
        self.reject(ServerSession::new_http1(stream), error).await;
    }

    /// Tells the client why what it sent is no request, and closes the connection.
    async fn reject(&self, mut session: ServerSession, error: ApiError) {
        let configuration = self.gateway.configuration();
        let mut log = RequestLog::start(TraceContext::root());
        let mut answer = response::of_error(&error, configuration.dialect, log.request_id());
        let status = answer.status;
        if client_stream(&session).is_some_and(|stream| stream.filter().is_head_request()) {
            answer.body.clear();
        }
        let pace = Pace::new(&configuration.listen, &self.gateway.is_stopping);
        if let Err(error) = write::last_answer(&mut session, answer, &pace).await {
            tracing::debug!(%error, "an answer could not be written");
        }
        let identity = Identity::of_client(self.client);
        log.finish(&self.gateway, &configuration, &identity, status, Some(&error));
        write::close(session).await;
    }
}

/// Has the session parse a head that is whole and in order. There is none where Pingora waits for more of it, for as
/// long as `time`.
async fn parse_head(
    session: &mut ServerSession,
    head: BytesMut,
    time: Duration,
) -> Result<bool, MalformedRequest> {
    if let ServerSession::H1(session) = session {
        session.set_pipelined_prefix(head);
    }
    // The time is ours to keep: Pingora's is for each read.
    session.set_keepalive(write::KEEP);
    match timeout(time, session.read_request()).await {
        Ok(Ok(is_there)) => Ok(is_there),
        Ok(Err(error)) if *error.etype() == ErrorType::InvalidHTTPHeader => Err(MalformedRequest::Syntax),
        Ok(Err(_)) | Err(_) => Ok(false),
    }
}
