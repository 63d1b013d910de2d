use std::sync::Arc;

use arc_swap::ArcSwap;

use super::settings::Settings;

/// The settings that are in force, for all who do not serve tenants. Clones share them, and see them swapped
/// where they are read again: whoever needs more than one of them takes them once.
#[derive(Clone, Debug)]
pub struct CurrentSettings(Arc<ArcSwap<Settings>>);

impl CurrentSettings {
    /// From now on these are in force.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// Those that are in force now. Who keeps them goes by them, whatever is swapped meanwhile.
    #[must_use]
    pub fn load(&self) -> Arc<Settings> {
        self.0.load_full()
    }

    /// Puts others in force, all of them at once.
    pub fn replace(&self, settings: Settings) {
        self.0.store(Arc::new(settings));
    }
}
