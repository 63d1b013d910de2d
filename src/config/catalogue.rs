/// One setting as the documentation, the hints and the reader know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// Table and key, `listen.address`.
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

    /// The environment variable that sets it and goes before the file.
    ///
    /// ```
    /// let setting = envgate::config::SETTINGS.iter().find(|setting| setting.path == "upstream.url");
    /// assert_eq!(setting.unwrap().variable(), "ENVGATE_UPSTREAM__URL");
    /// ```
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}__{}", self.table(), self.key()).to_uppercase()
    }
}

/// What the name of every variable of ours begins with.
pub(super) const PREFIX: &str = "ENVGATE_";

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
        doc: "where health and metrics are served; port 0 takes a free one",
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
        doc: "how long one exchange may take, from connecting to the last byte of the reply",
    },
    SettingDoc {
        path: "upstream.max_response_bytes",
        form: "1024 to 1073741824",
        default: Some("33554432"),
        doc: "the largest reply body",
    },
    SettingDoc {
        path: "upstream.allow_plaintext",
        form: "true or false",
        default: Some("false"),
        doc: "whether an `http://` upstream may be on another machine",
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
        path: "store.url",
        form: "`sqlite:` and a path, or a secret",
        default: Some("sqlite:envgate.db"),
        doc: "where tenants and keys are kept",
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

/// The tables of the file, each once, in order.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    let mut before = None;
    SETTINGS
        .iter()
        .map(SettingDoc::table)
        .filter(move |table| before.replace(*table) != Some(*table))
}

/// The known name that `name` was most likely meant to be.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&name, &candidate.to_ascii_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| distance * 3 <= candidate.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
