use super::finding::{FindingPath, Findings, choices, quote_stored};
use crate::config;
use crate::environment::{HostPattern, LimitedNetwork, Networking};

/// What an environment may reach.
#[derive(Clone, Debug)]
pub(super) struct NetworkRules {
    /// An unrestricted network reaches everything, so every other rule asks for a limited one too.
    needs_limited: bool,
    needs_public_hosts: bool,
    allowed_hosts: Option<Vec<HostPattern>>,
    allows_package_managers: bool,
    allows_mcp_servers: bool,
}

impl NetworkRules {
    pub(super) fn new(settings: &config::Policy) -> Self {
        let &config::Policy {
            needs_limited_network,
            needs_public_hosts,
            allows_package_managers,
            allows_mcp_servers,
            ..
        } = settings;
        Self {
            needs_limited: needs_limited_network
                || needs_public_hosts
                || settings.allowed_hosts.is_some()
                || !allows_package_managers
                || !allows_mcp_servers,
            needs_public_hosts,
            allowed_hosts: settings.allowed_hosts.clone(),
            allows_package_managers,
            allows_mcp_servers,
        }
    }

    /// Whether there is any rule.
    pub(super) const fn is_any(&self) -> bool {
        self.needs_limited
    }

    pub(super) fn judge(&self, networking: &Networking, findings: &mut Findings) {
        match networking {
            Networking::Limited(network) => self.judge_limited(network, findings),
            Networking::Unrestricted if self.needs_limited => {
                findings.add(networking_place().member("type"), "networking", |path| {
                    (
                        format!(
                            "{path} is \"unrestricted\", and the policy of this plan wants it \"limited\""
                        ),
                        Some(r#"send "networking": {"type": "limited"} in config"#.to_owned()),
                    )
                });
            }
            Networking::Unrestricted => {}
        }
    }

    fn judge_limited(&self, network: &LimitedNetwork, findings: &mut Findings) {
        let flags = [
            (
                "allow_package_managers",
                "package_managers",
                network.allow_package_managers && !self.allows_package_managers,
            ),
            (
                "allow_mcp_servers",
                "mcp_servers",
                network.allow_mcp_servers && !self.allows_mcp_servers,
            ),
        ];
        for (name, rule, _) in flags.into_iter().filter(|(_, _, is_broken)| *is_broken) {
            findings.add(networking_place().member(name), rule, |path| {
                (
                    format!("{path} is true, and the policy of this plan wants it false"),
                    Some(format!("send \"{name}\": false")),
                )
            });
        }
        for (index, entry) in network.allowed_hosts.iter().enumerate() {
            let path = networking_place().member("allowed_hosts").element(index);
            self.judge_host(entry, path, findings);
        }
    }

    fn judge_host(&self, entry: &str, path: FindingPath<'_>, findings: &mut Findings) {
        let host = HostPattern::parse(entry);
        if self.needs_public_hosts && !host.as_ref().is_ok_and(HostPattern::is_public) {
            return findings.add(path, "hosts", |path| {
                let why = "no name on the public internet, so the policy of this plan does not allow it";
                (format!("{path} is {}, {why}", quote_stored(entry)), None)
            });
        }
        let Some(allowed) = &self.allowed_hosts else {
            return;
        };
        let is_allowed = |host: &HostPattern| allowed.iter().any(|pattern| pattern.covers(host));
        if host.as_ref().is_ok_and(is_allowed) {
            return;
        }
        findings.add(path, "allowed_hosts", |path| {
            let why = match host {
                Ok(_) => "which the policy of this plan does not allow",
                Err(_) => "no bare host name, so the policy of this plan does not allow it",
            };
            let hint = choices("the hosts that it allows", allowed.iter());
            (format!("{path} is {}, {why}", quote_stored(entry)), Some(hint))
        });
    }
}

fn networking_place() -> FindingPath<'static> {
    FindingPath::ROOT.member("config").member("networking")
}
