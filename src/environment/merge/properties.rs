//! What holds for every environment and every update.

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::environment::Scope;

fn text() -> impl Strategy<Value = String> {
    "[a-z]{0,3}"
}

fn sent<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T>) -> impl Strategy<Value = Sent<T>> {
    prop_oneof![
        1 => Just(Sent::Omitted),
        1 => Just(Sent::Null),
        3 => value.prop_map(Sent::Value),
    ]
}

fn list() -> impl Strategy<Value = Sent<Vec<String>>> {
    sent(vec(text(), 0..3))
}

fn scope() -> impl Strategy<Value = Option<Scope>> {
    of(prop_oneof![Just(Scope::Organization), Just(Scope::Account)])
}

fn networking() -> impl Strategy<Value = NetworkingParams> {
    let limited = (sent(any::<bool>()), sent(any::<bool>()), list()).prop_map(
        |(allow_mcp_servers, allow_package_managers, allowed_hosts)| LimitedNetworkParams {
            allow_mcp_servers,
            allow_package_managers,
            allowed_hosts,
        },
    );
    prop_oneof![
        1 => Just(NetworkingParams::Unrestricted {}),
        2 => limited.prop_map(NetworkingParams::Limited),
    ]
}

fn packages() -> impl Strategy<Value = PackagesParams> {
    (list(), list(), list(), list(), list(), list()).prop_map(|(apt, cargo, gem, go, npm, pip)| {
        PackagesParams {
            kind: None,
            apt,
            cargo,
            gem,
            go,
            npm,
            pip,
        }
    })
}

fn config() -> impl Strategy<Value = ConfigParams> {
    let cloud = (sent(networking()), sent(packages()))
        .prop_map(|(networking, packages)| ConfigParams::Cloud(CloudParams { networking, packages }));
    prop_oneof![1 => Just(ConfigParams::SelfHosted {}), 6 => cloud]
}

prop_compose! {
    fn update()(
        name in of(text()),
        description in of(of(text())),
        config in sent(config()),
        metadata in btree_map("[a-f]", of(text()), 0..4),
        scope in sent(prop_oneof![Just(Scope::Organization), Just(Scope::Account)]),
    ) -> UpdateParams {
        UpdateParams { name, description, config, metadata, scope }
    }
}

fn environment() -> impl Strategy<Value = Environment> {
    let params = (
        text(),
        of(text()),
        of(config()),
        btree_map("[a-f]", text(), 0..4),
        scope(),
    )
        .prop_map(|(name, description, config, metadata, scope)| CreateParams {
            name,
            description,
            config,
            metadata,
            scope,
        });
    params.prop_filter_map("the config is not possible", |params| {
        let id = EnvironmentId::parse("env_1").ok()?;
        Environment::create(params, id, Timestamp::UNIX_EPOCH).ok()
    })
}

/// Any time, before and after those of the environment.
fn clock() -> impl Strategy<Value = Timestamp> {
    (-1_000_i64..1_000_000).prop_map(|micros| Timestamp::from_microsecond(micros).unwrap())
}

fn with_time_of(environment: &Environment, other: &Environment) -> Environment {
    Environment {
        updated_at: other.updated_at,
        ..environment.clone()
    }
}

proptest! {
    #[test]
    fn an_empty_update_changes_updated_at_alone(stored in environment(), now in clock()) {
        let updated = stored.merge(&UpdateParams::default(), now).unwrap();
        prop_assert_eq!(with_time_of(&updated, &stored), stored);
    }

    #[test]
    fn the_same_update_twice_equals_it_once(stored in environment(), sent in update(), now in clock()) {
        let Ok(once) = stored.merge(&sent, now) else { return Ok(()) };
        let twice = once.merge(&sent, now).unwrap();
        prop_assert_eq!(with_time_of(&twice, &once), once);
    }

    #[test]
    fn updated_at_always_grows(stored in environment(), sent in update(), now in clock()) {
        let Ok(updated) = stored.merge(&sent, now) else { return Ok(()) };
        prop_assert!(updated.updated_at > stored.updated_at);
        prop_assert!(updated.updated_at >= now);
    }

    #[test]
    fn fields_that_were_not_sent_stay(stored in environment(), sent in update(), now in clock()) {
        let Ok(updated) = stored.merge(&sent, now) else { return Ok(()) };
        prop_assert_eq!(&updated.id, &stored.id);
        prop_assert_eq!(updated.created_at, stored.created_at);
        prop_assert_eq!(updated.archived_at, None);
        if sent.name.is_none() {
            prop_assert_eq!(&updated.name, &stored.name);
        }
        if sent.description.is_none() {
            prop_assert_eq!(&updated.description, &stored.description);
        }
        if !matches!(sent.scope, Sent::Value(_)) {
            prop_assert_eq!(updated.scope, stored.scope);
        }
        if !matches!(sent.config, Sent::Value(_)) {
            prop_assert_eq!(&updated.config, &stored.config);
        }
    }

    #[test]
    fn each_list_is_the_one_that_was_sent_or_the_one_that_was_there(
        stored in environment(), sent in packages(), now in clock(),
    ) {
        let Config::Cloud(before) = &stored.config else { return Ok(()) };
        let cloud = CloudParams { networking: Sent::Omitted, packages: Sent::Value(sent.clone()) };
        let params = UpdateParams { config: Sent::Value(ConfigParams::Cloud(cloud)), ..UpdateParams::default() };
        let Ok(updated) = stored.merge(&params, now) else { return Ok(()) };
        let Config::Cloud(after) = &updated.config else { panic!("the config type changed") };
        prop_assert_eq!(&after.networking, &before.networking);
        for (sent, before, after) in [
            (&sent.apt, &before.packages.apt, &after.packages.apt),
            (&sent.cargo, &before.packages.cargo, &after.packages.cargo),
            (&sent.gem, &before.packages.gem, &after.packages.gem),
            (&sent.go, &before.packages.go, &after.packages.go),
            (&sent.npm, &before.packages.npm, &after.packages.npm),
            (&sent.pip, &before.packages.pip, &after.packages.pip),
        ] {
            prop_assert_eq!(after, sent.or(before, before, NullMeaning::Omitted));
        }
    }

    #[test]
    fn metadata_keys_that_were_not_named_survive(stored in environment(), sent in update(), now in clock()) {
        let Ok(updated) = stored.merge(&sent, now) else { return Ok(()) };
        for (key, value) in &stored.metadata {
            if !sent.metadata.contains_key(key) {
                prop_assert_eq!(updated.metadata.get(key), Some(value));
            }
        }
        for (key, value) in &sent.metadata {
            let written = value.as_ref().filter(|value| !value.is_empty());
            prop_assert_eq!(updated.metadata.get(key), written);
        }
    }

    #[test]
    fn no_environment_lists_packages_that_its_network_keeps_away(
        stored in environment(), sent in update(), now in clock(),
    ) {
        let Ok(updated) = stored.merge(&sent, now) else { return Ok(()) };
        let Config::Cloud(config) = &updated.config else { return Ok(()) };
        if let Networking::Limited(network) = &config.networking {
            prop_assert!(network.allow_package_managers || config.packages.managers().next().is_none());
        }
    }

    #[test]
    fn an_archived_environment_never_changes(stored in environment(), sent in update(), now in clock()) {
        let archived = stored.archive(now);
        prop_assert_eq!(archived.merge(&sent, now), Err(MergeError::Archived));
        prop_assert_eq!(archived.archive(now), archived);
    }
}
