use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Executor, PgPool};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::postgres;
use super::revision::CHANNEL;

/// How long to wait before listening is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long it may take until the database listens, or shows that it is still there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// After how much silence it has to show that. A connection that a firewall forgot is silent for ever.
const SILENCE: Duration = Duration::from_secs(30);

/// Tells that there was a change soon after it was committed, whoever made it. One that happens while the
/// database cannot be listened to is told of late, and some are told of in vain. Does not end, except where there is no
/// URL: then nothing is ever told.
pub(super) async fn listen(url: Option<&str>, changed: &Notify) {
    let Some(pool) = url.and_then(postgres::pool_to_listen) else {
        return;
    };
    loop {
        // Why it ended is not told: changes are seen without it, and whoever asks for them tells of a store that does
        // not answer.
        let _ = notify_of_changes(&pool, changed).await;
        sleep(RETRY).await;
    }
}

/// Ends when the connection is lost, or cannot be made.
async fn notify_of_changes(pool: &PgPool, changed: &Notify) -> Option<Infallible> {
    let mut listener = in_time(PgListener::connect_with(pool)).await?;
    listener.eager_reconnect(false);
    in_time(listener.listen(CHANNEL)).await?;
    // For what happened before.
    changed.notify_one();
    loop {
        if let Ok(received) = timeout(SILENCE, listener.try_recv()).await {
            received.ok()??;
            changed.notify_one();
        } else {
            in_time(listener.execute("SELECT 1")).await?;
        }
    }
}

async fn in_time<T>(answer: impl Future<Output = sqlx::Result<T>>) -> Option<T> {
    timeout(ANSWER_TIMEOUT, answer).await.ok()?.ok()
}
