//! `HAProxy`'s agents: their lines, and what is kept of them from one to the next.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use xlvs_model::health::AgentCheck;

use super::{Context, net::words, via};
use crate::{
    Ask, Outcome,
    dialogue::{Agent, AgentLine},
};

/// What agents said up to now, by their questions.
#[derive(Debug, Default)]
pub(super) struct Agents(Mutex<HashMap<String, Agent>>);

impl Agents {
    /// Forgets those that are not asked any more.
    pub(super) fn keep(&self, asked: &HashSet<&str>) {
        self.lock().retain(|key, _| asked.contains(&**key));
    }

    fn hear(&self, key: String, line: &str) -> Outcome {
        self.lock().entry(key).or_default().hear(line)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Agent>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Hears what an agent says of its server. One that does not answer says nothing of it.
pub(super) async fn ask(ask: &Ask, check: &AgentCheck, context: &Context) -> Outcome {
    let exchange = async {
        let mut stream = match via::connect(ask, context).await {
            Ok(stream) => stream,
            Err(Outcome::Bad(fault)) => return Err(silent(&fault.to_string())),
            Err(outcome) => return Err(outcome),
        };
        if let Err(fault) = stream.write_all(check.send.as_bytes()).await {
            return Err(silent(&words(&fault)));
        }
        let (mut line, mut buffer) = (AgentLine::default(), [0; 256]);
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return line.end(),
                Ok(length) => {
                    if let Some(line) = line.feed(&buffer[..length]) {
                        return line;
                    }
                }
                Err(fault) => return Err(silent(&words(&fault))),
            }
        }
    };
    let limit = ask.timeout;
    match timeout(limit, exchange).await {
        Ok(Ok(line)) => context.kept.agents.hear(ask.key(), &line),
        Ok(Err(outcome)) => outcome,
        Err(_) => silent(&format!("no line within {} s", limit.as_secs_f32())),
    }
}

fn silent(why: &str) -> Outcome {
    Outcome::Unasked(format!("the agent does not answer: {why}; the server stays as it is"))
}
