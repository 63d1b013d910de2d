//! What the process takes of the machine, as the system tells it when somebody asks. Nothing where there is no `/proc`.

use std::fs;

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::metrics_page::{MetricDoc, Section};
use super::registrar::Registrar;

/// By the names that every exporter has for them.
const GAUGES: [(&str, &str); 6] = [
    (
        "process_resident_memory_bytes",
        "Memory of the process that is in RAM.",
    ),
    ("process_virtual_memory_bytes", "Addresses that the process has."),
    ("process_open_fds", "Descriptors that are open."),
    ("process_max_fds", "How many descriptors may be open."),
    ("process_threads", "Threads of the process."),
    (
        "process_start_time_seconds",
        "When the process started, Unix time.",
    ),
];
const CPU: (&str, &str) = (
    "process_cpu_seconds_total",
    "CPU time of the process, in user mode and in the system.",
);

#[derive(Debug)]
pub(super) struct ProcessMetrics {
    cpu: Counter,
    gauges: [Gauge; GAUGES.len()],
    /// Seconds of Unix time; looked at once, because the clock may be set afterwards.
    started_at: f64,
}

/// What `/proc/self/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    threads: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl ProcessMetrics {
    pub(super) fn register(add: &Registrar<'_>) -> prometheus::Result<()> {
        let (name, help) = CPU;
        let gauges = GAUGES.map(|(name, help)| Gauge::new(name, help));
        let [a, b, c, d, e, f] = gauges;
        let metrics = Self {
            cpu: Counter::new(name, help)?,
            gauges: [a?, b?, c?, d?, e?, f?],
            started_at: Timestamp::now().as_duration().as_secs_f64(),
        };
        let doc = |kind| {
            move |(name, help)| MetricDoc {
                section: Section::Process,
                name,
                kind,
                help,
                labels: Vec::new(),
            }
        };
        let docs = [CPU]
            .map(doc("counter"))
            .into_iter()
            .chain(GAUGES.map(doc("gauge")));
        add.collector(metrics, docs)
    }
}

impl Collector for ProcessMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges.iter().flat_map(Collector::desc);
        self.cpu.desc().into_iter().chain(gauges).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(stat) = Stat::read() else {
            return Vec::new();
        };
        let seconds = stat.cpu_ticks / ticks_per_second();
        // It never goes back, whatever order two readers come in.
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        let values = [
            Some(stat.resident_pages * to_f64(page_size())),
            Some(stat.virtual_bytes),
            open_descriptors(),
            getrlimit(Resource::Nofile)
                .current
                .and_then(|max| u32::try_from(max).ok())
                .map(f64::from),
            Some(stat.threads),
            Some(self.started_at),
        ];
        let known = self.gauges.iter().zip(values);
        let known = known.filter_map(|(gauge, value)| value.map(|value| (gauge, value)));
        let mut families = self.cpu.collect();
        for (gauge, value) in known {
            gauge.set(value);
            families.extend(gauge.collect());
        }
        families
    }
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The fields stand after the name of the program, which may have anything in it, brackets too.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        // By their numbers in proc(5), of which the first here is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn open_descriptors() -> Option<f64> {
    // One is the folder's own.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    Some(to_f64(open))
}

fn ticks_per_second() -> f64 {
    u32::try_from(clock_ticks_per_second()).map_or(100.0, f64::from)
}

fn to_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_program_is_called() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 12 30 0 0 20 0 7 0 555 1048576 250 18446744073709551615\n";
        let expected = Stat {
            cpu_ticks: 42.0,
            threads: 7.0,
            virtual_bytes: 1_048_576.0,
            resident_pages: 250.0,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("42 (a) S 1"), None);
    }
}
