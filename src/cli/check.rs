//! `envgate check`: every fault of the settings at once, before anything is started.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Faults, Settings};

/// Reads the settings that `serve` would, and tells on standard error everything that is wrong with them, or
/// on standard output in one line what was read.
#[must_use]
pub fn check(config: Option<&Path>) -> ExitCode {
    let read = config::from_process(config);
    let told = match &read {
        Ok(settings) => tell(settings, config, &mut io::stdout().lock()),
        Err(faults) => complain(faults, &mut io::stderr().lock()),
    };
    if read.is_ok() && told.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
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
