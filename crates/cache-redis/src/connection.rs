//! One connection for all, and when to give it up for a new one.
//!
//! Commands of all callers share a connection, in the order in which they were sent. The manager of the client library replaces
//! one that broke. One that is silent it keeps for ever, and every answer then waits behind the one that never comes; and where
//! connecting failed otherwise than by the network (too many clients, nonsense for an answer), it keeps the error for ever. So a
//! connection is given up here when an answer is overdue, also when whoever waited for it has gone meanwhile, and when there is none.

use crate::{NAME, RedisConfig};
use prefix_indexer_cache::{CacheError, Result};
use redis::{
    Client, Pipeline, RedisError, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A caller that leaves after so long did not just change its mind: it waited in vain.
const IN_VAIN: Duration = Duration::from_millis(500);

/// The connection to a server.
pub(crate) struct Connection {
    client: Client,
    settings: ConnectionManagerConfig,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    manager: ConnectionManager,
    number: u64,
}

impl Connection {
    /// Connects at the first call, so that a node starts while its server is down.
    pub(crate) fn new(client: Client, config: &RedisConfig) -> Result<Connection> {
        // A call that fails has tried once to connect; when to try again is the business of who calls.
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(config.connect_timeout.0))
            .set_response_timeout(Some(config.response_timeout.0));
        let manager = lazy(&client, &settings)?;
        Ok(Connection { client, settings, current: Mutex::new(Current { manager, number: 0 }) })
    }

    /// Runs commands as one transaction; an answer a command.
    pub(crate) async fn run(&self, commands: &Transaction, action: &'static str) -> Result<Vec<Value>> {
        let failed = |error: RedisError| CacheError::backend(NAME, action, error);
        let mut sent = commands.0.clone();
        sent.cmd("EXEC");
        let mut current = self.current().clone();
        let mut waiting = Waiting { connection: self, number: current.number, began: Instant::now(), answered: false };
        let answers = current.manager.send_packed_commands(&sent, 0, sent.len()).await;
        waiting.answered = !answers.as_ref().is_err_and(RedisError::is_timeout);
        drop(waiting);
        // What a command was refused for is among the answers, so this is about the connection.
        if answers.as_ref().is_err_and(|error| !error.is_io_error()) {
            self.give_up(current.number);
        }
        let mut answers = answers.map_err(failed)?;
        match answers.pop() {
            Some(Value::Array(results)) if results.len() == commands.len() => Ok(results),
            // A command that was not even accepted says best what is wrong.
            other => {
                let refused = answers.into_iter().chain(other).find_map(|answer| answer.extract_error().err());
                let strange = || (redis::ErrorKind::UnexpectedReturnType, "not the answers of a transaction").into();
                Err(failed(refused.unwrap_or_else(strange)))
            }
        }
    }

    /// As [`run`](Self::run), where any command that failed fails the whole.
    pub(crate) async fn run_all(&self, commands: &Transaction, action: &'static str) -> Result<Vec<Value>> {
        let answers = self.run(commands, action).await?;
        let sound: std::result::Result<Vec<Value>, RedisError> =
            answers.into_iter().map(Value::extract_error).collect();
        sound.map_err(|error| CacheError::backend(NAME, action, error))
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Later calls get a new connection, if the one of this number is still the current one. Calls under way keep theirs.
    fn give_up(&self, number: u64) {
        let mut current = self.current();
        if current.number == number
            && let Ok(manager) = lazy(&self.client, &self.settings)
        {
            tracing::warn!("the connection to Redis is replaced");
            *current = Current { manager, number: number + 1 };
        }
    }
}

fn lazy(client: &Client, settings: &ConnectionManagerConfig) -> Result<ConnectionManager> {
    ConnectionManager::new_lazy_with_config(client.clone(), settings.clone())
        .map_err(|error| CacheError::config(NAME, error))
}

/// Commands that take effect together or not at all, as far as Redis accepts them.
///
/// Written out rather than left to the library, whose own transactions count wrong when a server refuses them from the start.
pub(crate) struct Transaction(Pipeline);

impl Transaction {
    pub(crate) fn new() -> Transaction {
        let mut commands = Pipeline::new();
        commands.cmd("MULTI");
        Transaction(commands)
    }

    /// Begins a command, whose arguments follow.
    pub(crate) fn cmd(&mut self, name: &str) -> &mut Pipeline {
        self.0.cmd(name)
    }

    /// Number of commands.
    pub(crate) fn len(&self) -> usize {
        self.0.len() - 1
    }
}

/// A call that waits for its answer.
struct Waiting<'a> {
    connection: &'a Connection,
    number: u64,
    began: Instant,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered && self.began.elapsed() >= IN_VAIN {
            self.connection.give_up(self.number);
        }
    }
}
