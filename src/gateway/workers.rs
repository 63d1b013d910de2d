use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Shorter than any time that requests are given.
const TICK: Duration = Duration::from_millis(100);

/// Threads that each run the connections they were given, and never another's.
pub(super) struct Workers {
    workers: Arc<[Worker]>,
    threads: Vec<WorkerThread>,
}

/// Where connections are given to.
pub(super) struct Worker {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

struct WorkerThread {
    /// Dropped, the thread drops what it runs and ends.
    running: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Workers {
    /// Starts as many threads.
    ///
    /// # Errors
    /// Where the system has no thread or no poll for one.
    pub(super) fn start(threads: usize) -> io::Result<Self> {
        let (mut workers, mut running) = (Vec::new(), Vec::new());
        for number in 0..threads {
            let (worker, thread) = start_one(number)?;
            workers.push(worker);
            running.push(thread);
        }
        Ok(Self {
            workers: workers.into(),
            threads: running,
        })
    }

    /// The workers, to give connections to.
    pub(super) fn all(&self) -> Arc<[Worker]> {
        Arc::clone(&self.workers)
    }

    /// Drops whatever still runs. A thread that does not end within `patience` is left to the process's own
    /// end.
    pub(super) async fn stop(self, patience: Duration) {
        let ends = self.threads.into_iter().map(|WorkerThread { running, ended }| {
            drop(running);
            ended
        });
        // An error means that the thread is gone, which is an end too.
        let _ = timeout(patience, futures_util::future::join_all(ends.collect::<Vec<_>>())).await;
    }
}

fn start_one(number: usize) -> io::Result<(Worker, WorkerThread)> {
    let (running, stopped) = oneshot::channel::<()>();
    let (end, ended) = oneshot::channel();
    let (started, start) = mpsc::sync_channel(1);
    // Made in its own thread, because it must not be dropped in one that runs another.
    thread::Builder::new()
        .name(format!("gateway-{number}"))
        .spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
            // The other side waits for it.
            let _ = started.send(handle.map_err(|error| io::Error::new(error.kind(), error.to_string())));
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                tokio::select! {
                    // An error means that the other side was dropped, which is what is waited for.
                    _ = stopped => {}
                    () = tick() => {}
                }
            });
            drop(runtime);
            let _ = end.send(());
        })?;
    let handle = start.recv().map_err(io::Error::other)??;
    let worker = Worker {
        handle,
        connections: Arc::default(),
    };
    Ok((worker, WorkerThread { running, ended }))
}

/// Does nothing, again and again. A timer that is set for earlier than all others costs a system call, and as a
/// rule the deadline of a request would be that; with this one there is always an earlier one.
async fn tick() {
    loop {
        sleep(TICK).await;
    }
}

/// The worker that has the fewest connections.
pub(super) fn least_loaded(workers: &[Worker]) -> Option<&Worker> {
    workers
        .iter()
        .min_by_key(|worker| worker.connections.load(Ordering::Relaxed))
}

impl Worker {
    /// Runs what is no connection.
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    /// Runs what serves a connection.
    pub(super) fn give(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let load = Load::new(&self.connections);
        self.handle.spawn(async move {
            let _load = load;
            connection.await;
        });
    }
}

/// What proves that the workers are at work: each does a little when it is asked to.
#[derive(Clone)]
pub struct Heartbeat(Arc<[Worker]>);

impl Heartbeat {
    pub(super) const fn new(workers: Arc<[Worker]>) -> Self {
        Self(workers)
    }

    /// Waits until each worker has done something since; false where one is gone.
    pub async fn beat(&self) -> bool {
        let beats = self.0.iter().map(|worker| {
            let (done, is_done) = oneshot::channel();
            worker.run(async move {
                // Nobody waits for it any more where it took too long.
                let _ = done.send(());
            });
            is_done
        });
        let beats = futures_util::future::join_all(beats.collect::<Vec<_>>()).await;
        beats.iter().all(Result::is_ok)
    }
}

/// Counts a connection in, and out again however it ends.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn connections_are_spread_evenly_and_dropped_at_the_end() {
        let workers = Workers::start(3).unwrap();
        let (all, (seen, mut threads)) = (workers.all(), tokio::sync::mpsc::unbounded_channel());
        for _ in 0..6 {
            let seen = seen.clone();
            least_loaded(&all).unwrap().give(async move {
                seen.send(thread::current().id()).unwrap();
                std::future::pending::<()>().await;
            });
        }
        let mut used = HashSet::new();
        for _ in 0..6 {
            used.insert(threads.recv().await.unwrap());
        }
        assert_eq!(used.len(), 3);
        let loads = || {
            all.iter()
                .map(|worker| worker.connections.load(Ordering::Relaxed))
        };
        assert_eq!(loads().collect::<Vec<_>>(), [2, 2, 2]);
        workers.stop(Duration::from_secs(10)).await;
        assert_eq!(loads().sum::<usize>(), 0, "what they were doing is dropped");
    }

    #[tokio::test]
    async fn there_is_no_heartbeat_without_every_worker() {
        let workers = Workers::start(2).unwrap();
        let heartbeat = Heartbeat::new(workers.all());
        assert!(heartbeat.beat().await);
        let (release, released) = mpsc::channel::<()>();
        workers.all()[1].run(async move {
            // As what never comes to an end would.
            let _ = released.recv();
        });
        let mut beating = std::pin::pin!(heartbeat.beat());
        assert!(timeout(Duration::from_millis(300), &mut beating).await.is_err());
        drop(release);
        assert!(beating.await);
        workers.stop(Duration::from_secs(10)).await;
        assert!(!heartbeat.beat().await, "they are gone");
    }
}
