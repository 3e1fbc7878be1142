//! The routes that tell what happens: servers with their stories, events, metrics.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{
        IntoResponse, Response,
        sse::{Event as Sent, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::{
    StreamExt,
    stream::{self, Stream},
};
use serde::Deserialize;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use xlvs_api::{Event, ServerDetail, ServerFilter};
use xlvs_model::ServiceKey;

use super::routes::{Answer, Refusal, Shared, ask, no_such_path, wrong_method};
use crate::{
    engine::{Engine, EngineError},
    metrics::{Form, text},
    owner::Owner,
};

/// The query of `GET /v1/servers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerQuery {
    address: Option<IpAddr>,
    port: Option<u16>,
    service: Option<ServiceKey>,
}

pub(super) async fn servers(State(app): Shared, uri: Uri) -> Answer<Vec<ServerDetail>> {
    let Query(query) = Query::<ServerQuery>::try_from_uri(&uri).map_err(|e| {
        let hint = "the query may have address=, port= and service=";
        Refusal::new(StatusCode::BAD_REQUEST, e.body_text(), Some(hint))
    })?;
    let ServerQuery { address, port, service } = query;
    let filter = ServerFilter { address, port, service };
    app.site.refresh().await;
    ask(&app, move |engine| engine.servers(&filter)).await.map(Json)
}

/// The query of `GET /v1/events`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventQuery {
    after: Option<u64>,
    limit: Option<usize>,
}

/// Those that are remembered; to whoever accepts a stream also those to come.
pub(super) async fn events(
    State(app): Shared,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    let Query(query) = Query::<EventQuery>::try_from_uri(&uri).map_err(|e| {
        let hint = "the query may have after= and limit=";
        Refusal::new(StatusCode::BAD_REQUEST, e.body_text(), Some(hint))
    })?;
    let value =
        |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    // A reader that was cut off says what it has heard already.
    let heard = value("last-event-id").and_then(|id| id.parse().ok());
    let after = query.after.or(heard).unwrap_or(0);
    if value(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains(STREAM)) {
        let (known, live) = ask(&app, move |engine| Ok(engine.listen(after))).await?;
        return Ok(Sse::new(sent(known, live)).keep_alive(keep_alive()).into_response());
    }
    let limit = query.limit.unwrap_or(usize::MAX);
    let known = ask(&app, move |engine| Ok(engine.events(after, limit))).await?;
    let known: Vec<&Event> = known.iter().map(AsRef::as_ref).collect();
    Ok(Json(known).into_response())
}

/// What is known and then what comes. Who is too far behind is told so, and goes on.
fn sent(
    known: Vec<Arc<Event>>,
    live: Receiver<Arc<Event>>,
) -> impl Stream<Item = Result<Sent, Infallible>> {
    let live = stream::unfold(live, |mut live| async move {
        let sent = match live.recv().await {
            Ok(event) => one(&event),
            Err(RecvError::Lagged(count)) => Sent::default().comment(format!("{count} are missed")),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(sent), live))
    });
    stream::iter(known).map(|event| Ok(one(&event))).chain(live)
}

fn one(event: &Event) -> Sent {
    let sent = Sent::default().id(event.seq.to_string());
    // Nothing of an event is unfit for JSON.
    sent.json_data(event).unwrap_or_default()
}

fn keep_alive() -> KeepAlive {
    KeepAlive::new().interval(KEEP_ALIVE)
}

pub(super) async fn metrics(State(app): Shared, headers: HeaderMap) -> Result<Response, Refusal> {
    scrape(&app.engine, &headers).await
}

async fn scrape(engine: &Owner<Engine>, headers: &HeaderMap) -> Result<Response, Refusal> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let form = Form::accepted(accept);
    let scrape = engine.ask(Engine::scrape).await.ok_or(EngineError::Detached)??;
    let text = text(scrape, form).map_err(|e| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("writing metrics: {e}"), None)
    })?;
    Ok(([(header::CONTENT_TYPE, form.content_type())], text).into_response())
}

/// What a TCP port gives to anybody who reaches it: metrics, and nothing else.
pub(crate) fn metrics_alone(engine: Owner<Engine>) -> Router {
    let metrics = |State(engine): State<Owner<Engine>>, headers: HeaderMap| async move {
        scrape(&engine, &headers).await
    };
    Router::new()
        .route("/metrics", get(metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(engine)
}

const STREAM: &str = "text/event-stream";
/// A word now and then keeps a quiet stream open, and finds out whether anybody listens.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
