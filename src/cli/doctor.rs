//! `envgate doctor`: all that a gateway needs, looked at at once, for a machine on which it does not work.
//!
//! Nothing is changed, and nothing is waited for without end: each check has a deadline of its own, and whatever still
//! hangs ends with the process.

mod admin;
mod files;
pub(super) mod finding;
mod machine;
mod redaction;
mod redis;
pub(super) mod store;
mod upstream;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::output::{CommandError, print};
use crate::config::{self, AdminEndpoint, ConfigErrors, PartialSettings, Settings};
use crate::contract;
use crate::store::Depth;
use finding::{Finding, Findings, Grade};
use redaction::Redaction;

/// How long one check may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at everything and tells it, for people or as JSON. Exit 1 where something does not work.
pub(super) fn run(config: Option<&Path>, is_json: bool) -> Result<ExitCode, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (findings, redaction) = runtime.block_on(examine(config.map(Path::to_owned)));
    // What still hangs there ends with the process, which does not wait for it.
    runtime.shutdown_background();
    let worst = findings
        .iter()
        .map(|finding| finding.grade)
        .max()
        .unwrap_or(Grade::Ok);
    let told = match is_json {
        true => json!({
            "version": env!("CARGO_PKG_VERSION"),
            "grade": worst,
            "findings": findings,
        })
        .to_string(),
        false => tell(&findings),
    };
    print(&redaction.mask(&told))?;
    Ok(match worst {
        Grade::Ok | Grade::Warning => ExitCode::SUCCESS,
        Grade::Fault => ExitCode::FAILURE,
    })
}

/// A finding a line, each with why it matters and what to do, and how many are bad.
fn tell(findings: &[Finding]) -> String {
    let mut lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    lines.push(format!(
        "{}, {}",
        counted(count(Grade::Fault), "fault"),
        counted(count(Grade::Warning), "warning")
    ));
    lines.join("\n")
}

async fn examine(config: Option<PathBuf>) -> (Vec<Finding>, Redaction) {
    let file = config.clone();
    let reading = spawn_blocking(move || {
        let partial = config::partial_from_process(file.as_deref());
        let endpoint = config::admin_endpoint_from_process(file.as_deref());
        (partial, endpoint)
    });
    let Ok(Ok((partial, endpoint))) = timeout(TIMEOUT, reading).await else {
        let found = format!("they cannot be read within {} s", TIMEOUT.as_secs());
        let advice = "look whether a file that they name is a pipe, or on a disk that does not answer";
        let finding = Finding::fault("settings", found, "nothing can start", advice);
        return (vec![finding], Redaction::default());
    };
    let redaction = Redaction::new(&partial.secrets);
    let mut findings = settings_findings(&partial, config.as_deref());
    let PartialSettings {
        settings, left_out, ..
    } = partial;
    let examination = Examination {
        settings: settings.map(Arc::new),
        left_out,
        config,
    };
    let looked = join_all(examination.checks(endpoint)).await;
    let mut clocks = Vec::new();
    for found in looked {
        findings.extend(found.list);
        clocks.extend(found.clocks);
    }
    findings.extend(machine::look_at_clock(&clocks));
    (findings, redaction)
}

fn settings_findings(partial: &PartialSettings, config: Option<&Path>) -> Vec<Finding> {
    const CHECK: &str = "settings";
    let name = config.map_or("the compiled-in settings".to_owned(), |path| {
        path.display().to_string()
    });
    let mut list: Vec<Finding> = partial.errors.iter().map(settings_fault).collect();
    if let Err(fault) = contract::prove_schemas() {
        let advice = "this binary is broken: get it anew";
        list.push(Finding::fault(
            CHECK,
            fault.to_string(),
            "nothing can start",
            advice,
        ));
    }
    if list.is_empty() {
        list.push(Finding::ok(CHECK, format!("{name}: no fault")));
    }
    let settings = partial.settings.as_ref();
    let advice = settings.into_iter().flat_map(Settings::advice);
    // These are told with the other files.
    let is_of_files = |odd: &String| settings.is_some_and(|settings| settings.exposed_files.contains(odd));
    list.extend(advice.filter(|odd| !is_of_files(odd)).map(|odd| {
        Finding::warning(
            CHECK,
            odd,
            "it may not be what was meant",
            "docs/configuration.md says what the setting does",
        )
    }));
    list
}

fn settings_fault(error: &config::ConfigError) -> Finding {
    let advice = match &error.problem {
        config::Problem::Certificate(_) => {
            "put a certificate and its key there that belong together and are valid"
        }
        config::Problem::SecretVariableMissing(_) => {
            "set the variable in the environment of the gateway and of this command"
        }
        config::Problem::SecretFileUnreadable { .. } => {
            "give the gateway's user the right to read the file, or name another"
        }
        _ => "mend it there; envgate check tells the same, docs/configuration.md has all settings",
    };
    Finding::fault(
        "settings",
        error.to_string(),
        "serve does not start with it",
        advice,
    )
}

struct Examination {
    /// None where nothing can be made of them.
    settings: Option<Arc<Settings>>,
    left_out: BTreeSet<String>,
    config: Option<PathBuf>,
}

impl Examination {
    /// All checks, none of which has begun, in the order in which they are told.
    fn checks(self, endpoint: Result<AdminEndpoint, ConfigErrors>) -> Vec<BoxFuture<'static, Findings>> {
        let mut checks = Vec::new();
        let settings = self.settings.clone();
        let config = self.config.clone();
        checks.push(blocking("files", move || {
            files::look(config.as_deref(), settings.as_deref())
        }));
        if let Ok(endpoint) = endpoint {
            let listen = self.good("listen").map(|settings| settings.listen.address);
            let admin = self.good("admin").map(|settings| settings.admin.clone());
            checks.push(within("admin", admin::look(endpoint, admin, listen)));
        }
        checks.push(self.blocking_check("descriptors", "listen", |settings| {
            vec![machine::look_at_descriptors(settings)]
        }));
        checks.push(self.blocking_check("memory", "listen", |settings| {
            vec![machine::look_at_memory(settings)]
        }));
        checks.push(self.blocking_check("certificates", "listen", files::look_at_certificates));
        checks.push(self.check("store", &["store"], async |settings| {
            store::look(&settings.store, Depth::Quick).await
        }));
        checks.push(self.check("redis", &["quota"], async |settings| {
            redis::look(&settings.quota).await
        }));
        checks.push(
            self.check("upstream", &["upstream", "credentials"], async |settings| {
                upstream::look(&settings).await
            }),
        );
        checks
    }

    /// The settings, if those of a table are as they were written.
    fn good(&self, table: &str) -> Option<&Arc<Settings>> {
        let settings = self.settings.as_ref()?;
        (!self.left_out.contains(table)).then_some(settings)
    }

    fn check<C, F>(&self, name: &'static str, tables: &[&str], look: C) -> BoxFuture<'static, Findings>
    where
        C: FnOnce(Arc<Settings>) -> F + Send + 'static,
        F: Future<Output = Findings> + Send + 'static,
    {
        let settings = self.settings.as_ref();
        match settings.filter(|_| tables.iter().all(|table| self.good(table).is_some())) {
            Some(settings) => within(name, look(Arc::clone(settings))),
            None => within(name, async move { not_checked(name).into() }),
        }
    }

    fn blocking_check(
        &self,
        name: &'static str,
        table: &str,
        look: impl FnOnce(&Settings) -> Vec<Finding> + Send + 'static,
    ) -> BoxFuture<'static, Findings> {
        match self.good(table).cloned() {
            Some(settings) => blocking(name, move || look(&settings)),
            None => within(name, async move { not_checked(name).into() }),
        }
    }
}

fn not_checked(name: &'static str) -> Finding {
    Finding::warning(
        name,
        "not looked at",
        "its settings are wrong, so nobody knows what is meant",
        "mend the settings that are told first, and ask again",
    )
}

/// What may hang in the system, on a disk that does not answer.
fn blocking(
    name: &'static str,
    look: impl FnOnce() -> Vec<Finding> + Send + 'static,
) -> BoxFuture<'static, Findings> {
    within(name, async move {
        let looked = spawn_blocking(look).await;
        looked.map_or_else(|_panicked| not_checked(name).into(), Findings::from)
    })
}

fn within(
    name: &'static str,
    look: impl Future<Output = Findings> + Send + 'static,
) -> BoxFuture<'static, Findings> {
    Box::pin(async move {
        timeout(TIMEOUT, look).await.unwrap_or_else(|_elapsed| {
            Finding::fault(
                name,
                format!("no answer within {} s", TIMEOUT.as_secs()),
                "whoever needs it waits as long, or longer",
                "look whether the disk, the network or the server behind it hangs",
            )
            .into()
        })
    })
}
