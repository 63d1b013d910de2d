use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, Script, ServerErrorKind, cmd};
use serde::Serialize;

use super::message::{Answer, Message, SharedLimits};
use crate::text::{NoRandomNumbers, random_bytes};

/// The way from one replica to a budget in Redis.
pub struct RedisBudget {
    client: Client,
    connection: Option<Connection>,
    script: Script,
    key: String,
    replica: String,
    limits: SharedLimits,
    limits_json: String,
}

struct Connection {
    server: MultiplexedConnection,
    /// Which server it leads to. Another one, or the same started anew, ends it.
    run_id: String,
}

/// Why Redis has not taken a message, or why there is no way to it.
#[derive(Debug, thiserror::Error)]
pub enum RedisBudgetError {
    /// It does not answer, or says that something is wrong.
    #[error("{0}")]
    Redis(RedisError),
    /// It is no single server.
    #[error(
        "this Redis runs as {0}, which is not supported: a budget needs one server (a primary with standbys behind \
         one address will do)"
    )]
    Unsupported(String),
    /// The script gave back something else than it should.
    #[error("the script of the budget gave back something else than an answer: {0}")]
    Answer(serde_json::Error),
    /// No name could be made that no other replica has.
    #[error("no random number could be had")]
    Random(#[from] NoRandomNumbers),
    /// Limits or message could not be written.
    #[error("a message to Redis cannot be written: {0}")]
    Message(serde_json::Error),
}

impl From<RedisError> for RedisBudgetError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(
                ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::CrossSlot,
            ) => Self::Unsupported("a cluster".to_owned()),
            _ => Self::Redis(error),
        }
    }
}

/// How long Redis may take for a connection, and for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// What the server keeps, and what it does with a message.
pub(in crate::quota) const SCRIPT: &str = concat!(include_str!("state.lua"), include_str!("budget.lua"));

/// A message and who sends it.
#[derive(Serialize)]
pub(in crate::quota) struct Signed<'a> {
    pub(in crate::quota) replica: &'a str,
    #[serde(flatten)]
    pub(in crate::quota) message: &'a Message,
}

/// A name that no other replica has, and that this one will not have again: 64 random bits.
fn new_name() -> Result<String, NoRandomNumbers> {
    Ok(format!("{:016x}", u64::from_ne_bytes(random_bytes()?)))
}

impl RedisBudget {
    /// Whether a URL is one of Redis. Nothing is connected.
    ///
    /// # Errors
    /// Where it is none.
    pub fn check_url(url: &str) -> Result<(), RedisBudgetError> {
        Client::open(url)?;
        Ok(())
    }

    /// Makes the way to a budget; nothing is connected yet.
    ///
    /// # Errors
    /// Where the URL is none of Redis, or the system has no random numbers.
    pub fn new(url: &str, budget: &str, limits: SharedLimits) -> Result<Self, RedisBudgetError> {
        Ok(Self {
            client: Client::open(url)?,
            connection: None,
            script: Script::new(SCRIPT),
            key: format!("envgate:{{{budget}}}"),
            replica: new_name()?,
            limits,
            limits_json: serde_json::to_string(&limits).map_err(RedisBudgetError::Message)?,
        })
    }

    /// Tells Redis other limits from now on.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub(in crate::quota) fn set_limits(&mut self, limits: SharedLimits) -> Result<(), RedisBudgetError> {
        if limits != self.limits {
            self.limits_json = serde_json::to_string(&limits).map_err(RedisBudgetError::Message)?;
            self.limits = limits;
        }
        Ok(())
    }

    pub(in crate::quota) const fn limits(&self) -> &SharedLimits {
        &self.limits
    }

    pub(in crate::quota) fn replica(&self) -> &str {
        &self.replica
    }

    /// Connects, and looks whether the server is one that a budget can be kept in.
    ///
    /// # Errors
    /// Where there is none, or it is another sort of server.
    pub async fn connect(&mut self) -> Result<(), RedisBudgetError> {
        let connection = self.take_connection().await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Tells Redis, connecting first where there is no connection.
    pub(in crate::quota) async fn tell(&mut self, message: &Message) -> Result<Answer, RedisBudgetError> {
        // One that has failed once is not trusted again: an answer that comes late is somebody else's.
        let mut connection = self.take_connection().await?;
        let signed = Signed {
            replica: &self.replica,
            message,
        };
        let message = serde_json::to_string(&signed).map_err(RedisBudgetError::Message)?;
        let answer: String = self
            .script
            .key(&self.key)
            .arg(&self.limits_json)
            .arg(message)
            .arg(&connection.run_id)
            .invoke_async(&mut connection.server)
            .await?;
        self.connection = Some(connection);
        serde_json::from_str(&answer).map_err(RedisBudgetError::Answer)
    }

    async fn take_connection(&mut self) -> Result<Connection, RedisBudgetError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut server = connecting.await?;
        let info: String = cmd("INFO").arg("server").query_async(&mut server).await?;
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.trim())
        };
        match field("redis_mode") {
            None | Some("standalone") => Ok(Connection {
                server,
                run_id: field("run_id").unwrap_or_default().to_owned(),
            }),
            Some(mode) => Err(RedisBudgetError::Unsupported(format!("a {mode}"))),
        }
    }
}
