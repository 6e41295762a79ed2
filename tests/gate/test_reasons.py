"""Why an image is refused: one line that names image, policy, step and cause, and a reason for each of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable

import pytest
from gate import Gate, wait_for
from supply import PATIENCE, Image, Supply, linkgate, unknown_image
from test_admission import ask, denied, pod_spec, review

QUICK = ("--listing-ttl", "0.1", "--negative-ttl", "0.1")


def refusal(gate: Gate, image: Image, reason: str) -> str:
    """The message of /v1/verify, which admission gives as well."""
    decision = gate.verify(image)
    assert (decision["allowed"], decision["reason"]) == (False, reason), decision
    message = decision["message"]
    assert message.isprintable() and str(image) in message
    undecided = reason in ("source-down", "undecided")
    assert decision["outcome"] == ("undecided" if undecided else "reject")
    told = denied(
        ask(gate, review("Pod", "CREATE", pod_spec(image), namespace="")),
        *((503, "ServiceUnavailable") if undecided else (403, "Forbidden")),
    )
    assert told == f"linkgate: {message}"
    return message


def test_tampered_link(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    image.tamper("build")
    message = refusal(serve(web), image, "rejected")
    assert "policy `web`" in message and "build" in message
    assert "does not verify" in message and image.link("build").name in message


def test_missing_link(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    image.link("build").unlink()
    message = refusal(serve(web), image, "rejected")
    assert "policy `web`" in message and "build" in message and "0" in message
    assert "does not verify" not in message


def test_signer_who_may_not(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image(builders=("mallory",))
    message = refusal(serve(web), image, "rejected")
    assert "policy `web`" in message and "build" in message
    assert image.link("build").name in message


def test_threshold(web: Supply, serve: Callable[..., Gate]) -> None:
    builders = ("builder", "second")
    web.layout(steps=web.steps(threshold=2, builders=builders), keys=(*builders, "packager"))
    both, one = web.image(builders=builders), web.image()
    gate = serve(web)
    assert gate.verify(both)["allowed"] is True
    message = refusal(gate, one, "rejected")
    assert "policy `web`" in message and "`build`" in message and "2" in message and "1" in message


def test_rule(web: Supply, serve: Callable[..., Gate]) -> None:
    steps = web.steps()
    steps[1]["expected_products"] = [["DISALLOW", "manifest.json"]]
    web.layout(steps=steps)
    message = refusal(serve(web), web.image(), "rejected")
    assert "package" in message and "manifest.json" in message


def test_expired_layout(web: Supply, serve: Callable[..., Gate]) -> None:
    web.layout(expires="2020-01-02T03:04:05Z")
    image = web.image()
    gate = serve(web)
    message = refusal(gate, image, "rejected")
    assert "policy `web`" in message and "expired" in message and "2020-01-02" in message
    # An expired layout is no lack of evidence.
    refusal(gate, unknown_image(), "rejected")


def test_layout_signed_by_another(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    web.layout(owners=("mallory",))
    wait_for(lambda: gate.verify(image)["allowed"] is False or gate.get("/readyz").json()["reload"] != "ok")
    decision, ready = gate.verify(image), gate.get("/readyz").json()
    # Either it is no policy to load, or nothing passes by it.
    if ready["reload"] == "ok":
        assert decision["reason"] == "rejected" and "sign" in decision["message"]
    else:
        assert "sign" in ready["reload"]


def test_chain_of_another_image(web: Supply, serve: Callable[..., Gate]) -> None:
    """The evidence is sound, and is another image's. A registry that does not answer could have said that it is an
    index of images that the chain made; what is known is said all the same."""
    real = web.image(repository="127.0.0.1:1/web/app")
    other = Image(unknown_image().digest, web.evidence / unknown_image().hex, real.repository)
    shutil.copytree(real.links, other.links)
    message = refusal(serve(web), other, "source-down")
    assert "policy `web`" in message and "not what this chain made" in message and "127.0.0.1:1" in message


def test_the_product_that_is_the_image(web: Supply, serve: Callable[..., Gate]) -> None:
    """By its name, and made by the step: a file that the last step took over may have any bytes."""
    made = web.image()
    taken = hashlib.sha256((made.manifest.parent / "app").read_bytes()).hexdigest()
    passed_on = Image(f"sha256:{taken}", web.evidence / taken)
    shutil.copytree(made.links, passed_on.links)
    for fields, asked, said in (
        ({}, passed_on, None),
        ({"subject": "app"}, passed_on, "under `subjectSteps`"),
        ({"subject": "app", "subjectSteps": ["build"]}, passed_on, None),
        ({"subject": "manifest.json"}, made, None),
        ({"subject": ["other", "manifest.json"]}, made, None),
        ({"subject": "other"}, made, "the chain made it as `manifest.json`"),
        ({"subject": ["other", "another"]}, made, "the chain made it as `manifest.json`"),
        ({"subject": "manifest.json"}, passed_on, "the chain made it as `app`"),
    ):
        web.policy(**fields)
        gate = serve(web)
        if said is None:
            assert gate.verify(asked)["allowed"] is True, fields
        else:
            assert said in refusal(gate, asked, "rejected"), fields


def test_no_evidence_source_down_and_rejected_are_three_things(web: Supply, serve: Callable[..., Gate]) -> None:
    web.policy("down", images=["registry.example/down/*"], evidence=[{"directory": str(web.folder / "mount")}])
    web.policy("web", images=["registry.example/web/*"])
    (web.folder / "mount").mkdir()
    gate = serve(web, *QUICK)
    rejected = web.image()
    rejected.tamper("package")
    refused = refusal(gate, rejected, "rejected")
    nothing = refusal(gate, unknown_image(), "no-evidence")
    assert "there is no link about it" in nothing and str(web.evidence) in nothing
    down = web.image(repository="registry.example/down/app", links=web.folder / "mount")
    assert gate.verify(down)["allowed"] is True
    (web.folder / "mount").rename(web.folder / "unmounted")
    wait_for(lambda: gate.verify(down)["allowed"] is False)
    gone = refusal(gate, down, "source-down")
    assert "policy `down`" in gone and str(web.folder / "mount") in gone and "No such file" in gone
    assert len({refused.split(": ")[-1], nothing.split(": ")[-1], gone.split(": ")[-1]}) == 3
    for reason in ("rejected", "no-evidence", "source-down"):
        assert gate.decided(reason) >= 1 and gate.decided(reason, "admission") == 1, reason
    samples = gate.metrics()
    assert samples['linkgate_decisions_total{face="admission",outcome="undecided",reason="source-down"}'] == 1
    assert samples['linkgate_decisions_total{face="admission",outcome="reject",reason="no-evidence"}'] == 1
    (web.folder / "unmounted").rename(web.folder / "mount")
    wait_for(lambda: gate.verify(down)["allowed"] is True)


def test_a_mount_that_is_gone_is_no_lack_of_evidence(web: Supply, serve: Callable[..., Gate]) -> None:
    """Placeholders choose among what is there; their parent has to be there."""
    gate = serve(web, *QUICK)
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    web.evidence.rename(web.folder / "unmounted")
    wait_for(lambda: gate.verify(image)["allowed"] is False)
    assert str(web.evidence) in refusal(gate, image, "source-down")


def test_source_that_cannot_be_listed(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, *QUICK)
    (web.evidence / unknown_image().hex).write_text("a file, no folder")
    refusal(gate, unknown_image(), "source-down")


def test_link_that_is_no_link(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    image.link("build").write_text("{")
    message = refusal(serve(web), image, "rejected")
    assert "`build`" in message and image.link("build").name in message


def test_no_policy(supply: Supply, serve: Callable[..., Gate]) -> None:
    supply.layout()
    supply.policy(images=["registry.example/web/*"])
    other = Image(unknown_image().digest, supply.evidence, "registry.example/other")
    gate = serve(supply)
    message = refusal(gate, other, "no-policy")
    assert "no policy governs" in message
    assert "`prod`" in gate.verify(other, "prod")["message"]
    lax = serve(supply, "--ungoverned", "allow")
    decision = lax.verify(other)
    assert (decision["allowed"], decision["reason"], decision["policies"]) == (True, "no-policy", [])
    assert ask(lax, review("Pod", "CREATE", pod_spec(other)))["allowed"] is True
    # What is governed is not let through.
    assert lax.verify(unknown_image())["allowed"] is False
    for no_image in ("registry.example/web/app:1", "registry.example/web/app", "registry.example/other@sha256:1"):
        assert lax.verify(no_image)["allowed"] is False, no_image


def test_tags_that_nothing_governs_pass_if_that_does(supply: Supply, serve: Callable[..., Gate]) -> None:
    supply.layout()
    supply.policy(images=["registry.example/web/*"])
    gate = serve(supply, "--ungoverned", "allow")
    assert gate.verify("registry.example/other:1")["allowed"] is True
    assert gate.verify("registry.example/web/app:1")["allowed"] is False


@pytest.mark.parametrize(
    "name",
    [
        *("registry.example:0443/web/app", "registry.example:443/web/app", "REGISTRY.Example/web/app"),
        *("registry.example./web/app", "registry.example.:443/web/app", "registry.example:/web/app"),
        *("registry.example:65979/web/app", "registry.example:005000/web/app", "registry.example//web/app"),
        *("registry.example/./web/app", "registry.example/x/../web/app", "registry.example/web/app/"),
        *(" registry.example/web/app", "https://registry.example/web/app", "registry.example/web%2fapp"),
        *(
            "nginx",
            "library/nginx",
            "docker.io/nginx",
            "DOCKER.IO/nginx",
            "docker.io:443/nginx",
            "index.docker.io/nginx",
        ),
        *("registry-1.docker.io/library/nginx", "registry.hub.docker.com/library/nginx"),
    ],
)
def test_no_other_way_to_write_a_name_is_ungoverned(supply: Supply, serve: Callable[..., Gate], name: str) -> None:
    """What may reach a registry that is governed is that registry's image, or is refused."""
    supply.layout()
    supply.policy(images=["registry.example/web/*", "registry.example:5000/web/*", "docker.io/library/*"])
    gate = serve(supply, "--ungoverned", "allow")
    for reference in (f"{name}@{unknown_image().digest}", f"{name}:1.2@{unknown_image().digest}", name, f"{name}:1.2"):
        assert gate.verify(reference)["allowed"] is False, reference


def test_every_governing_policy_must_accept(web: Supply, serve: Callable[..., Gate]) -> None:
    web.layout("other.layout", steps=web.steps(packager="second"), keys=("builder", "second"))
    web.policy("other", layout="other.layout")
    image = web.image()
    gate = serve(web)
    message = refusal(gate, image, "rejected")
    assert "policy `other`" in message and "package" in message
    assert [policy["outcome"] for policy in gate.verify(image)["policies"]] == ["reject", "accept"]
    # Both packagers' links, and both accept.
    (web.evidence / "second").mkdir()
    link = json.loads(image.link("package").read_text())
    unsigned = web.folder / "package.link"
    unsigned.write_text(json.dumps(link["signed"]))
    fresh = serve(web)
    linkgate(
        "sign",
        "-q",
        "-f",
        unsigned,
        "-k",
        web.keys.pair("second"),
        "-o",
        image.links / "package.second.link",
        cwd=web.folder,
    )
    decision = fresh.verify(image)
    assert decision["allowed"] is True and "`other`, `web`" in decision["message"]


def test_reject_is_said_before_what_is_not_known(web: Supply, serve: Callable[..., Gate]) -> None:
    mount = web.folder / "mount"
    mount.mkdir()
    web.policy("a-down", evidence=[{"directory": str(mount)}])
    gate = serve(web)
    mount.rmdir()
    image = web.image()
    image.tamper("build")
    refusal(gate, image, "rejected")
    refusal(gate, web.image(), "source-down")


def test_warn(web: Supply, serve: Callable[..., Gate]) -> None:
    web.policy(mode="warn")
    image = web.image()
    image.tamper("build")
    gate = serve(web)
    for asked, reason in ((image, "rejected"), (unknown_image(), "no-evidence")):
        decision = gate.verify(asked)
        assert (decision["allowed"], decision["reason"], decision["outcome"]) == (True, reason, "reject")
        [policy], [warning] = decision["policies"], decision["warnings"]
        assert (policy["mode"], policy["reason"], policy["outcome"]) == ("warn", reason, "reject")
        assert str(asked) in warning and "policy `web`" in warning
        answer = ask(gate, review("Pod", "CREATE", pod_spec(asked)))
        assert answer["allowed"] is True
        assert answer["warnings"] == [f"linkgate: {warning}"[:240]]
    assert gate.verify(web.image())["warnings"] == []


def test_warnings_are_so_few_and_short_that_kubectl_shows_them(web: Supply, serve: Callable[..., Gate]) -> None:
    web.policy(mode="warn")
    gate = serve(web)
    images = [f"registry.example/{'a' * 150}/x{number}@{unknown_image().digest}" for number in range(40)]
    answer = ask(gate, review("Pod", "CREATE", pod_spec(*images)))
    assert answer["allowed"] is True and len(answer["warnings"]) == 17
    assert answer["warnings"][-1] == "linkgate: 24 more warnings"
    assert all(len(warning) <= 240 and warning.isprintable() for warning in answer["warnings"])
    assert sum(map(len, answer["warnings"])) <= 4096


def test_a_warning_policy_beside_one_that_enforces(web: Supply, serve: Callable[..., Gate]) -> None:
    web.layout("other.layout", steps=web.steps(packager="second"), keys=("builder", "second"))
    web.policy("other", layout="other.layout", mode="warn")
    gate = serve(web)
    decision = gate.verify(web.image())
    assert decision["allowed"] is True and len(decision["warnings"]) == 1
    answer = ask(gate, review("Pod", "CREATE", pod_spec(unknown_image())))
    denied(answer)
    assert len(answer["warnings"]) == 1


def test_namespaces(web: Supply, serve: Callable[..., Gate]) -> None:
    web.policy(namespaces=["prod", "team-*"])
    image = web.image()
    gate = serve(web)
    for namespace, reason in (
        ("prod", "accepted"),
        ("team-a", "accepted"),
        ("dev", "no-policy"),
        # Who does not say where it is to run is asked for what any place demands.
        ("", "accepted"),
        ("prod2", "no-policy"),
        ("not a namespace", "invalid-image"),
        ("a" * 64, "invalid-image"),
    ):
        decision = gate.verify(image, namespace)
        assert decision["reason"] == reason and decision["allowed"] is (reason == "accepted"), namespace
        asked = ask(gate, review("Pod", "CREATE", pod_spec(image), namespace=namespace))
        assert asked["allowed"] is (reason == "accepted")


@pytest.mark.parametrize("namespace", ["a\nb", "\x1b[31m", "x" * 5000, "`"])
def test_a_strange_namespace_is_no_strange_message(supply: Supply, serve: Callable[..., Gate], namespace: str) -> None:
    supply.layout()
    supply.policy(namespaces=["prod"])
    gate = serve(supply)
    decision = gate.verify(unknown_image(), namespace)
    assert decision["allowed"] is False and decision["message"].isprintable() and len(decision["message"]) < 1500


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("registry.example/web/*", ["registry.example/web/app"], ["registry.example/web/a/b", "registry.example/web"]),
        ("registry.example/**", ["registry.example/a", "registry.example/a/b/c"], ["registry.example.org/a"]),
        ("docker.io/library/nginx", ["nginx", "docker.io/nginx", "index.docker.io/library/nginx"], ["quay.io/nginx"]),
        ("registry.example/a", ["REGISTRY.example:443/a", "registry.example/a:tag"], ["registry.example:444/a"]),
        ("registry.example:5000/a", ["registry.example:5000/a"], ["registry.example/a"]),
        ("registry.example/{a,b}", ["registry.example/a", "registry.example/b"], ["registry.example/c"]),
    ],
)
def test_patterns(supply: Supply, serve: Callable[..., Gate], pattern: str, matches: list, others: list) -> None:
    supply.layout()
    supply.policy(images=[pattern])
    gate = serve(supply)
    for names, reason in ((matches, "no-evidence"), (others, "no-policy")):
        for name in names:
            assert gate.verify(f"{name}@{unknown_image().digest}")["reason"] == reason, name


def test_a_layout_that_takes_too_much_work_is_undecided(web: Supply, serve: Callable[..., Gate]) -> None:
    steps = web.steps()
    steps[0]["expected_materials"] = [["ALLOW", "*a*b*c*d*e*f*g*h*"]] * 3000 + [["DISALLOW", "*"]]
    web.layout(steps=steps)
    image = web.image()
    unsigned = json.loads(image.link("build").read_text())["signed"]
    unsigned["materials"] = {f"{number}{'abcdefg' * 40}": {"sha256": "0" * 64} for number in range(3000)}
    path = web.folder / "large.link"
    path.write_text(json.dumps(unsigned))
    linkgate("sign", "-q", "-f", path, "-k", web.keys.pair("builder"), "-o", image.link("build"), cwd=web.folder)
    # The bound on its work ends it, which takes some ten seconds, and a minute on a busy machine. After that it is known.
    longest = 10 * PATIENCE
    gate = serve(web, "--timeout", longest, "--negative-ttl", longest)
    gate.post("/v1/verify", {"image": str(image)}, timeout=longest)
    message = refusal(gate, image, "undecided")
    assert "policy `web`: undecided" in message
    assert (gate.decided("undecided"), gate.decided("undecided", "admission")) == (2, 1)


def test_a_verifier_without_memory_is_undecided(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    with image.link("build").open("a") as link:
        link.write(" " * (4 << 20))
    gate = serve(web, "--memory", "4")
    refusal(gate, image, "undecided")
    # That is not kept: it is no property of the chain.
    judged = gate.metrics()["linkgate_verify_seconds_count"]
    gate.verify(image)
    assert gate.metrics()["linkgate_verify_seconds_count"] == judged + 1
    assert serve(web).verify(image)["allowed"] is True


def test_more_evidence_than_is_taken(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    for number in range(4):
        (image.links / f"build.{number:08x}.link").write_text(" " * (1 << 20))
    gate = serve(web, "--evidence", "2")
    assert "bytes" in refusal(gate, image, "source-down")
    for number in range(4):
        (image.links / f"build.{number:08x}.link").unlink()
    assert serve(web, "--evidence", "2").verify(image)["allowed"] is True
