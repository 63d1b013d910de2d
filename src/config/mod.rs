//! Settings as the operator writes them: read as a tree with places, so that every fault is told at once.

mod settings;

pub use settings::{
    Admin, Contract, Listen, Log, LogFormat, Secret, Server, Settings, Store, Upstream, UpstreamService,
    UpstreamUrl,
};
