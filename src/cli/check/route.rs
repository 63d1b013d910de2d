//! How the upstream is reached: what proves it, what the gateway shows it, and which proxy stands before it.

use std::io::{self, Write};

use jiff::Timestamp;

use crate::cli::upstream_proof;
use crate::config::{Proxying, Settings, UpstreamService};

/// Tells it, and warns of certificates that end soon; whether all of it is good. Nothing is connected.
pub(super) fn tell(
    settings: &Settings,
    service: &UpstreamService,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<bool> {
    let origin = match upstream_proof::prepare(settings, service) {
        Ok(origin) => origin,
        Err(error) => return writeln!(err, "upstream: {error}").map(|()| false),
    };
    let now = Timestamp::now();
    for certificate in origin.certificates() {
        let (setting, path, validity) = (
            certificate.setting,
            certificate.path.display(),
            certificate.validity,
        );
        writeln!(out, "ok: {setting}: {path} {validity}")?;
        if let Some(warning) = validity.warning(now) {
            writeln!(err, "{setting}: the certificate in {path} {warning}")?;
        }
    }
    if origin.trusts_system() {
        writeln!(
            out,
            "ok: upstream.url: the system's root certificates are trusted"
        )?;
    }
    match &settings.upstream.route.proxying {
        Proxying::None | Proxying::Ignored { .. } => Ok(()),
        Proxying::Unnamed => writeln!(out, "ok: upstream.proxy: the environment names none"),
        Proxying::Excepted => writeln!(
            out,
            "ok: upstream.proxy: none, for the upstream is on this machine or in NO_PROXY"
        ),
        Proxying::Through { proxy, variable } => {
            let named = variable.map_or(String::new(), |variable| format!(", which {variable} names"));
            writeln!(out, "ok: upstream.proxy: {proxy}{named}; nothing was connected")
        }
    }?;
    Ok(true)
}
