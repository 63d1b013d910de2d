use std::path::Path;

use prometheus::IntGaugeVec;

use super::registrar::Registrar;

/// The files with certificates that the settings name.
#[derive(Debug)]
pub struct CertificateMetrics {
    days_left: IntGaugeVec,
}

impl CertificateMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            days_left: add.gauges(
                "envgate_tls_certificate_days_left",
                "Whole days until the first certificate of a file expires; negative afterwards.",
                &["used_for", "file"],
            )?,
        })
    }

    /// Tells how many days are left of a file, by the settings' name of what it is used for, such as `listen`.
    pub fn set_days_left(&self, used_for: &str, file: &Path, days: i64) {
        let file = file.display().to_string();
        self.days_left
            .with_label_values(&[used_for, file.as_str()])
            .set(days);
    }
}
