//! URLs of PostgreSQL: what the driver would not understand is refused, never ignored.

use url::Url;

use super::errors::Problem;

/// What the driver takes; it goes on without any other with a line in the log.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// Whether a text is the URL of one PostgreSQL database, over TCP or, with `?host=/directory`, a Unix socket.
pub(super) fn check_url(text: &str) -> Result<(), Problem> {
    let rest = text
        .strip_prefix("postgres://")
        .or_else(|| text.strip_prefix("postgresql://"))
        .ok_or(Problem::NotStore)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') {
        return Err(Problem::SeveralHosts);
    }
    let url = Url::parse(text).map_err(|_| Problem::NotStore)?;
    for (name, value) in url.query_pairs() {
        match &*name {
            "host" | "hostaddr" | "port" if value.contains(',') => return Err(Problem::SeveralHosts),
            "target_session_attrs" => return Err(Problem::TargetSession),
            name if PARAMETERS.contains(&name) || name.starts_with("options[") => {}
            name => {
                return Err(Problem::UnknownParameter {
                    name: name.chars().take(64).collect(),
                    known: PARAMETERS,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_database_is_named_by_host_or_by_socket() {
        for url in [
            "postgres://envgate@db/envgate",
            "postgresql://envgate:p%40ss@[::1]:5433/envgate?sslmode=verify-full&sslrootcert=/root.pem",
            "postgres:///envgate?host=/run/postgresql&user=envgate",
            "postgres://db/envgate?options[statement_timeout]=5s&application_name=envgate",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_the_driver_would_ignore_or_misread_is_refused() {
        for (url, problem) in [
            ("postgres://a,b/envgate", Problem::SeveralHosts),
            ("postgres://user:a,b@a:5432,b:5432/envgate", Problem::SeveralHosts),
            ("postgres:///envgate?host=a,b", Problem::SeveralHosts),
            (
                "postgres://a/envgate?target_session_attrs=read-write",
                Problem::TargetSession,
            ),
            ("mysql://a/envgate", Problem::NotStore),
            ("postgres://a:b:c/envgate", Problem::NotStore),
        ] {
            assert_eq!(check_url(url), Err(problem), "{url}");
        }
        let told = check_url("postgres://a/envgate?connect_timeout=5")
            .unwrap_err()
            .to_string();
        assert!(
            told.contains("\"connect_timeout\"") && told.contains("\"sslmode\""),
            "{told}"
        );
    }
}
