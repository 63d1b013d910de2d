use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use redis::{AsyncConnectionConfig, Client, cmd};

use super::redis::RedisBudgetError;
use crate::text::clock_ahead;

/// What a look at Redis has shown. Nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisInspection {
    /// Its version.
    pub version: String,
    /// `standalone`, or what is not supported.
    pub mode: String,
    /// Whether it is a replica of another, which takes no writes.
    pub is_replica: bool,
    /// What it does when its memory is full.
    pub eviction_policy: String,
    /// How much memory it may take; 0 for no limit.
    pub max_memory_bytes: u64,
    /// How far its clock is ahead of this machine's.
    pub clock_ahead: SignedDuration,
    /// Whether it runs scripts.
    pub runs_scripts: bool,
}

/// How long Redis may take for a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// It tells the time and changes nothing.
const HARMLESS: &str = "return redis.call('TIME')[1]";

impl RedisInspection {
    /// Looks at the Redis of a URL.
    ///
    /// # Errors
    /// Where it does not answer, or does not let this user in.
    pub async fn look(url: &str) -> Result<Self, RedisBudgetError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = Client::open(url)?;
        let mut server = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let info: String = cmd("INFO").query_async(&mut server).await?;
        let fields: HashMap<_, _> = info.lines().filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| fields.get(name).map_or("", |value| value.trim()).to_owned();
        let before = Timestamp::now();
        let (seconds, micros): (i64, i64) = cmd("TIME").query_async(&mut server).await?;
        let after = Timestamp::now();
        let clock = Timestamp::from_microsecond(seconds.saturating_mul(1_000_000).saturating_add(micros));
        let script: Result<String, _> = cmd("EVAL").arg(HARMLESS).arg(0).query_async(&mut server).await;
        Ok(Self {
            version: field("redis_version"),
            mode: field("redis_mode"),
            is_replica: field("role") == "slave",
            eviction_policy: field("maxmemory_policy"),
            max_memory_bytes: field("maxmemory").parse().unwrap_or_default(),
            clock_ahead: clock.map_or(SignedDuration::ZERO, |clock| clock_ahead(clock, before, after)),
            runs_scripts: script.is_ok(),
        })
    }
}
