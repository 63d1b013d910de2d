//! Two tenants, one upstream credential: neither sees the other's environments, nor the stamp that parts them.

mod fake;
mod lists;
mod operations;
mod tenant;
mod upstream;
