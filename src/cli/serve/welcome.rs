//! What `serve` tells the person who started it: on standard output, never through the log.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::output::{CommandError, print_if_read};
use crate::config::{Ownership, UpstreamUrl};
use crate::embedded;
use crate::store::{Store, StoreError};
use crate::tenancy::{KeyTerms, Tenant};

/// The tenant of the first start on the embedded environments service.
const DEMO: &str = "demo";

/// The lines that say where everything listens.
pub(super) fn format_addresses(
    base_url: &str,
    admin_url: &str,
    upstream: &UpstreamUrl,
    is_embedded: bool,
) -> String {
    let kind = if is_embedded {
        " (embedded environments service)"
    } else {
        ""
    };
    format!(
        "envgate {version}\n\n  gateway   {base_url}\n  admin     {admin_url}\n  upstream  {upstream}{kind}\n",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// On the first start: makes the demo tenant, its key and the example environment, and prints a request to
/// paste. Later: says how to make another key.
pub(super) async fn print_demo(
    store: &Store,
    ownership: &Ownership,
    base_url: &str,
    config: Option<&Path>,
) -> Result<(), CommandError> {
    if let Some(tenant) = store.tenants().await?.first() {
        return Ok(print_if_read(&format!(
            "Make another key with:\n\n  {}\n",
            keys_create_command(&tenant.name, config)
        ))?);
    }
    let tenant = match store.create_tenant(DEMO, Tenant::DEFAULT_PLAN).await {
        // Another gateway on the same store was faster, and says all this.
        Err(StoreError::DuplicateTenant(_)) => return Ok(()),
        outcome => outcome?,
    };
    let stamp = (ownership.stamp_key.to_string(), tenant.id.to_string());
    let metadata = BTreeMap::from_iter(ownership.is_stamping.then_some(stamp));
    embedded::seed_example(store, metadata).await?;
    let key = store.create_key(DEMO, &KeyTerms::default()).await?;
    let key = key.reveal();
    let id = embedded::EXAMPLE_ID;
    Ok(print_if_read(&format!(
        r#"Tenant "{DEMO}" has this key, shown only now:

  {key}

Update the example environment:

  curl -X POST {base_url}/v1/environments/{id} \
    -H "Authorization: Bearer {key}" \
    -H "Content-Type: application/json" \
    -d '{{"config": {{"type": "cloud", "packages": {{"type": "packages", "pip": ["pandas", "numpy", "scikit-learn"]}}}}}}'
"#
    ))?)
}

/// With an upstream of the operator's own, nothing is made for them; a hint says what to do first.
pub(super) async fn print_hint(store: &Store, config: Option<&Path>) -> Result<(), CommandError> {
    if store.tenants().await?.is_empty() {
        let option = config_option(config);
        print_if_read(&format!(
            "There is no tenant yet. Make one, and a key for it:\n\n  envgate tenants create NAME{option}\n  {}\n",
            keys_create_command("NAME", config)
        ))?;
    }
    Ok(())
}

fn keys_create_command(tenant: &str, config: Option<&Path>) -> String {
    format!("envgate keys create --tenant {tenant}{}", config_option(config))
}

fn config_option(config: Option<&Path>) -> String {
    config.map_or(String::new(), |path| format!(" --config {}", path.display()))
}
