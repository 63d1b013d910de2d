//! `[credentials]` and `[plans]`: the tables whose names the operator chooses.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::errors::Problem;
use super::plan::{DEFAULT_PLAN, PackageRule, Plan, Policy};
use super::reader::Reader;
use super::settings::{Contract, Credential, Upstream};
use super::tree::Raw;
use super::{secrets, values};
use crate::contract::{BetaRules, Operation, Strictness};
use crate::environment::{HostPattern, PackageManager};
use crate::text::nearest_name;

impl Reader<'_> {
    /// The credentials by name. One that could not be read is left out, with a fault.
    pub(super) fn credentials(&mut self) -> BTreeMap<String, Credential> {
        let names = self.entries.names_in("credentials");
        let read = |(name, place)| {
            let table = format!("credentials.{name}");
            let (key_path, budget_path) = (format!("{table}.key"), format!("{table}.budget"));
            for (path, problem) in [
                (&key_path, Problem::KeyMissing),
                (&budget_path, Problem::BudgetMissing),
            ] {
                if !self.is_set(path) {
                    self.fault_at(&place, &table, problem);
                }
            }
            let environment = self.environment;
            let key = self.read(&key_path, |raw| secrets::credential(raw, None, environment));
            let budget = self.budget_name(&budget_path);
            Some((
                name,
                Credential {
                    key: key?,
                    budget: budget?,
                },
            ))
        };
        names.into_iter().filter_map(read).collect()
    }

    /// The plans by name, the default one always among them.
    pub(super) fn plans(
        &mut self,
        contract: &Contract,
        upstream: &Upstream,
        is_embedded: bool,
    ) -> Option<BTreeMap<String, Plan>> {
        let mut names: Vec<_> = self
            .entries
            .names_in("plans")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        if !names.iter().any(|name| name == DEFAULT_PLAN) {
            names.push(DEFAULT_PLAN.to_owned());
        }
        let plans: Vec<_> = names
            .into_iter()
            .map(|name| {
                let plan = self.plan(&format!("plans.{name}"), contract, upstream, is_embedded);
                plan.map(|plan| (name, plan))
            })
            .collect();
        plans.into_iter().collect()
    }

    fn plan(
        &mut self,
        table: &str,
        contract: &Contract,
        upstream: &Upstream,
        is_embedded: bool,
    ) -> Option<Plan> {
        let at = |key: &str| format!("{table}.{key}");
        let operations = self.read_list(&at("operations"), values::operation);
        let dialect = self.read_or(&at("dialect"), values::dialect, contract.dialect);
        let unknown_field = self.read_or(
            &at("unknown_field"),
            values::rule,
            contract.strictness.unknown_field,
        );
        let host_format = self.read_or(&at("host_format"), values::rule, contract.strictness.host_format);
        let workspace_id = self.read_optional(&at("workspace_id"), values::workspace_id);
        let betas = self.read_list(&at("betas"), |raw| {
            values::beta(raw).and(values::text(raw).map(str::to_owned))
        });
        let may_force_delete = self.read(&at("force_delete"), values::boolean);
        let tells_timing = self.read(&at("server_timing"), values::boolean);
        let credential = self.plan_credential(&at("credential"), is_embedded);
        let client_subject = self.client_subject(&at("client_subject"));
        let requests_per_minute = self.read_or(&at("requests_per_minute"), values::limit, None);
        let concurrent_requests = self.read_or(&at("concurrent_requests"), values::limit, None);
        let weight = self.read_or(&at("weight"), values::weight, NonZeroU16::MIN);
        let policy = if self.entries.tables.contains_key(&at("policy")) {
            self.policy(&at("policy")).map(Some)
        } else {
            Some(None)
        };
        Some(Plan {
            operations: operations?.unwrap_or(Operation::ALL.to_vec()),
            dialect: dialect?,
            strictness: Strictness {
                unknown_field: unknown_field?,
                host_format: host_format?,
            },
            schemas: Arc::clone(&contract.schemas),
            workspace_id: workspace_id?.or_else(|| match &credential {
                Some(None) => upstream.workspace_id.clone(),
                _ => None,
            }),
            betas: BetaRules {
                required: upstream.beta.clone(),
                allowed: betas?,
            },
            may_force_delete: may_force_delete?,
            tells_timing: tells_timing?,
            credential: credential?,
            client_subject: client_subject?,
            requests_per_minute: requests_per_minute?,
            concurrent_requests: concurrent_requests?,
            weight: weight?,
            policy: policy?,
        })
    }

    fn plan_credential(&mut self, path: &str, is_embedded: bool) -> Option<Option<String>> {
        let known = self.entries.names_in("credentials");
        let credential = self.read_optional(path, |raw| {
            let text = values::text(raw)?;
            let mut names = known.iter().map(|(name, _)| name.as_str());
            if names.clone().any(|name| name == text) {
                return Ok(text.to_owned());
            }
            Err(Problem::UnknownCredential {
                nearest: nearest_name(text, &mut names).map(str::to_owned),
            })
        })?;
        if credential.is_some() && is_embedded {
            self.fault(path, Problem::UrlMissing);
        }
        Some(credential)
    }

    fn client_subject(&mut self, path: &str) -> Option<Option<String>> {
        let subject = self.read_optional(path, |raw| values::text(raw).map(str::to_owned))?;
        if subject.is_some() && !self.is_set("listen.tls.client_ca") {
            self.fault(
                path,
                Problem::NoClientCa {
                    setting: "listen.tls.client_ca",
                },
            );
        }
        Some(subject)
    }

    fn policy(&mut self, table: &str) -> Option<Policy> {
        let at = |key: &str| format!("{table}.{key}");
        let is_locked = self.read_optional(&at("preset"), values::preset)?.is_some();
        let needs_limited_network = self.read_narrowed(&at("networking"), is_locked, true, |raw| {
            values::needs_limited_network(raw)
        });
        let needs_public_hosts =
            self.read_narrowed(&at("hosts"), is_locked, true, values::needs_public_hosts);
        let allows_package_managers =
            self.read_narrowed(&at("package_managers"), is_locked, false, values::boolean);
        let allows_mcp_servers = self.read_narrowed(&at("mcp_servers"), is_locked, false, values::boolean);
        let allowed_hosts = self.allowed_hosts(&at("allowed_hosts"), needs_public_hosts == Some(true));
        let config_types = self.read_list(&at("config_types"), |raw| match values::config_type(raw)? {
            other if is_locked && other != "cloud" => Err(Problem::WiderThanPreset),
            config_type => Ok(config_type),
        });
        let scopes = self.read_list(&at("scopes"), values::scope);
        let packages: Vec<_> = PackageManager::ALL
            .into_iter()
            .map(|manager| (manager, at(&format!("packages.{manager}"))))
            .filter(|(_, table)| self.entries.tables.contains_key(table))
            .collect();
        let packages: Vec<_> = packages
            .into_iter()
            .map(|(manager, table)| Some((manager, self.package_rule(&table, manager)?)))
            .collect();
        Some(Policy {
            needs_limited_network: needs_limited_network?,
            needs_public_hosts: needs_public_hosts?,
            // Of a list: where none is written, no host is on it.
            allowed_hosts: allowed_hosts?.or_else(|| is_locked.then(Vec::new)),
            allows_package_managers: allows_package_managers?,
            allows_mcp_servers: allows_mcp_servers?,
            config_types: config_types?,
            scopes: scopes?,
            packages: packages.into_iter().collect::<Option<_>>()?,
        })
    }

    /// A rule that the preset, if there is one, has settled: what is written beside it may say the same, and
    /// no less.
    fn read_narrowed(
        &mut self,
        path: &str,
        is_locked: bool,
        locked: bool,
        parse: impl Fn(&Raw) -> Result<bool, Problem>,
    ) -> Option<bool> {
        if !is_locked {
            return self.read(path, parse);
        }
        let written = self.read_optional(path, |raw| match parse(raw)? {
            value if value == locked => Ok(value),
            _ => Err(Problem::WiderThanPreset),
        })?;
        Some(written.unwrap_or(locked))
    }

    fn allowed_hosts(&mut self, path: &str, must_be_public: bool) -> Option<Option<Vec<HostPattern>>> {
        self.read_list(path, |raw| match values::host(raw)? {
            host if must_be_public && !host.is_public() => Err(Problem::HostNotPublic),
            host => Ok(host),
        })
    }

    fn package_rule(&mut self, table: &str, manager: PackageManager) -> Option<PackageRule> {
        let install = self.read(&format!("{table}.install"), values::install);
        let name = |raw: &_| Ok(manager.package_name(values::text(raw)?)?);
        let allow = self.read_list(&format!("{table}.allow"), name);
        let deny = self.read_list(&format!("{table}.deny"), name);
        Some(PackageRule {
            install: install?,
            allow: allow?.map(|names| names.into_iter().collect()),
            deny: deny?.unwrap_or_default().into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
