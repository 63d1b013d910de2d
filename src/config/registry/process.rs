//! What the process keeps, remembers and tells.

use super::SettingDoc;

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        path: "list.max_upstream_requests",
        form: "1 to 1000",
        default: Some("20"),
        doc: "how many upstream requests one list may cost while it has found nothing of the tenant's; each counts against the tenant's limit",
    },
    SettingDoc {
        path: "cache.ttl",
        form: "duration or `off`",
        default: None,
        doc: "how long the reply to a read serves others who ask for the same; left out, 2s, or off where the store is PostgreSQL, because then other gateways may write",
    },
    SettingDoc {
        path: "cache.max_bytes",
        form: "65536 to 1073741824",
        default: Some("16777216"),
        doc: "how much memory such replies may take",
    },
    SettingDoc {
        path: "store.url",
        form: "`sqlite:` and a path, a `postgres://` URL, or a secret",
        default: Some("sqlite:envgate.db"),
        doc: "where tenants and keys are kept",
    },
    SettingDoc {
        path: "store.listen_url",
        form: "`postgres://` URL, or a secret",
        default: None,
        doc: "where a PostgreSQL, and no pooler, is listened to for changes; left out, they are found by asking alone, \
              twice a second",
    },
    SettingDoc {
        path: "store.auto_migrate",
        form: "true or false",
        default: Some("true"),
        doc: "whether `serve` and commands make the tables of the store and bring them up to date; else `envgate store migrate` \
              does, and `serve` waits for it",
    },
    SettingDoc {
        path: "store.migration_url",
        form: "the URL of the store, or a secret",
        default: None,
        doc: "the same store as a user who may change tables, for `envgate store migrate` alone, in whose environment it is set; \
              left out, `store.url`",
    },
    SettingDoc {
        path: "audit.enabled",
        form: "true or false",
        default: Some("true"),
        doc: "whether writes are recorded",
    },
    SettingDoc {
        path: "audit.file",
        form: "path",
        default: None,
        doc: "a file, pipe or device that gets every record as a line of JSON too",
    },
    SettingDoc {
        path: "audit.spool",
        form: "path",
        default: None,
        doc: "a file for the last records where the store is away at a stop; the next start takes them in",
    },
    SettingDoc {
        path: "audit.retention",
        form: "duration of 1h or more, or `forever`",
        default: Some("90d"),
        doc: "how long the store keeps records",
    },
    SettingDoc {
        path: "drift.enabled",
        form: "true or false",
        default: Some("true"),
        doc: "whether the upstream's replies are measured against the contract, beside the requests: [drift.md](drift.md)",
    },
    SettingDoc {
        path: "drift.retention",
        form: "duration of 1h or more, or `forever`",
        default: Some("90d"),
        doc: "how long the store keeps a finding that is not seen again",
    },
    SettingDoc {
        path: "log.format",
        form: "`text` or `json`",
        default: Some("text"),
        doc: "how a line on standard error looks",
    },
    SettingDoc {
        path: "log.level",
        form: "`off`, `error`, `warn`, `info`, `debug`, `trace`, or directives",
        default: Some("info"),
        doc: "what is logged, for instance `info,envgate=debug`; the admin API changes it while the gateway runs",
    },
    SettingDoc {
        path: "log.success_ratio",
        form: "0 to 1",
        default: Some("1.0"),
        doc: "the share of requests that succeeded which get a line, chosen by trace id; errors always get theirs",
    },
    SettingDoc {
        path: "log.slow_request",
        form: "duration",
        default: None,
        doc: "how long a request takes that gets one more line, with the time of each step; left out, none does",
    },
    SettingDoc {
        path: "server.threads",
        form: "1 to 1024",
        default: None,
        doc: "worker threads of the gateway; left out, the machine's cores",
    },
    SettingDoc {
        path: "server.core_dumps",
        form: "true or false",
        default: Some("false"),
        doc: "whether a crash may leave the memory of the process, with all its secrets, in a file, and debuggers of the same user may attach",
    },
    SettingDoc {
        path: "server.reload_on_change",
        form: "true or false",
        default: Some("false"),
        doc: "whether settings are read again when their file changes, as on SIGHUP; the file is looked at once a second",
    },
    SettingDoc {
        path: "server.drain_delay",
        form: "duration, or `0s`",
        default: Some("0s"),
        doc: "how long SIGTERM goes on serving, with `/readyz` at 503, before it stops to accept: as long as a balancer \
              takes to notice",
    },
    SettingDoc {
        path: "server.handover_directory",
        form: "path",
        default: None,
        doc: "a directory of mode 0700 through which a new process takes the listeners of the running one over; left \
              out, none does",
    },
];
