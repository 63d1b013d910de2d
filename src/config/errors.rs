use std::error::Error;
use std::fmt;

use super::certificates::CertificateError;
use super::networks::NetworkError;
use super::url::UrlFault;
use crate::contract::{InvalidStampKey, SchemaFault};
use crate::environment::{NotAHost, NotAPackageName};

/// Everything that is wrong with the settings, in the order of the file, then of the environment.
///
/// Displays one fault a line, in the way of a compiler. No value that an operator wrote is ever shown: it
/// might be a secret in the wrong location.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, location: &SourceLocation, path: impl Into<String>, problem: Problem) {
        self.0.push(ConfigError {
            location: location.clone(),
            path: path.into(),
            problem,
        });
    }

    pub(super) fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by(|a, b| a.location.cmp(&b.location));
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it was written.
    pub location: SourceLocation,
    /// Table and key; empty where the fault is about none.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.location)?;
        if !self.path.is_empty() && !matches!(self.location, SourceLocation::Variable(_)) {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.problem)
    }
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceLocation {
    /// The file as a whole.
    File(String),
    /// A location in the file.
    Text {
        /// Its name.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// Nowhere: the default.
    Default,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Text { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What can be wrong with a setting. The text says what was expected and never what came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says what it is")]
pub enum Problem {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("the file is not UTF-8 from here on")]
    NotUtf8,
    #[error("not TOML: {0}")]
    Syntax(String),
    #[error("this program is broken: {0}")]
    BuiltInSchemas(SchemaFault),
    #[error("expected the path of a folder on this machine: schemas are never fetched")]
    SchemasNotLocal,
    #[error("the folder changes each time it is looked at")]
    SchemasChange,
    #[error("the folder has more than {most} entries")]
    SchemasTooMany { most: usize },
    #[error("{0}")]
    Schema(SchemaFault),

    #[error("unknown table{}", hint(nearest))]
    UnknownTable { nearest: Option<String> },
    #[error("unknown setting{}", hint(nearest))]
    UnknownSetting { nearest: Option<String> },

    #[error("[{table}] is set in the file only: a variable could not tell its names apart by case")]
    FileOnly { table: &'static str },
    #[error("a name here has 1 to 64 characters of A-Z, a-z, 0-9, _ and -")]
    NotName,

    #[error("expected {expected}, found {found}")]
    WrongType {
        expected: &'static str,
        found: &'static str,
    },
    #[error("expected a whole number from {least} to {most}")]
    OutOfRange { least: u64, most: u64 },
    #[error(
        "expected a duration from 1ms to 60m: a whole number and ms, s or m, such as \"500ms\", \"10s\" or \"2m\""
    )]
    NotDuration,
    #[error(
        "expected \"forever\", or a duration from 1h to 36600d: a whole number and h or d, such as \"90d\""
    )]
    NotRetention,
    #[error("expected the path of a file")]
    NotPath,
    #[error("expected the path of a folder")]
    NotFolder,
    #[error("expected an http:// or https:// URL with a host and without user name, password and query")]
    NotCollector,
    #[error("expected name=value, several with commas between, and what is special percent-encoded")]
    NotPairs,
    #[error("expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"")]
    NotAddress,
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("nobody could be believed, because listen.trusted_networks is empty")]
    NobodyTrusted,
    #[error(
        "expected \"*\" or an origin as browsers write it, such as \"https://app.example.com\": in lower case, without a \
         path, and without the port that the scheme has"
    )]
    NotOrigin,
    #[error("expected a path such as \"/health\", and none of the API's")]
    NotHealthPath,
    #[error("expected one of {}{}", list(allowed), hint(nearest))]
    NotOneOf {
        allowed: &'static [&'static str],
        nearest: Option<String>,
    },
    #[error(transparent)]
    StampKey(#[from] InvalidStampKey),
    #[error("expected a level or directives such as \"info,envgate=debug\"")]
    NotDirectives,

    #[error("expected 1 to 128 visible ASCII characters without spaces")]
    NotWorkspace,
    #[error("expected the name of a beta: 1 to 128 visible ASCII characters without commas")]
    NotBeta,
    #[error("policy.preset = \"locked\" does not allow that, and a rule beside it only narrows")]
    WiderThanPreset,
    #[error("this is no name on the public internet, and the policy allows no other")]
    HostNotPublic,
    #[error("there is no such table in [credentials]{}", hint(nearest))]
    UnknownCredential { nearest: Option<String> },
    #[error("the key of this credential is missing")]
    KeyMissing,
    #[error("there is no such table in [budgets]{}", hint(nearest))]
    UnknownBudget { nearest: Option<String> },
    #[error("the budget that this credential spends is missing")]
    BudgetMissing,
    #[error(
        "shared by {replicas} replicas this leaves nothing for one that goes by its share; raise it to {replicas}"
    )]
    NoShare { replicas: u32 },
    #[error(
        "how many gateways spend the budgets is missing; one that Redis does not answer goes by its share"
    )]
    ReplicasMissing,
    #[error("expected \"redis://\" or \"rediss://\" and a host, or \"unix://\" and the path of a socket")]
    NotRedis,
    #[error(
        "the URL would be misread: in a password, `@` has to be written as `%40`, `#` as `%23`, `/` as `%2F`, `?` as \
         `%3F` and `%` as `%25`"
    )]
    PasswordNotEncoded,
    #[error("expected a number from 0 to 1 with at most nine digits after the point, such as 0.01")]
    NotRatio,
    #[error("expected a whole number from 1 to {most}, or \"unlimited\"")]
    NotLimit { most: u32 },
    #[error(transparent)]
    Host(#[from] NotAHost),
    #[error(transparent)]
    Package(#[from] NotAPackageName),

    #[error(transparent)]
    Url(#[from] UrlFault),
    #[error("http:// is for an upstream on this machine; use https://, or set upstream.allow_plaintext")]
    PlaintextUpstream,
    #[error("the service is named and upstream.credential is missing")]
    CredentialMissing,
    #[error("there is a credential and upstream.url is missing")]
    UrlMissing,
    #[error("upstream.ca_file and upstream.pinned_certificate rule each other out; leave one of them out")]
    CaAndPinned,
    #[error("this needs an https:// upstream.url")]
    UpstreamWithoutTls,
    #[error("there is a proxy and upstream.url is missing")]
    UrlMissingForProxy,
    #[error(
        "expected \"none\", \"environment\", or the http:// URL of a proxy, such as \"http://proxy.example.com:3128\""
    )]
    NotProxy,
    #[error("the variable {0} names no proxy that can be used: expected http://, a host and a port")]
    NotProxyVariable(&'static str),
    #[error("listen.address and admin.address need a port each")]
    SameAddress,
    #[error("expected \"sqlite:\" and the path of a file, or \"postgres://\", a host and a database")]
    NotStore,
    #[error("expected \"postgres://\", a host and a database")]
    NotListenUrl,
    #[error("only a PostgreSQL is listened to, and store.url is none")]
    NothingToListenTo,
    #[error(
        "one URL with several hosts is not supported; name one host, such as the address that follows the primary"
    )]
    SeveralHosts,
    #[error(
        "target_session_attrs is not supported; leave it out: connections to a database that takes no writes are \
         replaced until one does"
    )]
    TargetSession,
    #[error(
        "the parameter {name:?} of the URL is not supported; these are: {}",
        list(known)
    )]
    UnknownParameter {
        name: String,
        known: &'static [&'static str],
    },

    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("expected {{ certificate = \"path\", key = \"path\" }}")]
    NotKeyPair,
    #[error("a certificate and its key go together, and {missing} is missing")]
    HalfKeyPair { missing: &'static str },
    #[error("there is no certificate; set certificate and key, or the list certificates")]
    NoServerCertificate,
    #[error("nobody asks for client certificates: {setting} is not set")]
    NoClientCa { setting: &'static str },

    #[error(
        "a secret is never written here in plain; write {{ env = \"NAME\" }} or {{ file = \"path\" }}{}",
        or_set(variable)
    )]
    PlainSecret { variable: Option<String> },
    #[error("expected {{ env = \"NAME\" }}, {{ file = \"path\" }} or {{ credential = \"name\" }}")]
    NotSecret,
    #[error("expected the name of a credential of the systemd unit, without a slash")]
    NotCredentialName,
    #[error(
        "CREDENTIALS_DIRECTORY is not set, so there are no credentials of systemd; its unit needs \
         LoadCredential={0}:/path or LoadCredentialEncrypted="
    )]
    NoCredentialsDirectory(String),
    #[error("the environment variable {0} is not set")]
    SecretVariableMissing(String),
    #[error("the file {path} cannot be read: {reason}")]
    SecretFileUnreadable { path: String, reason: String },
    #[error("the secret is empty")]
    EmptySecret,
    #[error(
        "the token is shorter than {least} characters; make a random one, such as openssl rand -hex 32 prints"
    )]
    ShortToken { least: usize },
    #[error("token is missing")]
    TokenMissing,
    #[error("rights is missing: \"read\", \"keys\" or \"all\"")]
    RightsMissing,
    #[error("the same token as {other}, so that nobody could tell who came with it; make each a random one")]
    SameToken { other: String },
    #[error("the secret has a space, a line break or another character that a header cannot carry")]
    IllegalSecret,
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|name| format!("; did you mean \"{name}\"?"))
        .unwrap_or_default()
}

fn or_set(variable: &Option<String>) -> String {
    variable
        .as_ref()
        .map(|name| format!(", or set {name}"))
        .unwrap_or_default()
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}
