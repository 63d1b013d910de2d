/// One setting as the documentation, the hints and the reader know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// Table and key, `listen.address`. `NAME` stands for a name of the operator's choice, `MANAGER` for a package
    /// manager.
    pub path: &'static str,
    /// The values that it takes, in words.
    pub form: &'static str,
    /// What holds where nothing is set, written as in the environment; none where the setting may be absent.
    pub default: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
}

impl SettingDoc {
    /// The table of the file that it stands in.
    #[must_use]
    pub fn table(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(table, _)| table)
    }

    /// Its name within the table.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, key)| key)
    }

    /// The environment variable that sets it and goes before the file; none where the path has a name of the operator's
    /// choice, which no variable could tell from its upper case.
    ///
    /// ```
    /// let setting = |path| envgate::config::SETTINGS.iter().find(move |setting| setting.path == path).unwrap();
    /// assert_eq!(setting("upstream.url").variable().unwrap(), "ENVGATE_UPSTREAM__URL");
    /// assert_eq!(setting("plans.NAME.operations").variable(), None);
    /// ```
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let has_name = self.path.split('.').any(|part| part == ANY_NAME);
        (!has_name).then(|| format!("{PREFIX}{}__{}", self.table(), self.key()).to_uppercase())
    }
}

/// What the name of every variable of ours begins with.
pub(super) const PREFIX: &str = "ENVGATE_";

/// The part of a path in whose place the operator writes a name.
pub(super) const ANY_NAME: &str = "NAME";
/// The part of a path in whose place a package manager stands.
pub(super) const ANY_MANAGER: &str = "MANAGER";

/// Every setting there is, in the order of the documentation. Names, hints and defaults come from here alone.
pub const SETTINGS: &[SettingDoc] = &[
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
        doc: "after how many failures in a row the circuit opens and nothing is sent for a while; 0 for never",
    },
    SettingDoc {
        path: "upstream.circuit_pause",
        form: "duration",
        default: Some("10s"),
        doc: "how long that is; then one request tries",
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
    SettingDoc {
        path: "plans.NAME.operations",
        form: "list of `create`, `list`, `retrieve`, `update`, `delete`, `archive`",
        default: None,
        doc: "what tenants of the plan may do; left out, everything",
    },
    SettingDoc {
        path: "plans.NAME.dialect",
        form: "`sandbase` or `anthropic`",
        default: None,
        doc: "left out, `contract.dialect`",
    },
    SettingDoc {
        path: "plans.NAME.unknown_field",
        form: "`reject`, `warn` or `allow`",
        default: None,
        doc: "left out, `contract.unknown_field`; a plan with a policy rejects under `config` in any case",
    },
    SettingDoc {
        path: "plans.NAME.host_format",
        form: "`reject`, `warn` or `allow`",
        default: None,
        doc: "left out, `contract.host_format`; a plan with a policy rejects in any case",
    },
    SettingDoc {
        path: "plans.NAME.workspace_id",
        form: "text",
        default: None,
        doc: "sent up as `anthropic-workspace-id`",
    },
    SettingDoc {
        path: "plans.NAME.credential",
        form: "name in `[credentials]`",
        default: None,
        doc: "the key that requests of the plan go up with; left out, `upstream.credential`",
    },
    SettingDoc {
        path: "plans.NAME.requests_per_minute",
        form: "1 to 1000000, or `unlimited`",
        default: Some("unlimited"),
        doc: "requests of one tenant that need the upstream, in any 60 seconds",
    },
    SettingDoc {
        path: "plans.NAME.concurrent_requests",
        form: "1 to 1000000, or `unlimited`",
        default: Some("unlimited"),
        doc: "requests of one tenant before the upstream at once",
    },
    SettingDoc {
        path: "plans.NAME.weight",
        form: "1 to 1000",
        default: Some("1"),
        doc: "a tenant's share of the budget where tenants wait for each other",
    },
    SettingDoc {
        path: "plans.NAME.policy.networking",
        form: "`any` or `limited`",
        default: Some("any"),
        doc: "whether networking must be limited; the three rules after this one want it limited too",
    },
    SettingDoc {
        path: "plans.NAME.policy.allowed_hosts",
        form: "list of hosts",
        default: None,
        doc: "the hosts that may be listed; `*.a.com` covers all below `a.com`, not itself; left out, every host",
    },
    SettingDoc {
        path: "plans.NAME.policy.package_managers",
        form: "true or false",
        default: Some("true"),
        doc: "whether `allow_package_managers` may be true",
    },
    SettingDoc {
        path: "plans.NAME.policy.mcp_servers",
        form: "true or false",
        default: Some("true"),
        doc: "whether `allow_mcp_servers` may be true",
    },
    SettingDoc {
        path: "plans.NAME.policy.config_types",
        form: "list of `cloud`, `self_hosted`",
        default: None,
        doc: "the types of `config`; left out, all that the other rules can judge",
    },
    SettingDoc {
        path: "plans.NAME.policy.scopes",
        form: "list of `organization`, `account`",
        default: None,
        doc: "the scopes; an environment that names none is refused; left out, every scope",
    },
    SettingDoc {
        path: "plans.NAME.policy.packages.MANAGER.install",
        form: "`any`, `pinned` or `off`",
        default: Some("any"),
        doc: "of `apt`, `cargo`, `gem`, `go`, `npm` or `pip`: every version, exact versions only, or nothing",
    },
    SettingDoc {
        path: "plans.NAME.policy.packages.MANAGER.allow",
        form: "list of package names",
        default: None,
        doc: "the packages that may be listed; left out, every one",
    },
    SettingDoc {
        path: "plans.NAME.policy.packages.MANAGER.deny",
        form: "list of package names",
        default: None,
        doc: "the packages that may not be listed, even if allowed",
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
        path: "audit.enabled",
        form: "true or false",
        default: Some("true"),
        doc: "whether writes are recorded",
    },
    SettingDoc {
        path: "audit.file",
        form: "path",
        default: None,
        doc: "a file that gets every record as a line of JSON too",
    },
    SettingDoc {
        path: "audit.retention",
        form: "duration of 1h or more, or `forever`",
        default: Some("90d"),
        doc: "how long the store keeps records",
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
        doc: "what is logged, for instance `info,envgate=debug`",
    },
    SettingDoc {
        path: "server.threads",
        form: "1 to 1024",
        default: None,
        doc: "worker threads of the gateway; left out, the machine's cores",
    },
];

#[cfg(test)]
mod tests;
