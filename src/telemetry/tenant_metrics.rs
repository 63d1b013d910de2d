//! The tenants that ask the most, each by name, and all others together.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts};

use super::metrics_page::{MetricDoc, Section};
use super::registrar::{Label, Registrar};
use super::traffic::Traffic;
use crate::tenancy::{STATUS_CLASSES, Tenant, TenantTraffic};

const NAME: &str = "envgate_tenant_requests_total";
const HELP: &str =
    "Requests by tenant, with telemetry.tenants: of those that ask the most by name, of all others together.";
const LABELS: [Label; 2] = [
    ("tenant", "its name, or `other`"),
    ("status", "the class, such as `2xx`"),
];
/// The label of all that have none of their own; a tenant of this name is one of them.
const OTHER: &str = "other";
const CLASSES: [&str; STATUS_CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Which of them are shown even where there was none.
const ALWAYS: [bool; STATUS_CLASSES] = [false, true, false, true, true];

/// Counts what tenants ask for, with labels for so many of them.
#[derive(Clone, Debug)]
pub(super) struct TenantMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many have a label of their own; 0 for nobody, and no metric.
    limit: AtomicUsize,
    traffic: Arc<Traffic>,
    top: Mutex<(TopTenants, Instant)>,
    /// What the registry knows it by.
    description: IntCounterVec,
}

impl TenantMetrics {
    pub(super) fn new(add: &Registrar<'_>, traffic: &Arc<Traffic>) -> prometheus::Result<Self> {
        let metrics = Self(Arc::new(Inner {
            limit: AtomicUsize::new(0),
            traffic: Arc::clone(traffic),
            top: Mutex::new((TopTenants::default(), Instant::now())),
            description: counters()?,
        }));
        let doc = MetricDoc {
            section: Section::Requests,
            name: NAME,
            kind: "counter",
            help: HELP,
            labels: LABELS.to_vec(),
        };
        add.collector(metrics.clone(), [doc])?;
        Ok(metrics)
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }
}

fn counters() -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(NAME, HELP), &LABELS.map(|(name, _)| name))
}

impl Collector for TenantMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.0.description.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let limit = self.0.limit.load(Ordering::Relaxed);
        let mut top = self.0.top.lock();
        let (tenants, looked_at) = &mut *top;
        if limit == 0 {
            tenants.pause();
            return Vec::new();
        }
        let now = Instant::now();
        let since = now.saturating_duration_since(std::mem::replace(looked_at, now));
        tenants.look(&self.0.traffic.tenants(), limit, since);
        let Ok(counters) = counters() else {
            return Vec::new();
        };
        for (name, counts) in tenants.shown() {
            for ((class, count), is_always_shown) in CLASSES.iter().zip(counts).zip(ALWAYS) {
                if count > 0 || is_always_shown {
                    counters.with_label_values(&[name, class]).inc_by(count);
                }
            }
        }
        counters.collect()
    }
}

type Counts = [u64; STATUS_CLASSES];

/// Who has a label, and what each label has counted. A request counts once: under the name that its tenant has when it is
/// looked at, if that is one of the labels, else under `other`. So no count ever becomes smaller, whoever goes up or down:
/// what is left out goes on with what it had where it comes back, or begins anew where that was too long ago to be kept.
#[derive(Debug, Default)]
struct TopTenants {
    look: u32,
    /// Those that were there at the last look: what they asked for until they were deleted counts too.
    known: Vec<Arc<TenantTraffic>>,
    accounts: BTreeMap<String, Account>,
    other: Counts,
    /// Whether tenants have asked for something meanwhile that was not looked at.
    has_paused: bool,
}

#[derive(Debug, Default)]
struct Account {
    counts: Counts,
    /// With which look it was last shown.
    shown_at: u32,
}

/// How long what a tenant has asked for makes half of a difference to its rank.
const HALF_LIFE: Duration = Duration::from_secs(60 * 60);
/// By how much one has to be ahead of another whose label it gets.
const AHEAD: f64 = 1.2;
/// How many accounts are kept that are not shown, beyond as many as are.
const KEPT: usize = 1000;

impl TopTenants {
    /// Nobody looks for a while.
    fn pause(&mut self) {
        if self.look > 0 {
            self.has_paused = true;
            self.known = Vec::new();
        }
    }

    fn look(&mut self, tenants: &[(Arc<Tenant>, Arc<TenantTraffic>)], limit: usize, since_last: Duration) {
        self.look = self.look.wrapping_add(1).max(1);
        let is_resumed = std::mem::take(&mut self.has_paused);
        let decay = 0.5_f64.powf(since_last.as_secs_f64() / HALF_LIFE.as_secs_f64());
        let mut news: Vec<_> = tenants
            .iter()
            .map(|(tenant, traffic)| (tenant.name.as_str(), self.take_news(traffic, decay, is_resumed)))
            .collect();
        for gone in self.known.drain(..) {
            if gone.tally.seen_at.load(Ordering::Relaxed) != self.look {
                add(&mut self.other, take_uncounted(&gone));
            }
        }
        self.known = tenants.iter().map(|(_, traffic)| Arc::clone(traffic)).collect();
        let names = self.choose(&mut news, limit);
        for name in &names {
            if !self.accounts.contains_key(*name) {
                self.accounts.insert((*name).to_owned(), Account::default());
            }
        }
        for (name, News { counts, .. }) in &news {
            match self.accounts.get_mut(*name).filter(|_| names.contains(name)) {
                Some(account) => {
                    account.shown_at = self.look;
                    add(&mut account.counts, *counts);
                }
                None => add(&mut self.other, *counts),
            }
        }
        self.forget(limit + KEPT);
    }

    /// What a tenant has asked for since the last look, and how it ranks.
    fn take_news(&self, traffic: &TenantTraffic, decay: f64, is_resumed: bool) -> News {
        let mut counts = take_uncounted(traffic);
        if is_resumed {
            counts = Counts::default();
        }
        let tally = &traffic.tally;
        tally.seen_at.store(self.look, Ordering::Relaxed);
        let asked = counts.iter().sum::<u64>();
        let asked = f64::from(u32::try_from(asked).unwrap_or(u32::MAX));
        let score = f64::from_bits(tally.score.load(Ordering::Relaxed)) * decay + asked;
        tally.score.store(score.to_bits(), Ordering::Relaxed);
        News { counts, score }
    }

    /// The names that have a label from now on. Whoever has one keeps it until somebody is well ahead.
    fn choose<'t>(&self, news: &mut [(&'t str, News)], limit: usize) -> HashSet<&'t str> {
        let last_look = self.look.wrapping_sub(1);
        for (name, news) in news.iter_mut() {
            let account = self.accounts.get(*name);
            if account.is_some_and(|account| account.shown_at == last_look) {
                news.score *= AHEAD;
            }
        }
        let mut ranked: Vec<_> = news
            .iter()
            .filter(|(name, _)| *name != OTHER)
            .map(|(name, news)| (news.score, *name))
            .collect();
        let best_first =
            |(one, a): &(f64, &str), (other, b): &(f64, &str)| other.total_cmp(one).then(a.cmp(b));
        if ranked.len() > limit {
            ranked.select_nth_unstable_by(limit, best_first);
            ranked.truncate(limit);
        }
        ranked.into_iter().map(|(_, name)| name).collect()
    }

    /// Forgets the accounts that were not shown for the longest time, down to so many.
    fn forget(&mut self, max: usize) {
        let surplus = self.accounts.len().saturating_sub(max);
        if surplus == 0 {
            return;
        }
        let mut by_age: Vec<_> = self
            .accounts
            .iter()
            .map(|(name, account)| (account.shown_at, name.clone()))
            .collect();
        by_age.sort_unstable();
        for (_, name) in by_age.into_iter().take(surplus) {
            self.accounts.remove(&name);
        }
    }

    fn shown(&self) -> impl Iterator<Item = (&str, Counts)> {
        let accounts = self.accounts.iter();
        let shown = accounts.filter(|(_, account)| account.shown_at == self.look);
        shown
            .map(|(name, account)| (name.as_str(), account.counts))
            .chain([(OTHER, self.other)])
    }
}

struct News {
    counts: Counts,
    score: f64,
}

fn take_uncounted(traffic: &TenantTraffic) -> Counts {
    let mut news = traffic.by_class();
    for (count, counted) in news.iter_mut().zip(&traffic.tally.counted) {
        *count = count.saturating_sub(counted.swap(*count, Ordering::Relaxed));
    }
    news
}

fn add(sum: &mut Counts, news: Counts) {
    for (sum, count) in sum.iter_mut().zip(news) {
        *sum += count;
    }
}

#[cfg(test)]
mod tests;
