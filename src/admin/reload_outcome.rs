use serde_json::{Value, json};

use crate::config::SettingChange;

/// What reading the settings again has come to, or would.
#[derive(Clone, Debug)]
pub struct Reload {
    /// All that is another in what was read.
    pub changes: Vec<SettingChange>,
    /// Whether nothing was changed, because that was only asked for.
    pub is_dry_run: bool,
}

/// The settings stay as they were: why, each fault a line of its own. None of them shows a value.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .faults.join("\n"))]
pub struct ReloadRejection {
    /// At least one.
    pub faults: Vec<String>,
}

impl Reload {
    /// One word for it.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match (self.is_changing(), self.is_dry_run) {
            (false, _) => "unchanged",
            (true, false) => "applied",
            (true, true) => "pending",
        }
    }

    /// Whether anything is in force, or would be, that was not before.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.changes.iter().any(|change| !change.needs_restart)
    }

    /// The names of the settings that are in force, or of those that a restart would put in force.
    pub fn settings(&self, needing_restart: bool) -> impl Iterator<Item = &str> {
        let changes = self.changes.iter();
        let wanted = changes.filter(move |change| change.needs_restart == needing_restart);
        wanted.map(|change| change.setting.as_str())
    }

    /// What is in force that was not before, for the audit: each setting, and from what to what unless that is
    /// secret.
    #[must_use]
    pub fn changes_in_force(&self) -> Value {
        let changes = self.changes.iter();
        changes
            .filter(|change| !change.needs_restart)
            .map(change)
            .collect()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "outcome": self.outcome(),
            "changed": self.settings(false).collect::<Vec<_>>(),
            "needs_restart": self.settings(true).collect::<Vec<_>>(),
            "changes": self.changes.iter().map(change).collect::<Vec<_>>(),
        })
    }
}

fn change(change: &SettingChange) -> Value {
    let setting = &change.setting;
    if change.is_secret {
        return json!({ "setting": setting, "secret": true });
    }
    json!({ "setting": setting, "from": change.from, "to": change.to })
}
