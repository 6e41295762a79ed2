//! Where objects of Kubernetes name images. It is what the gate's webhook looks at.

use alloc::collections::BTreeSet;
use core::fmt;
use core::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::prelude::*;

/// Containers or volumes of one object.
const MEMBERS: usize = 1_000;

/// `AdmissionRequest` of `admission.k8s.io/v1`, as far as images depend on it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request {
    kind: Kind,
    operation: String,
    object: Option<Box<RawValue>>,
    old_object: Option<Box<RawValue>>,
}

/// What kind of object it is.
#[derive(Debug, Deserialize)]
struct Kind {
    group: String,
    kind: String,
}

/// An image that an object names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    /// What names it, in words.
    pub(crate) holder: String,
    /// The image, as it is written; empty if none is.
    pub(crate) image: String,
}

/// Why the images of an object are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ObjectError {
    /// An object of another kind.
    #[error("it is not known where objects of kind {0} name their images: leave them out of the policy's rules")]
    Kind(String),
    /// No object, or not of its kind's form.
    #[error("the object is not of the form of its kind: {0}")]
    Form(String),
}

/// An object's parts that lead to images. Members that do not are passed over.
#[derive(Default, Deserialize)]
struct Object {
    spec: Option<Spec>,
}

/// The specification of a pod, or of what makes pods.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    template: Option<Box<Object>>,
    job_template: Option<Box<Object>>,
    #[serde(default, deserialize_with = "few")]
    containers: Vec<Container>,
    #[serde(default, deserialize_with = "few")]
    init_containers: Vec<Container>,
    #[serde(default, deserialize_with = "few")]
    ephemeral_containers: Vec<Container>,
    #[serde(default, deserialize_with = "few")]
    volumes: Vec<Volume>,
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

impl Request {
    /// The images that the operation brings: all of a new object, of a changed one those that are new where they stand.
    pub(crate) fn brings(&self) -> Result<Vec<Named>, ObjectError> {
        match self.operation.as_str() {
            "CREATE" => images(&self.kind, self.object.as_deref()),
            "UPDATE" => {
                let now = images(&self.kind, self.object.as_deref())?;
                // An old object of a form that is not known excuses nothing.
                let before = images(&self.kind, self.old_object.as_deref()).unwrap_or_default();
                let before: BTreeSet<Named> = before.into_iter().collect();
                Ok(now.into_iter().filter(|named| !before.contains(named)).collect())
            }
            // Neither brings a container.
            "DELETE" | "CONNECT" => Ok(Vec::new()),
            other => Err(ObjectError::Form(format!("operation {other}"))),
        }
    }
}

impl Kind {
    /// The members that lead from an object to the pod's specification.
    fn way(&self) -> Option<&'static [&'static str]> {
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
    let way = kind.way().ok_or_else(|| {
        let group = if kind.group.is_empty() { "core" } else { &kind.group };
        ObjectError::Kind(format!("{} ({group})", kind.kind))
    })?;
    let object = object.map_or("null", RawValue::get);
    let object: Option<Object> = serde_json::from_str(object).map_err(|error| ObjectError::Form(error.to_string()))?;
    let mut at = "spec".to_owned();
    let missing = |at: &str| ObjectError::Form(format!("`{at}` is missing"));
    let mut spec = object.and_then(|object| object.spec).ok_or_else(|| missing(&at))?;
    for member in way {
        at = format!("{at}.{member}.spec");
        let next = if *member == "template" {
            spec.template
        } else {
            spec.job_template
        };
        spec = next.and_then(|next| next.spec).ok_or_else(|| missing(&at))?;
    }
    Ok(spec.images())
}

impl Spec {
    fn images(self) -> Vec<Named> {
        let containers = [
            ("container", self.containers),
            ("init container", self.init_containers),
            ("ephemeral container", self.ephemeral_containers),
        ];
        let mut found = Vec::new();
        for (what, list) in containers {
            found.extend(list.into_iter().map(|container| Named {
                holder: format!("{what} `{}`", container.name),
                image: container.image.unwrap_or_default(),
            }));
        }
        found.extend(self.volumes.into_iter().filter_map(|volume| {
            Some(Named {
                holder: format!("image volume `{}`", volume.name),
                image: volume.image?.reference.unwrap_or_default(),
            })
        }));
        found
    }
}

/// A list that is no longer than any pod's is, or none: a body has room for millions of empty members.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Few<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(next) = list.next_element()? {
                if all.len() == MEMBERS {
                    return Err(de::Error::custom(format!("a list has more than {MEMBERS} members")));
                }
                all.push(next);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Few(PhantomData))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(value: &Value) -> Request {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    fn pod(images: &[(&str, &str)]) -> Value {
        let containers: Vec<Value> = images
            .iter()
            .map(|(name, image)| json!({"name": name, "image": image, "other": 1}))
            .collect();
        json!({"spec": {"containers": containers}})
    }

    fn ask(kind: (&str, &str), operation: &str, object: &Value, old: &Value) -> Result<Vec<String>, ObjectError> {
        let kind = json!({"group": kind.0, "version": "v1", "kind": kind.1});
        let asked = json!({"uid": "u", "kind": kind, "operation": operation, "object": object, "oldObject": old});
        let brought = request(&asked).brings()?;
        Ok(brought
            .into_iter()
            .map(|named| format!("{}: {}", named.holder, named.image))
            .collect())
    }

    #[test]
    fn every_kind_that_runs_images() {
        let pod = json!({"spec": {
            "containers": [{"name": "a", "image": "one"}],
            "initContainers": [{"name": "b", "image": "two"}],
            "ephemeralContainers": [{"name": "c", "image": "three"}],
            "volumes": [{"name": "d", "image": {"reference": "four"}}, {"name": "e", "emptyDir": {}}],
        }});
        let expected = [
            "container `a`: one",
            "init container `b`: two",
            "ephemeral container `c`: three",
            "image volume `d`: four",
        ];
        let template = json!({"spec": {"template": pod}});
        let cron = json!({"spec": {"jobTemplate": template}});
        for (group, kind, object) in [
            ("", "Pod", &pod),
            ("", "ReplicationController", &template),
            ("apps", "ReplicaSet", &template),
            ("apps", "Deployment", &template),
            ("apps", "DaemonSet", &template),
            ("apps", "StatefulSet", &template),
            ("batch", "Job", &template),
            ("batch", "CronJob", &cron),
        ] {
            assert_eq!(
                ask((group, kind), "CREATE", object, &Value::Null).unwrap(),
                expected,
                "{kind}"
            );
        }
    }

    #[test]
    fn a_change_brings_what_is_new_where_it_stands() {
        let kind = ("", "Pod");
        let old = pod(&[("a", "one"), ("b", "two")]);
        let changed = |new: &Value, old: &Value| ask(kind, "UPDATE", new, old).unwrap();
        assert!(changed(&old, &old).is_empty());
        let swapped = pod(&[("a", "two"), ("b", "one")]);
        assert_eq!(changed(&swapped, &old), ["container `a`: two", "container `b`: one"]);
        for unknown in [json!(null), json!(7), json!({"spec": {"containers": 7}})] {
            assert_eq!(changed(&old, &unknown).len(), 2, "{unknown}");
        }
        for operation in ["DELETE", "CONNECT"] {
            assert!(ask(kind, operation, &Value::Null, &old).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let one = pod(&[("a", "one")]);
        let many = vec![("a", "one"); MEMBERS + 1];
        for (kind, operation, object, said) in [
            (("", "Node"), "CREATE", one.clone(), "kind Node (core)"),
            (("other", "Pod"), "CREATE", one.clone(), "kind Pod (other)"),
            (("", "Pod"), "PATCH", one.clone(), "operation PATCH"),
            (("", "Pod"), "CREATE", Value::Null, "`spec` is missing"),
            (("", "Pod"), "CREATE", json!({"spec": 7}), "invalid type"),
            (
                ("", "Pod"),
                "CREATE",
                json!({"spec": {"containers": {}}}),
                "expected a list",
            ),
            (
                ("", "Pod"),
                "CREATE",
                json!({"spec": {"containers": [7]}}),
                "invalid type",
            ),
            (("", "Pod"), "CREATE", pod(&many), "more than 1000"),
            (
                ("batch", "Job"),
                "CREATE",
                one.clone(),
                "`spec.template.spec` is missing",
            ),
        ] {
            let error = ask(kind, operation, &object, &Value::Null).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let absent = ask(
            ("", "Pod"),
            "CREATE",
            &json!({"spec": {"containers": [{}]}}),
            &Value::Null,
        )
        .unwrap();
        assert_eq!(absent, ["container ``: "]);
        let twice = r#"{"kind": {"group": "", "kind": "Pod"}, "operation": "CREATE", "operation": "DELETE"}"#;
        assert!(serde_json::from_str::<Request>(twice).is_err());
    }
}
