//! Talking to a director: the [`Director`] trait, and [`Client`], which does it over a unix socket.
//!
//! Callers block; the client keeps a small runtime of its own. A request that the director refuses
//! is a [`ClientError::Refused`], everything else that goes wrong has a variant that says what to
//! do about it.

use std::{io, path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, runtime, time};
use xlvs_model::{Change, ServerKey, ServiceKey, SyncDaemon, Timeouts};

use crate::{
    AccessEntry, ApiError, Connections, MarksView, Outcome, ServiceView, SettingsView, Status,
    TotalsView, Zero,
    target::{Candidate, Target},
};

/// What a director can be asked. [`Client`] asks a daemon, [`crate::memory::Memory`] is one without
/// a kernel, for tests.
pub trait Director {
    /// The director at a glance.
    fn status(&mut self) -> Result<Status, ClientError>;
    /// Services and their servers, in the order they were added.
    fn services(&mut self) -> Result<Vec<ServiceView>, ClientError>;
    /// The same with [`ServerView::persistent`](crate::ServerView::persistent) counted, which takes
    /// a walk over all connections.
    fn services_and_clients(&mut self) -> Result<Vec<ServiceView>, ClientError>;
    /// What the whole director counts.
    fn totals(&mut self) -> Result<TotalsView, ClientError>;
    /// Makes changes, each on its own, in order.
    fn change(&mut self, changes: &[Change]) -> Result<Outcome, ClientError>;
    /// Zeroes counters.
    fn zero(&mut self, what: Zero) -> Result<(), ClientError>;
    /// Mark rules, the host's and the director's own.
    fn marks(&mut self) -> Result<MarksView, ClientError>;
    /// The timeouts in force.
    fn timeouts(&mut self) -> Result<Timeouts, ClientError>;
    /// All settings.
    fn settings(&mut self) -> Result<SettingsView, ClientError>;
    /// Which clients may connect.
    fn access(&mut self) -> Result<Vec<AccessEntry>, ClientError>;
    /// The connection sync daemons.
    fn sync(&mut self) -> Result<Vec<SyncDaemon>, ClientError>;
    /// The connections that a filter lets through.
    fn connections(&mut self, filter: &Filter) -> Result<Connections, ClientError>;
    /// Takes everything out of the kernel; the daemon ends.
    fn detach(&mut self) -> Result<(), ClientError>;
}

/// Which connections to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of one service.
    pub service: Option<ServiceKey>,
    /// Those of one server.
    pub server: Option<ServerKey>,
    /// Those in one state, say `ESTABLISHED`.
    pub state: Option<String>,
    /// At most so many; the daemon has a bound of its own.
    pub limit: Option<usize>,
}

/// Why a director could not be asked, or what it answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nobody forwards in the caller's network namespace.
    #[error("no xlvs director runs in this network namespace")]
    NoDirector {
        /// Where was looked.
        run_dir: PathBuf,
        /// Directors of other namespaces.
        others: Vec<String>,
    },
    /// The instance that was asked for has no folder.
    #[error("there is no director `{instance}` in {run_dir}", run_dir = .run_dir.display())]
    NoInstance {
        /// Its name.
        instance: String,
        /// Where was looked.
        run_dir: PathBuf,
    },
    /// The instance is known, its daemon does not answer. What it forwards is still forwarded.
    #[error("the director `{instance}` is not running (nobody listens on {socket})",
            socket = .socket.display())]
    NotRunning {
        /// Its name.
        instance: String,
        /// Its socket.
        socket: PathBuf,
    },
    /// The socket may not be opened.
    #[error("no permission for {path}", path = .path.display())]
    Denied {
        /// The socket or a folder above it.
        path: PathBuf,
    },
    /// The director answered no.
    #[error("{}", .0.message)]
    Refused(ApiError),
    /// The conversation failed.
    #[error("talking to the director on {socket}: {why}", socket = .socket.display())]
    Talk {
        /// Its socket.
        socket: PathBuf,
        /// What went wrong.
        why: String,
    },
}

impl ClientError {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoDirector { others, .. } if others.is_empty() => {
                Some("xlvs run --interface IF".into())
            }
            Self::NoDirector { others, .. } => Some(format!(
                "xlvs run --interface IF; or XLVS_INSTANCE={} for another namespace's",
                others.join(" or ")
            )),
            Self::NoInstance { instance, .. } | Self::NotRunning { instance, .. } => {
                Some(format!("xlvs run --interface IF --instance {instance}"))
            }
            Self::Denied { .. } => Some("the same as root".into()),
            Self::Refused(error) => error.hint.clone(),
            Self::Talk { .. } => {
                Some("the director's log for more; is it of the same version?".into())
            }
        }
    }

    /// True when there is no director to talk to, or none that this user may talk to.
    pub const fn is_absence(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Talk { .. })
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    runtime: runtime::Runtime,
    sender: http1::SendRequest<Full<Bytes>>,
}

impl Client {
    /// Finds the director that `target` means and connects to it.
    pub fn connect(target: &Target) -> Result<Self, ClientError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| ClientError::Talk {
            socket: target.run_dir.clone(),
            why: format!("cannot make a runtime: {e}"),
        })?;
        let mut first_error = None;
        for candidate in target.candidates()? {
            match runtime.block_on(open(&candidate)) {
                Ok(sender) => return Ok(Self { socket: candidate.socket, runtime, sender }),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| target.nobody()))
    }

    /// The socket that it talks over.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    fn ask<T: DeserializeOwned>(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let talk = |why: String| ClientError::Talk { socket: self.socket.clone(), why };
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| talk(e.to_string()))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "xlvs")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|e| talk(e.to_string()))?;
        let sender = &mut self.sender;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            hyper::Result::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        let answer = self.runtime.block_on(async { time::timeout(PATIENCE, answer).await });
        let (status, bytes) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(talk(error.to_string())),
            Err(_) => return Err(talk(format!("no answer within {PATIENCE:?}"))),
        };
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|e| talk(format!("{path}: cannot read the answer: {e}")));
        }
        Err(ClientError::Refused(refusal(status, path, &bytes)))
    }

    fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.ask(&Method::GET, path, None::<&()>)
    }
}

impl Director for Client {
    fn status(&mut self) -> Result<Status, ClientError> {
        self.get("/v1/status")
    }

    fn services(&mut self) -> Result<Vec<ServiceView>, ClientError> {
        self.get("/v1/services")
    }

    fn services_and_clients(&mut self) -> Result<Vec<ServiceView>, ClientError> {
        self.get("/v1/services?persistent=true")
    }

    fn totals(&mut self) -> Result<TotalsView, ClientError> {
        self.get("/v1/stats")
    }

    fn change(&mut self, changes: &[Change]) -> Result<Outcome, ClientError> {
        let outcome: Outcome = self.ask(&Method::POST, "/v1/changes", Some(&changes))?;
        if outcome.faults.len() == changes.len() {
            return Ok(outcome);
        }
        let (socket, answers) = (self.socket.clone(), outcome.faults.len());
        let why = format!("{answers} answers to {} changes", changes.len());
        Err(ClientError::Talk { socket, why })
    }

    fn zero(&mut self, what: Zero) -> Result<(), ClientError> {
        self.ask(&Method::POST, "/v1/zero", Some(&what)).map(|_: Nothing| ())
    }

    fn marks(&mut self) -> Result<MarksView, ClientError> {
        self.get("/v1/marks")
    }

    fn timeouts(&mut self) -> Result<Timeouts, ClientError> {
        self.get("/v1/timeouts")
    }

    fn settings(&mut self) -> Result<SettingsView, ClientError> {
        self.get("/v1/settings")
    }

    fn access(&mut self) -> Result<Vec<AccessEntry>, ClientError> {
        self.get("/v1/access")
    }

    fn sync(&mut self) -> Result<Vec<SyncDaemon>, ClientError> {
        self.get("/v1/sync")
    }

    fn connections(&mut self, filter: &Filter) -> Result<Connections, ClientError> {
        self.get(&format!("/v1/connections{}", filter.query()))
    }

    fn detach(&mut self) -> Result<(), ClientError> {
        self.ask(&Method::POST, "/v1/detach", None::<&()>).map(|_: Nothing| ())
    }
}

impl Filter {
    /// As the query of a URL, with its `?`, or nothing.
    pub fn query(&self) -> String {
        let mut query = String::new();
        let service = self.service.map(|s| s.to_string());
        let server = self.server.map(|s| s.to_string());
        let limit = self.limit.map(|l| l.to_string());
        let pairs = [
            ("service", service),
            ("server", server),
            ("state", self.state.clone()),
            ("limit", limit),
        ];
        for (name, value) in pairs {
            let Some(value) = value else { continue };
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            for byte in value.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b':' | b'_' | b'-' => {
                        query.push(char::from(byte));
                    }
                    _ => {
                        query.push('%');
                        query.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                    }
                }
            }
        }
        query
    }
}

/// `{}`.
#[derive(serde::Deserialize)]
struct Nothing {}

async fn open(candidate: &Candidate) -> Result<http1::SendRequest<Full<Bytes>>, ClientError> {
    let talk = |why: String| ClientError::Talk { socket: candidate.socket.clone(), why };
    let stream = match UnixStream::connect(&candidate.socket).await {
        Ok(stream) => stream,
        Err(error) => {
            return Err(match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    ClientError::Denied { path: candidate.socket.clone() }
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ClientError::NotRunning {
                        instance: candidate.instance.clone(),
                        socket: candidate.socket.clone(),
                    }
                }
                _ => talk(error.to_string()),
            });
        }
    };
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| talk(e.to_string()))?;
    // It runs whenever a request is waited for; its error is that request's error.
    tokio::spawn(connection);
    Ok(sender)
}

/// The director's own words for a refusal, or what the status says when there are none.
fn refusal(status: StatusCode, path: &str, body: &[u8]) -> ApiError {
    serde_json::from_slice(body).unwrap_or_else(|_| ApiError {
        message: format!("the director answered {status} to {path}"),
        hint: None,
        fault: None,
    })
}

/// How long an answer may take: a table of many thousand changes takes seconds.
const PATIENCE: Duration = Duration::from_mins(1);
const HEX: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
