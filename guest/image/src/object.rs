//! Where objects of Kubernetes name images, and which of them an operation brings.

use alloc::collections::BTreeSet;
use core::fmt;
use core::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::prelude::*;

/// Different images of one object that are decided on.
pub const IMAGES: usize = 500;

/// Containers or volumes of one object.
const MEMBERS: usize = 1_000;

/// What kind of object it is: `GroupVersionKind` of `AdmissionRequest` in `admission.k8s.io/v1`, without the version.
#[derive(Clone, Debug, Deserialize)]
pub struct Kind {
    /// Its group; empty for the core's.
    pub group: String,
    /// Its name.
    pub kind: String,
}

/// An image that an object names, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// A JSON pointer to it (RFC 6901).
    pub pointer: String,
    /// What names it, in words.
    pub holder: String,
    /// The image, as it is written; empty if none is.
    pub image: String,
}

/// Why the images of an object are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// An object of another kind.
    #[error(
        "it is not known where objects of kind {0} name their images: leave them out of the webhook's rules, or the policy's"
    )]
    Kind(String),
    /// No object, or not of its kind's form.
    #[error("the object is not of the form of its kind: {0}")]
    Form(String),
    /// A container without an image.
    #[error("{0} names no image")]
    Unnamed(String),
    /// More than [`IMAGES`].
    #[error("the object names more than {IMAGES} images")]
    Many,
}

/// The images that an operation brings, from the JSON of the object as it will be and as it was: all of a new object, of a
/// changed one those that are new where they stand.
pub fn changed_images(
    operation: &str,
    kind: &Kind,
    object: Option<&str>,
    old: Option<&str>,
) -> Result<Vec<Named>, ObjectError> {
    match operation {
        "CREATE" => images(kind, object),
        "UPDATE" => {
            let now = images(kind, object)?;
            // An old object of a form that is not known excuses nothing.
            let before = images(kind, old).unwrap_or_default();
            let before: BTreeSet<(&str, &str)> = before.iter().map(Named::place).collect();
            Ok(now
                .into_iter()
                .filter(|named| !before.contains(&named.place()))
                .collect())
        }
        // Neither brings a container.
        "DELETE" | "CONNECT" => Ok(Vec::new()),
        other => Err(ObjectError::Form(format!("operation {other}"))),
    }
}

/// The different images among those, as they are written: no more than can be decided on.
pub fn different(named: &[Named]) -> Result<BTreeSet<&str>, ObjectError> {
    if let Some(unnamed) = named.iter().find(|named| named.image.is_empty()) {
        return Err(ObjectError::Unnamed(unnamed.holder.clone()));
    }
    let written: BTreeSet<&str> = named.iter().map(|named| named.image.as_str()).collect();
    if written.len() > IMAGES {
        return Err(ObjectError::Many);
    }
    Ok(written)
}

impl Named {
    /// What it is called and named by. Its number in a list is another when something is put before it.
    fn place(&self) -> (&str, &str) {
        (&self.holder, &self.image)
    }
}

/// An object's parts that lead to images. Members that do not are passed over without being kept.
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

impl Kind {
    /// The members that lead from an object's specification to the pod's.
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
fn images(kind: &Kind, object: Option<&str>) -> Result<Vec<Named>, ObjectError> {
    let way = kind.way().ok_or_else(|| {
        let group = if kind.group.is_empty() { "core" } else { &kind.group };
        ObjectError::Kind(format!("{} ({group})", kind.kind))
    })?;
    let object: Option<Object> =
        serde_json::from_str(object.unwrap_or("null")).map_err(|error| ObjectError::Form(error.to_string()))?;
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

impl Spec {
    /// The images of a pod's specification, which is at this pointer.
    fn images(self, at: &str) -> Vec<Named> {
        let lists = [
            ("containers", "container", self.containers),
            ("initContainers", "init container", self.init_containers),
            ("ephemeralContainers", "ephemeral container", self.ephemeral_containers),
        ];
        let mut found = Vec::new();
        for (list, what, containers) in lists {
            for (number, container) in containers.into_iter().enumerate() {
                found.push(Named {
                    pointer: format!("{at}/{list}/{number}/image"),
                    holder: format!("{what} `{}`", container.name),
                    image: container.image.unwrap_or_default(),
                });
            }
        }
        for (number, volume) in self.volumes.into_iter().enumerate() {
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
                    return Err(de::Error::custom(format_args!(
                        "a list has more than {MEMBERS} members"
                    )));
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

    fn pod(images: &[(&str, &str)]) -> Value {
        let containers: Vec<Value> = images
            .iter()
            .map(|(name, image)| json!({"name": name, "image": image, "other": 1}))
            .collect();
        json!({"spec": {"containers": containers}})
    }

    fn ask(kind: (&str, &str), operation: &str, object: &Value, old: &Value) -> Result<Vec<Named>, ObjectError> {
        let kind = Kind {
            group: kind.0.to_owned(),
            kind: kind.1.to_owned(),
        };
        changed_images(operation, &kind, Some(&object.to_string()), Some(&old.to_string()))
    }

    #[test]
    fn every_kind_and_every_place() {
        let pod = json!({"spec": {
            "containers": [{"name": "a", "image": "one"}],
            "initContainers": [{"name": "b", "image": "two"}],
            "ephemeralContainers": [{"name": "c", "image": "three"}],
            "volumes": [{"name": "e", "emptyDir": {}}, {"name": "d", "image": {"reference": "four"}}],
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
            ("extensions", "Deployment", &template),
            ("apps", "DaemonSet", &template),
            ("apps", "StatefulSet", &template),
            ("batch", "Job", &template),
            ("batch", "CronJob", &cron),
        ] {
            let found = ask((group, kind), "CREATE", object, &Value::Null).unwrap();
            let said = found.iter().map(|named| format!("{}: {}", named.holder, named.image));
            assert_eq!(said.collect::<Vec<_>>(), expected, "{kind}");
            for named in found {
                assert_eq!(
                    object.pointer(&named.pointer),
                    Some(&Value::String(named.image)),
                    "{kind}"
                );
            }
        }
    }

    #[test]
    fn a_change_brings_what_is_new_where_it_stands() {
        let old = pod(&[("a", "one"), ("b", "two")]);
        let brought = |operation: &str, new: &Value, old: &Value| {
            let images = ask(("", "Pod"), operation, new, old).unwrap();
            images.into_iter().map(|named| named.image).collect::<Vec<_>>()
        };
        for (new, images) in [
            (old.clone(), &[][..]),
            (pod(&[("b", "two"), ("a", "one")]), &[]),
            (pod(&[("a", "three"), ("b", "two")]), &["three"]),
            (pod(&[("a", "two"), ("b", "two")]), &["two"]),
            (pod(&[("a", "two"), ("b", "one")]), &["two", "one"]),
        ] {
            assert_eq!(brought("UPDATE", &new, &old), images, "{new}");
        }
        for unknown in [json!(null), json!(7), json!({"spec": {"containers": 7}})] {
            assert_eq!(brought("UPDATE", &old, &unknown), ["one", "two"], "{unknown}");
        }
        assert_eq!(brought("CREATE", &old, &old), ["one", "two"]);
        for operation in ["DELETE", "CONNECT"] {
            assert!(brought(operation, &Value::Null, &old).is_empty(), "{operation}");
        }
        let kind = Kind {
            group: String::new(),
            kind: "Pod".to_owned(),
        };
        assert!(changed_images("UPDATE", &kind, None, Some(&old.to_string())).is_err());
        assert_eq!(
            changed_images("UPDATE", &kind, Some(&old.to_string()), None)
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let one = pod(&[("a", "one")]);
        let many = pod(&vec![("a", "one"); MEMBERS + 1]);
        let holding = |member: &str, list: Value| json!({"spec": {member: list}});
        for (kind, operation, object, said) in [
            (("", "Node"), "CREATE", one.clone(), "kind Node (core)"),
            (("other", "Pod"), "CREATE", one.clone(), "kind Pod (other)"),
            (("apps", "Pod"), "CREATE", one.clone(), "kind Pod (apps)"),
            (("", "Pod"), "PATCH", one.clone(), "operation PATCH"),
            (("", "Pod"), "CREATE", Value::Null, "`/spec` is missing"),
            (("", "Pod"), "CREATE", json!({}), "`/spec` is missing"),
            (("", "Pod"), "CREATE", json!({"spec": 7}), "invalid type"),
            (
                ("", "Pod"),
                "CREATE",
                holding("containers", json!({})),
                "expected a list",
            ),
            (("", "Pod"), "CREATE", holding("containers", json!([7])), "invalid type"),
            (
                ("", "Pod"),
                "CREATE",
                holding("containers", json!([{"image": 1}])),
                "invalid type",
            ),
            (
                ("", "Pod"),
                "CREATE",
                holding("volumes", json!([{"image": {"reference": []}}])),
                "invalid type",
            ),
            (("", "Pod"), "CREATE", many, "more than 1000"),
            (
                ("batch", "Job"),
                "CREATE",
                one.clone(),
                "`/spec/template/spec` is missing",
            ),
        ] {
            let error = ask(kind, operation, &object, &Value::Null).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn each_image_is_named_and_there_are_few() {
        let images = |object: &Value| ask(("", "Pod"), "CREATE", object, &Value::Null).unwrap();
        let three = images(&pod(&[("a", "two"), ("b", "one"), ("c", "two")]));
        assert_eq!(
            different(&three).unwrap().into_iter().collect::<Vec<_>>(),
            ["one", "two"]
        );
        let unnamed = images(&json!({"spec": {"containers": [{"name": "a"}]}}));
        assert_eq!(
            different(&unnamed).unwrap_err().to_string(),
            "container `a` names no image"
        );
        let names: Vec<String> = (0..=IMAGES).map(|number| number.to_string()).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| ("a", name.as_str())).collect();
        assert_eq!(different(&images(&pod(&many))), Err(ObjectError::Many));
        assert_eq!(different(&images(&pod(&many[1..]))).unwrap().len(), IMAGES);
    }
}
