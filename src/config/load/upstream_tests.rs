use super::load;
use super::tests::{faults, source};

#[test]
fn an_impossible_circuit_is_found_with_its_place() {
    let text = "[upstream]\ncircuit_failures = -1\ncircuit_pause = \"0s\"\ncircuit_failure = 3\n";
    assert_eq!(
        faults(text, &[("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "1001")]),
        [
            "envgate.toml:3:17: upstream.circuit_pause: expected a duration from 1ms to 60m: a whole number and ms, s or m, such as \"500ms\", \"10s\" or \"2m\"",
            "envgate.toml:4:1: upstream.circuit_failure: unknown setting; did you mean \"circuit_failures\"?",
            "ENVGATE_UPSTREAM__CIRCUIT_FAILURES: expected a whole number from 0 to 1000",
        ]
    );
    assert_eq!(
        faults("[upstream]\ncircuit_failures = -1\n", &[]),
        ["envgate.toml:2:20: upstream.circuit_failures: expected a whole number from 0 to 1000"]
    );
}

#[test]
fn an_upstream_needs_its_url_and_its_credential() {
    let url = [("ENVGATE_UPSTREAM__URL", "https://api.anthropic.com")];
    assert_eq!(
        faults("", &url),
        ["ENVGATE_UPSTREAM__URL: the service is named and upstream.credential is missing"]
    );
    let faults = faults("[upstream]\ncredential.env = \"KEY\"", &[("KEY", "k")]);
    assert_eq!(
        faults,
        ["envgate.toml:2:1: upstream.credential: there is a credential and upstream.url is missing"]
    );
}

#[test]
fn an_upstream_url_is_a_base_url_and_plain_only_on_this_machine() {
    for (url, problem) in [
        (
            "http://api.anthropic.com",
            Some("http:// is for an upstream on this machine"),
        ),
        (
            "http://localhost.evil.example",
            Some("http:// is for an upstream on this machine"),
        ),
        ("http://localhost:1", None),
        ("http://127.8.9.10", None),
        ("http://[::1]:1/prefix", None),
        ("https://10.0.0.1:8443", None),
        ("https://", Some("expected https://")),
        ("https:///api", Some("expected https://")),
        ("https://:443", Some("expected https://")),
        ("https://host:0", Some("expected https://")),
        ("https://ho st", Some("expected https://")),
        ("https://host\\path", Some("expected https://")),
        ("ftp://host", Some("expected https://")),
        ("api.anthropic.com", Some("expected https://")),
        (
            "https://me:hunter2@host",
            Some("a user name or password has no place in the URL"),
        ),
        (
            "https://hunter2@host",
            Some("a user name or password has no place in the URL"),
        ),
        ("https://host/?key=hunter2", Some("no query")),
        ("https://host/?", Some("no query")),
        ("https://host/#hunter2", Some("no fragment")),
        ("https://host/v1/", Some("leave out the /v1")),
    ] {
        let environment = [
            ("ENVGATE_UPSTREAM__URL", url),
            ("ENVGATE_UPSTREAM__CREDENTIAL", "k"),
        ];
        match (load(&source("", &environment)), problem) {
            (Ok(_), None) => {}
            (Err(faults), Some(problem)) => {
                let text = faults.to_string();
                assert!(text.contains(problem) && faults.len() == 1, "{url} gave {text}");
                assert!(!text.contains("hunter2"), "{url} is shown in {text}");
            }
            (result, _) => panic!("{url} gave {result:?}"),
        }
    }
}
