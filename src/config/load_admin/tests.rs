use crate::config::Rights;
use crate::config::load::tests::{faults, settings};

const ONE: &str = "0123456789abcdef-one";
const TWO: &str = "0123456789abcdef-two";

#[test]
fn a_token_has_a_name_and_rights() {
    let text =
        "[admin]\ntoken.env = \"ONE\"\n[admin.tokens.ci]\ntoken = { env = \"TWO\" }\nrights = \"keys\"\n";
    let admin = settings(text, &[("ONE", ONE), ("TWO", TWO)]).admin;
    let tokens: Vec<_> = admin.api_tokens().collect();
    let told: Vec<_> = tokens
        .iter()
        .map(|(name, token, rights)| (name.as_str(), token.reveal(), *rights))
        .collect();
    assert_eq!(
        told,
        [
            ("admin.token", ONE, Rights::All),
            ("admin.tokens.ci", TWO, Rights::Keys)
        ]
    );
    assert!(Rights::All > Rights::Keys && Rights::Keys > Rights::Read);
}

#[test]
fn what_is_wrong_with_a_token_is_told_where_it_stands() {
    let environment = [("ONE", ONE), ("SHORT", "short-s3cret")];
    for (text, told) in [
        (
            "[admin.tokens.ci]\nrights = \"keys\"",
            "envgate.toml:1:15: admin.tokens.ci: token is missing",
        ),
        (
            "[admin.tokens.ci]\ntoken.env = \"ONE\"",
            "envgate.toml:1:15: admin.tokens.ci: rights is missing",
        ),
        (
            "[admin.tokens.ci]\ntoken.env = \"ONE\"\nrights = \"kyes\"",
            "envgate.toml:3:10: admin.tokens.ci.rights: expected one of \"read\", \"keys\", \"all\"; did you mean \"keys\"?",
        ),
        (
            "[admin.tokens.ci]\ntoken.env = \"SHORT\"\nrights = \"all\"",
            "shorter than 16 characters",
        ),
        (
            "[admin]\ntoken.env = \"ONE\"\nmetrics_token.env = \"ONE\"",
            "admin.metrics_token: the same token as admin.token",
        ),
        (
            "[admin.tokens.ci]\ntoken.env = \"ONE\"\nrights = \"all\"\n[admin]\ntoken.env = \"ONE\"",
            "admin.tokens.ci.token: the same token as admin.token",
        ),
        (
            "admin.tls.client_rights = \"read\"",
            "nobody asks for client certificates: admin.tls.client_ca is not set",
        ),
    ] {
        let faults = faults(text, &environment).join("\n");
        assert!(faults.contains(told), "{text}: {faults}");
        assert!(!faults.contains("s3cret") && !faults.contains(ONE), "{faults}");
    }
}

#[test]
fn what_is_open_beyond_this_machine_is_warned_of() {
    let advice = |text: &str| settings(text, &[("ONE", ONE), ("TWO", TWO)]).advice().join("\n");
    assert_eq!(advice("admin.address = \"127.0.0.1:9090\""), "");
    let open = advice("admin.address = \"0.0.0.0:9090\"");
    assert!(open.contains("/metrics") && open.contains("no token"), "{open}");
    let metrics = advice("[admin]\naddress = \"[::]:9090\"\ntoken.env = \"ONE\"");
    assert!(
        metrics.contains("/metrics") && metrics.contains("without TLS") && !metrics.contains("no token"),
        "{metrics}"
    );
    let closed = advice("[admin]\naddress = \"[::]:9090\"\ntoken.env = \"ONE\"\nmetrics_token.env = \"TWO\"");
    assert!(
        !closed.contains("/metrics") && closed.contains("without TLS"),
        "{closed}"
    );
}
