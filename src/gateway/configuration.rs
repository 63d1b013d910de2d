use std::sync::Arc;

use super::plans::Plans;
use super::request::BodyLimits;
use crate::config::{
    Cache, Circuit, Cors, Listen, Log, Settings, SpanExport, Upstream as UpstreamSettings, UpstreamService,
    UpstreamUrl,
};
use crate::contract::{Dialect, ReplySchemas};
use crate::telemetry::{Metrics, Sampler};
use crate::upstream::{Origin, SetUpError};

/// What follows from the settings, as one request sees it from its first byte to its last.
pub(super) struct Configuration {
    pub(super) plans: Plans,
    pub(super) origin: Arc<Origin>,
    pub(super) circuit: Circuit,
    pub(super) cache: Cache,
    pub(super) max_unread_bytes: usize,
    /// What is spoken to those who are not known yet.
    pub(super) dialect: &'static Dialect,
    /// How many upstream requests a list may cost that has found nothing yet.
    pub(super) max_list_requests: usize,
    pub(super) limits: BodyLimits,
    /// How long clients may take for what.
    pub(super) listen: Listen,
    pub(super) cors: Option<Cors>,
    /// How many requests may be answered at once.
    pub(super) max_in_flight: i64,
    /// Which requests have lines.
    pub(super) log: Log,
    /// Which requests become spans, and where these go.
    pub(super) sampler: Sampler,
    pub(super) span_export: Option<SpanExport>,
    /// Where the upstream is, as spans tell it.
    pub(super) upstream_url: Arc<UpstreamUrl>,
    /// What the upstream's replies are measured by.
    pub(super) reply_schemas: Arc<ReplySchemas>,
}

impl Configuration {
    /// What the settings make, with what `before` has of the same upstream. Nothing is connected yet, and
    /// nothing changes for who goes by `before`.
    pub(super) fn new(
        settings: &Settings,
        service: &UpstreamService,
        metrics: &Arc<Metrics>,
        before: Option<&Self>,
    ) -> Result<Self, SetUpError> {
        let UpstreamSettings { route, circuit, .. } = &settings.upstream;
        let known = before.map(|before| &before.origin);
        let origin = match known.filter(|known| known.is_at(&service.url, route)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Origin::new(
                service.url.clone(),
                route,
                *circuit,
                Arc::clone(metrics),
            )?),
        };
        let plans_before = before.map(|before| &before.plans);
        Ok(Self {
            plans: Plans::new(settings, &service.credential, &origin, metrics, plans_before)?,
            circuit: *circuit,
            cache: settings.cache,
            max_unread_bytes: settings.listen.max_unread_bytes,
            origin,
            dialect: settings.contract.dialect,
            max_list_requests: settings.list.max_upstream_requests,
            limits: BodyLimits {
                max_bytes: settings.listen.max_body_bytes,
                timeout: settings.listen.body_timeout,
            },
            listen: settings.listen.clone(),
            cors: settings.cors.clone(),
            max_in_flight: max_in_flight(&settings.listen),
            log: settings.log.clone(),
            sampler: Sampler::new(&settings.telemetry),
            span_export: settings.telemetry.export.clone(),
            upstream_url: Arc::new(service.url.clone()),
            reply_schemas: Arc::clone(settings.contract.schemas.replies()),
        })
    }
}

/// As many as there may be connections, unless somebody says otherwise: each may need one to the upstream, and
/// with it a descriptor.
fn max_in_flight(listen: &Listen) -> i64 {
    let limit = listen.max_in_flight.or(listen.max_connections);
    limit.and_then(|limit| limit.try_into().ok()).unwrap_or(i64::MAX)
}
