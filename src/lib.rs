//! envgate: a gateway in front of Anthropic's environments service.
//!
//! A platform team holds one upstream credential and has many tenants. envgate gives each tenant keys of its
//! own, checks what they send against the published contract, translates it for the upstream and answers in
//! the dialect that the tenant's client knows.
//!
//! # The house
//!
//! | room | what it is | whom it may know |
//! |---|---|---|
//! | [`text`] | what people and programs write: names, durations, times, JSON and edits of it, ids, cursors. Pure | nobody |
//! | [`environment`] | the resource itself: ids, model, merge of an update. Pure | `text` |
//! | [`contract`] | what the API promises: operations, schemas, violations, dialects, errors. Pure | `environment`, `text` |
//! | [`config`] | settings as the operator writes them; parsing and checking | `contract` |
//! | [`tenancy`] | tenants, plans and their policies, keys, the directory that a request is looked up in. Pure | `config` and below |
//! | [`telemetry`] | metrics, logs, traces and drift | `tenancy` and below |
//! | [`quota`] | the budget: what may go up, and in whose turn | `tenancy`, `telemetry` and below |
//! | [`store`] | SQLite and PostgreSQL: tenants, keys, environments, the audit | `tenancy` and below |
//! | [`upstream`] | the client: connections, DNS, TLS, deadlines, the circuit | `tenancy`, `telemetry` and below |
//! | [`embedded`] | an environments service of our own, for the first command and for every test | `store`, `contract`, `environment` |
//! | [`gateway`] | the way of a request, in order; the only room that knows Pingora | all above but `embedded` |
//! | [`server`] | what everything that listens has in common: accepting, counting and closing connections | `config`, `telemetry` |
//! | [`admin`] | health, metrics and the admin API over HTTP | `gateway` and all that it may know |
//! | [`cli`] | one file for each subcommand | all |
//!
//! Nobody knows a room above its own. Pure means: no sockets, no clock but one handed in, no async.

pub mod admin;
pub mod cli;
pub mod config;
pub mod contract;
pub mod embedded;
pub mod environment;
pub mod gateway;
pub mod quota;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod tenancy;
pub mod text;
pub mod upstream;
