//! Other people's clients over TLS, with HTTP/2 where they can: the request of the README and its refusal come out alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, Setup};

const UPDATE: &str =
    r#"{"config":{"type":"cloud","packages":{"type":"packages","pip":["pandas","numpy","scikit-learn"]}}}"#;
const MISTAKE: &str =
    r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.com"]}}}"#;

/// What a client was answered.
#[derive(Debug, PartialEq)]
struct Answered {
    protocol: String,
    status: u16,
    body: Value,
}

/// A gateway that speaks TLS, and the certificate that clients have to trust.
struct TlsGateway {
    envgate: Envgate,
    certificate: PathBuf,
}

impl TlsGateway {
    fn start() -> Self {
        let setup = Setup::new();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (setup.path().join("tls.pem"), setup.path().join("tls.key"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let settings = format!("[[listen.tls.certificates]]\ncertificate = {certificate:?}\nkey = {key:?}\n");
        Self {
            envgate: setup.file(&settings).start(),
            certificate,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}{EXAMPLE}", self.envgate.gateway.port())
    }

    /// Sends the README's request and its mistake with a client that `command` makes for a body, and compares what came
    /// with what the requests say that they are about.
    #[track_caller]
    fn assert_served(&self, protocol: &str, command: impl Fn(&str) -> Command) {
        let updated = answered(&mut command(UPDATE));
        assert_eq!(
            (updated.protocol.as_str(), updated.status),
            (protocol, 200),
            "{updated:?}"
        );
        let packages = &updated.body["config"]["packages"]["pip"];
        assert_eq!(*packages, serde_json::json!(["pandas", "numpy", "scikit-learn"]));

        let refused = answered(&mut command(MISTAKE));
        assert_eq!(
            (refused.protocol.as_str(), refused.status),
            (protocol, 400),
            "{refused:?}"
        );
        let error = &refused.body["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("did you mean \"allowed_hosts\"?"), "{message}");
        let violation = &error["details"]["violations"][0];
        assert_eq!(violation["pointer"], "/config/networking/allowed_host");
    }
}

#[track_caller]
fn answered(client: &mut Command) -> Answered {
    let output = client.env("NO_PROXY", "localhost").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client:?}:\n{printed}{faults}");
    let [protocol, status, body] = printed.splitn(3, '\n').collect::<Vec<_>>()[..] else {
        panic!("{printed}{faults}")
    };
    Answered {
        protocol: protocol.to_owned(),
        status: status.parse().unwrap(),
        body: serde_json::from_str(body).unwrap(),
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
#[ignore = "needs TLS clients: make acceptance"]
fn curl_with_either_version_of_http() {
    let gateway = TlsGateway::start();
    for (option, protocol) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")] {
        gateway.assert_served(protocol, |body| {
            let authorization = format!("Authorization: Bearer {}", gateway.envgate.key);
            let script = format!(
                "curl --silent --show-error --cacert {:?} {option} -H '{authorization}' \
                 -H 'Content-Type: application/json' -d '{body}' -o body -w 'HTTP/%{{http_version}}\\n%{{http_code}}\\n' {} \
                 && cat body",
                gateway.certificate,
                gateway.url(),
            );
            let mut command = Command::new("sh");
            command.args(["-c", &script]).current_dir(gateway.certificate.parent().unwrap());
            command
        });
    }
}

#[test]
#[ignore = "needs a JDK: make acceptance"]
fn the_client_of_java_over_tls_and_with_its_upgrade_over_plain_http() {
    let java = |url: &str, key: &str, certificate: &Path, body: &str| {
        let mut command = Command::new("java");
        let source = project().join("tests/clients/java/Client.java");
        command.arg(source).args([url, key]).arg(certificate).arg(body);
        command
    };
    let gateway = TlsGateway::start();
    gateway.assert_served("HTTP/2", |body| {
        java(&gateway.url(), &gateway.envgate.key, &gateway.certificate, body)
    });
    let plain = Setup::new().start();
    let url = format!("http://{}{EXAMPLE}", plain.gateway);
    let updated = answered(&mut java(&url, &plain.key, &gateway.certificate, UPDATE));
    assert_eq!(
        (updated.protocol.as_str(), updated.status),
        ("HTTP/1.1", 200),
        "{updated:?}"
    );
    let refused = answered(&mut java(&url, &plain.key, &gateway.certificate, MISTAKE));
    assert_eq!(
        (refused.protocol.as_str(), refused.status),
        ("HTTP/1.1", 400),
        "{refused:?}"
    );
}

#[test]
#[ignore = "needs Node: make acceptance"]
fn the_fetch_of_node_and_the_typescript_sdk() {
    let gateway = TlsGateway::start();
    let sdk = project().join(".tools/typescript/1.14.0");
    for client in ["fetch", sdk.to_str().unwrap()] {
        gateway.assert_served("HTTP/1.1", |body| {
            let mut command = Command::new("node");
            command
                .arg(project().join("tests/clients/typescript/one_request.cjs"))
                .args([client, &gateway.url(), &gateway.envgate.key, body])
                .env("NODE_EXTRA_CA_CERTS", &gateway.certificate);
            command
        });
    }
}

#[test]
#[ignore = "needs httpx with HTTP/2: make acceptance"]
fn httpx_and_the_python_sdk_with_http2() {
    let gateway = TlsGateway::start();
    for client in ["httpx", "sdk"] {
        gateway.assert_served("HTTP/2", |body| {
            let mut command = Command::new(project().join(".venv/http2/bin/python"));
            command
                .arg(project().join("tests/clients/python/one_request.py"))
                .args([client, &gateway.url(), &gateway.envgate.key])
                .arg(&gateway.certificate)
                .arg(body);
            command
        });
    }
}
