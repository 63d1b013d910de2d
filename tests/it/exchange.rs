//! The main job: an update by a tenant reaches the upstream and comes back as the facade promises.

mod answers;
mod bodies;
mod documented;
mod upstream;

/// The body of the facade's own document.
const DOCUMENTED_UPDATE: &str = r#"{
    "config": {
      "type": "cloud",
      "packages": { "type": "packages", "pip": ["pandas", "numpy", "scikit-learn"] }
    }
  }"#;
