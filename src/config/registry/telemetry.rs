//! What is told of requests.

use super::SettingDoc;

pub(super) const SETTINGS: &[SettingDoc] = &[SettingDoc {
    path: "telemetry.tenants",
    form: "0 to 1000",
    default: Some("0"),
    doc: "for how many tenants, those that ask the most, `envgate_tenant_requests_total` counts by name; all others are `other`. 0 for \
          no such metric",
}];
