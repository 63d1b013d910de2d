//! Files that the settings name: who else may read or change them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;

use super::finding::Finding;
use crate::cli::check::resources::try_file;
use crate::config::{ServerTls, Settings};
use crate::server::{Protocols, TlsListener};
use crate::telemetry::CertificateFiles;

const CHECK: &str = "files";
const OTHERS_MAY_WRITE: u32 = 0o002;

/// The settings' own file, those that secrets are in, and those that are written to.
pub(super) fn look(config: Option<&Path>, settings: Option<&Settings>) -> Vec<Finding> {
    let mut list = Vec::new();
    if let Some(config) = config
        && config
            .metadata()
            .is_ok_and(|found| found.permissions().mode() & OTHERS_MAY_WRITE != 0)
    {
        list.push(Finding::warning(
            CHECK,
            format!("everybody may write {}", config.display()),
            "who changes it sends the credential wherever they like",
            format!("chmod o-w {}", config.display()),
        ));
    }
    let exposed = settings.iter().flat_map(|settings| &settings.exposed_files);
    list.extend(exposed.map(|exposed| {
        let why = "every program and user of this machine can use it";
        Finding::warning(
            CHECK,
            exposed,
            why,
            "chmod o= on that file, and a new secret if others may have read it",
        )
    }));
    let audit = settings.map(|settings| &settings.audit);
    for (setting, path) in [
        ("audit.file", audit.and_then(|audit| audit.file.as_ref())),
        ("audit.spool", audit.and_then(|audit| audit.spool.as_ref())),
    ] {
        let Some(path) = path else { continue };
        list.push(match try_file(path) {
            Ok(found) => Finding::ok(CHECK, format!("{setting}: {found}")),
            Err(reason) => Finding::fault(
                CHECK,
                format!("{setting}: {reason}"),
                "records of the audit that belong there are lost",
                "make the directory, and give the gateway's user the right to write there",
            ),
        });
    }
    if list.is_empty() {
        list.push(Finding::ok(
            CHECK,
            "no secret is open to everybody on this machine",
        ));
    }
    list
}

/// Until when the certificates are good that are shown to clients.
pub(super) fn look_at_certificates(settings: &Settings) -> Vec<Finding> {
    let mut list = Vec::new();
    for (setting, tls) in [
        ("listen.tls", &settings.listen.tls),
        ("admin.tls", &settings.admin.tls),
    ] {
        if let Some(tls) = tls {
            list.extend(certificates(setting, tls));
        }
    }
    if list.is_empty() {
        list.push(Finding::ok(
            "certificates",
            "none: both addresses speak plain HTTP",
        ));
    }
    list
}

fn certificates(setting: &str, tls: &ServerTls) -> Vec<Finding> {
    const CHECK: &str = "certificates";
    let listener = match TlsListener::new(tls.clone(), Protocols::Http1) {
        Ok(listener) => listener,
        Err(error) => {
            return vec![Finding::fault(
                CHECK,
                format!("{setting}: {error}"),
                "serve does not start with it; one that runs keeps what it has",
                "put a certificate and its key there that belong together and are valid",
            )];
        }
    };
    let validities = listener.validities().into_iter();
    let findings = validities.map(|(file, validity)| {
        let file = file.display();
        match validity.warning(Timestamp::now()) {
            None => Finding::ok(CHECK, format!("{setting}: {file} is valid {validity}")),
            Some(warning) => Finding::warning(
                CHECK,
                format!("{setting}: {file} {warning}"),
                "from then on clients refuse to connect, and serve does not start again",
                "renew it; a gateway that runs takes new files within seconds",
            ),
        }
    });
    findings.collect()
}
