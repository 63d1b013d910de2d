use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::problem::Problem;
use super::with;
use crate::environment::EnvironmentId;
use crate::tenancy::{Adoption, AdoptionRefusal};
use crate::text::random_base58;

/// How many jobs go on at once; each asks the upstream for several environments.
const MAX_RUNNING: usize = 8;
/// How many jobs are remembered, those that go on included.
const MAX_REMEMBERED: usize = 100;

/// The adoptions that this gateway was asked for. Clones share them.
#[derive(Clone, Default)]
pub struct AdoptionJobs(Arc<Mutex<Jobs>>);

#[derive(Default)]
struct Jobs {
    /// The newest last.
    known: VecDeque<Arc<AdoptionJob>>,
    tasks: JoinSet<()>,
    is_stopping: bool,
}

/// Several environments that become a tenant's. It goes on whether anybody waits for it or not, and has an
/// end.
pub(super) struct AdoptionJob {
    id: String,
    tenant: String,
    progress: watch::Sender<Progress>,
}

struct Progress {
    steps: Vec<(EnvironmentId, Step)>,
    is_finished: bool,
}

/// How far one environment has come.
#[derive(Clone)]
enum Step {
    Waiting,
    Begun,
    Done(Adoption),
}

impl AdoptionJobs {
    /// Starts `work` on a job of its own.
    pub(super) fn start<W: Future<Output = ()> + Send + 'static>(
        &self,
        tenant: String,
        environments: Vec<EnvironmentId>,
        work: impl FnOnce(Arc<AdoptionJob>) -> W,
    ) -> Result<Arc<AdoptionJob>, Problem> {
        let steps = environments.into_iter().map(|id| (id, Step::Waiting)).collect();
        let job = Arc::new(AdoptionJob {
            id: format!("adp_{}", random_base58().map_err(|_| Problem::Internal)?),
            tenant,
            progress: watch::Sender::new(Progress {
                steps,
                is_finished: false,
            }),
        });
        let mut jobs = self.0.lock();
        while jobs.tasks.try_join_next().is_some() {}
        if jobs.is_stopping {
            return Err(Problem::Stopping);
        }
        if jobs.tasks.len() >= MAX_RUNNING {
            return Err(Problem::TooManyAdoptions);
        }
        jobs.forget_finished();
        jobs.known.push_back(Arc::clone(&job));
        let work = work(Arc::clone(&job));
        let finish = FinishOnDrop(Arc::clone(&job));
        jobs.tasks.spawn(async move {
            let _finish = finish;
            work.await;
        });
        Ok(job)
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<AdoptionJob>> {
        self.0.lock().known.iter().find(|job| job.id == id).cloned()
    }

    /// Whether no further environment may be begun.
    pub(super) fn is_stopping(&self) -> bool {
        self.0.lock().is_stopping
    }

    /// Begins nothing more, and lets what was begun finish until `deadline` is done. Gives back how many jobs
    /// were cut off.
    pub async fn stop(&self, deadline: impl Future<Output = ()>) -> usize {
        let mut tasks = {
            let mut jobs = self.0.lock();
            jobs.is_stopping = true;
            std::mem::take(&mut jobs.tasks)
        };
        tokio::select! {
            () = async { while tasks.join_next().await.is_some() {} } => {}
            () = deadline => {}
        }
        let cut_off = tasks.len();
        tasks.shutdown().await;
        cut_off
    }
}

impl Jobs {
    fn forget_finished(&mut self) {
        while self.known.len() >= MAX_REMEMBERED {
            let Some(oldest) = self
                .known
                .iter()
                .position(|job| job.progress.borrow().is_finished)
            else {
                return;
            };
            self.known.remove(oldest);
        }
    }
}

impl AdoptionJob {
    pub(super) fn path(&self) -> String {
        format!("/api/v1/adoptions/{}", self.id)
    }

    /// The environment of a place in the job is begun with.
    pub(super) fn begin(&self, index: usize) {
        self.set(index, Step::Begun);
    }

    pub(super) fn finish(&self, index: usize, adoption: Adoption) {
        self.set(index, Step::Done(adoption));
    }

    fn set(&self, index: usize, step: Step) {
        self.progress.send_modify(|progress| {
            if let Some((_, known)) = progress.steps.get_mut(index) {
                *known = step;
            }
        });
    }

    /// Waits until all have come to an end.
    pub(super) async fn finished(&self) {
        // The sender lives as long as the job.
        let _ = self
            .progress
            .subscribe()
            .wait_for(|progress| progress.is_finished)
            .await;
    }

    /// How far it is, as the admin API tells it: what became of those that are done, and of all where it has
    /// ended.
    pub(super) fn to_json(&self) -> Value {
        let progress = self.progress.borrow();
        let is_done = |(_, step): &&(EnvironmentId, Step)| matches!(step, Step::Done(_));
        let data: Vec<_> = progress
            .steps
            .iter()
            .filter(|step| progress.is_finished || is_done(step))
            .map(|(id, step)| outcome(id, step))
            .collect();
        json!({
            "id": self.id,
            "status": if progress.is_finished { "finished" } else { "running" },
            "tenant": self.tenant,
            "total": progress.steps.len(),
            "done": progress.steps.iter().filter(is_done).count(),
            "data": data,
        })
    }
}

fn outcome(id: &EnvironmentId, step: &Step) -> Value {
    let adoption = match step {
        Step::Done(adoption) => adoption,
        Step::Waiting => &Adoption::Refused(AdoptionRefusal::NotTried),
        Step::Begun => &Adoption::Refused(AdoptionRefusal::CutOff),
    };
    let content = json!({ "id": id, "outcome": adoption.name() });
    match adoption {
        Adoption::Refused(refusal) => with(
            with(content, "code", refusal.code()),
            "detail",
            refusal.to_string(),
        ),
        _ => content,
    }
}

/// A job ends with its task, however that ends.
struct FinishOnDrop(Arc<AdoptionJob>);

impl Drop for FinishOnDrop {
    fn drop(&mut self) {
        self.0
            .progress
            .send_modify(|progress| progress.is_finished = true);
    }
}
