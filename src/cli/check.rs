//! `envgate check`: every fault of the settings at once, before anything is started.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use http::HeaderMap;

use super::output::CommandError;
use crate::config::{self, Faults, Settings, UpstreamService};
use crate::contract::{self, Operation};
use crate::store::Store;
use crate::tenancy::StampRequired;
use crate::upstream::{Client, request_headers};

/// Reads the settings that `serve` would and proves the schemas, and that the stamp is not left out where tenants are
/// told apart by it; tells on standard error everything that is wrong
/// with them, or on standard output in one line what was read. `upstream` asks for a proof of the credential too.
#[must_use]
pub(super) fn run(config: Option<&Path>, upstream: bool) -> ExitCode {
    let settings = config::from_process(config);
    let schemas = contract::prove_schemas();
    let stamp = settings.as_ref().map_or(Ok(()), prove_stamp);
    let mut err = io::stderr().lock();
    let told = match (&settings, &schemas, &stamp) {
        (Err(faults), ..) => complain(faults, &mut err),
        (Ok(_), Err(fault), _) => writeln!(err, "{fault}"),
        (Ok(_), Ok(()), Err(failure)) => writeln!(err, "{failure}"),
        (Ok(settings), Ok(()), Ok(())) => tell(settings, config, &mut io::stdout().lock()),
    };
    let (Ok(settings), Ok(()), Ok(()), Ok(())) = (settings, schemas, stamp, told) else {
        return ExitCode::FAILURE;
    };
    if !upstream {
        return ExitCode::SUCCESS;
    }
    let Some(service) = &settings.upstream.service else {
        let told = writeln!(
            io::stdout().lock(),
            "ok: the embedded environments service needs no proof"
        );
        return if told.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    };
    let proof = prove_upstream(&settings, service);
    let told = match &proof {
        Ok(()) => writeln!(io::stdout().lock(), "ok: {} takes the credential", service.url),
        Err(failure) => writeln!(err, "{}: {failure}", service.url),
    };
    if proof.is_ok() && told.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Counts the tenants where the settings allow one only; the store is asked for nothing else.
#[tokio::main(flavor = "current_thread")]
async fn prove_stamp(settings: &Settings) -> Result<(), CommandError> {
    if settings.ownership.is_stamping {
        return Ok(());
    }
    let store = Store::open(settings.store.url.reveal()).await?;
    let tenants = store.tenants().await?.len();
    Ok(StampRequired::check(&settings.ownership, tenants)?)
}

/// Asks for a list of one environment: the cheapest request that the credential is needed for.
#[tokio::main(flavor = "current_thread")]
async fn prove_upstream(settings: &Settings, service: &UpstreamService) -> Result<(), CommandError> {
    let limits = &settings.upstream;
    let client = Client::new(
        service.url.clone(),
        &service.credential,
        limits.timeout,
        limits.max_response_bytes,
    )?;
    let headers = request_headers(&HeaderMap::new(), false, client.translation());
    let reply = client
        .send(Operation::List, "/v1/environments?limit=1", headers, Bytes::new())
        .await
        .map_err(|failure| CommandError::Upstream(failure.to_string()))?;
    if reply.status.is_success() {
        return Ok(());
    }
    let status = reply.status.as_u16();
    let said = contract::refusal(reply.status, &client.redact(reply.body), false).upstream_message;
    let said = said.map_or(String::new(), |message| format!(": {message}"));
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

fn complain(faults: &Faults, err: &mut impl Write) -> io::Result<()> {
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
