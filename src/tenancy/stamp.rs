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

/// How many names a message tells.
const MOST_NAMES: usize = 10;

impl StampRequired {
    /// Refuses settings that leave the stamp out where one credential, with one workspace, is more than one tenant's.
    /// `tenants` are all there are, each by its name and the name of its plan. Suspended ones count too: their
    /// environments are still there. One whose plan is not configured has no credential.
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
