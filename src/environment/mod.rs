//! The environment itself: its id, its model, and what an update does to it. Pure.

mod id;

pub use id::{EnvironmentId, InvalidEnvironmentId};
