//! The routes: each a few lines between HTTP and the engine.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State, rejection::BytesRejection},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use xlvs_api::{
    AccessEntry, ApiError, Connections, InterfaceView, MarksView, Outcome, ServiceView,
    SettingsView, Status, TotalsView, Zero,
};
use xlvs_model::{Change, ServerKey, ServiceKey, SyncDaemon, Timeouts};

use super::{files, peer::By, telling};
use crate::{
    engine::{Engine, EngineError},
    hops::Wish,
    host::merging_offloads,
    owner::Owner,
    plane::Filter,
    site::Site,
    warnings::{Facts, InterfaceFacts, warnings},
};

/// What the routes share.
pub(crate) struct App {
    /// The engine.
    pub(crate) engine: Owner<Engine>,
    /// The configuration file and its checks.
    pub(crate) site: Site,
    /// To the watcher of next hops.
    pub(crate) wishes: mpsc::Sender<Wish>,
    /// Told when the director was detached.
    pub(crate) detached: mpsc::Sender<()>,
    /// The instance's name.
    pub(crate) instance: String,
    /// The interfaces that were asked for.
    pub(crate) interfaces: Vec<String>,
    /// Warnings that stay true as long as the daemon runs.
    pub(crate) standing: Vec<String>,
}

/// The whole API.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/services", get(services))
        .route("/v1/servers", get(telling::servers))
        .route("/v1/events", get(telling::events))
        .route("/metrics", get(telling::metrics))
        .route("/v1/stats", get(stats))
        .route("/v1/changes", post(changes))
        .route("/v1/zero", post(zero))
        .route("/v1/marks", get(marks))
        .route("/v1/timeouts", get(timeouts))
        .route("/v1/settings", get(settings))
        .route("/v1/access", get(access))
        .route("/v1/sync", get(sync))
        .route("/v1/connections", get(connections))
        .route("/v1/apply", post(files::apply))
        .route("/v1/confirm", post(files::confirm))
        .route("/v1/detach", post(detach))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(app))
}

pub(super) type Shared = State<Arc<App>>;
pub(super) type Answer<T> = Result<Json<T>, Refusal>;

async fn status(State(app): Shared) -> Answer<Status> {
    let survey = ask(&app, Engine::survey).await?;
    let standing = &app.standing;
    let interfaces: Vec<_> =
        app.interfaces.iter().map(|name| facts(name, &survey.plane.interfaces)).collect();
    let ip_forward = ip_forward();
    let facts = Facts { survey: &survey, interfaces: &interfaces, ip_forward, standing };
    let warnings = warnings(&facts);
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: app.instance.clone(),
        pid: std::process::id(),
        services: survey.model.services.len(),
        servers: survey.model.services.iter().map(|s| s.servers.len()).sum(),
        warnings,
        interfaces: survey.plane.interfaces,
        connection_entries: survey.plane.entries,
        connection_capacity: survey.plane.capacity,
        packets: survey.plane.packets,
        file: survey.file,
    }))
}

/// The query of `GET /v1/services`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceQuery {
    #[serde(default)]
    persistent: bool,
    service: Option<ServiceKey>,
}

async fn services(State(app): Shared, uri: Uri) -> Answer<Vec<ServiceView>> {
    let Query(query) = Query::<ServiceQuery>::try_from_uri(&uri).map_err(|e| {
        let hint = "the query may have persistent=true and service=";
        Refusal::new(StatusCode::BAD_REQUEST, e.body_text(), Some(hint))
    })?;
    let ServiceQuery { persistent, service } = query;
    ask(&app, move |engine| engine.services(service.as_ref(), persistent)).await.map(Json)
}

async fn stats(State(app): Shared) -> Answer<TotalsView> {
    ask(&app, Engine::totals).await.map(Json)
}

async fn changes(
    State(app): Shared,
    By(by): By,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Outcome> {
    let changes: Vec<Change> = read(body)?;
    let added = added_servers(&changes);
    let change = move |engine: &mut Engine| {
        let outcome = engine.change_by(&by, &changes)?;
        Ok((outcome, engine.unsettled(added)))
    };
    let (outcome, unsettled) = ask(&app, change).await?;
    settle(&app, unsettled).await;
    Ok(Json(outcome))
}

async fn zero(State(app): Shared, body: Result<Bytes, BytesRejection>) -> Answer<Nothing> {
    let Zero { service } = read(body)?;
    ask(&app, move |engine| engine.zero(service.as_ref())).await?;
    Ok(NOTHING)
}

async fn marks(State(app): Shared) -> Answer<MarksView> {
    ask(&app, |engine| Ok(engine.mark_rules())).await.map(Json)
}

async fn timeouts(State(app): Shared) -> Answer<Timeouts> {
    ask(&app, |engine| Ok(engine.timeouts())).await.map(Json)
}

async fn sync(State(app): Shared) -> Answer<Vec<SyncDaemon>> {
    ask(&app, |engine| Ok(engine.sync())).await.map(Json)
}

async fn settings(State(app): Shared) -> Answer<SettingsView> {
    ask(&app, |engine| Ok(engine.settings())).await.map(Json)
}

async fn access(State(app): Shared) -> Answer<Vec<AccessEntry>> {
    ask(&app, |engine| Ok(engine.access())).await.map(Json)
}

/// The query of `GET /v1/connections`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionQuery {
    service: Option<ServiceKey>,
    server: Option<ServerKey>,
    state: Option<String>,
    limit: Option<usize>,
}

async fn connections(State(app): Shared, uri: Uri) -> Answer<Connections> {
    let Query(query) = Query::<ConnectionQuery>::try_from_uri(&uri).map_err(|e| {
        let hint = "the query may have service=, server=, state= and limit=";
        Refusal::new(StatusCode::BAD_REQUEST, e.body_text(), Some(hint))
    })?;
    let ConnectionQuery { service, server, state, limit } = query;
    let filter = Filter { service, server, state };
    let limit = limit.unwrap_or(DEFAULT_CONNECTIONS).min(MAX_CONNECTIONS);
    ask(&app, move |engine| engine.connections(&filter, limit)).await.map(Json)
}

async fn detach(State(app): Shared, By(by): By) -> Answer<Nothing> {
    ask(&app, move |engine| engine.detach(&by)).await?;
    // Full only when somebody else has told already.
    app.detached.try_send(()).unwrap_or_default();
    Ok(NOTHING)
}

pub(super) async fn no_such_path(uri: Uri) -> Refusal {
    let message = format!("there is no {} here", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, message, Some("the API's paths begin with /v1/"))
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let message = format!("{} is not done with {method}", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message, Some("GET reads, POST changes"))
}

/// Runs a job on the engine's thread.
pub(super) async fn ask<T: Send + 'static>(
    app: &App,
    job: impl FnOnce(&mut Engine) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, Refusal> {
    let answer = app.engine.ask(job).await;
    Ok(answer.ok_or(EngineError::Detached)??)
}

/// Waits a moment for the neighbours of servers that were just added, so that the first packet
/// after `ipvsadm -a` finds its way. A server that does not answer is no reason to wait for long,
/// nor are many servers: they are found while more are added.
async fn settle(app: &App, added: BTreeSet<std::net::Ipv4Addr>) {
    if added.is_empty() || added.len() > SETTLE_FOR_AT_MOST {
        return;
    }
    let (tell, told) = oneshot::channel();
    let settled = async {
        app.wishes.send(Wish::Settled(added, tell)).await.ok()?;
        told.await.ok()
    };
    timeout(SETTLE_AT_MOST, settled).await.ok();
}

fn added_servers(changes: &[Change]) -> BTreeSet<std::net::Ipv4Addr> {
    let added = changes.iter().filter_map(|change| match change {
        Change::AddServer { server, .. } => Some(server.key.ip()),
        _ => None,
    });
    let v4 = |address| match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    added.filter_map(v4).collect()
}

fn facts(name: &str, views: &[InterfaceView]) -> InterfaceFacts {
    let is_generic = views.iter().any(|v| v.name == name && v.xdp_mode == "generic");
    // An interface that is gone or whose driver does not say: nothing to warn of.
    let merging = if is_generic { merging_offloads(name).unwrap_or_default() } else { Vec::new() };
    InterfaceFacts { name: name.to_owned(), is_generic, merging }
}

/// Of the namespace of the calling thread.
fn ip_forward() -> Option<bool> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").ok()?;
    Some(text.trim() != "0")
}

pub(super) fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let body = body.map_err(|e| Refusal::new(e.status(), e.body_text(), None))?;
    serde_json::from_slice(&body).map_err(|e| {
        let message = format!("the request's body cannot be read: {e}");
        Refusal::new(StatusCode::BAD_REQUEST, message, None)
    })
}

/// An answer other than 200.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: ApiError,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: String, hint: Option<&str>) -> Self {
        let hint = hint.map(ToOwned::to_owned);
        Self { status, error: ApiError { message, hint, fault: None } }
    }
}

impl From<EngineError> for Refusal {
    fn from(e: EngineError) -> Self {
        let (status, fault, hint) = match &e {
            EngineError::NoSuch(fault) => (StatusCode::NOT_FOUND, Some(*fault), None),
            EngineError::Plane(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, None, Some("the daemon's log says more"))
            }
            EngineError::Detached => {
                (StatusCode::SERVICE_UNAVAILABLE, None, Some("start it again: xlvs run"))
            }
        };
        let mut refusal = Self::new(status, e.to_string(), hint);
        refusal.error.fault = fault;
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.error)).into_response()
    }
}

/// `{}`.
#[derive(serde::Serialize)]
pub(super) struct Nothing {}

pub(super) const NOTHING: Json<Nothing> = Json(Nothing {});

/// A request's body: some 100,000 changes.
const MAX_BODY_BYTES: usize = 16 << 20;

/// Connections in an answer, unless told.
const DEFAULT_CONNECTIONS: usize = 10_000;

/// Connections in an answer, at most.
const MAX_CONNECTIONS: usize = 1_000_000;

/// Servers that an answer waits for.
const SETTLE_FOR_AT_MOST: usize = 64;

/// How long an answer waits for new neighbours. On a link they take a millisecond.
const SETTLE_AT_MOST: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests;
