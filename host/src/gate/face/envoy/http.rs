//! `ext_authz` over HTTP: Envoy asks with the client's method, and the client's path behind a prefix that names the
//! registry, `/envoy/registry.example:5000`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use super::Check;
use crate::gate::Gate;
use crate::gate::face::{Face, RETRY_AFTER, problem};

/// By which path the request is to go on. Always set, so that a client cannot set it.
const PATH: HeaderName = HeaderName::from_static("x-linkgate-path");

/// Decides on a request that Envoy holds.
pub(in crate::gate::face) async fn check(State(gate): State<Arc<Gate>>, method: Method, uri: Uri) -> Response {
    let asked = uri.path_and_query().map_or("", |asked| asked.as_str());
    let Some((registry, rest)) = asked.strip_prefix("/envoy/").and_then(|asked| asked.split_once('/')) else {
        return problem(
            StatusCode::FORBIDDEN,
            "the path is /envoy/REGISTRY and the client's own",
        );
    };
    match super::check(&gate, registry, method.as_str(), &format!("/{rest}"), Face::EnvoyHttp).await {
        Check::Pass(path) => match HeaderValue::from_str(&path) {
            Ok(path) => (StatusCode::OK, [(PATH, path)]).into_response(),
            Err(_) => StatusCode::FORBIDDEN.into_response(),
        },
        Check::Deny(denial) => {
            let mut response = (
                StatusCode::from_u16(denial.status).unwrap_or(StatusCode::FORBIDDEN),
                [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
                denial.body(),
            )
                .into_response();
            if denial.passes() {
                response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            response
        }
    }
}
