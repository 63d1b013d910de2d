//! Settings that are wrong, with a secret in each.

use std::panic::{self, AssertUnwindSafe};

use envgate::config::{Source, load};

use super::outputs::Outputs;
use super::plants::Plants;
use crate::common::envgate::Setup;

#[test]
fn no_fault_of_settings_shows_one() {
    let (plants, outputs) = (Plants::default(), Outputs::default());
    let secret = || plants.plain("a setting that is wrong");
    let url = "[upstream]\nurl = \"https://a.example\"\n";
    let texts = [
        format!("{url}credential = \"{}\"", secret()),
        format!("{url}credential = {}", secret()),
        format!("{url}credential = \"{}", secret()),
        format!("{url}credential = {{ value = \"{}\" }}", secret()),
        format!("{url}credential = {{ {} = \"x\" }}", secret().replace('.', "")),
        format!("{url}credential = [\"{}\"]", secret()),
        format!("{url}credential.env = \"K\"\n{}", secret()),
        format!("{url}credential.env = \"K\"\ncredential = \"{}\"", secret()),
        format!(
            "{url}credential.env = \"K\"\nproxy = \"http://me:{}@proxy\"",
            secret()
        ),
        format!("[upstream]\nurl = \"https://me:{}@a.example\"", secret()),
        format!("[upstream]\nurl = \"{}\"", secret()),
        format!("[upstream]\nca_file = \"{}", secret()),
        format!("[admin]\ntoken = \"{}\"", secret()),
        format!("[admin]\nmetrics_token = \"{}\"", secret()),
        format!(
            "[admin.tokens.ci]\ntoken = \"{}\"\nrights = \"{}\"",
            secret(),
            secret()
        ),
        format!("[store]\nurl = \"postgres://me:{}@db/envgate\"", secret()),
        format!("[store]\nurl = \"postgres://db/envgate?password={}\"", secret()),
        format!("[store]\nurl = \"mysql://me:{}@db\"", secret()),
        format!("[store]\nlisten_url = \"postgres://me:{}@a,b/envgate\"", secret()),
        format!("[quota]\nredis = \"redis://:{}@127.0.0.1\"", secret()),
        format!("[quota]\nredis = \"http://:{}@127.0.0.1\"", secret()),
        format!(
            "[credentials.second]\nkey = \"{}\"\nbudget = \"{}\"",
            secret(),
            secret()
        ),
        format!(
            "[listen]\naddress = \"{}\"\nmax_body_bytes = \"{}\"",
            secret(),
            secret()
        ),
        format!(
            "[listen.tls]\nkey = \"-----BEGIN PRIVATE KEY-----\\n{}\"",
            secret()
        ),
        format!("[log]\nlevel = \"{}\"\nformat = \"{}\"", secret(), secret()),
        format!("\"\\x{}\" = 1", secret()),
    ];
    for text in texts {
        // What the environment says would go before the file.
        let setup = Setup::new()
            .unset("ENVGATE_STORE__URL")
            .unset("ENVGATE_LISTEN__ADDRESS")
            .file(&text);
        for command in [&["check"][..], &["serve"], &["tenants", "list"]] {
            outputs.command(&format!("{command:?} of {text}"), &setup.run(command));
        }
    }
    for (variable, form) in [
        ("ENVGATE_UPSTREAM__URL", "https://me:SECRET@a.example"),
        ("ENVGATE_UPSTREAM__CREDENTIAL", "SECRET with a blank"),
        ("ENVGATE_UPSTREAM__PROXY", "socks5://me:SECRET@proxy"),
        ("ENVGATE_UPSTREM__CREDENTIAL", "SECRET"),
        ("ENVGATE_CREDENTIAL", "SECRET"),
        ("ENVGATE_ADMIN__TOKEN", "SECRET\n"),
        ("ENVGATE_ADMIN__TOKENS__CI__TOKEN", "SECRET"),
        ("ENVGATE_STORE__URL", "postgres://me:SECRET#@127.0.0.1/envgate"),
        (
            "ENVGATE_STORE__URL",
            "postgres://me:SECRET@127.0.0.1/envgate?connect_timeout=5",
        ),
        (
            "ENVGATE_STORE__URL",
            "postgres://me:SECRET@127.0.0.1:1/envgate?sslmode=verify-ful",
        ),
        ("ENVGATE_STORE__URL", "SECRET"),
        ("ENVGATE_QUOTA__REDIS", "rediss://:SEC/RET@127.0.0.1"),
        ("ENVGATE_LISTEN__ADDRESS", "SECRET"),
        ("ENVGATE_LOG__LEVEL", "SECRET"),
    ] {
        let value = form.replace("SECRET", &secret());
        let setup = Setup::new().set(variable, &value);
        outputs.command(&format!("check with {variable}"), &setup.run(&["check"]));
        outputs.command(
            &format!("tenants list with {variable}"),
            &setup.run(&["tenants", "list"]),
        );
    }
    // A file that has a secret where another kind of it is wanted.
    let setup = Setup::new();
    for (file, text) in [
        ("token.key", secret()),
        (
            "broken.pem",
            format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                secret()
            ),
        ),
        ("two-lines", format!("{}\n{}\n", secret(), secret())),
    ] {
        std::fs::write(setup.path().join(file), text).unwrap();
    }
    let setup = setup.file(
        "[listen.tls]\ncertificate = \"token.key\"\nkey = \"broken.pem\"\n\
         [admin]\ntoken = { file = \"two-lines\" }\ntls.certificate = \"broken.pem\"\ntls.key = \"token.key\"\n",
    );
    outputs.command("check of files", &setup.run(&["check"]));
    outputs.expect_nothing_of(&plants);
}

#[test]
fn no_debug_output_and_no_panic_shows_one() {
    let (plants, outputs) = (Plants::default(), Outputs::default());
    let environment = [
        ("ENVGATE_UPSTREAM__URL", "https://a.example".to_owned()),
        ("ENVGATE_UPSTREAM__CREDENTIAL", plants.odd("upstream.credential")),
        (
            "ENVGATE_UPSTREAM__PROXY",
            format!("http://me:{}@proxy", plants.in_url("upstream.proxy")),
        ),
        ("ENVGATE_ADMIN__TOKEN", plants.odd("admin.token")),
        ("ENVGATE_ADMIN__METRICS_TOKEN", plants.odd("admin.metrics_token")),
        ("ENVGATE_QUOTA__REPLICAS", "2".to_owned()),
        (
            "ENVGATE_QUOTA__REDIS",
            format!("redis://:{}@127.0.0.1", plants.in_url("quota.redis")),
        ),
        (
            "ENVGATE_STORE__URL",
            format!("postgres://me:{}@db/envgate", plants.in_url("store.url")),
        ),
        (
            "ENVGATE_STORE__LISTEN_URL",
            format!("postgres://me:{}@db/envgate", plants.in_url("store.listen_url")),
        ),
        ("OTHER", plants.plain("a variable of somebody else")),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value));
    let settings = load(&Source::new("envgate.toml", "", environment)).unwrap();
    outputs.add("settings, shown by Debug", format!("{settings:#?}"));
    let shown = settings.clone();
    let panic = panic::catch_unwind(AssertUnwindSafe(move || panic!("{shown:?}"))).unwrap_err();
    outputs.add("a panic", panic.downcast_ref::<String>().unwrap().clone());
    outputs.expect_nothing_of(&plants);
}
