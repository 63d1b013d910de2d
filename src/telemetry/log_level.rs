//! What is logged, which may become something else while others log.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{Directive, EnvFilter, ParseError, Targets};
use tracing_subscriber::layer::{Context, Filter};

/// Pingora tells of each client that hung up as an error, and at `debug` prints request headers whole,
/// credentials included; rustls and h2 warn of whatever odd a client sends, who may be anybody. No setting brings
/// those back.
pub const CAPPED: [&str; 4] = ["pingora_core", "pingora_http", "rustls", "h2"];

/// What is logged, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelInForce {
    /// A level or directives.
    pub level: String,
    /// Who has said so while the gateway ran; none where the settings do.
    pub set: Option<LevelSet>,
}

/// Who has said while the gateway ran what is to be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelSet {
    /// Whoever did.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The first of these directives that would raise what is capped.
#[must_use]
pub fn capped_directive(level: &str) -> Option<&str> {
    level.split(',').find(|directive| is_capped(directive))
}

/// Whether a directive lets more through of what is [`CAPPED`], or of a part of it, than errors.
fn is_capped(directive: &str) -> bool {
    let Some((target, level)) = directive.split_once('=') else {
        return false;
    };
    let is_within = |crate_name: &str| {
        target
            .strip_prefix(crate_name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    CAPPED.iter().any(|crate_name| is_within(crate_name)) && !matches!(level, "off" | "error")
}

/// What the directives let through, less what is capped.
pub(super) fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    let kept: Vec<_> = level
        .split(',')
        .filter(|directive| !is_capped(directive))
        .collect();
    let mut filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(kept.join(","))?;
    let cap = if kept.contains(&"off") { "off" } else { "error" };
    for target in CAPPED {
        let is_named = |directive: &&str| directive.split_once('=').is_some_and(|(name, _)| name == target);
        if !kept.iter().any(is_named) {
            filter = filter.add_directive(format!("{target}={cap}").parse::<Directive>()?);
        }
    }
    Ok(filter)
}

/// Whether the directives let something through.
pub(super) fn lets_through(level: &str, target: &str, of: Level) -> bool {
    level
        .parse::<Targets>()
        .is_ok_and(|targets| targets.would_enable(target, &of))
}

/// A filter that may become another while others log. The library's own way to change it takes a lock for each line.
/// Directives about spans are none that the settings take.
#[derive(Clone, Debug)]
pub(super) struct SharedFilter(Arc<ArcSwap<EnvFilter>>);

impl SharedFilter {
    pub(super) fn new(filter: EnvFilter) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(filter)))
    }

    pub(super) fn set(&self, filter: EnvFilter) {
        self.0.store(Arc::new(filter));
        // Each place in the code that logs has kept what the filter from before said to it.
        tracing::callsite::rebuild_interest_cache();
    }
}

impl<S: Subscriber> Filter<S> for SharedFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Filter::<S>::enabled(&**self.0.load(), metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        Filter::<S>::callsite_enabled(&**self.0.load(), metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&**self.0.load())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    #[test]
    fn every_level_that_the_settings_take_is_understood_here() {
        for level in [
            "off",
            "trace",
            "info,envgate=debug",
            "warn,envgate::access=off,pingora-core=error",
            "pingora_core::protocols=debug",
        ] {
            let text = format!("log.level = \"{level}\"");
            let settings = load(&Source::new("envgate.toml", text, [])).unwrap();
            filter(&settings.log.level).unwrap();
        }
        for level in [
            "envgate",
            "info,=debug",
            "info,",
            "info, envgate=debug",
            "info,x[span]=debug",
            "LOUD",
        ] {
            let text = format!("log.level = \"{level}\"");
            assert!(load(&Source::new("envgate.toml", text, [])).is_err(), "{level}");
        }
    }

    /// Whether what prints credentials may say something at `debug`, and at `error`. Not asked of tracing itself: what
    /// it remembers of a place that logs is the whole process's, and other tests change it.
    fn said(level: &str) -> (bool, bool) {
        let directives = filter(level).unwrap().to_string();
        let says = |of| lets_through(&directives, "pingora_core::protocols::http", of);
        (says(Level::DEBUG), says(Level::ERROR))
    }

    #[test]
    fn no_directive_brings_back_what_prints_credentials() {
        for level in [
            "trace",
            "info,pingora_core=debug",
            "info,pingora_core::protocols=trace",
            "pingora_core::protocols::http=debug",
            "info,pingora_core=debug,pingora_core=trace",
        ] {
            assert_eq!(said(level), (false, true), "{level}");
        }
        for level in ["off", "info,pingora_core=off"] {
            assert_eq!(said(level), (false, false), "{level}");
        }
    }

    #[test]
    fn a_directive_is_told_that_would_raise_what_is_capped() {
        for (level, expected) in [
            ("debug", None),
            ("info,pingora_core=debug", Some("pingora_core=debug")),
            ("h2::codec=info,info", Some("h2::codec=info")),
            ("info,rustls=error,h2=off", None),
            ("info,rustls_native_certs=debug", None),
        ] {
            assert_eq!(capped_directive(level), expected, "{level}");
        }
    }

    #[test]
    fn the_access_log_goes_by_the_directive_that_is_nearest() {
        for (level, expected) in [
            ("info", true),
            ("warn", false),
            ("off", false),
            ("info,envgate::access=off", false),
            ("warn,envgate::access=info", true),
            ("warn,envgate=debug", true),
            ("envgate::upstream=debug", false),
        ] {
            assert_eq!(
                lets_through(level, "envgate::access", Level::INFO),
                expected,
                "{level}"
            );
        }
    }
}
