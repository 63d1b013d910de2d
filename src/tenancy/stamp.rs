use super::{Directory, Tenant};
use crate::config::Settings;

/// The stamp is off although several tenants would share one upstream credential: nobody could tell their
/// environments apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ownership.stamp is off, and {} tenants would share {access}: {}; set it to true, or give them credentials of \
     their own", .tenants.len(), some(.tenants)
)]
pub struct StampRequired {
    /// The credential that they would share, in words.
    pub access: String,
    /// The names of those that would share it.
    pub tenants: Vec<String>,
}

/// What a change of tenants must leave true, judged by all tenants that there are before it.
pub type TenantRule<'a> = dyn Fn(&[Tenant]) -> Result<(), StampRequired> + Send + Sync + 'a;

/// How many names a message tells.
const MOST_NAMES: usize = 10;

impl StampRequired {
    /// Refuses settings that leave the stamp out where one credential, with one workspace, is more than one
    /// tenant's. `tenants` are all there are, each by its name and the name of its plan. Suspended ones count
    /// too: their environments are still there. One whose plan is not configured has no credential.
    ///
    /// # Errors
    /// [`StampRequired`] for the first credential that is shared.
    pub fn check<'a>(
        settings: &Settings,
        tenants: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Self> {
        if settings.ownership.is_stamping {
            return Ok(());
        }
        let mut shared: Vec<(_, Vec<&str>)> = Vec::new();
        for (tenant, plan) in tenants {
            let Some(plan) = settings.plans.get(plan) else {
                continue;
            };
            let access = settings.access(plan);
            match shared.iter_mut().find(|(known, _)| *known == access) {
                Some((_, tenants)) => tenants.push(tenant),
                None => shared.push((access, vec![tenant])),
            }
        }
        match shared.into_iter().find(|(_, tenants)| tenants.len() > 1) {
            None => Ok(()),
            Some((access, tenants)) => Err(Self {
                access: access.to_string(),
                tenants: tenants.into_iter().map(str::to_owned).collect(),
            }),
        }
    }

    /// The same, as if the tenant `name`, who may be new, were on `plan`.
    ///
    /// # Errors
    /// [`StampRequired`]
    pub fn check_with<'a>(
        settings: &Settings,
        tenants: impl IntoIterator<Item = (&'a str, &'a str)>,
        name: &'a str,
        plan: &'a str,
    ) -> Result<(), Self> {
        let others = tenants.into_iter().filter(|(other, _)| *other != name);
        Self::check(settings, others.chain([(name, plan)]))
    }

    /// What has to hold of all tenants for `name` to come to `plan`; none where the stamp tells environments
    /// apart.
    pub fn rule<'a>(settings: &'a Settings, name: &'a str, plan: &'a str) -> Option<Box<TenantRule<'a>>> {
        if settings.ownership.is_stamping {
            return None;
        }
        Some(Box::new(move |tenants: &[Tenant]| {
            Self::check_with(settings, tenants.iter().map(Tenant::name_and_plan), name, plan)
        }))
    }
}

/// Tenants who share an upstream credential while no stamp tells their environments apart. They cannot be
/// served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedCredentials {
    sharing: usize,
    alone: usize,
}

impl SharedCredentials {
    /// Counts them among all tenants that are known.
    #[must_use]
    pub fn find(settings: &Settings, directory: &Directory) -> Self {
        let mut found = Self::default();
        if settings.ownership.is_stamping {
            return found;
        }
        let mut plans_by_access: Vec<(_, Vec<String>)> = Vec::new();
        for (name, plan) in &settings.plans {
            let access = settings.access(plan);
            match plans_by_access.iter_mut().find(|(known, _)| *known == access) {
                Some((_, plans)) => plans.push(name.clone()),
                None => plans_by_access.push((access, vec![name.clone()])),
            }
        }
        for (_, plans) in plans_by_access {
            match directory.count_on(&plans) {
                1 => found.alone += 1,
                count => found.sharing += count,
            }
        }
        found
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> usize {
        self.sharing
    }

    /// Whether there is nobody else.
    #[must_use]
    pub const fn leave_nobody(self) -> bool {
        self.sharing > 0 && self.alone == 0
    }
}

fn some(names: &[String]) -> String {
    let told = names.iter().take(MOST_NAMES).map(String::as_str);
    let told = told.collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MOST_NAMES) {
        Some(more @ 1..) => format!("{told} and {more} more"),
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};
    use crate::tenancy::TenantId;

    fn settings(is_stamping: bool) -> Settings {
        let text = format!(
            "[ownership]\nstamp = {is_stamping}\n[credentials]\nresearch = {{ key = {{ env = \"R\" }}, budget = \"default\" }}\n[plans]\n\
             research.credential = \"research\"\nthere.workspace_id = \"wrkspc_1\"\nhere.operations = [\"list\"]\n"
        );
        let environment = [
            ("ENVGATE_UPSTREAM__URL", "https://api.anthropic.com"),
            ("ENVGATE_UPSTREAM__CREDENTIAL", "sk-own"),
            ("R", "sk-research"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        load(&Source::new("envgate.toml", text, environment)).unwrap()
    }

    #[test]
    fn the_stamp_may_be_off_where_every_credential_has_one_tenant() {
        let off = settings(false);
        let apart = [
            ("a", "default"),
            ("b", "research"),
            ("c", "there"),
            ("d", "gone"),
            ("e", "gone"),
        ];
        assert_eq!(StampRequired::check(&off, []), Ok(()));
        assert_eq!(StampRequired::check(&off, apart), Ok(()));
        assert_eq!(StampRequired::check_with(&off, apart, "a", "here"), Ok(()));
        for (name, plan, access, together) in [
            ("f", "here", "the upstream credential", ["a", "f"]),
            ("a", "research", "the credential research", ["b", "a"]),
            (
                "f",
                "there",
                "the upstream credential with the workspace wrkspc_1",
                ["c", "f"],
            ),
        ] {
            let required = StampRequired::check_with(&off, apart, name, plan).unwrap_err();
            assert_eq!(
                (required.access.as_str(), required.tenants),
                (access, together.map(str::to_owned).to_vec())
            );
            assert_eq!(
                StampRequired::check_with(&settings(true), apart, name, plan),
                Ok(())
            );
        }
    }

    #[test]
    fn who_shares_a_credential_without_a_stamp_is_counted_and_whether_anybody_is_left() {
        let count = |is_stamping, plans: &[&str]| {
            let directory = Directory::default();
            let tenants = plans.iter().enumerate().map(|(number, plan)| Tenant {
                id: TenantId(format!("ten_{number}")),
                name: format!("t{number}"),
                plan: (*plan).to_owned(),
                created_at: String::new(),
                is_suspended: false,
            });
            directory.apply(tenants.collect(), Vec::new());
            let shared = SharedCredentials::find(&settings(is_stamping), &directory);
            (shared.count(), shared.leave_nobody())
        };
        assert_eq!(count(false, &[]), (0, false));
        assert_eq!(count(false, &["default", "research"]), (0, false));
        assert_eq!(count(false, &["default", "here"]), (2, true));
        assert_eq!(count(false, &["default", "here", "research"]), (2, false));
        assert_eq!(count(true, &["default", "here"]), (0, false));
    }

    #[test]
    fn of_many_tenants_some_are_named() {
        let names: Vec<_> = (0..12).map(|number| format!("t{number}")).collect();
        let tenants = names.iter().map(|name| (name.as_str(), "default"));
        let message = StampRequired::check(&settings(false), tenants)
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with(
                "ownership.stamp is off, and 12 tenants would share the upstream credential: t0, t1,"
            ),
            "{message}"
        );
        assert!(message.contains("t9 and 2 more; set it to true"), "{message}");
    }
}
