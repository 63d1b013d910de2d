use std::cell::RefCell;

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::metrics_page::{MetricDoc, Section};

/// A label: its name, and what it says or which values it has, in Markdown.
pub(super) type Label = (&'static str, &'static str);

/// Makes metrics, and registers and documents each in one breath.
pub(super) struct Registrar<'a> {
    registry: &'a Registry,
    docs: &'a RefCell<Vec<MetricDoc>>,
    section: Section,
}

impl<'a> Registrar<'a> {
    pub(super) const fn new(
        registry: &'a Registry,
        docs: &'a RefCell<Vec<MetricDoc>>,
        section: Section,
    ) -> Self {
        Self {
            registry,
            docs,
            section,
        }
    }

    /// The same, for metrics that stand in another section of the page.
    pub(super) const fn section(&self, section: Section) -> Self {
        Self::new(self.registry, self.docs, section)
    }

    /// Registers what makes its own metrics, which are documented as these.
    pub(super) fn collector(
        &self,
        collector: impl Collector + 'static,
        docs: impl IntoIterator<Item = MetricDoc>,
    ) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))?;
        self.docs.borrow_mut().extend(docs);
        Ok(())
    }

    fn add(
        &self,
        metric: impl Collector + 'static,
        kind: &'static str,
        name: &'static str,
        help: &'static str,
        labels: &[Label],
    ) -> prometheus::Result<()> {
        let doc = MetricDoc {
            section: self.section,
            name,
            kind,
            help,
            labels: labels.to_vec(),
        };
        self.collector(metric, [doc])
    }

    pub(super) fn counter(&self, name: &'static str, help: &'static str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::new(name, help)?;
        self.add(counter.clone(), "counter", name, help, &[])?;
        Ok(counter)
    }

    pub(super) fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[Label],
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(Opts::new(name, help), &names(labels))?;
        self.add(counters.clone(), "counter", name, help, labels)?;
        Ok(counters)
    }

    pub(super) fn gauge(&self, name: &'static str, help: &'static str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::new(name, help)?;
        self.add(gauge.clone(), "gauge", name, help, &[])?;
        Ok(gauge)
    }

    pub(super) fn gauges(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[Label],
    ) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(Opts::new(name, help), &names(labels))?;
        self.add(gauges.clone(), "gauge", name, help, labels)?;
        Ok(gauges)
    }

    pub(super) fn histograms(
        &self,
        name: &'static str,
        help: &'static str,
        buckets: &[f64],
        labels: &[Label],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histograms = HistogramVec::new(options, &names(labels))?;
        self.add(histograms.clone(), "histogram", name, help, labels)?;
        Ok(histograms)
    }
}

fn names(labels: &[Label]) -> Vec<&'static str> {
    labels.iter().map(|(name, _)| *name).collect()
}

/// Counts from 0, so that the first one is seen as such.
pub(super) fn initialise(counters: &IntCounterVec, values: &[&str]) {
    for value in values {
        counters.with_label_values(&[value]);
    }
}
