//! `POST /verify` and `/validate`: Kubernetes' validating webhook, `AdmissionReview` of `admission.k8s.io/v1`.
//!
//! Nothing is changed by an answer, so that a `dryRun` is answered like any other request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Face, Problem, deadline, json, read};
use crate::gate::decision::{Decision, Outcome, Reason};
use crate::gate::{Asked, Gate};
use crate::terminal::harmless;

/// Different images of one object that are decided on.
pub(super) const IMAGES: usize = 500;
/// Containers or volumes of one object.
const MEMBERS: usize = 1_000;
/// Warnings of one answer, and characters of each: beyond 120 a client may cut them, beyond 4096 together they are lost.
const WARNINGS: usize = 16;
const WARNING_CHARACTERS: usize = 240;

/// `AdmissionReview`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    api_version: String,
    kind: String,
    pub(super) request: Option<Request>,
}

/// `AdmissionRequest`, as far as images depend on it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) uid: String,
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) operation: String,
    /// Read only as far as images depend on it.
    object: Option<Box<RawValue>>,
    old_object: Option<Box<RawValue>>,
}

/// What kind of object it is.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    group: String,
    kind: String,
}

/// `AdmissionReview` with an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reviewed {
    api_version: &'static str,
    kind: &'static str,
    response: Answer,
}

/// `AdmissionResponse`
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) uid: String,
    pub(super) allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) audit_annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
}

/// Why a request is refused, as Kubernetes tells its users.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

/// An image that an object names, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// A JSON pointer to it (RFC 6901).
    pub(super) pointer: String,
    /// What names it, in words.
    holder: String,
    /// The image, as it is written; empty if none is.
    pub(super) image: String,
}

/// Why the images of an object are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ObjectError {
    /// An object of another kind.
    #[error(
        "the gate does not know where objects of kind {0} name their images: leave them out of the webhook's rules"
    )]
    Kind(String),
    /// No object, or not of its kind's form.
    #[error("the object is not of the form of its kind: {0}")]
    Form(String),
}

/// Decides on the images of an object.
pub(super) async fn review(State(gate): State<Arc<Gate>>, RawQuery(query): RawQuery, body: Body) -> Response {
    let request = match read(body).await.and_then(Review::request) {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let until = deadline(query.as_deref(), gate.settings().timeout);
    let answer = match request.changed_images() {
        Err(error) => Answer::refused(&request.uid, Reason::InvalidImage, &error.to_string()),
        Ok(images) => {
            let unnamed = images.iter().find(|named| named.image.is_empty());
            let written: BTreeSet<&str> = images.iter().map(|named| named.image.as_str()).collect();
            if let Some(unnamed) = unnamed {
                let message = format!("{} names no image", unnamed.holder);
                Answer::refused(&request.uid, Reason::InvalidImage, &message)
            } else if written.len() > IMAGES {
                let message = format!("the object names more than {IMAGES} images");
                Answer::refused(&request.uid, Reason::InvalidImage, &message)
            } else {
                let asked: Vec<Asked> = written
                    .into_iter()
                    .map(|image| Asked::Image(image.to_owned()))
                    .collect();
                let decisions = gate.decide_all(asked, &request.namespace, Face::Admission, until).await;
                Answer::of(&request.uid, &decisions)
            }
        }
    };
    answer.into_response()
}

impl Review {
    /// The request, if it is one that the gate understands.
    pub(super) fn request(self) -> Result<Request, Problem> {
        if self.kind != "AdmissionReview" || self.api_version != "admission.k8s.io/v1" {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "an AdmissionReview of admission.k8s.io/v1 is expected",
            ));
        }
        self.request
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the AdmissionReview has no `request`"))
    }
}

impl Request {
    /// The images that the operation brings: all of a new object, of a changed one those that are new where they stand.
    pub(super) fn changed_images(&self) -> Result<Vec<Named>, ObjectError> {
        match self.operation.as_str() {
            "CREATE" => images(&self.kind, self.object.as_deref()),
            "UPDATE" => {
                let now = images(&self.kind, self.object.as_deref())?;
                // An old object of a form that is not known excuses nothing.
                let before: BTreeSet<(String, String)> = images(&self.kind, self.old_object.as_deref())
                    .unwrap_or_default()
                    .into_iter()
                    .map(|named| (named.holder, named.image))
                    .collect();
                let is_new = |named: &Named| !before.contains(&(named.holder.clone(), named.image.clone()));
                Ok(now.into_iter().filter(is_new).collect())
            }
            // Neither brings a container.
            "DELETE" | "CONNECT" => Ok(Vec::new()),
            other => Err(ObjectError::Form(format!("operation {other}"))),
        }
    }
}

/// An object's parts that lead to images. Members that do not are passed over without being kept.
#[derive(Default, Deserialize)]
struct Object {
    spec: Option<ObjectSpec>,
}

/// The specification of a pod, or of what makes pods.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectSpec {
    template: Option<Box<Object>>,
    job_template: Option<Box<Object>>,
    #[serde(default, deserialize_with = "few")]
    containers: Option<Vec<Container>>,
    #[serde(default, deserialize_with = "few")]
    init_containers: Option<Vec<Container>>,
    #[serde(default, deserialize_with = "few")]
    ephemeral_containers: Option<Vec<Container>>,
    #[serde(default, deserialize_with = "few")]
    volumes: Option<Vec<Volume>>,
}

/// A list that is no longer than any pod's is: a body has room for millions of empty members.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    struct Few<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
        type Value = Option<Vec<T>>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(next) = list.next_element()? {
                if all.len() == MEMBERS {
                    return Err(de::Error::custom(format_args!(
                        "a list has more than {MEMBERS} members"
                    )));
                }
                all.push(next);
            }
            Ok(Some(all))
        }
    }
    deserializer.deserialize_any(Few(PhantomData))
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    name: String,
    image: Option<String>,
}

#[derive(Deserialize)]
struct Volume {
    #[serde(default)]
    name: String,
    image: Option<ImageVolume>,
}

#[derive(Deserialize)]
struct ImageVolume {
    reference: Option<String>,
}

impl Kind {
    /// The members that lead from an object to the pod's specification.
    fn pod_spec(&self) -> Option<&'static [&'static str]> {
        match (self.group.as_str(), self.kind.as_str()) {
            ("", "Pod") => Some(&[]),
            ("", "ReplicationController")
            | ("apps" | "extensions", "ReplicaSet" | "Deployment" | "DaemonSet")
            | ("apps", "StatefulSet")
            | ("batch", "Job") => Some(&["template"]),
            ("batch", "CronJob") => Some(&["jobTemplate", "template"]),
            _ => None,
        }
    }
}

/// All images that an object names.
fn images(kind: &Kind, object: Option<&RawValue>) -> Result<Vec<Named>, ObjectError> {
    let way = kind.pod_spec().ok_or_else(|| {
        let group = if kind.group.is_empty() {
            "core"
        } else {
            kind.group.as_str()
        };
        ObjectError::Kind(format!("{} ({group})", kind.kind))
    })?;
    let object = object.map_or("null", RawValue::get);
    let object: Option<Object> = serde_json::from_str(object).map_err(|error| ObjectError::Form(error.to_string()))?;
    let mut at = "/spec".to_owned();
    let missing = |at: &str| ObjectError::Form(format!("`{at}` is missing"));
    let mut spec = object.and_then(|object| object.spec).ok_or_else(|| missing(&at))?;
    for member in way {
        at = format!("{at}/{member}/spec");
        let next = if *member == "template" {
            spec.template
        } else {
            spec.job_template
        };
        spec = next.and_then(|next| next.spec).ok_or_else(|| missing(&at))?;
    }
    Ok(spec.images(&at))
}

impl ObjectSpec {
    /// The images of a pod's specification, which is at this pointer.
    fn images(self, at: &str) -> Vec<Named> {
        let lists = [
            ("containers", "container", self.containers),
            ("initContainers", "init container", self.init_containers),
            ("ephemeralContainers", "ephemeral container", self.ephemeral_containers),
        ];
        let mut found = Vec::new();
        for (list, what, containers) in lists {
            for (number, container) in containers.into_iter().flatten().enumerate() {
                found.push(Named {
                    pointer: format!("{at}/{list}/{number}/image"),
                    holder: format!("{what} `{}`", container.name),
                    image: container.image.unwrap_or_default(),
                });
            }
        }
        for (number, volume) in self.volumes.into_iter().flatten().enumerate() {
            if let Some(image) = volume.image {
                found.push(Named {
                    pointer: format!("{at}/volumes/{number}/image/reference"),
                    holder: format!("image volume `{}`", volume.name),
                    image: image.reference.unwrap_or_default(),
                });
            }
        }
        found
    }
}

impl Answer {
    /// Let it pass; nothing more.
    pub(super) fn allowed(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            allowed: true,
            ..Self::default()
        }
    }

    /// A refusal of the object as a whole.
    pub(super) fn refused(uid: &str, reason: Reason, message: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            status: Some(Status::new(reason, harmless(&format!("linkgate: {message}")))),
            ..Self::default()
        }
    }

    /// The sum of the decisions on an object's images.
    fn of(uid: &str, decisions: &[Decision]) -> Self {
        let refusing: Vec<&Decision> = decisions.iter().filter(|decision| !decision.allowed).collect();
        let mut answer = match refusing.as_slice() {
            [] => Self::allowed(uid),
            [first, others @ ..] => {
                let others: Vec<&str> = others.iter().map(|decision| decision.subject.as_str()).collect();
                let also = if others.is_empty() {
                    String::new()
                } else {
                    format!("; also refused: {}", others.join(", "))
                };
                Self::refused(uid, first.reason, &format!("{}{also}", first.message))
            }
        };
        answer.warnings = warnings(decisions);
        answer.audit_annotations = annotations(decisions);
        answer
    }

    /// The answer as a response.
    pub(super) fn into_response(self) -> Response {
        let reviewed = Reviewed {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response: self,
        };
        json(StatusCode::OK, &reviewed)
    }
}

impl Status {
    /// Rejected, not to be judged now and late are three codes; clients ask again after the latter two.
    fn new(reason: Reason, message: String) -> Self {
        let (code, name) = match (reason, reason.outcome()) {
            (Reason::Timeout, _) => (504, "Timeout"),
            (_, Outcome::Undecided) => (503, "ServiceUnavailable"),
            _ => (403, "Forbidden"),
        };
        Self {
            code,
            reason: name,
            message,
        }
    }
}

fn warnings(decisions: &[Decision]) -> Vec<String> {
    let all: Vec<&String> = decisions.iter().flat_map(|decision| &decision.warnings).collect();
    let mut warnings: Vec<String> = all
        .iter()
        .take(WARNINGS)
        .map(|warning| {
            format!("linkgate: {warning}")
                .chars()
                .take(WARNING_CHARACTERS)
                .collect()
        })
        .collect();
    if all.len() > WARNINGS {
        warnings.push(format!("linkgate: {} more warnings", all.len() - WARNINGS));
    }
    warnings
}

/// For the audit log: what was decided on each image, and the digest of each answer of the verifier.
fn annotations(decisions: &[Decision]) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let decided: Vec<String> = decisions
        .iter()
        .map(|decision| format!("{} {} ({})", decision.subject, decision.outcome.name(), decision.reason))
        .collect();
    if !decided.is_empty() {
        annotations.insert("decision".to_owned(), decided.join("; "));
    }
    let answers: Vec<String> = decisions
        .iter()
        .flat_map(|decision| {
            decision.policies.iter().filter_map(|policy| {
                let sha256 = policy.answer_sha256.as_ref()?;
                Some(format!("{} by {}: sha256:{sha256}", decision.subject, policy.policy))
            })
        })
        .collect();
    if !answers.is_empty() {
        annotations.insert("verdict".to_owned(), answers.join("; "));
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn images_of(kind: &Kind, object: &Value) -> Result<Vec<Named>, ObjectError> {
        let raw = serde_json::value::to_raw_value(object).unwrap();
        images(kind, Some(&raw))
    }

    fn kind(group: &str, kind: &str) -> Kind {
        Kind {
            group: group.to_owned(),
            kind: kind.to_owned(),
        }
    }

    fn spec() -> Value {
        json!({
            "containers": [{"name": "a", "image": "a:1"}],
            "initContainers": [{"name": "b", "image": "b:1"}],
            "ephemeralContainers": [{"name": "c", "image": "c:1"}],
            "volumes": [{"name": "d", "image": {"reference": "d:1"}}, {"name": "e", "emptyDir": {}}],
        })
    }

    #[test]
    fn every_kind_and_every_place() {
        let template = json!({"spec": {"template": {"spec": spec()}}});
        for (group, name, object) in [
            ("", "Pod", json!({"spec": spec()})),
            ("", "ReplicationController", template.clone()),
            ("apps", "ReplicaSet", template.clone()),
            ("apps", "Deployment", template.clone()),
            ("apps", "StatefulSet", template.clone()),
            ("apps", "DaemonSet", template.clone()),
            ("batch", "Job", template.clone()),
            (
                "batch",
                "CronJob",
                json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": spec()}}}}}),
            ),
        ] {
            let found = images_of(&kind(group, name), &object).unwrap();
            let names: Vec<&str> = found.iter().map(|named| named.image.as_str()).collect();
            assert_eq!(names, ["a:1", "b:1", "c:1", "d:1"], "{name}");
            for named in found {
                assert_eq!(
                    object.pointer(&named.pointer),
                    Some(&Value::String(named.image)),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (group, name, object) in [
            ("example.com", "Pod", json!({"spec": spec()})),
            ("apps", "Pod", json!({"spec": spec()})),
            ("", "Service", json!({"spec": {}})),
            ("", "Pod", json!({})),
            ("", "Pod", Value::Null),
            ("", "Pod", json!({"spec": {"containers": {}}})),
            ("", "Pod", json!({"spec": {"containers": vec![json!({}); MEMBERS + 1]}})),
            ("", "Pod", json!({"spec": {"containers": [{"image": 1}]}})),
            ("", "Pod", json!({"spec": {"volumes": [{"image": {"reference": []}}]}})),
            ("apps", "Deployment", json!({"spec": spec()})),
        ] {
            assert!(
                images_of(&kind(group, name), &object).is_err(),
                "{group} {name} {object}"
            );
        }
        let unnamed = images_of(&kind("", "Pod"), &json!({"spec": {"containers": [{"name": "a"}]}})).unwrap();
        assert_eq!(unnamed[0].image, "");
    }

    #[test]
    fn an_update_brings_what_is_new_where_it_stands() {
        let request = |operation: &str, object: Value, old: Value| Request {
            uid: "1".to_owned(),
            kind: kind("", "Pod"),
            namespace: String::new(),
            operation: operation.to_owned(),
            object: Some(serde_json::value::to_raw_value(&object).unwrap()),
            old_object: Some(serde_json::value::to_raw_value(&old).unwrap()),
        };
        let pod = |image: &str, other: &str| json!({"spec": {"containers": [{"name": "a", "image": image}, {"name": "b", "image": other}]}});
        let brought = |operation, object, old| {
            let images = request(operation, object, old).changed_images().unwrap();
            images.into_iter().map(|named| named.image).collect::<Vec<_>>()
        };
        assert_eq!(
            brought("UPDATE", pod("a:1", "b:1"), pod("a:1", "b:1")),
            Vec::<String>::new()
        );
        assert_eq!(brought("UPDATE", pod("a:2", "b:1"), pod("a:1", "b:1")), ["a:2"]);
        assert_eq!(brought("UPDATE", pod("b:1", "b:1"), pod("a:1", "b:1")), ["b:1"]);
        assert_eq!(brought("UPDATE", pod("a:1", "b:1"), Value::Null), ["a:1", "b:1"]);
        assert_eq!(brought("CREATE", pod("a:1", "b:1"), pod("a:1", "b:1")), ["a:1", "b:1"]);
        assert_eq!(brought("DELETE", Value::Null, pod("a:1", "b:1")), Vec::<String>::new());
        assert!(
            request("PATCH", pod("a:1", "b:1"), Value::Null)
                .changed_images()
                .is_err()
        );
    }
}
