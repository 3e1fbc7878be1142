//! Talking to a director: the [`Director`] trait, and [`Client`], which does it over a unix socket.
//!
//! Callers block; the client keeps a small runtime of its own. A request that the director refuses
//! is a [`ClientError::Refused`], everything else that goes wrong has a variant that says what to
//! do about it.

use std::{io, net::IpAddr, path::PathBuf, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header, http::request};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::UnixStream, runtime, time};
use xlvs_model::{Change, ServerKey, ServiceKey, SyncDaemon, Timeouts};

use crate::{
    AccessEntry, ApiError, Applied, Apply, Confirm, Connections, Event, Face, MarksView, Outcome,
    ServerDetail, ServiceView, SettingsView, Status, TotalsView, Zero,
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
    /// One service and its servers.
    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceView>, ClientError> {
        Ok(self.services()?.into_iter().find(|service| service.key == *key))
    }
    /// All that is known of some servers.
    fn servers(&mut self, filter: &ServerFilter) -> Result<Vec<ServerDetail>, ClientError>;
    /// What happened after the event of this number; 0: all that is remembered.
    fn events(&mut self, after: u64) -> Result<Vec<Event>, ClientError>;
    /// The same, and then each event as it happens, for as long as `each` answers true and the
    /// director runs.
    fn follow(
        &mut self,
        after: u64,
        each: &mut dyn FnMut(Event) -> bool,
    ) -> Result<(), ClientError>;
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

/// Which servers to tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// Those of this address.
    pub address: Option<IpAddr>,
    /// Those of this port.
    pub port: Option<u16>,
    /// Those of this service.
    pub service: Option<ServiceKey>,
}

impl ServerFilter {
    /// It lets a server through.
    pub fn lets(&self, service: &ServiceKey, server: &ServerKey) -> bool {
        self.address.is_none_or(|address| address == server.ip())
            && self.port.is_none_or(|port| port == server.port())
            && self.service.is_none_or(|key| key == *service)
    }

    fn query(&self) -> String {
        query(&[
            ("address", self.address.map(|a| a.to_string())),
            ("port", self.port.map(|p| p.to_string())),
            ("service", self.service.map(|s| s.to_string())),
        ])
    }
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
    face: Face,
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
                Ok(sender) => {
                    let (socket, face) = (candidate.socket, Face::Xlvs);
                    return Ok(Self { socket, runtime, sender, face });
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| target.nobody()))
    }

    /// Tells the director that it speaks for another face than a verb of `xlvs`.
    #[must_use]
    pub fn speaking_for(self, face: Face) -> Self {
        Self { face, ..self }
    }

    /// The socket that it talks over.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Puts a file in force, or says what that would do.
    pub fn apply(&mut self, what: &Apply) -> Result<Applied, ClientError> {
        self.ask(&Method::POST, "/v1/apply", Some(what))
    }

    /// What was applied for a time stays, or goes at once.
    pub fn confirm(&mut self, what: Confirm) -> Result<(), ClientError> {
        self.ask(&Method::POST, "/v1/confirm", Some(&what)).map(|_: Nothing| ())
    }

    fn ask<T: DeserializeOwned>(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let talk = |why: String| ClientError::Talk { socket: self.socket.clone(), why };
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| talk(e.to_string()))?;
        let request = self
            .request(method, path)
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

    fn request(&self, method: &Method, path: &str) -> request::Builder {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "xlvs");
        request.header(header::USER_AGENT, self.face.agent())
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

    fn service(&mut self, key: &ServiceKey) -> Result<Option<ServiceView>, ClientError> {
        let query = query(&[("service", Some(key.to_string()))]);
        Ok(self.get::<Vec<ServiceView>>(&format!("/v1/services{query}"))?.pop())
    }

    fn servers(&mut self, filter: &ServerFilter) -> Result<Vec<ServerDetail>, ClientError> {
        self.get(&format!("/v1/servers{}", filter.query()))
    }

    fn events(&mut self, after: u64) -> Result<Vec<Event>, ClientError> {
        self.get(&format!("/v1/events?after={after}"))
    }

    fn follow(
        &mut self,
        after: u64,
        each: &mut dyn FnMut(Event) -> bool,
    ) -> Result<(), ClientError> {
        let path = format!("/v1/events?after={after}");
        let request = self.request(&Method::GET, &path).header(header::ACCEPT, STREAM);
        let talk = |why: String| ClientError::Talk { socket: self.socket.clone(), why };
        let request = request.body(Full::default()).map_err(|e| talk(e.to_string()))?;
        let sender = &mut self.sender;
        self.runtime.block_on(async {
            let answer = sender.send_request(request).await.map_err(|e| talk(e.to_string()))?;
            let (head, mut body) = answer.into_parts();
            if !head.status.is_success() {
                let bytes = body.collect().await.map_err(|e| talk(e.to_string()))?.to_bytes();
                return Err(ClientError::Refused(refusal(head.status, &path, &bytes)));
            }
            let mut lines = Lines::default();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|e| talk(e.to_string()))?;
                let Ok(bytes) = frame.into_data() else { continue };
                for data in lines.data(&bytes) {
                    let event = serde_json::from_slice(&data);
                    let event = event.map_err(|e| talk(format!("{path}: {e}")))?;
                    if !each(event) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
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
        query(&[
            ("service", self.service.map(|s| s.to_string())),
            ("server", self.server.map(|s| s.to_string())),
            ("state", self.state.clone()),
            ("limit", self.limit.map(|l| l.to_string())),
        ])
    }
}

fn query(pairs: &[(&str, Option<String>)]) -> String {
    let mut query = String::new();
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

/// The lines of a stream of server-sent events, put together from its pieces.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// What the lines say that are whole now; comments and other fields say nothing.
    fn data(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.begun.extend_from_slice(bytes);
        let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.begun.split_off(end + 1);
        let whole = std::mem::replace(&mut self.begun, rest);
        let data =
            whole.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data:"));
        data.map(|data| data.trim_ascii().to_vec()).collect()
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
/// What a stream of events is called.
const STREAM: &str = "text/event-stream";
const HEX: [char; 16] =
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
