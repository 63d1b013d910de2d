//! A gateway with one tenant, and requests to it as the official Python SDK sends them.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use envgate::config::{Source, load};
use envgate::gateway::{DryGateway, DryRun, Gateway};
use envgate::telemetry::Metrics;
use envgate::tenancy::{Directory, KeyRecord, KeyText, Tenant, TenantId};
use futures_util::FutureExt;
use http::request::Parts;
use http::{Method, Request};

const SETTINGS: &str = r#"
[upstream]
url = "http://127.0.0.1:1"
credential = { env = "UPSTREAM_KEY" }
[ownership]
stamp = false
[audit]
enabled = false
"#;
const PATH: &str = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW";
const GOOD: &str =
    r#"{"description":"Data analysis","config":{"type":"cloud","packages":{"pip":["pandas","numpy"]}}}"#;
const BAD: &str =
    r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.example.com"]}}}"#;
const ENVIRONMENT: &str = include_str!("../environment.json");
/// Everything that is made once, when it is first needed, has been made by then.
const WARM_UP: usize = 3;

/// A request that is ready to be judged, and what the upstream replies.
pub struct Prepared {
    pub gateway: &'static DryGateway,
    pub head: &'static Parts,
    pub body: Bytes,
    pub reply: Bytes,
}

pub fn accepted() -> Prepared {
    warm(Method::POST, GOOD, true, 200)
}

pub fn refused() -> Prepared {
    warm(Method::POST, BAD, true, 400)
}

pub fn from_memory() -> Prepared {
    warm(Method::GET, "", true, 200)
}

pub fn unknown_key() -> Prepared {
    warm(Method::POST, GOOD, false, 401)
}

/// Sends it on its way some times, and insists on what comes of it.
fn warm(method: Method, body: &'static str, has_key: bool, status: u16) -> Prepared {
    // Nothing waits, but what would bound a wait asks for a timer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    mem::forget(Box::leak(Box::new(runtime)).enter());
    let (gateway, key) = gateway();
    let key = if has_key {
        key
    } else {
        KeyText::generate().unwrap()
    };
    let prepared = || Prepared {
        gateway,
        head: Box::leak(Box::new(head(&method, key.reveal()))),
        body: Bytes::from_static(body.as_bytes()),
        reply: Bytes::from_static(ENVIRONMENT.trim_ascii_end().as_bytes()),
    };
    for _ in 0..WARM_UP {
        let Prepared {
            head, body, reply, ..
        } = prepared();
        let judged = DryRun::judge(gateway, head, body);
        judged.remember(reply.clone()).now_or_never().unwrap();
        let answer = judged.answer(reply).now_or_never().flatten().unwrap();
        assert_eq!(answer.status(), status, "{:?}", answer.body());
    }
    prepared()
}

fn gateway() -> (&'static DryGateway, KeyText) {
    let environment = [("UPSTREAM_KEY".to_owned(), "sk-ant-of-the-operator".to_owned())];
    let settings = load(&Source::new("counts.toml", SETTINGS, environment)).unwrap();
    let service = settings.upstream.service.clone().unwrap();
    let tenant = Tenant {
        id: TenantId::generate().unwrap(),
        name: "counts".to_owned(),
        plan: Tenant::DEFAULT_PLAN.to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        is_suspended: false,
    };
    let key = KeyText::generate().unwrap();
    let record = KeyRecord {
        tenant: tenant.id.clone(),
        digest: key.digest(),
        expires_at: None,
        is_revoked: false,
        restrictions: None,
    };
    let directory = Arc::new(Directory::default());
    directory.apply(vec![tenant], vec![record]);
    let metrics = Arc::new(Metrics::new().unwrap());
    let gateway = Gateway::new(&settings, &service, directory, None, metrics).unwrap();
    (Box::leak(Box::new(DryGateway::new(gateway))), key)
}

/// The head that the official Python SDK sends.
fn head(method: &Method, key: &str) -> Parts {
    let fields = [
        ("host", "127.0.0.1:8080"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("content-type", "application/json"),
        ("user-agent", "Anthropic/Python 2.12.0"),
        ("x-stainless-arch", "x64"),
        ("x-stainless-async", "false"),
        ("x-stainless-lang", "python"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-package-version", "2.12.0"),
        ("x-stainless-runtime", "CPython"),
        ("x-stainless-runtime-version", "3.11.7"),
        ("x-stainless-retry-count", "0"),
        ("x-stainless-read-timeout", "600"),
        ("anthropic-beta", "managed-agents-2026-04-01"),
        ("anthropic-version", "2026-10-21"),
    ];
    let mut request = Request::builder().method(method).uri(PATH);
    for (name, value) in fields {
        request = request.header(name, value);
    }
    let request = request.header("authorization", format!("Bearer {key}"));
    request.body(()).unwrap().into_parts().0
}
