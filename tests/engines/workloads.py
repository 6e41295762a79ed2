"""Objects of Kubernetes that run images."""

from __future__ import annotations

from typing import Any

KINDS = ["Pod", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"]


def workload(
    kind: str,
    *containers: Any,
    name: str = "app",
    namespace: str | None = None,
    mounted: tuple[Any, ...] = (),
    **lists: list[Any],
) -> dict:
    """One of a kind, with these containers; `initContainers` and `ephemeralContainers` are given by their lists, images
    that are volumes as `mounted`."""
    pod: dict[str, Any] = {
        part: [{"name": f"{part.lower()}-{number}", "image": str(image)} for number, image in enumerate(images)]
        for part, images in {"containers": list(containers), **lists}.items()
    }
    if mounted:
        pod["volumes"] = [
            {"name": f"volume-{n}", "image": {"reference": str(image)}} for n, image in enumerate(mounted)
        ]
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    by_label = {"selector": {"matchLabels": labels}, "template": template}
    if kind in ("Job", "CronJob"):
        pod["restartPolicy"] = "Never"
    spec = {
        "Pod": pod,
        "ReplicationController": {"selector": labels, "template": template},
        "StatefulSet": {**by_label, "serviceName": name},
        "Job": {"template": template},
        "CronJob": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": template}}},
    }.get(kind, by_label)
    versions = {"Pod": "v1", "ReplicationController": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}
    metadata = {"name": name, "labels": labels} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": versions.get(kind, "apps/v1"), "kind": kind, "metadata": metadata, "spec": spec}


def images_of(made: dict) -> list[str]:
    spec = made["spec"]
    spec = spec.get("jobTemplate", {"spec": spec})["spec"]
    spec = spec.get("template", {"spec": spec})["spec"]
    containers = [container for part in ("containers", "initContainers") for container in spec.get(part, [])]
    return [container["image"] for container in containers] + [
        volume["image"]["reference"] for volume in spec.get("volumes", [])
    ]
