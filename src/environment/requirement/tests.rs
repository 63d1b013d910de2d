use proptest::prelude::*;

use super::*;

/// An entry that is understood, its normalised name, and whether it is pinned.
type Understood = (&'static str, &'static str, bool);

const UNDERSTOOD: &[(PackageManager, &[Understood])] = &[
    (
        PackageManager::Apt,
        &[
            ("ffmpeg", "ffmpeg", false),
            ("g++", "g++", false),
            ("libstdc++6", "libstdc++6", false),
            ("python3.11=3.11.2-6+deb12u2", "python3.11", true),
            ("git=1:2.39.2~rc1-1", "git", true),
            ("libc6:i386", "libc6", false),
            ("libc6:amd64=2.36-9", "libc6", true),
        ],
    ),
    (
        PackageManager::Cargo,
        &[
            ("ripgrep", "ripgrep", false),
            ("ripgrep@14.0.0", "ripgrep", true),
            ("Cargo_Edit@=0.12.0", "cargo-edit", true),
            ("ripgrep@^14", "ripgrep", false),
            ("ripgrep@14.0", "ripgrep", false),
            ("ripgrep@14.0.0-rc.1+linux", "ripgrep", true),
        ],
    ),
    (
        PackageManager::Gem,
        &[
            ("rails", "rails", false),
            ("rails:7.1.0", "rails", true),
            ("RedCloth:=4.3.2", "redcloth", true),
            ("rails:~>7.0", "rails", false),
            ("rails:>=7,<8", "rails", false),
            ("google-cloud_storage.x:1.0.0.rc1", "google-cloud_storage.x", true),
        ],
    ),
    (
        PackageManager::Go,
        &[
            (
                "golang.org/x/tools/cmd/goimports",
                "golang.org/x/tools/cmd/goimports",
                false,
            ),
            (
                "golang.org/x/tools/cmd/goimports@latest",
                "golang.org/x/tools/cmd/goimports",
                false,
            ),
            (
                "github.com/BurntSushi/toml/v2@v2.0.1",
                "github.com/burntsushi/toml/v2",
                true,
            ),
            (
                "gopkg.in/yaml.v3@v3.0.0-20200313102051-9f266ea9e77c",
                "gopkg.in/yaml.v3",
                true,
            ),
            ("github.com/a/b@v2.0.0+incompatible", "github.com/a/b", true),
            ("github.com/a/b@v2", "github.com/a/b", false),
        ],
    ),
    (
        PackageManager::Npm,
        &[
            ("express", "express", false),
            ("express@4.18.0", "express", true),
            ("express@=v4.18.0", "express", true),
            ("@types/node@20.1.0", "@types/node", true),
            ("@types/node", "@types/node", false),
            ("express@^4", "express", false),
            ("express@latest", "express", false),
            ("express@1.x", "express", false),
        ],
    ),
    (
        PackageManager::Pip,
        &[
            ("pandas", "pandas", false),
            ("Scikit_Learn", "scikit-learn", false),
            ("zope.-_interface", "zope-interface", false),
            ("pandas==2.2.0", "pandas", true),
            ("pandas===2.2.0", "pandas", true),
            ("pandas==2.2.*", "pandas", false),
            ("pandas>=2,<3,!=2.1.*", "pandas", false),
            ("pandas~=2.2", "pandas", false),
            ("pandas==2.2.0,<3", "pandas", false),
            ("uvicorn[standard,a_b]==0.30.0", "uvicorn", true),
            ("torch==1!2.0.post1+cu118", "torch", true),
        ],
    ),
];

/// What no manager's grammar takes.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "-",
    "--index-url",
    "--index-url=https://evil.example",
    "-r",
    "-rrequirements.txt",
    "-r requirements.txt",
    "-e.",
    "-i",
    "git+https://evil.example/x",
    "git+https://user:secret@evil.example/x.git@main",
    "https://evil.example/x.tar.gz",
    "file:///etc/passwd",
    "file:x",
    "./x",
    "../x",
    "/x",
    ".",
    "..",
    "~/x",
    "x/y",
    "x\\y",
    "C:\\x",
    "name name",
    "name --pre",
    " name",
    "name ",
    "name\n",
    "name\r\n",
    "name\t",
    "name\0",
    "name\u{a0}",
    "name\u{200b}",
    "n\u{430}me",
    "ｎａｍｅ",
    "name\u{301}",
    "$(id)",
    "`id`",
    "name;id",
    "name&&id",
    "name|id",
    "name>file",
    "name@npm:other",
    "name@file:../x",
    "name@user/repository",
    "name@https://evil.example/x",
    "name@git+ssh://git@evil.example/x",
    "name @ https://evil.example/x",
    "name@",
    "name=",
    "name:",
    "name==",
    "name[",
    "name[]",
    "name[x",
    "name]x",
    "name; python_version<'3'",
    "name*",
    "na?e",
    "^name",
    "name$",
    "name^",
    "name/stable",
    "name=1.*",
    "name=-1",
    "name@-1",
    "name:-1",
    "name==-1",
    "name@..",
    "golang.org/x/tools/...",
    "golang.org/../x",
    "golang.org//x",
    "golang.org/x/",
    "golang.org/x@branch/name",
    "golang.org/x@v1.0.0@v1.0.0",
    "@scope",
    "@scope/",
    "@/name",
    "@scope/../name",
    "@scope/name/more",
    "@scope/name@npm:other",
];

#[test]
fn the_documented_forms_are_understood() {
    for (manager, entries) in UNDERSTOOD {
        for (entry, name, is_pinned) in *entries {
            let asked = manager
                .requirement(entry)
                .unwrap_or_else(|fault| panic!("{entry}: {fault}"));
            assert_eq!(
                (asked.name.as_str(), asked.is_pinned),
                (*name, *is_pinned),
                "{manager} {entry}"
            );
            let again = manager.package_name(name);
            assert_eq!(
                again.as_ref(),
                Ok(&asked.name),
                "{manager} {name} is normal already"
            );
        }
    }
}

#[test]
fn what_could_mean_anything_else_is_refused() {
    for manager in PackageManager::ALL {
        for entry in HOSTILE {
            assert_eq!(
                manager.requirement(entry),
                Err(NotARequirement(manager.grammar().form)),
                "{manager} {entry:?}"
            );
        }
    }
}

#[test]
fn what_a_manager_takes_for_a_file_is_no_name() {
    for (manager, entry) in [
        (PackageManager::Pip, "evil-1.0-py3-none-any.whl"),
        (PackageManager::Pip, "evil.tar.gz"),
        (PackageManager::Pip, "evil==1.0.ZIP"),
        (PackageManager::Npm, "evil.tgz"),
        (PackageManager::Npm, "evil@1.0.0.tgz"),
        (PackageManager::Gem, "evil-1.0.gem"),
    ] {
        assert!(manager.requirement(entry).is_err(), "{manager} {entry}");
    }
}

#[test]
fn apt_is_not_told_to_take_a_package_away() {
    for entry in ["evil-", "evil-=1.0", "evil=1.0-", "evil:amd64-"] {
        assert!(PackageManager::Apt.requirement(entry).is_err(), "{entry}");
    }
}

#[test]
fn capitals_are_refused_where_they_make_another_package() {
    assert!(PackageManager::Npm.requirement("JSONStream").is_err());
    assert!(PackageManager::Apt.requirement("FFmpeg").is_err());
    assert_eq!(
        PackageManager::Pip.requirement("PANDAS").unwrap().name,
        PackageManager::Pip.package_name("pandas").unwrap()
    );
}

#[test]
fn a_name_has_no_version() {
    for (manager, text) in [
        (PackageManager::Apt, "ffmpeg=1"),
        (PackageManager::Cargo, "ripgrep@1.0.0"),
        (PackageManager::Gem, "rails:7"),
        (PackageManager::Go, "golang.org/x@v1"),
        (PackageManager::Npm, "express@4"),
        (PackageManager::Pip, "pandas==2"),
        (PackageManager::Pip, "pandas[x]"),
    ] {
        let fault = manager.package_name(text).unwrap_err();
        assert_eq!(
            fault.to_string(),
            format!("expected the name of a package of {manager}, without a version")
        );
    }
}

proptest! {
    #[test]
    fn nothing_makes_a_grammar_panic(entry in ".{0,80}") {
        for manager in PackageManager::ALL {
            let _ = manager.requirement(&entry);
            let _ = manager.package_name(&entry);
        }
    }

    #[test]
    fn what_is_understood_is_plain_and_starts_with_a_name(entry in "[-a-zA-Z0-9@/.:=_+~<>!\\[\\], ]{1,24}") {
        for manager in PackageManager::ALL {
            if let Ok(asked) = manager.requirement(&entry) {
                prop_assert!(!entry.starts_with('-') && !entry.contains([' ', '\\']) && !entry.contains("://"));
                prop_assert_eq!(manager.package_name(asked.name.as_str()), Ok(asked.name));
            }
        }
    }
}

/// What the judges of versions themselves call exact; ours may refuse more, but calls nothing pinned that
/// they do not.
fn is_pinned_by_the_book(manager: PackageManager, entry: &str) -> bool {
    use std::str::FromStr;

    use pep508_rs::pep440_rs::Operator;
    use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};

    let is_semver = |version: &str| ::semver::Version::parse(version).is_ok();
    let version = entry.rsplit_once('@').map_or("", |(_, version)| version);
    match manager {
        PackageManager::Cargo => is_semver(version.trim_start_matches('=')),
        PackageManager::Npm => is_semver(version.trim_start_matches(['=', 'v'])),
        PackageManager::Go => version.strip_prefix('v').is_some_and(is_semver),
        PackageManager::Pip => {
            let requirement = Requirement::<VerbatimUrl>::from_str(entry);
            let Ok(Some(VersionOrUrl::VersionSpecifier(specifiers))) =
                requirement.map(|requirement| requirement.version_or_url)
            else {
                return false;
            };
            let mut operators = specifiers.iter().map(|specifier| *specifier.operator());
            let is_exact = matches!(operators.next(), Some(Operator::Equal | Operator::ExactEqual));
            is_exact && operators.next().is_none()
        }
        PackageManager::Apt | PackageManager::Gem => true,
    }
}

#[test]
fn what_is_pinned_here_is_pinned_by_the_book() {
    for (manager, entries) in UNDERSTOOD {
        for (entry, _, is_pinned) in *entries {
            assert!(
                !is_pinned || is_pinned_by_the_book(*manager, entry),
                "{manager}: {entry}"
            );
        }
    }
    for (manager, entry) in [
        (PackageManager::Pip, "a==1.2.3banana"),
        (PackageManager::Pip, "a==1..2"),
        (PackageManager::Pip, "a==1.2.post"),
        (PackageManager::Pip, "a==1!1!2"),
        (PackageManager::Pip, "a==1.2+local..x"),
        (PackageManager::Cargo, "a@1.2.3-01"),
        (PackageManager::Npm, "a@99999999999999999999.0.0"),
    ] {
        let is_pinned = manager
            .requirement(entry)
            .is_ok_and(|requirement| requirement.is_pinned);
        assert!(
            !is_pinned || is_pinned_by_the_book(manager, entry),
            "{manager}: {entry}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_version_is_pinned_here_that_is_not_by_the_book(
        version in "[v=]?[0-9]{1,2}(!|[.][0-9]{0,3}){0,4}([-._]?(a|rc|post|dev|x|alpha|r|beta)[-._]?[0-9]{0,2}){0,3}([+-][a-z0-9.-]{0,6}){0,2}([.][*])?",
    ) {
        for (manager, entry) in [
            (PackageManager::Pip, format!("a=={version}")),
            (PackageManager::Pip, format!("a==={version}")),
            (PackageManager::Cargo, format!("a@{version}")),
            (PackageManager::Npm, format!("a@{version}")),
            (PackageManager::Go, format!("example.com/a@v{version}")),
        ] {
            let is_pinned = manager.requirement(&entry).is_ok_and(|requirement| requirement.is_pinned);
            prop_assert!(!is_pinned || is_pinned_by_the_book(manager, &entry), "{}: {}", manager, entry);
        }
    }
}
