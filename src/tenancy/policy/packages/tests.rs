use proptest::prelude::*;
use serde_json::json;

use crate::config::Install;
use crate::environment::PackageManager;
use crate::tenancy::Policy;
use crate::tenancy::policy::tests::{broken, environment, one, rule, violations, with_packages};

#[test]
fn a_list_that_is_off_must_be_empty() {
    let policy = rule(PackageManager::Gem, Install::Off, None, &[]);
    let environment = with_packages(PackageManager::Gem, &["rails", "rake"]);
    assert_eq!(
        broken(&policy, &environment),
        one("/config/packages/gem", "install")
    );
    assert_eq!(
        violations(&policy, &environment)[0].message,
        "config.packages.gem must be empty by the policy of this plan, and it is not: \"rails\" and 1 more"
    );
    assert_eq!(
        broken(&policy, &with_packages(PackageManager::Pip, &["x"])),
        [],
        "other lists are free"
    );
}

#[test]
fn pinned_wants_one_exact_version() {
    for (manager, good, bad) in [
        (PackageManager::Apt, "ffmpeg=7:6.1-1", "ffmpeg"),
        (PackageManager::Cargo, "ripgrep@14.0.0", "ripgrep@^14.0.0"),
        (PackageManager::Gem, "rails:7.1.0", "rails:~>7.1"),
        (
            PackageManager::Go,
            "golang.org/x/tools@v0.1.0",
            "golang.org/x/tools@latest",
        ),
        (PackageManager::Npm, "express@4.18.0", "express@latest"),
        (PackageManager::Pip, "pandas==2.2.0", "pandas==2.*"),
    ] {
        let policy = rule(manager, Install::Pinned, None, &[]);
        let pointer = format!("/config/packages/{manager}/1");
        assert_eq!(
            broken(&policy, &with_packages(manager, &[good, bad])),
            one(&pointer, "install")
        );
    }
    let told = violations(
        &rule(PackageManager::Pip, Install::Pinned, None, &[]),
        &with_packages(PackageManager::Pip, &["Pandas>=2"]),
    );
    assert_eq!(told[0].hint.as_deref(), Some("write it as \"pandas==VERSION\""));
}

#[test]
fn names_are_compared_as_their_manager_compares_them() {
    for (manager, listed, entry, is_held) in [
        (PackageManager::Pip, "scikit-learn", "Scikit__Learn==1.0", true),
        (PackageManager::Pip, "scikit-learn", "scikit-learn2", false),
        (PackageManager::Pip, "uvicorn", "UVICORN[standard]>=0.30", true),
        (PackageManager::Cargo, "cargo-edit", "CARGO_EDIT@0.12.0", true),
        (PackageManager::Gem, "redcloth", "RedCloth:4.3.2", true),
        (PackageManager::Npm, "@types/node", "@types/node@20", true),
        (PackageManager::Npm, "node", "@types/node", false),
        (PackageManager::Npm, "@types/node", "node", false),
        (
            PackageManager::Go,
            "github.com/evil/mod",
            "github.com/Evil/mod/cmd/x@latest",
            true,
        ),
        (
            PackageManager::Go,
            "github.com/evil/mod",
            "github.com/evil/mod/v2",
            true,
        ),
        (
            PackageManager::Go,
            "github.com/evil/mod",
            "github.com/evil/model",
            false,
        ),
        (PackageManager::Apt, "netcat", "netcat:amd64=1.10", true),
        (PackageManager::Apt, "netcat", "netcat-openbsd", false),
    ] {
        let environment = with_packages(manager, &[entry]);
        let pointer = format!("/config/packages/{manager}/0");
        let denied = broken(&rule(manager, Install::Any, None, &[listed]), &environment);
        assert_eq!(
            denied,
            if is_held { one(&pointer, "deny") } else { vec![] },
            "{entry} denied by {listed}"
        );
        let allowed = broken(&rule(manager, Install::Any, Some(&[listed]), &[]), &environment);
        assert_eq!(
            allowed,
            if is_held { vec![] } else { one(&pointer, "allow") },
            "{entry} allowed by {listed}"
        );
    }
}

#[test]
fn what_is_denied_stays_denied_where_it_is_allowed_too() {
    let policy = rule(PackageManager::Pip, Install::Any, Some(&["a", "b"]), &["b"]);
    let environment = with_packages(PackageManager::Pip, &["a", "B"]);
    assert_eq!(
        broken(&policy, &environment),
        one("/config/packages/pip/1", "deny")
    );
}

#[test]
fn apt_cannot_be_led_to_a_denied_package_by_a_pattern() {
    let policy = rule(PackageManager::Apt, Install::Any, None, &["netcat"]);
    for entry in ["netcat+", "netca.", "n.tcat=1.0", "etcat+"] {
        let environment = with_packages(PackageManager::Apt, &[entry]);
        let told = broken(&policy, &environment);
        assert!(!told.is_empty(), "{entry}");
    }
    for entry in ["g++", "libstdc++6", "python3.11"] {
        assert_eq!(
            broken(&policy, &with_packages(PackageManager::Apt, &[entry])),
            [],
            "{entry}"
        );
    }
}

#[test]
fn an_entry_that_is_no_name_is_refused_under_any_rule() {
    for manager in PackageManager::ALL {
        let policy = rule(manager, Install::Any, None, &[]);
        for entry in [
            "--index-url=https://evil.example/simple",
            "-r requirements.txt",
            "git+https://evil.example/x",
            "https://evil.example/x.tgz",
            "./x",
            "x@npm:y",
            "name\n",
            " name",
            "n\u{430}me",
            "",
        ] {
            let pointer = format!("/config/packages/{manager}/0");
            let told = broken(&policy, &with_packages(manager, &[entry]));
            assert_eq!(told, one(&pointer, "form"), "{manager} {entry:?}");
        }
    }
}

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![".{0,24}", "[-a-zA-Z0-9@/.:=_+~<>\\[\\], ]{0,24}"]
}

proptest! {
    #[test]
    fn nothing_makes_the_judge_panic(
        hosts in proptest::collection::vec(entry(), 0..4),
        packages in proptest::collection::vec(entry(), 0..4),
        manager in proptest::sample::select(PackageManager::ALL.to_vec()),
    ) {
        let networking = json!({"type": "limited", "allowed_hosts": hosts, "allow_package_managers": true});
        let config = json!({"type": "cloud", "networking": networking, "packages": {manager.name(): packages}});
        let mut policy = rule(manager, Install::Pinned, None, &[]);
        policy.allowed_hosts = Some(vec![]);
        let _ = Policy::new(&policy).judge(&environment(config));
    }

    #[test]
    fn a_name_that_equals_a_denied_one_after_normalisation_is_denied(
        denied in "[a-z][a-z0-9]{1,6}([-_.]{1,3}[a-z0-9]{1,4}){0,2}",
        capitals in any::<u32>(),
        separators in proptest::collection::vec("[-_.]{1,3}", 3),
    ) {
        let Ok(name) = PackageManager::Pip.package_name(&denied) else {
            return Ok(());
        };
        let mut separators = separators.iter();
        let spelt: String = name
            .as_str()
            .chars()
            .enumerate()
            .map(|(index, c)| match c {
                '-' => separators.next().cloned().unwrap_or("-".to_owned()),
                c if capitals >> (index % 32) & 1 == 1 => c.to_ascii_uppercase().to_string(),
                c => c.to_string(),
            })
            .collect();
        let policy = rule(PackageManager::Pip, Install::Any, None, &[&denied]);
        let told = violations(&policy, &with_packages(PackageManager::Pip, &[&spelt]));
        prop_assert_eq!(told.len(), 1, "{} for {}", spelt, denied);
    }
}
