//! Prometheus scrapes a gateway that is in use, by its token and over TLS: every panel of the dashboard and every rule
//! has something to show.

mod load;
mod shown;
mod upstream;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use self::load::{Keys, Load};
use self::shown::{Shown, answer};
use self::upstream::{Mood, MoodyUpstream, RESEARCH_KEY};
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually, pause};
use crate::common::http2::{DATA, Http2};
use crate::common::tls::{Authority, TlsClient, with_tls};
use crate::common::upstream::ClosedPort;
use crate::monitoring::files::path;
use envgate_test_servers::prometheus::{Prometheus, promtool};

const METRICS_TOKEN: &str = "of-prometheus-alone-0123456789";

const SETTINGS: &str = r#"
[admin.tls]
certificate = "listen.crt"
key = "listen.key"

[upstream]
timeout = "4s"
circuit_pause = "1s"

# Minutes of five seconds, so that limits are reached and learnt while somebody looks.
[quota]
window = "5s"
[budgets.default]
requests_per_minute = 400
concurrent_requests = 6
[budgets.research]
requests_per_minute = 40
writes_per_minute = 30
concurrent_requests = 2
[credentials.research]
key = { env = "RESEARCH_KEY" }
budget = "research"

[cache]
ttl = "1s"

[plans.small]
requests_per_minute = 5
[plans.guarded.policy]
networking = "limited"
allowed_hosts = ["api.example.com"]
[plans.research]
credential = "research"
unknown_field = "warn"

[audit]
file = "audit.jsonl"
"#;

#[test]
#[ignore = "needs Prometheus: make acceptance"]
fn the_rules_are_good_and_fire_when_they_should() {
    let rules = ["check", "rules", "envgate-rules.yaml"];
    let tests = ["test", "rules", "envgate-rules.test.yaml"];
    let example = ["check", "config", "--syntax-only", "prometheus.yml"];
    for arguments in [&rules[..], &tests, &example] {
        let output = promtool(&path("deploy/monitoring"), arguments);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

#[test]
#[ignore = "needs Prometheus: make acceptance"]
fn every_panel_and_every_rule_shows_something_while_a_gateway_is_in_use() {
    let authority = Authority::new();
    let tls = TlsClient::new(&authority);
    let upstream = MoodyUpstream::start();
    // Nobody takes the spans.
    let nobody = ClosedPort::new();
    let collector = format!("http://{}/v1/traces", nobody.address());
    let setup = with_tls(Setup::new(), &authority)
        .upstream(upstream.address())
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_UPSTREAM__CREDENTIAL", OPERATOR_KEY)
        .set("ENVGATE_TELEMETRY__TENANTS", "3")
        .set("ENVGATE_TELEMETRY__TRACES_ENDPOINT", &collector)
        .set("ENVGATE_TELEMETRY__SAMPLE_RATIO", "0.2")
        .set("ENVGATE_ADMIN__TOKEN", "of-who-may-do-everything-0123456789")
        .set("ENVGATE_ADMIN__METRICS_TOKEN", METRICS_TOKEN)
        .set("RESEARCH_KEY", RESEARCH_KEY)
        .admin_client(tls.clone())
        .file(SETTINGS);
    // Weeks, not years, so that one sees how it is told.
    authority
        .issue_for_days("localhost", 45)
        .write(setup.path(), "listen");
    let keys = Keys {
        builder: setup.tenant("builder", "default"),
        poller: setup.tenant("poller", "default"),
        clumsy: setup.tenant("clumsy", "default"),
        small: setup.tenant("small", "small"),
        guarded: setup.tenant("guarded", "guarded"),
        research: setup.tenant("research", "research"),
    };
    let envgate = setup.start_for(&keys.builder);
    let prometheus = Prometheus::start(&configuration(&envgate, &authority));
    let start = now();
    let load = Load::start(&envgate, &tls, &keys);
    let scrapes = || answer(&prometheus, "query", &[("query", r#"up{job="envgate"} == 1"#)]);
    eventually("the gateway is scraped", || {
        !scrapes().as_array().unwrap().is_empty()
    });
    live_through_a_day(&envgate, &upstream, &tls);
    load.stop();
    // One more look at what the last requests were.
    pause(Duration::from_secs(2));

    let shown = Shown::new(&prometheus, start, now());
    let drawn = shown.panels();
    draw(&drawn);
    shown.exemplars();
    shown.rules();
    shown.pages();
    shown.alerts(&[
        "EnvgateUpstreamCredentialRefused",
        "EnvgatePolicyBreached",
        "EnvgateReloadRefused",
    ]);
    let mut empty = shown.empty.into_inner();
    empty.sort();
    assert!(empty.is_empty(), "nothing is shown by:\n{}", empty.join("\n"));
}

/// What a day brings, in less than a minute.
fn live_through_a_day(envgate: &Envgate, upstream: &MoodyUpstream, tls: &TlsClient) {
    let good = |seconds| {
        upstream.turn(Mood::Good);
        pause(Duration::from_secs(seconds));
    };
    let bad = |mood, seconds| {
        upstream.turn(mood);
        pause(Duration::from_secs(seconds));
    };
    good(12);
    bad(Mood::Short, 4);
    good(4);
    let new = envgate.run_well(&["keys", "create", "--tenant", "small", "--quiet"]);
    be_reloaded(envgate);
    envgate.run_well(&["keys", "revoke", &new]);
    bad(Mood::Strict, 2);
    good(3);
    be_misused(envgate, tls);
    bad(Mood::Broken, 3);
    good(8);
    let is_closed = || envgate_metric(envgate, "envgate_circuit_state") == Some(0.0);
    eventually("the circuit is closed again", is_closed);
}

fn be_reloaded(envgate: &Envgate) {
    let file = envgate.path().join("envgate.toml");
    for text in [
        SETTINGS.replace("ttl = \"1s\"", "ttl = \"2s\""),
        "[nonsense]\n".to_owned(),
        SETTINGS.to_owned(),
    ] {
        fs::write(&file, text).unwrap();
        envgate.signal("HUP");
        pause(Duration::from_secs(1));
    }
}

/// Clients that speak no TLS, or break the rules of HTTP/2, and somebody who guesses tokens.
fn be_misused(envgate: &Envgate, tls: &TlsClient) {
    for _ in 0..3 {
        let mut plain = Connection::open(envgate.gateway);
        plain.write(b"GET / HTTP/1.1\r\n\r\n");
        drop(plain);
        let mut broken = Http2::open(tls, envgate);
        broken.write_frame(DATA, 0, 0, b"of no stream");
        assert!(broken.end().is_some(), "the connection is given up");
        assert_eq!(envgate.admin_get("/api/v1/tenants").status, 401);
        pause(Duration::from_secs(1));
    }
}

fn envgate_metric(envgate: &Envgate, name: &str) -> Option<f64> {
    let request = Request::new(envgate.admin, "GET", "/metrics")
        .header("authorization", &format!("Bearer {METRICS_TOKEN}"));
    let text = envgate.admin_send(&request).text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// As `docs/monitoring.md` has it, but for the pace.
fn configuration(envgate: &Envgate, authority: &Authority) -> String {
    let file = |name: &str, text: &str| {
        let file = envgate.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    format!(
        "global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
  evaluation_interval: 1s
rule_files: ['{}']
scrape_configs:
- job_name: envgate
  scheme: https
  authorization:
    credentials_file: '{}'
  tls_config:
    ca_file: '{}'
    server_name: localhost
  static_configs:
  - targets: ['{}']
",
        path("deploy/monitoring/envgate-rules.yaml").display(),
        file("metrics-token", METRICS_TOKEN),
        file("authority.crt", &authority.pem()),
        envgate.admin,
    )
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// Draws all panels in their places, into `target/monitoring`.
fn draw(panels: &[Value]) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../monitoring");
    fs::create_dir_all(&folder).unwrap();
    let mut lines = String::new();
    for panel in panels {
        writeln!(lines, "{panel}").unwrap();
    }
    fs::write(folder.join("panels.jsonl"), lines).unwrap();
    let mut python = Command::new("python3");
    python
        .args(["-m", "measure.panels"])
        .arg(folder.join("panels.jsonl"))
        .arg(folder.join("dashboard.svg"));
    let drawn = python.current_dir(path("benches")).output().unwrap();
    assert!(
        drawn.status.success(),
        "{}",
        String::from_utf8_lossy(&drawn.stderr)
    );
    println!(
        "{}",
        folder.join("dashboard.svg").canonicalize().unwrap().display()
    );
}
