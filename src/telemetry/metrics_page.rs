//! The page on metrics, `docs/metrics.md`, from what stands at the registration of each.

use super::registrar::Label;

/// A metric as its page shows it.
#[derive(Clone, Debug)]
pub(super) struct MetricDoc {
    pub(super) section: Section,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: Vec<Label>,
}

/// Where on the page a metric stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Requests,
    Connections,
    Upstream,
    Budget,
    Contract,
    Store,
    Telemetry,
    Process,
}

impl Section {
    const ALL: [Self; 8] = [
        Self::Requests,
        Self::Connections,
        Self::Upstream,
        Self::Budget,
        Self::Contract,
        Self::Store,
        Self::Telemetry,
        Self::Process,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Requests => "Requests",
            Self::Connections => "Connections",
            Self::Upstream => "The upstream",
            Self::Budget => "The budget",
            Self::Contract => "The upstream's contract",
            Self::Store => "The store and the audit",
            Self::Telemetry => "Logs and traces",
            Self::Process => "The process and its settings",
        }
    }
}

const HEAD: &str = "\
# Metrics

`GET /metrics` on the admin address: the Prometheus text format, or OpenMetrics 1.0.0 for whoever wants that most by `Accept`, as
Prometheus does. Labels are bounded: by what stands in the code, in the settings or in the schemas, never by what a client
sends. A tenant is a label only with `telemetry.tenants`, and of so many tenants as that says.

In OpenMetrics each bucket of the durations of requests, of the upstream and of the overhead has an exemplar: the trace id of the
last request in it, which stands in the access log and in `GET /api/v1/traffic` too. Prometheus keeps them with
`--enable-feature=exemplar-storage`. Bounds of buckets are written there as everybody writes them in OpenMetrics, `le=\"1.0\"`
and `le=\"5e-05\"`, in the text format `1` and `0.00005`.

Counters begin at 0 with the process. Of those with labels the values that are known beforehand are there from the start, so that the
first event is a rate.

This page is made from the code. After a change of a metric, `WRITE_DOCS=1 cargo test --locked --lib page_on_metrics`
writes it anew.
";

/// The whole page.
pub(super) fn page(docs: &[MetricDoc]) -> String {
    let mut page = HEAD.to_owned();
    for section in Section::ALL {
        let metrics: Vec<_> = docs.iter().filter(|doc| doc.section == section).collect();
        if metrics.is_empty() {
            continue;
        }
        page.push_str(&format!(
            "\n## {}\n\n| metric | type | labels | |\n|---|---|---|---|\n",
            section.title()
        ));
        for metric in metrics {
            page.push_str(&row(metric));
        }
    }
    page
}

fn row(metric: &MetricDoc) -> String {
    let labels: Vec<_> = metric
        .labels
        .iter()
        .map(|(name, meaning)| format!("`{name}`: {meaning}"))
        .collect();
    let MetricDoc { name, kind, help, .. } = metric;
    format!("| `{name}` | {kind} | {} | {help} |\n", labels.join("; "))
}
