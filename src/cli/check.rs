//! `envgate check`: every fault of the settings at once, before anything is started.

pub(super) mod resources;
mod route;
mod running;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::output::CommandError;
use super::upstream_proof;
use crate::config::{self, Access, ConfigErrors, Settings, UpstreamService};
use crate::contract;
use crate::tenancy::{StampRequired, Tenant};

#[derive(Args)]
pub(super) struct Options {
    /// Also prove the upstream credential with one list request
    #[arg(long)]
    upstream: bool,
    /// Also ask the running gateway what it would change if it read its settings again now; nothing is changed
    #[arg(long)]
    against_running: bool,
    /// Where the running gateway's admin API is, such as http://127.0.0.1:9090; left out, at admin.address
    #[arg(long, value_name = "URL", requires = "against_running")]
    admin: Option<String>,
}

/// Reads the settings that `serve` would, proves the schemas, and tries what they name: addresses, the store, files,
/// Redis. Tells on standard error everything that is wrong with them or with the tenants that the store has under
/// them, and on standard output what was tried and what was read.
#[must_use]
pub(super) fn run(config: Option<&Path>, options: &Options) -> ExitCode {
    let outcome = check(
        config,
        options,
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
    );
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Whether all is well; an error where that could not be told.
fn check(
    config: Option<&Path>,
    options: &Options,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<bool> {
    let settings = match config::from_process(config) {
        Ok(settings) => settings,
        Err(faults) => return complain(&faults, err).map(|()| false),
    };
    for advice in settings.advice() {
        writeln!(err, "{advice}")?;
    }
    if let Err(fault) = contract::prove_schemas() {
        return writeln!(err, "{fault}").map(|()| false);
    }
    if let Some(folder) = &settings.contract.schema_folder {
        let path = folder.path.display();
        let files: Vec<_> = folder.files.iter().map(|file| file.path.as_str()).collect();
        let files = files.join(", ");
        let files = if files.is_empty() { "nothing" } else { &files };
        writeln!(out, "ok: {path}: {files} laid over the schemas of this release")?;
    }
    let Some(tenants) = resources::try_all(&settings, out, err)? else {
        return Ok(false);
    };
    if !check_tenants(&settings, &tenants, err)? {
        return Ok(false);
    }
    if let Some(service) = &settings.upstream.service
        && !route::tell(&settings, service, out, err)?
    {
        return Ok(false);
    }
    tell(&settings, config, out)?;
    let is_good = match (&settings.upstream.service, options.upstream) {
        (_, false) => true,
        (None, true) => {
            writeln!(out, "ok: the embedded environments service needs no proof")?;
            true
        }
        (Some(service), true) => check_upstream(&settings, service, out, err)?,
    };
    if options.against_running {
        let is_taken = running::tell_changes(&settings, options.admin.as_deref(), out, err)?;
        return Ok(is_good && is_taken);
    }
    Ok(is_good)
}

/// Whether every tenant is on a plan that is configured, and the environments of several are told apart.
fn check_tenants(settings: &Settings, tenants: &[Tenant], err: &mut impl Write) -> io::Result<bool> {
    let mut is_good = true;
    let named = tenants.iter().map(Tenant::name_and_plan);
    if let Err(required) = StampRequired::check(settings, named) {
        is_good = false;
        writeln!(err, "{required}")?;
    }
    for tenant in tenants {
        if !settings.plans.contains_key(&tenant.plan) {
            is_good = false;
            writeln!(
                err,
                "tenant {:?} is on the plan {:?}, which is not configured",
                tenant.name, tenant.plan
            )?;
        }
    }
    Ok(is_good)
}

/// Proves every access that a plan has, each once.
fn check_upstream(
    settings: &Settings,
    service: &UpstreamService,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<bool> {
    let mut is_good = true;
    for access in upstream_proof::accesses(settings) {
        match prove_upstream(settings, service, access) {
            Ok(()) => writeln!(out, "ok: {} takes {access}", service.url)?,
            Err(failure) => {
                is_good = false;
                writeln!(err, "{}: {access}: {failure}", service.url)?;
            }
        }
    }
    Ok(is_good)
}

/// One request on a connection of its own.
#[tokio::main(flavor = "current_thread")]
async fn prove_upstream(
    settings: &Settings,
    service: &UpstreamService,
    access: Access<'_>,
) -> Result<(), CommandError> {
    let origin = upstream_proof::prepare(settings, service)?;
    let answer = upstream_proof::ask(settings, service, origin, access).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let (status, said) = (answer.status.as_u16(), answer.said());
    Err(CommandError::Upstream(format!(
        "the upstream answered with status {status}{said}"
    )))
}

/// One line for a person; nothing of it is secret.
fn tell(settings: &Settings, config: Option<&Path>, out: &mut impl Write) -> io::Result<()> {
    let file = config.map_or("the compiled-in settings".to_owned(), |path| {
        path.display().to_string()
    });
    let upstream = match &settings.upstream.service {
        Some(service) => service.url.to_string(),
        None => "embedded".to_owned(),
    };
    writeln!(
        out,
        "ok: {file}: listen {}, admin {}, upstream {upstream}, dialect {}",
        settings.listen.address, settings.admin.address, settings.contract.dialect.name,
    )
}

fn complain(faults: &ConfigErrors, err: &mut impl Write) -> io::Result<()> {
    writeln!(err, "{faults}")?;
    match faults.len() {
        1 => writeln!(err, "1 fault"),
        count => writeln!(err, "{count} faults"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    #[test]
    fn one_line_says_what_was_read_without_a_secret() {
        let environment = [
            ("ENVGATE_UPSTREAM__URL", "https://api.anthropic.com"),
            ("ENVGATE_UPSTREAM__CREDENTIAL", "hunter2"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = load(&Source::compiled_in(environment)).unwrap();
        let mut out = Vec::new();
        tell(&settings, Some(Path::new("my.toml")), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ok: my.toml: listen 127.0.0.1:8080, admin 127.0.0.1:9090, upstream https://api.anthropic.com, dialect sandbase\n"
        );
    }

    #[test]
    fn every_fault_is_told_and_counted() {
        let faults = load(&Source::new("my.toml", "[lsten]\n[lgo]\n", [])).unwrap_err();
        let mut err = Vec::new();
        complain(&faults, &mut err).unwrap();
        assert_eq!(
            String::from_utf8(err).unwrap(),
            "my.toml:1:2: lsten: unknown table; did you mean \"listen\"?\n\
             my.toml:2:2: lgo: unknown table; did you mean \"log\"?\n\
             2 faults\n"
        );
    }
}
