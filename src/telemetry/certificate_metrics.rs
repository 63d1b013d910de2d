use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::IntGaugeVec;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::registrar::Registrar;
use crate::config::Validity;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Files with certificates that are in use, and may be exchanged meanwhile.
pub trait CertificateFiles: Send + Sync + 'static {
    /// Why what the files hold now cannot be used.
    type Error: Error + Send + 'static;

    /// Takes what the files hold now, once all of it is good; says whether it is something new. What is no good
    /// changes nothing. May block.
    ///
    /// # Errors
    /// The first thing that is wrong with the files.
    fn look(&self) -> Result<bool, Self::Error>;

    /// Each file that has certificates, and until when they are valid.
    fn validities(&self) -> Vec<(PathBuf, Validity)>;
}

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
                &[
                    ("used_for", "`listen`, `admin` or `upstream`"),
                    ("file", "the path in the settings"),
                ],
            )?,
        })
    }

    /// Looks at files again and again, and tells what becomes of them; `used_for` is the settings' name of what they
    /// are used for, such as `listen`. Ends at once where there are none, else never.
    pub async fn follow(&self, used_for: &'static str, files: Arc<impl CertificateFiles>) {
        if files.validities().is_empty() {
            return;
        }
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last_error, mut is_told) = (None, false);
        let mut told = Vec::new();
        loop {
            looks.tick().await;
            let looked_at = Arc::clone(&files);
            // A panic has been told on standard error, and the next look is due in a moment.
            let Ok(outcome) = spawn_blocking(move || looked_at.look()).await else {
                continue;
            };
            let validities = files.validities();
            let error = match outcome {
                Ok(is_new) => {
                    if is_new {
                        let describe =
                            |(path, validity): &(PathBuf, Validity)| format!("{} {validity}", path.display());
                        let files = validities.iter().map(describe).collect::<Vec<_>>().join(", ");
                        tracing::info!(used_for, files, "new certificates are in use");
                    }
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            // Told once, and not before it was seen twice: of files that are written one after the other, the first
            // does not fit the second for a moment.
            if error.is_none() || error != last_error {
                is_told = false;
            } else if !is_told && let Some(error) = &error {
                tracing::error!(used_for, %error, "the certificates in use stay, because the new ones are no good");
                is_told = true;
            }
            last_error = error;
            for (file, validity) in &validities {
                self.set_days_left(used_for, file, validity.days_left(Timestamp::now()));
            }
            let used: Vec<_> = validities.into_iter().map(|(file, _)| file).collect();
            for file in told.iter().filter(|file| !used.contains(file)) {
                self.forget(used_for, file);
            }
            told = used;
        }
    }

    /// Other settings name other files.
    fn forget(&self, used_for: &str, file: &Path) {
        let file = file.display().to_string();
        // It is no fault if it was not there.
        drop(self.days_left.remove_label_values(&[used_for, file.as_str()]));
    }

    fn set_days_left(&self, used_for: &str, file: &Path, days: i64) {
        let file = file.display().to_string();
        self.days_left
            .with_label_values(&[used_for, file.as_str()])
            .set(days);
    }
}
