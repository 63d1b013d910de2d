use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;

use crate::cli::address_probe::{self, AddressState, Holder};
use crate::cli::admin_probe::{self, AtAdmin};
use crate::cli::serve::handover::directory::HandoverDirectory;
use crate::config::{Admin, AdminEndpoint, ServerTls, Settings};
use crate::quota::RedisBudget;
use crate::server::{Protocols, TlsListener};
use crate::store::{self, Schema, Store, StoreError};
use crate::telemetry::CertificateFiles;
use crate::tenancy::Tenant;

/// Tries what `serve` would need, and leaves it as it was: nothing is made, written or kept. Gives the tenants that the
/// store has; none where something cannot be used.
pub(super) fn try_all(
    settings: &Settings,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<Option<Vec<Tenant>>> {
    let mut tenants = Vec::new();
    let mut tried = vec![
        ("listen.address", try_to_listen(settings, settings.listen.address)),
        ("admin.address", try_to_listen(settings, settings.admin.address)),
        ("store.url", try_store(settings, &mut tenants)),
    ];
    if let Some(file) = &settings.audit.file {
        tried.push(("audit.file", try_file(file)));
    }
    if let Some(spool) = &settings.audit.spool {
        tried.push(("audit.spool", try_file(spool)));
    }
    if let Some(directory) = &settings.server.handover_directory {
        let found = HandoverDirectory::open(directory)
            .map(|_| format!("only its user may enter {}", directory.display()));
        tried.push((
            "server.handover_directory",
            found.map_err(|error| error.to_string()),
        ));
    }
    if let Some(redis) = &settings.quota.redis {
        let outcome = RedisBudget::check_url(redis.reveal());
        let outcome = outcome.map(|()| "the URL is one of Redis; nothing was connected".to_owned());
        tried.push(("quota.redis", outcome.map_err(|error| error.to_string())));
    }
    let mut is_good = true;
    for (setting, tls) in [
        ("listen.tls", &settings.listen.tls),
        ("admin.tls", &settings.admin.tls),
    ] {
        if let Some(tls) = tls {
            is_good &= try_certificates(setting, tls, out, err)?;
        }
    }
    for (setting, outcome) in tried {
        match outcome {
            Ok(found) => writeln!(out, "ok: {setting}: {found}")?,
            Err(reason) => {
                is_good = false;
                writeln!(err, "{setting}: {reason}")?;
            }
        }
    }
    Ok(is_good.then_some(tenants))
}

/// Says which files are used and until when, and warns of those that soon are of no use.
fn try_certificates(
    setting: &str,
    tls: &ServerTls,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<bool> {
    let listener = match TlsListener::new(tls.clone(), Protocols::Http1) {
        Ok(listener) => listener,
        Err(error) => return writeln!(err, "{setting}: {error}").map(|()| false),
    };
    for (file, validity) in listener.validities() {
        let file = file.display();
        writeln!(out, "ok: {setting}: {file} is valid {validity}")?;
        if let Some(warning) = validity.warning(Timestamp::now()) {
            writeln!(err, "{setting}: {file} {warning}")?;
        }
    }
    Ok(true)
}

/// An address that a gateway has which runs is good: that is the one that will have it again.
fn try_to_listen(settings: &Settings, address: SocketAddr) -> Result<String, String> {
    match address_probe::look(address) {
        AddressState::Free => Ok(format!("{address} is free")),
        AddressState::Taken(_) if is_running(&settings.admin) => Ok(format!(
            "{address} is in use, and a gateway runs at admin.address"
        )),
        AddressState::Taken(Some(Holder { pid, name, .. })) => Err(format!(
            "cannot listen on {address}: {name} (process {pid}) has it"
        )),
        AddressState::Taken(None) => Err(format!("cannot listen on {address}: it is in use")),
        AddressState::Unusable(error) => Err(error.to_string()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn is_running(admin: &Admin) -> bool {
    matches!(
        admin_probe::look(&AdminEndpoint::of(admin), None).await,
        AtAdmin::Gateway(_)
    )
}

#[tokio::main(flavor = "current_thread")]
async fn try_store(settings: &Settings, tenants: &mut Vec<Tenant>) -> Result<String, String> {
    let url = settings.store.url.reveal();
    let name = store::display_name(url);
    let look = async {
        let Some((store, schema)) = Store::open_to_look(url).await? else {
            return Ok(format!("{name} is not there yet; serve makes it"));
        };
        let found = look_at(&store, schema, settings.store.may_migrate, tenants).await;
        store.close().await;
        found.map(|found| format!("{name} {found}"))
    };
    look.await.map_err(|error: StoreError| error.to_string())
}

async fn look_at(
    store: &Store,
    schema: Schema,
    may_migrate: bool,
    tenants: &mut Vec<Tenant>,
) -> Result<String, StoreError> {
    match schema {
        Schema::Missing | Schema::Outdated { .. } if !may_migrate => Err(store.outdated(schema)),
        Schema::Missing => Ok("has no tables yet; serve makes them".to_owned()),
        Schema::Outdated { .. } => {
            // The tables of tenants seldom change; where they have, nothing can be said of tenants.
            *tenants = store.tenants().await.unwrap_or_default();
            Ok("has tables of an older version; serve brings them up to date".to_owned())
        }
        Schema::Current => {
            *tenants = store.tenants().await?;
            Ok(format!("can be read, tenants: {}", tenants.len()))
        }
    }
}

/// A file that is there is opened, but for a pipe or a device; of one that is not, the directory has to be there.
pub(in crate::cli) fn try_file(path: &Path) -> Result<String, String> {
    let describe = |error: io::Error| format!("{}: {error}", path.display());
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(format!("{} is a directory", path.display())),
        Ok(found) if found.is_file() => {
            OpenOptions::new().append(true).open(path).map_err(describe)?;
            Ok(format!("{} can be written to", path.display()))
        }
        Ok(_) => Ok(format!(
            "{} is no ordinary file, and was not opened",
            path.display()
        )),
        Err(_) => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = directory.unwrap_or(Path::new("."));
            match fs::metadata(directory) {
                Ok(found) if found.is_dir() => Ok(format!("{} is not there yet", path.display())),
                Ok(_) => Err(format!("{} is no directory", directory.display())),
                Err(error) => Err(format!(
                    "{}: its directory {} cannot be used: {error}",
                    path.display(),
                    directory.display()
                )),
            }
        }
    }
}
