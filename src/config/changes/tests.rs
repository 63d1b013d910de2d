use super::*;
use crate::config::{Source, load};

fn settings(text: &str) -> Settings {
    let environment = [
        ("ENVGATE_ADMIN__TOKEN", "0123456789abcdef"),
        ("KEY", "sk-one"),
        ("OTHER", "sk-two"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    load(&Source::new("envgate.toml", text, environment)).unwrap()
}

fn told(from: &str, to: &str) -> Vec<String> {
    let changes = settings(from).changes_to(&settings(to));
    let show = |value: Option<String>| value.unwrap_or("-".to_owned());
    let tell = |change: SettingChange| {
        let marks = [(change.is_secret, " secret"), (change.needs_restart, " restart")];
        let marks: String = marks
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, mark)| mark)
            .collect();
        format!(
            "{}: {} → {}{marks}",
            change.setting,
            show(change.from),
            show(change.to)
        )
    };
    changes.into_iter().map(tell).collect()
}

#[test]
fn a_setting_is_told_from_what_to_what_and_its_default_is_a_value_too() {
    assert_eq!(
        told(
            "upstream.timeout = \"5s\"\n",
            "listen.max_body_bytes = 2048\n[plans.gold]\n"
        ),
        [
            "listen.max_body_bytes: 1048576 → 2048",
            "plans.gold: - → a table",
            "upstream.timeout: 5s → 60s",
        ]
    );
    assert_eq!(
        told(
            "",
            "upstream.timeout = \"60s\"\nlisten.max_body_bytes = 1048576\n"
        ),
        [""; 0]
    );
    assert_eq!(
        told("", "listen.trusted_networks = [\"127.0.0.0/8\", \"::1/128\"]\n"),
        [""; 0],
        "a list that is the default"
    );
}

#[test]
fn no_secret_is_told_and_it_has_changed_where_what_stands_behind_it_has() {
    let upstream = |key: &str| {
        format!("upstream.url = \"https://api.anthropic.com\"\nupstream.credential = {{ env = \"{key}\" }}\n")
    };
    assert_eq!(
        told(&upstream("KEY"), &upstream("OTHER")),
        ["upstream.credential: { env = KEY } → { env = OTHER }"],
        "where one comes from is none"
    );
    let debug = format!("{:?}", settings(&upstream("KEY")));
    assert!(!debug.contains("sk-one"), "{debug}");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let text = format!("admin.token = {{ file = {file:?} }}\n");
    let read = |content: &str| {
        fs::write(&file, content).unwrap();
        load(&Source::new("envgate.toml", text.as_str(), [])).unwrap()
    };
    let (before, after) = (read("0123456789abcdef"), read("fedcba9876543210"));
    let changes = before.changes_to(&after);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].setting, "admin.token");
    assert_eq!(changes[0].from, changes[0].to);
    let in_environment = |token: &str| {
        let environment = [("ENVGATE_ADMIN__TOKEN".to_owned(), token.to_owned())];
        load(&Source::new("envgate.toml", "", environment)).unwrap()
    };
    let changes = in_environment("0123456789abcdef").changes_to(&in_environment("fedcba9876543210"));
    assert!(changes[0].is_secret && changes[0].from.is_none() && changes[0].to.is_none());
}

#[test]
fn what_needs_a_restart_stays_as_it_is_and_goes_on_to_be_told() {
    let running = settings("ownership.stamp_key = \"a\"\nserver.threads = 3\nupstream.timeout = \"5s\"\n");
    let read = settings(
        "ownership.stamp_key = \"b\"\nserver.threads = 4\nlisten.address = \"127.0.0.1:1\"\n\
         audit.enabled = false\nquota.replicas = 3\nstore.url = \"sqlite:other.db\"\nlog.format = \"json\"\n",
    );
    let taken_over = read.clone().taken_over_by(&running);
    assert_eq!(
        format!("{:?}", taken_over.ownership),
        format!("{:?}", running.ownership)
    );
    assert_eq!(taken_over.store.url, running.store.url);
    assert_eq!((taken_over.server.threads, taken_over.quota.replicas), (3, 1));
    assert_eq!(taken_over.listen.address, running.listen.address);
    assert_eq!(
        taken_over.upstream.timeout.as_secs(),
        60,
        "everything else is taken over"
    );

    let names = |changes: Vec<SettingChange>| {
        let named = changes
            .into_iter()
            .map(|change| (change.setting, change.needs_restart));
        named.collect::<Vec<_>>()
    };
    let lasting = [
        "audit.enabled",
        "listen.address",
        "log.format",
        "ownership.stamp_key",
        "quota.replicas",
        "server.threads",
        "store.url",
    ]
    .map(|setting| (setting.to_owned(), true));
    assert_eq!(
        names(taken_over.changes_to(&read)),
        lasting,
        "what was not taken over is still told"
    );
    assert_eq!(
        names(running.changes_to(&taken_over)),
        [("upstream.timeout".to_owned(), false)],
        "and only the rest has changed"
    );
}

#[test]
fn each_setting_that_is_read_at_the_start_alone_stays_as_it_is() {
    const POSTGRES: &str = "store.url = \"postgres://one/envgate\"\n";
    const SHARED: &str = "quota.replicas = 2\n";
    let other_values = [
        ("listen.address", "", "\"127.0.0.1:1\""),
        ("listen.proxy_protocol", "", "true"),
        ("admin.address", "", "\"127.0.0.1:2\""),
        ("ownership.stamp", "", "false"),
        ("ownership.stamp_key", "", "\"other\""),
        ("ownership.adoption_timeout", "", "\"1m\""),
        ("quota.replicas", "", "2"),
        ("quota.redis", SHARED, "\"redis://127.0.0.1\""),
        ("quota.window", "", "\"1s\""),
        ("store.url", "cache.ttl = \"1s\"\n", "\"sqlite:other.db\""),
        ("store.listen_url", POSTGRES, "\"postgres://two/envgate\""),
        ("store.auto_migrate", "", "false"),
        ("store.migration_url", "", "\"sqlite:other.db\""),
        ("audit.enabled", "", "false"),
        ("audit.file", "", "\"audit.jsonl\""),
        ("audit.spool", "", "\"spool\""),
        ("audit.retention", "", "\"2h\""),
        ("drift.enabled", "", "false"),
        ("drift.retention", "", "\"2h\""),
        ("log.format", "", "\"json\""),
        ("server.threads", "server.threads = 1\n", "2"),
        ("server.core_dumps", "", "true"),
        ("server.handover_directory", "", "\"/run/envgate\""),
    ];
    let lasting = SETTINGS.iter().filter(|doc| doc.needs_restart());
    let lasting: BTreeSet<_> = lasting.map(|doc| doc.path).collect();
    assert_eq!(
        other_values
            .iter()
            .map(|(path, ..)| *path)
            .collect::<BTreeSet<_>>(),
        lasting
    );
    for (path, beside, value) in other_values {
        let running = settings(beside);
        let others = beside.replace(&format!("{path} = 1\n"), "");
        let read = settings(&format!("{others}{path} = {value}\n"));
        let taken_over = read.clone().taken_over_by(&running);
        assert_eq!(format!("{taken_over:?}"), format!("{running:?}"), "{path}");
        let told = running.changes_to(&read);
        assert!(
            told.iter()
                .any(|change| change.setting == path && change.needs_restart),
            "{path}"
        );
    }
}
