//! The environment itself: its id, its model, what an update does to it, and what a write changed. Pure.

mod diff;
mod host;
mod id;
mod merge;
mod model;
mod params;
mod requirement;

pub use diff::{Difference, State, diff};
pub use host::{HostPattern, NotAHost};
pub use id::{EnvironmentId, InvalidEnvironmentId};
pub use merge::MergeError;
pub use model::{CloudConfig, Config, Environment, LimitedNetwork, Networking, Packages, Scope};
pub use params::{
    CloudParams, ConfigParams, CreateParams, LimitedNetworkParams, NetworkingParams, NullMeaning,
    PackagesParams, PackagesType, Sent, UpdateParams,
};
pub use requirement::{NotAPackageName, NotARequirement, PackageManager, PackageName, Requirement};
