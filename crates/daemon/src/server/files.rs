//! The routes of configuration files.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
};
use xlvs_api::{Applied, Apply, Confirm};

use super::{
    peer::By,
    routes::{Answer, NOTHING, Nothing, Refusal, Shared, read},
};
use crate::engine::EngineError;

pub(super) async fn apply(
    State(app): Shared,
    By(by): By,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Applied> {
    let what: Apply = read(body)?;
    let applied = app.site.apply(what, by).await;
    Ok(Json(applied.ok_or(EngineError::Detached)?))
}

pub(super) async fn confirm(
    State(app): Shared,
    By(by): By,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Nothing> {
    let Confirm { keep } = read(body)?;
    let done = app.site.confirm(keep, by).await.ok_or(EngineError::Detached)?;
    let hint = "put a file in force for a time: xlvs apply FILE --confirm 60s";
    done.map_err(|why| Refusal::new(StatusCode::CONFLICT, why, Some(hint)))?;
    Ok(NOTHING)
}
