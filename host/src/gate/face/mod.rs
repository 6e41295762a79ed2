//! The faces of the gate: who asks in which words. Each turns a request into questions about artifacts and a decision into
//! an answer; none decides.

pub mod admission;
pub mod envoy;
pub mod gatekeeper;
pub mod health;
pub mod mutation;
pub mod page;
mod room;
pub mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http_body_util::BodyExt as _;
use linkgate_verifier::json as strict;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;

use super::{Deadline, Gate};
use crate::memory::NoRoom;
use crate::terminal::harmless;
pub use room::Room;
use room::{Reading, Taken};

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Face {
    /// Kubernetes' validating webhook.
    Admission,
    /// Kubernetes' mutating webhook.
    Mutation,
    /// Gatekeeper's external data.
    Gatekeeper,
    /// `POST /v1/verify`
    Verify,
    /// Envoy's `ext_authz` over HTTP.
    EnvoyHttp,
    /// Envoy's `ext_authz` over gRPC.
    EnvoyGrpc,
    /// `linkgate serve --check`
    Check,
}

impl Face {
    /// Its name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Mutation => "mutation",
            Self::Gatekeeper => "gatekeeper",
            Self::Verify => "verify",
            Self::EnvoyHttp => "envoy-http",
            Self::EnvoyGrpc => "envoy-grpc",
            Self::Check => "check",
        }
    }
}

/// Bytes of a body. Kubernetes' objects have at most 1.5 MiB, and an update sends two; JSON may take more than they.
const BODY: usize = 8 << 20;
/// Bytes of a body that only names artifacts.
const NAMES: usize = 1 << 20;
/// How long a body may be on its way.
const PATIENCE: Duration = Duration::from_secs(10);
/// Requests under way at once. Beyond that the gate says so instead of keeping more in memory.
const UNDER_WAY: i64 = 4096;
/// How much of a caller's time is left for the way back.
const WAY_BACK: Duration = Duration::from_millis(200);
/// When to ask again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// The name by which a request is found in the logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// All faces of a gate.
pub fn router(gate: &Arc<Gate>) -> Router {
    let mut faces = Router::new()
        .route("/verify", post(admission::review))
        .route("/validate", post(admission::review))
        .route("/mutate", post(mutation::review))
        .route("/gatekeeper", post(gatekeeper::provide))
        .route("/v1/verify", post(verify::decide))
        .route("/envoy/{*path}", any(envoy::http::check))
        .merge(envoy::grpc::router())
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(gate), bounded))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(verify::openapi));
    if gate.settings().page {
        faces = faces
            .route("/", get(page::overview))
            .route("/decisions/{number}", get(page::decision));
    }
    faces
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(gate), observed))
        .with_state(Arc::clone(gate))
}

/// The face for callers who name everything.
pub fn whole_requests(gate: &Arc<Gate>) -> Router {
    Router::new()
        .route("/v1/verify", post(verify::whole))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(gate), bounded))
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(Arc::clone(gate), observed))
        .with_state(Arc::clone(gate))
}

/// Counts, times and names each request.
async fn observed(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let begun = Stopwatch::now();
    let version = request.version();
    let id = request_id(&request);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let face = route_name(&route);
    let span = tracing::info_span!("request", id = id.as_str());
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = match gate.room().answered(response).await {
        Ok(response) => response,
        Err(error) => {
            gate.metrics().refused_for_memory();
            match error {
                NoRoom::Taken => overloaded(),
                NoRoom::TooLarge(..) => problem(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &format!("the answer is too large; ask about fewer artifacts at once: {error}"),
                ),
            }
        }
    };
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        gate.metrics().overloaded();
    }
    let took = begun.elapsed();
    // What is left of such a body ends the connection: a client is told, so that it sends nothing more on it.
    let is_left_over = matches!(
        response.status(),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT
    );
    if is_left_over && version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    gate.metrics().answered(face, response.status().as_u16(), took);
    let _entered = span.enter();
    tracing::debug!(
        face,
        status = response.status().as_u16(),
        ms = took.as_secs_f64() * 1e3,
        "answered"
    );
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Routes by names of a fixed number.
fn route_name(route: &str) -> &'static str {
    match route {
        "/verify" | "/validate" => "admission",
        "/mutate" => "mutation",
        "/gatekeeper" => "gatekeeper",
        "/v1/verify" => "verify",
        "/healthz" | "/readyz" | "/metrics" => "health",
        "/" | "/decisions/{number}" | "/openapi.json" => "page",
        route if route.starts_with("/envoy/") => "envoy-http",
        route if route.starts_with("/envoy.service") => "envoy-grpc",
        _ => "other",
    }
}

/// The caller's own name for the request if it is a harmless one, or a new one.
fn request_id(request: &Request) -> String {
    let is_harmless = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    given.filter(is_harmless).map_or_else(new_id, str::to_owned)
}

fn new_id() -> String {
    let mut random = [0; 8];
    // Without randomness ids are equal, and nothing else depends on them.
    let _ = aws_lc_rs::rand::fill(&mut random);
    linkgate_verifier::key::hex(&random)
}

/// Refuses what is more than the gate keeps under way.
async fn bounded(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if gate.metrics().requests_in_flight() >= UNDER_WAY {
        return overloaded();
    }
    let (head, body) = request.into_parts();
    let Ok((body, taken)) = gate.room().take(body) else {
        gate.metrics().refused_for_memory();
        return overloaded();
    };
    let mut request = Request::from_parts(head, body);
    request.extensions_mut().insert(taken);
    let _under_way = gate.metrics().under_way();
    let longest = gate.settings().timeout + PATIENCE;
    tokio::time::timeout(longest, next.run(request))
        .await
        .unwrap_or_else(|_| problem(StatusCode::REQUEST_TIMEOUT, "the request took too long"))
}

/// The answer to one question too many.
pub(super) fn overloaded() -> Response {
    problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "too much is asked at once: ask again shortly",
    )
}

/// An error that is the caller's, or nobody's, or that passes.
pub(super) fn problem(status: StatusCode, message: &str) -> Response {
    let mut response = json(status, &serde_json::json!({ "error": harmless(message) }));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// Why a request is none.
pub(super) struct Problem {
    status: StatusCode,
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        problem(self.status, &self.message)
    }
}

/// An answer in JSON.
pub(super) fn json<T: serde::Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (
            status,
            [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body,
        )
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A body in JSON that takes room as a request does, read no further than its bound.
async fn read<T: DeserializeOwned>(
    gate: &Gate,
    body: Body,
    taken: &Taken,
    most: usize,
    reading: Reading,
) -> Result<T, Problem> {
    let gathering = tokio::time::timeout(PATIENCE, gather(gate, body, most)).await;
    let Ok(gathered) = gathering else {
        let message = format!("the body was not there within {} s", PATIENCE.as_secs());
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, message));
    };
    let bytes = gathered?;
    taken.read(&bytes, reading).map_err(|error| no_room(gate, error))?;
    let unexpected = |error: &dyn fmt::Display| {
        let message = format!("the body is not what is expected: {error}");
        Problem::new(StatusCode::BAD_REQUEST, message)
    };
    let read = serde_json::from_slice(&bytes).map_err(|error| unexpected(&error))?;
    // Of a member that stands twice, another reader of the body may take the other one.
    strict::text(&bytes)
        .and_then(strict::check)
        .map_err(|error| unexpected(&error))?;
    Ok(read)
}

/// The bytes of a body that has no more than `most`.
async fn gather(gate: &Gate, mut body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let too_long = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {most} bytes"),
        )
    };
    let announced = body.size_hint().exact().unwrap_or_default();
    if announced > most as u64 {
        return Err(too_long());
    }
    let expected = usize::try_from(announced).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match room::no_room(&error) {
            Some(error) => no_room(gate, error),
            None => Problem::new(StatusCode::BAD_REQUEST, "the body could not be read"),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let needed = bytes.len() + data.len();
        if needed > most {
            return Err(too_long());
        }
        if needed > bytes.capacity() {
            // Twice as much as before, but no more than is to come: room is taken for that.
            let wanted = (2 * bytes.capacity()).min(expected).max(needed);
            bytes.reserve_exact(wanted - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// There is no room for a body, now or ever.
fn no_room(gate: &Gate, error: NoRoom) -> Problem {
    gate.metrics().refused_for_memory();
    match error {
        NoRoom::Taken => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too much is sent at once: ask again shortly",
        ),
        NoRoom::TooLarge(..) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than the gate has memory for: {error}"),
        ),
    }
}

/// When the answer must be there: after what the caller's `timeout` leaves, and never later than the gate's own allows.
pub(super) fn deadline(query: Option<&str>, own: Duration) -> Deadline {
    Deadline::after(budget(query, own))
}

fn budget(query: Option<&str>, own: Duration) -> Duration {
    let given = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| go_duration(pair.strip_prefix("timeout=")?));
    let Some(given) = given else {
        return own;
    };
    let left = given.saturating_sub(WAY_BACK.min(given / 5));
    left.min(own)
}

/// A duration as Go writes it: `1m30s`, `2.5s`, `500ms`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, seconds) = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3600.0),
        ]
        .into_iter()
        .find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
    }
    (!total.is_zero()).then_some(total)
}

async fn unknown() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "nothing is here; POST /v1/verify, /verify, /validate, /mutate or /gatekeeper, GET /healthz, /readyz, /metrics or /openapi.json",
    )
}

async fn not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_time_as_go_writes_it() {
        for (text, millis) in [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("2.5s", Some(2_500)),
            ("", None),
            ("0s", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1e400s", None),
        ] {
            assert_eq!(go_duration(text), millis.map(Duration::from_millis), "{text}");
        }
        let own = Duration::from_secs(10);
        assert_eq!(budget(None, own), own);
        assert_eq!(budget(Some("a=b&timeout=5s"), own), Duration::from_millis(4_800));
        assert_eq!(budget(Some("timeout=30s"), own), own);
        assert_eq!(budget(Some("timeout=100ms"), own), Duration::from_millis(80));
        assert_eq!(budget(Some("timeout=nonsense"), own), own);
    }
}
