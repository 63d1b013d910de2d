//! Settings as the operator writes them: read as a tree with places, so that every fault is told at once.
//!
//! ```text
//! text ─ tree ─┐
//!              ├─ overlay ─ load (values, secrets, url) ─ Settings
//! environment ─┘                                      └─ or ConfigErrors
//! ```

mod access;
mod admin;
mod admin_endpoint;
mod budget;
mod certificates;
mod changes;
mod cors;
mod credential_file;
mod current;
mod drift;
mod errors;
mod exposed_files;
mod load;
mod load_admin;
mod load_budgets;
mod load_listen;
mod load_plans;
mod load_tls;
mod load_upstream;
mod log;
mod networks;
mod otel_variables;
mod overlay;
mod partial;
mod plan;
mod postgres;
mod process;
mod proxy;
mod reader;
mod registry;
mod schema_folder;
mod secrets;
mod settings;
mod source;
mod telemetry;
mod tls;
mod tree;
mod url;
mod values;

pub use access::Access;
pub use admin::{Admin, AdminToken, Rights};
pub use admin_endpoint::{AdminEndpoint, load_admin_endpoint};
pub use budget::{Budget, DEFAULT_BUDGET};
pub use certificates::{CertificateError, EXPIRY_WARNING_DAYS, PemFile, Validity, key_pair, tls_provider};
pub use changes::SettingChange;
pub use cors::{AllowedOrigins, Cors};
pub use credential_file::CredentialFile;
pub use current::CurrentSettings;
pub use drift::Drift;
pub use errors::{ConfigError, ConfigErrors, Problem, SourceLocation};
pub use load::load;
pub use log::{Log, LogFormat};
pub use networks::{Network, NetworkError, Networks};
pub use partial::{PartialSettings, load_partially};
pub use plan::{DEFAULT_PLAN, Install, PackageRule, Plan, Policy};
pub use process::{admin_endpoint_from_process, credential_from_process, from_process, partial_from_process};
pub use proxy::{Proxy, Proxying};
pub use registry::{SETTINGS, SettingDoc, SettingsRegistry};
pub use schema_folder::SchemaFolder;
pub use settings::{
    Audit, Cache, Circuit, ClientAddressHeader, Contract, Credential, List, Listen, Ownership, Quota, Route,
    Server, Settings, Store, Upstream, UpstreamService, UpstreamTls, UpstreamUrl,
};
pub use source::Source;
pub use telemetry::{CollectorUrl, OtlpProtocol, SpanExport, Telemetry};
pub use tls::{KeyPairFiles, ServerTls, TlsVersion};
pub use url::UrlFault;
pub use values::check_log_level;

pub use crate::text::Secret;
