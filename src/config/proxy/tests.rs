use super::*;
use crate::config::load::tests::{faults, settings};

const URL: (&str, &str) = ("ENVGATE_UPSTREAM__URL", "https://api.example.com");
const KEY: (&str, &str) = ("ENVGATE_UPSTREAM__CREDENTIAL", "k");

fn proxying(setting: &str, environment: &[(&str, &str)]) -> Proxying {
    let environment = [&[URL, KEY], environment].concat();
    settings(setting, &environment).upstream.route.proxying
}

const ENVIRONMENT: &str = "upstream.proxy = \"environment\"";

#[test]
fn a_proxy_is_a_host_and_a_port_and_shows_no_credentials() {
    for (text, shown, authorization) in [
        ("http://proxy.corp:3128", "http://proxy.corp:3128", None),
        ("http://proxy.corp/", "http://proxy.corp:80", None),
        ("proxy.corp:3128", "http://proxy.corp:3128", None),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None),
        (
            "http://me:hunter2@10.0.0.1:1",
            "http://10.0.0.1:1",
            Some("me:hunter2"),
        ),
        ("me:a%40b%3A@p:1", "http://p:1", Some("me:a@b:")),
        ("http://me@p:1", "http://p:1", Some("me:")),
    ] {
        let proxy = Proxy::parse(text).unwrap();
        assert_eq!(proxy.to_string(), shown, "{text}");
        assert!(!format!("{proxy:?}").contains("hunter2"));
        let expected = authorization.map(|pair| format!("Basic {}", BASE64.encode(pair.as_bytes())));
        let authorization = proxy.authorization.as_ref().map(Secret::reveal);
        assert_eq!(authorization, expected.as_deref(), "{text}");
    }
    for text in [
        "",
        "http://",
        "https://proxy.corp:3128",
        "socks5://proxy.corp:1080",
        "http://p:0",
        "http://p:1/path",
        "http://p:1/?q",
        "http://p:1/#f",
        "http://p:port",
    ] {
        assert_eq!(Proxy::parse(text), Err(Problem::NotProxy), "{text}");
    }
}

#[test]
fn the_environment_is_asked_only_where_the_setting_says_so() {
    let named = [("HTTPS_PROXY", "http://p:1")];
    assert_eq!(
        proxying("", &named),
        Proxying::Ignored {
            variable: "HTTPS_PROXY"
        }
    );
    assert_eq!(proxying("upstream.proxy = \"none\"", &named), Proxying::None);
    assert_eq!(proxying("", &[]), Proxying::None);
    assert_eq!(proxying(ENVIRONMENT, &[]), Proxying::Unnamed);
    let through = proxying(ENVIRONMENT, &named);
    assert_eq!(through.proxy().unwrap().to_string(), "http://p:1");
}

#[test]
fn lower_case_goes_before_upper_and_https_before_all_and_what_is_empty_is_not_set() {
    let named = |environment: &[(&str, &str)]| match proxying(ENVIRONMENT, environment) {
        Proxying::Through { variable, .. } => variable,
        _ => None,
    };
    let all = [
        ("https_proxy", "a:1"),
        ("HTTPS_PROXY", "b:1"),
        ("all_proxy", "c:1"),
        ("ALL_PROXY", "d:1"),
        ("HTTP_PROXY", "e:1"),
        ("http_proxy", "f:1"),
    ];
    for first in 0..4 {
        assert_eq!(named(&all[first..]), Some(all[first].0));
    }
    assert_eq!(named(&all[4..]), None);
    assert_eq!(
        named(&[("https_proxy", ""), ("HTTPS_PROXY", " "), ("ALL_PROXY", "d:1")]),
        Some("ALL_PROXY")
    );
    let plain = [
        ("ENVGATE_UPSTREAM__URL", "http://api.example.com"),
        ("ENVGATE_UPSTREAM__ALLOW_PLAINTEXT", "true"),
    ];
    assert_eq!(named(&[plain[0], plain[1], all[0], all[3]]), Some("ALL_PROXY"));
}

#[test]
fn an_upstream_on_this_machine_needs_no_proxy_of_the_environments() {
    let local = [
        ("ENVGATE_UPSTREAM__URL", "https://localhost:8443"),
        ("HTTPS_PROXY", "p:1"),
    ];
    assert_eq!(proxying(ENVIRONMENT, &local), Proxying::Excepted);
    assert_eq!(proxying("", &local), Proxying::None, "and none is missed");
    let named = proxying("upstream.proxy = \"http://p:1\"", &local);
    assert!(named.proxy().is_some(), "but one that the setting names is used");
}

#[test]
fn exceptions_are_names_and_all_below_them_addresses_blocks_ports_or_everything() {
    for (list, host, expected) in [
        ("", "api.example.com", false),
        ("*", "api.example.com", true),
        ("*", "10.1.2.3", true),
        ("example.com", "api.example.com", true),
        ("example.com", "example.com", true),
        (".example.com", "api.example.com", true),
        ("*.example.com", "API.Example.com.", true),
        ("EXAMPLE.COM.", "api.example.com", true),
        ("ample.com", "api.example.com", false),
        ("api.example.com.evil", "api.example.com", false),
        ("a, b ,api.example.com", "api.example.com", true),
        ("a b\tapi.example.com", "api.example.com", true),
        ("api.example.com:443", "api.example.com", true),
        ("api.example.com:8443", "api.example.com", false),
        ("api.example.com:", "api.example.com", false),
        (",,. ,:443", "api.example.com", false),
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3:443", "10.1.2.3", true),
        ("10.1.2.3:1", "10.1.2.3", false),
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/16", "10.1.2.3", false),
        ("0.0.0.0/0", "10.1.2.3", true),
        ("10.1.2.3/32", "10.1.2.3", true),
        ("10.1.2.3/33", "10.1.2.3", false),
        ("10.0.0.0/8", "fd00::1", false),
        ("fd00::/8", "fd00::1", true),
        ("::/0", "fd00::1", true),
        ("fd00::1", "fd00::1", true),
        ("[fd00::1]", "fd00::1", true),
        ("[fd00::1]:443", "fd00::1", true),
        ("[fd00::1]:1", "fd00::1", false),
        ("10.0.0.0/8", "10.example.com", false),
        ("0.0.0/8,10.0.0.0/x,/8,1", "10.1.2.3", false),
    ] {
        assert_eq!(is_excepted(list, host, 443), expected, "{list:?} for {host}");
    }
    let environment = [("HTTPS_PROXY", "p:1"), ("NO_PROXY", "example.com")];
    assert_eq!(proxying(ENVIRONMENT, &environment), Proxying::Excepted);
    let environment = [environment[0], environment[1], ("no_proxy", "other.example")];
    assert!(proxying(ENVIRONMENT, &environment).proxy().is_some());
}

#[test]
fn the_password_of_a_proxy_is_never_plain_in_the_file_and_never_shown() {
    let setting = "upstream.proxy = \"http://me:hunter2@p:1\"";
    assert_eq!(
        faults(setting, &[URL, KEY]),
        [
            "envgate.toml:1:18: upstream.proxy: a secret is never written here in plain; write { env = \"NAME\" } or { file = \"path\" }, or set ENVGATE_UPSTREAM__PROXY"
        ]
    );
    let secret = [("PROXY", "http://me:hunter2@p:1")];
    for (setting, environment) in [
        ("upstream.proxy = { env = \"PROXY\" }", &secret[..]),
        ("", &[("ENVGATE_UPSTREAM__PROXY", "http://me:hunter2@p:1")]),
        (ENVIRONMENT, &[("HTTPS_PROXY", "http://me:hunter2@p:1")]),
    ] {
        let environment = [&[URL, KEY], environment].concat();
        let read = settings(setting, &environment);
        assert!(
            read.upstream
                .route
                .proxying
                .proxy()
                .unwrap()
                .authorization
                .is_some()
        );
        assert!(!format!("{read:?}").contains("hunter2"));
    }
    for (setting, environment, expected) in [
        (
            "upstream.proxy = { env = \"PROXY\" }",
            ("PROXY", "socks5://me:hunter2@p:1"),
            "expected \"none\", \"environment\"",
        ),
        (
            "upstream.proxy = { env = \"PROXY\" }",
            ("PROXY", "http://me:hunter2#@p:1"),
            "the URL would be misread",
        ),
        (
            ENVIRONMENT,
            ("ALL_PROXY", "socks5://me:hunter2@p:1"),
            "the variable ALL_PROXY names no proxy",
        ),
    ] {
        let told = faults(setting, &[URL, KEY, environment]);
        assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
        assert!(!told[0].contains("hunter2"), "{told:?}");
    }
}
