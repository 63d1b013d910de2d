//! What tenants may do.

use super::SettingDoc;

pub(super) const SETTINGS: &[SettingDoc] = &[
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
        doc: "sent up as `anthropic-workspace-id`, which a tenant's own header never is; left out, `upstream.workspace_id` where the plan goes up with `upstream.credential`",
    },
    SettingDoc {
        path: "plans.NAME.betas",
        form: "list of names",
        default: None,
        doc: "what tenants may name in `anthropic-beta` besides `upstream.beta`; left out, every beta",
    },
    SettingDoc {
        path: "plans.NAME.force_delete",
        form: "true or false",
        default: Some("false"),
        doc: "whether tenants may delete with `force=true`, which ends queued work of the environment",
    },
    SettingDoc {
        path: "plans.NAME.server_timing",
        form: "true or false",
        default: Some("false"),
        doc: "whether answers say in `server-timing` how long each step took",
    },
    SettingDoc {
        path: "plans.NAME.credential",
        form: "name in `[credentials]`",
        default: None,
        doc: "the key that requests of the plan go up with; left out, `upstream.credential`",
    },
    SettingDoc {
        path: "plans.NAME.client_subject",
        form: "text",
        default: None,
        doc: "what the client's certificate has to say: its common name, its whole subject as in `C=DE, O=Example, CN=builder`, or one of its alternative names; needs `listen.tls.client_ca`",
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
        path: "plans.NAME.policy.preset",
        form: "`locked`",
        default: None,
        doc: "`limited`, no package managers, no MCP servers, and no hosts but the public ones of `allowed_hosts`; rules beside it only narrow",
    },
    SettingDoc {
        path: "plans.NAME.policy.networking",
        form: "`any` or `limited`",
        default: Some("any"),
        doc: "whether networking must be limited; the four rules after this one want it limited too",
    },
    SettingDoc {
        path: "plans.NAME.policy.hosts",
        form: "`any` or `public`",
        default: Some("any"),
        doc: "whether `allowed_hosts` may list names on the public internet alone: no addresses, single labels, `.local`, `.internal` and their like, no `*.com`",
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
];
