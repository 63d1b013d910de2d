use serde::{Deserialize, Serialize};

use crate::environment::EnvironmentId;

/// Where a list of a tenant's own environments goes on: a page of the upstream, and a position within it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagePosition {
    /// The upstream's own cursor of the page; none for its first.
    #[serde(rename = "u")]
    pub upstream: Option<String>,
    /// The position within that page, counted over everybody's environments.
    #[serde(rename = "i")]
    pub index: usize,
    /// The environments to go on with, the next first. Where the first of them is gone the second will do.
    #[serde(rename = "n")]
    pub next: Vec<EnvironmentId>,
    /// The last environment of this upstream page that was shown.
    #[serde(rename = "l")]
    pub last: Option<EnvironmentId>,
    /// The filter of the list: a cursor is good for the list that it was given for, and no other.
    #[serde(rename = "a")]
    pub include_archived: bool,
}
