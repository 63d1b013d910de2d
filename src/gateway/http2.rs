//! HTTP/2 with one client: its streams are answered as if each were a request of HTTP/1.1.
//!
//! Pingora's own loop bounds how many streams there are and not how fast they come and go, waits without end
//! for a client to begin and to say goodbye, and ends a connection of a client that asks for too much without
//! a word. So the loop is one of our own around its sessions.

mod frames;
mod stream;
mod watch;

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::Connection as H2Connection;
use http::StatusCode;
use pingora::Error;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Accept, H2Options, HttpSession, default_h2_options, handshake};
use pingora::protocols::{Digest, Stream};
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use self::stream::WatchedStream;
use self::watch::{Misuse, Watch};
use super::configuration::Configuration;
use super::connection::Connection;
use super::exchange::answer_request;
use super::framing::judge_http2_head;
use super::pace::{Pace, WriteError, least_bytes};
use super::request_log::{Identity, RequestLog};
use super::{response, write};
use crate::contract::{ApiError, MalformedRequest};
use crate::server::ClientSocket;
use crate::telemetry::TraceContext;

/// How many requests a client may have under way on one connection.
const MAX_STREAMS: u32 = 100;
/// How much of an answer is taken over before its client takes it, for each stream.
const MAX_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// What the library takes of a head, so that it is we who answer one that is larger than it may be.
const MAX_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// How many streams a client may make the library reset by breaking the protocol.
const MAX_ERROR_RESETS: usize = 100;
/// How often what may come to take too long is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long a client may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

fn options() -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_send_buffer_size(MAX_SEND_BUFFER_BYTES)
        .max_local_error_reset_streams(Some(MAX_ERROR_RESETS));
    options
}

/// Serves a connection of HTTP/2 to its end. Requests may outlive it: a write on its way is seen through.
pub(super) async fn serve(connection: &Arc<Connection>, socket: ClientSocket) {
    let watch = Arc::new(Watch::new());
    let stream: Stream = Box::new(WatchedStream::new(socket, Arc::clone(&watch)));
    let longest = connection.gateway.current.load().listen.header_timeout;
    let beginning = timeout(
        longest.saturating_sub(connection.lifetime.age()),
        handshake(stream, Some(options())),
    );
    let begun = select! {
        biased;
        begun = beginning => begun,
        () = connection.open.closed() => return,
    };
    match begun {
        Ok(Ok(http2)) => Loop::new(connection, watch).run(http2).await,
        Ok(Err(error)) => {
            tracing::debug!(
                kind = error.etype().as_str(),
                "a client did not begin to speak HTTP/2"
            );
        }
        Err(_elapsed) => tracing::debug!("a client took too long to begin to speak HTTP/2"),
    }
}

/// The loop that drives a connection.
struct Loop<'a> {
    connection: &'a Arc<Connection>,
    watch: Arc<Watch>,
    streams: Arc<Streams>,
    /// Until when the client has to begin its first request.
    first_until: Instant,
    /// Since when there is no stream.
    idle_since: Instant,
    looked_at: Instant,
    /// Since when the client knows that it should go.
    leaving_since: Option<Instant>,
}

impl<'a> Loop<'a> {
    fn new(connection: &'a Arc<Connection>, watch: Arc<Watch>) -> Self {
        let now = Instant::now();
        let left = connection
            .gateway
            .current
            .load()
            .listen
            .header_timeout
            .saturating_sub(connection.lifetime.age());
        Self {
            first_until: now + left,
            connection,
            watch,
            streams: Arc::default(),
            idle_since: now,
            looked_at: now,
            leaving_since: None,
        }
    }

    async fn run(mut self, mut http2: H2Connection<Stream, Bytes>) {
        let digest = Arc::new(Digest::default());
        let (watch, streams) = (Arc::clone(&self.watch), Arc::clone(&self.streams));
        let mut look = pin!(sleep_until(self.looked_at));
        loop {
            let next = self.next_look();
            if let Some(next) = next.filter(|next| *next != look.deadline()) {
                look.as_mut().reset(next);
            }
            select! {
                biased;
                misuse = watch.abused() => return self.give_up(http2, misuse).await,
                () = self.connection.open.asked_to_close(), if self.leaving_since.is_none() => {
                    let is_unused = self.connection.requests.load(Ordering::Relaxed) == 0;
                    if is_unused && self.connection.open.patience().is_zero() {
                        return;
                    }
                    self.leave(&mut http2);
                }
                accepted = HttpSession::from_h2_conn(&mut http2, Arc::clone(&digest)) => match accepted {
                    Ok(Some(H2Accept::Session(session))) => self.begin(session),
                    Ok(Some(H2Accept::Rejected)) => self.count_rejection(),
                    Ok(None) => return,
                    Err(error) => return self.count_break(&error),
                },
                () = streams.none_left() => self.idle_since = Instant::now(),
                () = watch.began_waiting() => {}
                () = until(look.as_mut(), next.is_some()) => {
                    self.looked_at = Instant::now();
                    if let Some(misuse) = self.overdue() {
                        return self.give_up(http2, misuse).await;
                    }
                    match self.leave_at() {
                        Some(end) if end > self.looked_at => {}
                        Some(_) if self.leaving_since.is_none() => {
                            self.connection.gateway.metrics.clients.idle.inc();
                            self.leave(&mut http2);
                        }
                        Some(_) => return end(http2, Reason::NO_ERROR).await,
                        None => {}
                    }
                }
            }
        }
    }

    /// What the client has taken too long for.
    fn overdue(&self) -> Option<Misuse> {
        let configuration = self.connection.gateway.current.load();
        let listen = &configuration.listen;
        self.watch
            .overdue(listen.header_timeout, listen.write_timeout, least_bytes(listen))
    }

    /// When there is something to look at, if nothing happens until then.
    fn next_look(&self) -> Option<Instant> {
        let look = self.watch.is_waiting().then(|| self.looked_at + LOOK);
        look.into_iter().chain(self.leave_at()).min()
    }

    /// When the connection ends, or begins to, if nothing happens until then.
    fn leave_at(&self) -> Option<Instant> {
        if !self.streams.are_none() {
            return None;
        }
        if let Some(since) = self.leaving_since {
            return Some(since.max(self.idle_since) + GOODBYE);
        }
        Some(match self.connection.requests.load(Ordering::Relaxed) {
            0 => self.first_until,
            _ => self.idle_since + self.connection.gateway.current.load().listen.keepalive_timeout,
        })
    }

    /// Tells the client that it should begin no more, and lets it finish.
    fn leave(&mut self, http2: &mut H2Connection<Stream, Bytes>) {
        http2.graceful_shutdown();
        self.leaving_since = Some(Instant::now());
    }

    /// Ends the connection of a client that does not behave.
    async fn give_up(&self, http2: H2Connection<Stream, Bytes>, misuse: Misuse) {
        self.connection.gateway.metrics.record_http2_misuse(misuse.name());
        tracing::debug!(client = %self.connection.client, reason = misuse.name(), "a connection of HTTP/2 is given up");
        match misuse {
            // It would not take a word.
            Misuse::SlowReader => self.watch.end_with_reset(),
            Misuse::Resets | Misuse::ControlFrames | Misuse::SlowHead => {
                end(http2, Reason::ENHANCE_YOUR_CALM).await;
            }
        }
    }

    fn begin(&self, session: HttpSession) {
        let stream = OpenStream::new(&self.streams, self.connection);
        let watch = Arc::clone(&self.watch);
        // A task of its own, on the same worker: it may have to outlive the connection, and its panic must not
        // end the others.
        tokio::spawn(async move {
            if let Err(error) = stream.answer(session).await {
                tracing::debug!(%error, "an answer could not be written");
                if matches!(error, WriteError::TooSlow) {
                    watch.count_reset();
                }
            }
        });
    }

    /// Counts a connection that broke, where the library ended it because its client broke the protocol.
    fn count_break(&self, error: &Error) {
        let cause = error
            .cause
            .as_ref()
            .and_then(|cause| cause.downcast_ref::<h2::Error>());
        if cause.is_some_and(h2::Error::is_library) {
            self.connection.gateway.metrics.record_http2_misuse("protocol");
        }
        let cause = cause.map(ToString::to_string);
        tracing::debug!(client = %self.connection.client, cause, "a connection of HTTP/2 broke");
    }

    /// Counts what Pingora has refused: a request without a host, or one that can be read in two ways.
    fn count_rejection(&self) {
        self.watch.count_reset();
        let error = ApiError::Malformed(MalformedRequest::Syntax);
        let gateway = &self.connection.gateway;
        RequestLog::start(TraceContext::root()).finish(
            gateway,
            &gateway.configuration(),
            &Identity::of_client(self.connection.client),
            StatusCode::BAD_REQUEST,
            Some(&error),
        );
    }
}

/// Ends a connection at once, with the reason.
async fn end(mut http2: H2Connection<Stream, Bytes>, reason: Reason) {
    http2.abrupt_shutdown(reason);
    // Whoever does not take it in time learns it from the end of the connection.
    let _ = timeout(GOODBYE, poll_fn(|cx| http2.poll_closed(cx))).await;
}

async fn until(sleep: impl Future<Output = ()>, is_set: bool) {
    if is_set {
        sleep.await;
    } else {
        pending().await
    }
}

/// The streams of a connection that are being answered.
#[derive(Default)]
struct Streams {
    open: AtomicUsize,
    none_left: Notify,
}

impl Streams {
    fn are_none(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    async fn none_left(&self) {
        self.none_left.notified().await;
    }
}

/// One of them, with the connection that it keeps counted.
struct OpenStream {
    streams: Arc<Streams>,
    connection: Arc<Connection>,
}

impl OpenStream {
    fn new(streams: &Arc<Streams>, connection: &Arc<Connection>) -> Self {
        if streams.open.fetch_add(1, Ordering::Relaxed) == 0 {
            connection.open.begin_service();
        }
        // Where it is the last one, the loop hears of it as of any other reason to leave.
        connection.count_request();
        Self {
            streams: Arc::clone(streams),
            connection: Arc::clone(connection),
        }
    }

    async fn answer(&self, session: HttpSession) -> Result<(), WriteError> {
        let configuration = self.connection.gateway.configuration();
        let mut session = ServerSession::new_http2(session);
        let outcome = match judge_http2_head(session.req_header()) {
            Ok(()) => {
                let (gateway, client) = (&self.connection.gateway, self.connection.client);
                let certificate = self.connection.certificate.as_ref();
                answer_request(gateway, &configuration, &mut session, client, certificate).await
            }
            Err(refusal) => self.refuse(&configuration, &mut session, &refusal.into()).await,
        };
        match outcome {
            Ok(()) => {
                session.finish().await?;
                Ok(())
            }
            Err(error) => {
                session.shutdown_with_reason(Reason::CANCEL);
                Err(error)
            }
        }
    }

    /// Answers what is no request.
    async fn refuse(
        &self,
        configuration: &Configuration,
        session: &mut ServerSession,
        error: &ApiError,
    ) -> Result<(), WriteError> {
        let gateway = &self.connection.gateway;
        let mut log = RequestLog::start(TraceContext::root());
        let answer = response::of_error(error, configuration.dialect, log.request_id());
        let status = answer.status;
        let written = write::answer(
            session,
            answer,
            &Pace::new(&configuration.listen, &gateway.is_stopping),
        )
        .await;
        log.finish(
            gateway,
            configuration,
            &Identity::of_client(self.connection.client),
            status,
            Some(error),
        );
        written
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if self.streams.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.connection.open.begin_idling();
            self.streams.none_left.notify_one();
        }
    }
}
