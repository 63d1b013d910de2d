use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use serde::Serialize;

use super::message::{Answer, Message, SharedLimits};
use crate::text::{NoRandomNumbers, random_bytes};

/// The way from one replica to a budget in Redis.
pub struct RedisBudget {
    client: Client,
    connection: Option<MultiplexedConnection>,
    script: Script,
    key: String,
    replica: String,
    limits: SharedLimits,
    limits_json: String,
}

/// Why Redis has not taken a message, or why there is no way to it.
#[derive(Debug, thiserror::Error)]
pub enum RedisBudgetError {
    /// It does not answer, or says that something is wrong.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// The script gave back something else than it should.
    #[error("the script of the budget gave back {0:?}")]
    Answer(String),
    /// No name could be made that no other replica has.
    #[error("no random number could be had")]
    Random(#[from] NoRandomNumbers),
    /// SharedLimits or message could not be written.
    #[error("a message to Redis cannot be written: {0}")]
    Message(#[from] serde_json::Error),
}

/// How long Redis may take for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
const SCRIPT: &str = include_str!("budget.lua");

/// A message and who sends it.
#[derive(Serialize)]
struct Signed<'a> {
    replica: &'a str,
    #[serde(flatten)]
    message: &'a Message,
}

/// A name that no other replica has, and that this one will not have again: 64 random bits.
fn new_name() -> Result<String, NoRandomNumbers> {
    Ok(format!("{:016x}", u64::from_ne_bytes(random_bytes()?)))
}

impl RedisBudget {
    /// Makes the way to a budget; nothing is connected yet.
    ///
    /// # Errors
    /// Where the URL is none of Redis, or the system has no random numbers.
    pub fn new(url: &str, budget: &str, limits: SharedLimits) -> Result<Self, RedisBudgetError> {
        Ok(Self {
            client: Client::open(url)?,
            connection: None,
            script: Script::new(SCRIPT),
            // The braces keep all keys of a budget on one node of a cluster.
            key: format!("envgate:{{{budget}}}"),
            replica: new_name()?,
            limits,
            limits_json: serde_json::to_string(&limits)?,
        })
    }

    pub(in crate::quota) const fn limits(&self) -> &SharedLimits {
        &self.limits
    }

    pub(in crate::quota) fn replica(&self) -> &str {
        &self.replica
    }

    /// Tells Redis, connecting first where there is no connection.
    pub(in crate::quota) async fn tell(&mut self, message: &Message) -> Result<Answer, RedisBudgetError> {
        let told = self.invoke(message).await;
        if told.is_err() {
            // One that has failed once is not trusted again: an answer that comes late is somebody else's.
            self.connection = None;
        }
        told
    }

    async fn invoke(&mut self, message: &Message) -> Result<Answer, RedisBudgetError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(Some(PATIENCE));
                self.client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?
            }
        };
        let signed = Signed {
            replica: &self.replica,
            message,
        };
        let (word, micros): (String, u64) = self
            .script
            .key(&self.key)
            .arg(&self.limits_json)
            .arg(serde_json::to_string(&signed)?)
            .invoke_async(&mut connection)
            .await?;
        self.connection = Some(connection);
        Answer::read(&word, micros).ok_or(RedisBudgetError::Answer(word))
    }
}
