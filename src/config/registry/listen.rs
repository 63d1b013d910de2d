//! Where the gateway listens, and what it expects of those who connect.

use super::SettingDoc;

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        path: "listen.address",
        form: "IP address and port",
        default: Some("127.0.0.1:8080"),
        doc: "where tenants connect; port 0 takes a free one",
    },
    SettingDoc {
        path: "listen.max_body_bytes",
        form: "1024 to 33554432",
        default: Some("1048576"),
        doc: "the largest request body",
    },
    SettingDoc {
        path: "listen.body_timeout",
        form: "duration",
        default: Some("10s"),
        doc: "how long a request body may take to arrive, from first byte to last",
    },
    SettingDoc {
        path: "listen.header_timeout",
        form: "duration",
        default: Some("10s"),
        doc: "how long the head of a request may take to arrive, from first byte to last; of the first one, from when the connection was accepted",
    },
    SettingDoc {
        path: "listen.keepalive_timeout",
        form: "duration",
        default: Some("75s"),
        doc: "how long a connection is kept on which nothing happens",
    },
    SettingDoc {
        path: "listen.max_connections",
        form: "1 to 1000000",
        default: None,
        doc: "how many connections may be open; one more closes the oldest that has not sent a whole head, else the longest idle; left out, 16384, or what the descriptors of the process leave for it",
    },
    SettingDoc {
        path: "listen.write_timeout",
        form: "duration",
        default: Some("30s"),
        doc: "how long a client may take nothing of its answer, or too little of it, before the connection is closed",
    },
    SettingDoc {
        path: "listen.min_send_bytes_per_second",
        form: "1 to 1048576",
        default: Some("1024"),
        doc: "what too little is: in every `listen.write_timeout` a client has to take as many bytes as this makes, or the rest",
    },
    SettingDoc {
        path: "listen.max_unread_bytes",
        form: "1048576 to 4294967295",
        default: Some("268435456"),
        doc: "how many bytes of answers over 64 KiB may wait for their clients, of one tenant a quarter of it; a read whose answer would be more is answered 503",
    },
    SettingDoc {
        path: "listen.probe_half_closed",
        form: "true or false",
        default: Some("false"),
        doc: "whether a client of HTTP/1.1 that ended its side while it waits is sent up to three `100 Continue`, to find out whether it is gone; some clients take them for a broken answer",
    },
    SettingDoc {
        path: "listen.tls.certificate",
        form: "path of a PEM file",
        default: None,
        doc: "the certificate, and those between it and its root; with it the address speaks TLS, and nothing else. Read again when the file changes",
    },
    SettingDoc {
        path: "listen.tls.key",
        form: "path of a PEM file",
        default: None,
        doc: "the private key of `listen.tls.certificate`, without a passphrase",
    },
    SettingDoc {
        path: "listen.tls.certificates",
        form: "list of tables with `certificate` and `key`",
        default: None,
        doc: "further pairs: each client is shown the first certificate that has the name it asks for, else the first of all",
    },
    SettingDoc {
        path: "listen.tls.min_version",
        form: "`1.2` or `1.3`",
        default: None,
        doc: "the oldest version of TLS that is spoken; left out, 1.2",
    },
    SettingDoc {
        path: "listen.tls.client_ca",
        form: "path of a PEM file",
        default: None,
        doc: "clients are asked for a certificate, and one that these roots have not signed ends the handshake",
    },
    SettingDoc {
        path: "listen.tls.client_certificate",
        form: "`required` or `optional`",
        default: None,
        doc: "whether a client without a certificate is let in where `listen.tls.client_ca` is set; left out, `required`",
    },
    SettingDoc {
        path: "admin.address",
        form: "IP address and port",
        default: Some("127.0.0.1:9090"),
        doc: "where health, metrics and the admin API are served; port 0 takes a free one",
    },
    SettingDoc {
        path: "admin.token",
        form: "secret",
        default: None,
        doc: "what `/api` wants as `Authorization: Bearer`, 16 characters or more; left out, `/api` is read-only and for this machine alone",
    },
    SettingDoc {
        path: "admin.tls.certificate",
        form: "path of a PEM file",
        default: None,
        doc: "the certificate, and those between it and its root; with it the address speaks TLS, and nothing else. Read again when the file changes",
    },
    SettingDoc {
        path: "admin.tls.key",
        form: "path of a PEM file",
        default: None,
        doc: "the private key of `admin.tls.certificate`, without a passphrase",
    },
    SettingDoc {
        path: "admin.tls.certificates",
        form: "list of tables with `certificate` and `key`",
        default: None,
        doc: "further pairs: each client is shown the first certificate that has the name it asks for, else the first of all",
    },
    SettingDoc {
        path: "admin.tls.min_version",
        form: "`1.2` or `1.3`",
        default: None,
        doc: "the oldest version of TLS that is spoken; left out, 1.2",
    },
    SettingDoc {
        path: "admin.tls.client_ca",
        form: "path of a PEM file",
        default: None,
        doc: "clients are asked for a certificate, and one that these roots have not signed ends the handshake",
    },
    SettingDoc {
        path: "admin.tls.client_certificate",
        form: "`required` or `optional`",
        default: None,
        doc: "whether a client without a certificate is let in where `admin.tls.client_ca` is set; left out, `required`",
    },
];
