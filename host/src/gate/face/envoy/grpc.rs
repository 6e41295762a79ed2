//! `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization`. The route's `context_extensions` name the registry.

use std::sync::Arc;

use axum::Router;
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction,
    HeaderValue, HeaderValueOption, HttpResponse, HttpStatus, OkHttpResponse,
};
use envoy_types::pb::google::rpc;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::{Check, Denial};
use crate::gate::Gate;
use crate::gate::face::Face;

/// Bytes of a question. Envoy sends the client's headers along, and no body unless it is told to.
const MESSAGE: usize = 256 << 10;
/// `google.rpc.Code`
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;

/// The service.
struct Checking(Arc<Gate>);

/// The route of the service.
pub(in crate::gate::face) fn router(gate: &Arc<Gate>) -> Router<Arc<Gate>> {
    let service = AuthorizationServer::new(Checking(Arc::clone(gate))).max_decoding_message_size(MESSAGE);
    Routes::new(service).prepare().into_axum_router().with_state(())
}

#[tonic::async_trait]
impl Authorization for Checking {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap_or_default();
        let Some(registry) = attributes.context_extensions.get("registry") else {
            let why = "the route's context_extensions do not name the `registry`".to_owned();
            return Ok(Response::new(denied(&Denial::new(403, "DENIED", why))));
        };
        let Some(asked) = attributes.request.and_then(|request| request.http) else {
            return Err(Status::invalid_argument("no request of HTTP is asked about"));
        };
        let answer = match super::check(&self.0, registry, &asked.method, &asked.path, Face::EnvoyGrpc).await {
            Check::Pass(path) => passed(path),
            Check::Deny(denial) => denied(&denial),
        };
        Ok(Response::new(answer))
    }
}

/// The request goes on by this path.
fn passed(path: String) -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status {
            code: OK,
            ..rpc::Status::default()
        }),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse {
            headers: vec![set(":path", path)],
            ..OkHttpResponse::default()
        })),
        ..CheckResponse::default()
    }
}

fn denied(denial: &Denial) -> CheckResponse {
    CheckResponse {
        status: Some(rpc::Status {
            code: PERMISSION_DENIED,
            ..rpc::Status::default()
        }),
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus {
                code: i32::from(denial.status),
            }),
            headers: vec![set("content-type", "application/json".to_owned())],
            body: denial.body(),
        })),
        ..CheckResponse::default()
    }
}

fn set(key: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: key.to_owned(),
            value,
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}
