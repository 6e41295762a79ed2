//! `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization`. The route's `context_extensions` name the registry.

mod message;

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use self::message::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpResponse, HttpStatus,
    OVERWRITE_IF_EXISTS_OR_ADD, OkHttpResponse,
};
use super::{Check, Denial};
use crate::gate::Gate;
use crate::gate::face::{Face, RETRY_AFTER};
use crate::terminal::harmless;

/// Bytes of a question. Envoy sends the client's headers along, and no body unless it is told to.
const MESSAGE: usize = 256 << 10;
/// `google.rpc.Code`
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;

/// The method `Check`.
struct Checking(Arc<Gate>);

/// The route of the service.
pub(in crate::gate::face) fn router() -> Router<Arc<Gate>> {
    Router::new().route("/envoy.service.auth.v3.Authorization/{method}", post(call))
}

async fn call(State(gate): State<Arc<Gate>>, Path(method): Path<String>, request: Request) -> Response<Body> {
    if method != "Check" {
        return Status::unimplemented(format!("Authorization has no method `{}`", harmless(&method))).into_http();
    }
    let mut grpc = Grpc::new(ProstCodec::default()).max_decoding_message_size(MESSAGE);
    grpc.unary(Checking(gate), request).await
}

impl UnaryService<CheckRequest> for Checking {
    type Response = CheckResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<CheckResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<CheckRequest>) -> Self::Future {
        let gate = Arc::clone(&self.0);
        Box::pin(async move { check(&gate, request.into_inner()).await.map(tonic::Response::new) })
    }
}

async fn check(gate: &Arc<Gate>, request: CheckRequest) -> Result<CheckResponse, Status> {
    let attributes = request.attributes.unwrap_or_default();
    let Some(registry) = attributes.context_extensions.get("registry") else {
        let why = "the route's context_extensions do not name the `registry`".to_owned();
        return Ok(denied(&Denial::new(403, "DENIED", why)));
    };
    let Some(asked) = attributes.request.and_then(|request| request.http) else {
        return Err(Status::invalid_argument("no request of HTTP is asked about"));
    };
    let answer = match super::check(gate, registry, &asked.method, &asked.path, Face::EnvoyGrpc).await {
        Check::Pass(path) => passed(path),
        Check::Deny(denial) => denied(&denial),
    };
    Ok(answer)
}

/// The request goes on by this path.
fn passed(path: String) -> CheckResponse {
    CheckResponse {
        status: Some(message::Status { code: OK }),
        http_response: Some(HttpResponse::Ok(OkHttpResponse {
            headers: vec![set(":path", path)],
        })),
    }
}

fn denied(denial: &Denial) -> CheckResponse {
    let mut headers = vec![set("content-type", "application/json".to_owned())];
    if denial.passes() {
        headers.push(set("retry-after", RETRY_AFTER.to_str().unwrap_or_default().to_owned()));
    }
    CheckResponse {
        status: Some(message::Status {
            code: PERMISSION_DENIED,
        }),
        http_response: Some(HttpResponse::Denied(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: i32::from(denial.status),
            }),
            headers,
            body: denial.body(),
        })),
    }
}

fn set(key: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            value,
        }),
        append_action: OVERWRITE_IF_EXISTS_OR_ADD,
    }
}
