//! What travels between tenants and the upstream.

use super::SettingDoc;

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        path: "listen.address",
        form: "IP address and port",
        default: Some("127.0.0.1:8080"),
        doc: "where tenants connect; port 0 takes a free one",
    },
    SettingDoc {
        path: "listen.max_body_bytes",
        form: "1024 to 33554432",
        default: Some("1048576"),
        doc: "the largest request body",
    },
    SettingDoc {
        path: "listen.body_timeout",
        form: "duration",
        default: Some("10s"),
        doc: "how long a request body may take to arrive, from first byte to last",
    },
    SettingDoc {
        path: "admin.address",
        form: "IP address and port",
        default: Some("127.0.0.1:9090"),
        doc: "where health, metrics and the admin API are served; port 0 takes a free one",
    },
    SettingDoc {
        path: "admin.token",
        form: "secret",
        default: None,
        doc: "what `/api` wants as `Authorization: Bearer`, 16 characters or more; left out, `/api` is read-only and for this machine alone",
    },
    SettingDoc {
        path: "upstream.url",
        form: "URL",
        default: None,
        doc: "the environments service; left out, the embedded one",
    },
    SettingDoc {
        path: "upstream.credential",
        form: "secret",
        default: None,
        doc: "the operator's key for it, sent as `X-Api-Key`; required with `upstream.url`",
    },
    SettingDoc {
        path: "upstream.timeout",
        form: "duration",
        default: Some("60s"),
        doc: "how long a request may take once it needs the upstream: its turn in the budget, and all to the last byte of the last reply",
    },
    SettingDoc {
        path: "upstream.max_response_bytes",
        form: "1024 to 1073741824",
        default: Some("33554432"),
        doc: "the largest reply body",
    },
    SettingDoc {
        path: "upstream.circuit_failures",
        form: "0 to 1000",
        default: Some("5"),
        doc: "after how many failures in a row the circuit opens, unless they are one tenant's alone; 0 for never",
    },
    SettingDoc {
        path: "upstream.circuit_pause",
        form: "duration",
        default: Some("10s"),
        doc: "how long nothing is sent then, before one request tests the upstream; doubled with each that fails, to a minute at most",
    },
    SettingDoc {
        path: "upstream.list_at_start",
        form: "true or false",
        default: Some("true"),
        doc: "whether `serve` asks a real upstream for one list at start, so that a wrong credential or workspace is in the log before a tenant finds out",
    },
    SettingDoc {
        path: "upstream.allow_plaintext",
        form: "true or false",
        default: Some("false"),
        doc: "whether an `http://` upstream may be on another machine",
    },
    SettingDoc {
        path: "upstream.budget",
        form: "name in `[budgets]`",
        default: Some("default"),
        doc: "what requests with `upstream.credential` spend",
    },
    SettingDoc {
        path: "budgets.NAME.requests_per_minute",
        form: "1 to 1000000, or `unlimited`",
        default: None,
        doc: "upstream requests in any 60 seconds; left out, 60, or unlimited where the upstream is on this machine",
    },
    SettingDoc {
        path: "budgets.NAME.concurrent_requests",
        form: "1 to 1000000, or `unlimited`",
        default: None,
        doc: "tenants' requests in flight; left out, 5, or unlimited where the upstream is on this machine",
    },
    SettingDoc {
        path: "budgets.NAME.creates_per_minute",
        form: "1 to 1000000, or `unlimited`",
        default: None,
        doc: "creates in any 60 seconds; left out, no limit of their own",
    },
    SettingDoc {
        path: "budgets.NAME.reads_per_minute",
        form: "1 to 1000000, or `unlimited`",
        default: None,
        doc: "retrieves and lists in any 60 seconds; left out, no limit of their own",
    },
    SettingDoc {
        path: "contract.dialect",
        form: "`sandbase` or `anthropic`",
        default: Some("sandbase"),
        doc: "how the API is spoken to tenants",
    },
    SettingDoc {
        path: "contract.unknown_field",
        form: "`reject`, `warn` or `allow`",
        default: Some("reject"),
        doc: "what becomes of a body with a field that no document names",
    },
    SettingDoc {
        path: "contract.host_format",
        form: "`reject`, `warn` or `allow`",
        default: Some("reject"),
        doc: "what becomes of an allowed host that is no bare host name",
    },
    SettingDoc {
        path: "ownership.stamp",
        form: "true or false",
        default: Some("true"),
        doc: "whether environments are stamped with their tenant; off only where one tenant has the credential for itself",
    },
    SettingDoc {
        path: "ownership.stamp_key",
        form: "1 to 64 characters",
        default: Some("envgate:tenant"),
        doc: "the metadata key of the stamp, which no tenant sees or writes; environments with another are nobody's",
    },
    SettingDoc {
        path: "quota.replicas",
        form: "1 to 1000",
        default: Some("1"),
        doc: "how many gateways spend the same budgets, at most; without Redis each goes by its share",
    },
    SettingDoc {
        path: "quota.redis",
        form: "`redis://`, `rediss://` or `unix://` URL, or a secret",
        default: None,
        doc: "where they count together; with it `quota.replicas` has to be set",
    },
    SettingDoc {
        path: "quota.window",
        form: "duration",
        default: Some("60s"),
        doc: "how long a request counts against a limit per minute; another than a minute is for trying limits out",
    },
    SettingDoc {
        path: "credentials.NAME.key",
        form: "secret",
        default: None,
        doc: "a key for the upstream that plans can name, instead of `upstream.credential`",
    },
    SettingDoc {
        path: "credentials.NAME.budget",
        form: "name in `[budgets]`",
        default: None,
        doc: "what requests with this key spend; required",
    },
];
