"""Policies as they are loaded: what is refused, in which words, and what is taken."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from gate import Gate, wait_for
from supply import PATIENCE, Image, Supply, binary, linkgate, step, unknown_image


def refused(policies: Path, *options: Any) -> str:
    """What is said where no gate starts."""
    command = [
        binary(),
        "serve",
        "--policies",
        policies,
        "--listen",
        "127.0.0.1:0",
        "--self-signed",
        "localhost",
        *options,
    ]
    # A gate that takes them would serve until it is killed.
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if "caBundle" not in line]
    assert "panicked" not in done.stderr and said
    # A check of the folder says the same.
    checked = linkgate("serve", "--policies", policies, "--check", cwd=policies.parent, code=2)
    assert checked.stderr.splitlines()[-1] in done.stderr
    return done.stderr


def test_an_empty_folder(supply: Supply) -> None:
    message = refused(supply.policies)
    assert str(supply.policies) in message and "no policy" in message and "*.yaml" in message


def test_no_folder(supply: Supply) -> None:
    message = refused(supply.folder / "nowhere")
    assert "nowhere" in message and "No such file" in message


def test_a_file_for_a_folder(web: Supply) -> None:
    assert "web.yaml" in refused(web.policies / "web.yaml")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"layuot": "x"}, ["layuot"]),
        ({"keys": ["nobody.pub"]}, ["nobody.pub", "No such file"]),
        ({"layout": "missing.layout"}, ["missing.layout", "No such file"]),
        ({"layout": "owner.pub"}, ["owner.pub", "layout"]),
        ({"keys": ["root.layout"]}, ["root.layout"]),
        ({"keys": []}, ["why its layout is to be believed"]),
        ({"trust": "configmap"}, ["twice"]),
        ({"trust": "me"}, ["me"]),
        ({"images": []}, ["governs nothing"]),
        ({"images": ["a/[b"]}, ["`a/[b`", "pattern"]),
        ({"images": ["registry.example/a:1.2"]}, ["registry.example/a:1.2", "without tag or digest"]),
        ({"images": ["registry.example/a@sha256:*"]}, ["without tag or digest"]),
        ({"images": "registry.example/a"}, ["line 4"]),
        ({"namespaces": ["{"]}, ["`{`", "pattern"]),
        ({"mode": "audit"}, ["audit"]),
        ({"strict": "yes, please"}, ["boolean", "line"]),
        ({"apiVersion": "linkgate.dev/v2"}, ["linkgate.dev/v2"]),
        ({"kind": "ClusterPolicy"}, ["ClusterPolicy"]),
        ({"parameters": {"a": "{IMAGE}"}}, ["`a`", "{IMAGE}", "{IMAGE_NAME}"]),
        ({"parameters": {"a": "{"}}, ["`a`", "brace"]),
        ({"subjectSteps": ["deploy"]}, ["`deploy`", "no step of the layout"]),
        ({"inspections": {"untar": ["owner.pub"]}}, ["untar", "does not have"]),
        ({"evidence": [{"directory": "/nonexistent/links"}]}, ["/nonexistent/links"]),
        ({"evidence": [{"directory": "/x/{IMAGE}"}]}, ["{IMAGE}", "{IMAGE_DIGEST_HEX}"]),
        ({"evidence": [{"ftp": "x"}]}, ["ftp"]),
        ({"evidence": [{"registry": {"repository": "A B"}}]}, ["A B"]),
        ({"images": [], "artifacts": ["*"], "evidence": []}, ["evidence"]),
        ({"images": [], "artifacts": ["*"], "evidence": [{"registry": {}}]}, ["repository"]),
        ({"layout": ["a"]}, ["string", "line"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_policy_that_cannot_be_meant(web: Supply, fields: dict, words: list) -> None:
    web.policy(**fields)
    message = refused(web.policies)
    assert "web.yaml" in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    "pattern",
    ["nginx", "nginx:1.27", "*", "Registry.example/web", "registry.example:443/web", "index.docker.io/library/nginx"],
)
def test_a_pattern_that_no_image_can_match(web: Supply, pattern: str) -> None:
    """Images are compared in one form; what has another form governs nothing, which nobody can mean."""
    web.policy(images=[pattern])
    assert f"`{pattern}`" in refused(web.policies)


@pytest.mark.parametrize("text", ["", "[]", "3", "a: [", "\t\t: x", "a: &a [*a]", "\x00", "--- \n---\n"])
def test_a_file_that_is_no_policy(web: Supply, text: str) -> None:
    (web.policies / "other.yaml").write_text(text)
    assert "other.yaml" in refused(web.policies)


def test_yaml_that_grows(web: Supply) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (web.policies / "other.yaml").write_text("\n".join(lines))
    assert "other.yaml" in refused(web.policies)


def test_bytes_that_are_no_text(web: Supply) -> None:
    (web.policies / "other.yaml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refused(web.policies)


def test_two_of_one_name(web: Supply) -> None:
    web.policy("web", file="again.yaml")
    message = refused(web.policies)
    assert "`web`" in message and "again.yaml" in message and "web.yaml" in message


def test_the_name_of_the_file_is_the_name(web: Supply, serve: Callable[..., Gate]) -> None:
    web.policy("web", drop=("name",))
    web.policy("x", file="other.yml")
    (web.policies / "readme.txt").write_text("not a policy")
    assert serve(web).get("/readyz").json()["policies"] == ["web", "x"]


def test_policies_in_folders(web: Supply, serve: Callable[..., Gate]) -> None:
    """A team's folder holds all that its policy names."""
    team = web.policies / "team"
    team.mkdir()
    for name in ("root.layout", "owner.pub"):
        (team / name).write_bytes((web.policies / name).read_bytes())
    (web.policies / "web.yaml").rename(team / "web.yaml")
    image = web.image()
    assert serve(web).verify(image)["allowed"] is True


# Trust in a ConfigMap.


def vouched(supply: Supply, **fields: Any) -> None:
    """A policy by a layout that nobody signed, whose `pubkeys` are labels."""
    for name in ("builder", "packager"):
        (supply.policies / f"{name}.pub").write_bytes(supply.keys.public(name).read_bytes())
    steps = supply.steps()
    for each, label in zip(steps, ("builder", "packager")):
        each["pubkeys"] = [label]
    supply.layout("layout.json", steps=steps, keys=(), owners=())
    functionaries = {"builder": "builder.pub", "packager": "packager.pub"}
    supply.policy(
        layout="layout.json", drop=("keys",), **{"trust": "configmap", "functionaries": functionaries, **fields}
    )


def test_a_bare_layout_that_a_config_map_vouches_for(supply: Supply, serve: Callable[..., Gate]) -> None:
    vouched(supply)
    good, bad, other = supply.image(), supply.image(), supply.image(builders=("mallory",))
    bad.tamper("build")
    gate = serve(supply)
    decision = gate.verify(good)
    assert decision["allowed"] is True
    assert decision["policies"][0]["answer"]["trust"]["basis"] == "asserted"
    for image in (bad, other):
        decision = gate.verify(image)
        assert decision["reason"] == "rejected" and "build" in decision["message"]


def test_a_bare_layout_by_nobody(supply: Supply) -> None:
    vouched(supply, trust=None, keys=["owner.pub"])
    supply.policy(layout="layout.json")
    message = refused(supply.policies)
    assert "layout.json" in message and "trust: configmap" in message


def test_a_config_map_without_functionaries(supply: Supply) -> None:
    vouched(supply, functionaries={})
    assert "functionaries" in refused(supply.policies)


def test_a_functionary_of_two_keys_or_none(supply: Supply) -> None:
    vouched(supply, functionaries={"builder": "none.pub", "packager": "packager.pub"})
    assert "none.pub" in refused(supply.policies)


def test_a_layout_whose_labels_nobody_has(supply: Supply, serve: Callable[..., Gate]) -> None:
    vouched(supply, functionaries={"bob": "builder.pub", "packager": "packager.pub"})
    image = supply.image()
    # Whether that is no layout to load, or one that nobody satisfies: nothing passes.
    checked = linkgate("serve", "--policies", supply.policies, "--check", image, cwd=supply.folder, code=1)
    assert "deny [rejected]" in checked.stdout and "build" in checked.stdout


def test_rules_that_are_bare_patterns(supply: Supply) -> None:
    """As tutorials write them: the message says how they are written here."""
    vouched(supply)
    steps = supply.steps()
    for each, label in zip(steps, ("builder", "packager")):
        each["pubkeys"] = [label]
    steps[0]["expected_products"] = ["app"]
    supply.layout("layout.json", steps=steps, keys=(), owners=())
    message = refused(supply.policies)
    assert "layout.json" in message and "`build`" in message and "expected_products" in message
    assert (
        '`app` is a bare pattern; write it as a list, `["ALLOW", "app"]`' in message and '["DISALLOW", "*"]' in message
    )


# Inspections, which a gate does not run.


def inspected(supply: Supply) -> None:
    inspect = {
        "_type": "inspection",
        "name": "untar",
        "run": ["tar", "xf", "app.tar"],
        "expected_materials": [["ALLOW", "*"]],
        "expected_products": [["REQUIRE", "unpacked"], ["ALLOW", "unpacked"], ["DISALLOW", "*"]],
    }
    supply.layout(inspect=[inspect])
    (supply.policies / "inspector.pub").write_bytes(supply.keys.public("inspector").read_bytes())


def inspect_link(supply: Supply, image: Image, key: str, product: str = "unpacked", about: Image | None = None) -> Path:
    """The link of somebody who looked at an image, among the evidence of one."""
    work = supply.folder / f"inspect-{key}-{product}-{(about or image).hex}"
    work.mkdir()
    shutil.copy((about or image).manifest, work / "manifest.json")
    supply.run("untar", key, work, ["."], [product], f"echo x > {product}")
    [link] = work.glob("untar.*.link")
    return link.rename(image.links / link.name)


def test_an_inspection_that_nobody_stands_for(supply: Supply) -> None:
    inspected(supply)
    supply.policy()
    message = refused(supply.policies)
    assert "`untar`" in message and "runs no commands" in message and "inspections" in message
    supply.policy(inspections={"untar": []})
    assert "nobody stands for" in refused(supply.policies)
    supply.policy(inspections={"untar": ["none.pub"]})
    assert "none.pub" in refused(supply.policies)


def test_an_inspectors_link_stands_for_the_inspection(supply: Supply, serve: Callable[..., Gate]) -> None:
    inspected(supply)
    supply.policy(inspections={"untar": ["inspector.pub"]})
    gate = serve(supply, "--listing-ttl", "0", "--negative-ttl", "0")
    image = supply.image()
    without = gate.verify(image)
    assert without["allowed"] is False and "untar" in without["message"]
    forged = inspect_link(supply, image, "mallory")
    by_another = gate.verify(image)
    assert by_another["allowed"] is False and "untar" in by_another["message"]
    real = inspect_link(supply, image, "inspector")
    assert gate.verify(image)["allowed"] is True
    # What was found in another image says nothing about this one.
    real.unlink()
    replayed = inspect_link(supply, image, "inspector", about=supply.image())
    told = gate.verify(image)
    assert told["allowed"] is False and "untar" in told["message"]
    replayed.unlink()
    shutil.rmtree(supply.folder / f"inspect-inspector-unpacked-{image.hex}")
    real = inspect_link(supply, image, "inspector")
    assert gate.verify(image)["allowed"] is True
    forged.unlink()
    assert gate.verify(image)["allowed"] is True
    # The key of a step is no inspector's.
    real.unlink()
    inspect_link(supply, image, "builder")
    assert gate.verify(image)["allowed"] is False
    real = inspect_link(supply, image, "inspector", "other")
    told = gate.verify(image)
    assert told["reason"] == "rejected" and "untar" in told["message"]
    real.write_text(real.read_text().replace('"other"', '"unpacked"'))
    assert gate.verify(image)["allowed"] is False


def test_an_inspectors_link_is_about_an_artifact_by_all_its_digests(supply: Supply, serve: Callable[..., Gate]) -> None:
    inspected(supply)
    supply.policy(drop=("images",), artifacts=["manifest.json"], inspections={"untar": ["inspector.pub"]})
    gate = serve(supply, "--listing-ttl", "0", "--negative-ttl", "0")
    image, clean = supply.image(), supply.image()
    sha512 = {each: hashlib.sha512(each.manifest.read_bytes()).hexdigest() for each in (image, clean)}

    def looked_at(what: Image) -> Path:
        """The inspector's link about one of the two, with both digests of it, among the evidence of the first."""
        path = inspect_link(supply, image, "inspector", about=what)
        link = json.loads(path.read_text())
        link["signed"]["materials"]["manifest.json"]["sha512"] = sha512[what]
        path.write_text(json.dumps(link))
        linkgate("sign", "-q", "-f", path, "-o", path, "-k", supply.keys.pair("inspector"), cwd=supply.folder)
        return path

    def ask(**digests: str) -> dict:
        subject = {"name": "manifest.json", "digests": digests}
        return gate.post("/v1/verify", {"subjects": [subject]}).json()

    about_another = looked_at(clean)
    for digests in ({"sha256": image.hex}, {"sha256": image.hex, "sha512": sha512[clean]}):
        told = ask(**digests)
        assert told["allowed"] is False and "untar" in told["message"], digests
    about_another.unlink()
    looked_at(image)
    assert ask(sha256=image.hex)["allowed"] is True
    assert ask(sha256=image.hex, sha512=sha512[image])["allowed"] is True
    # The chain recorded no sha512 that could differ; what the inspector saw has another one.
    told = ask(sha256=image.hex, sha512=sha512[clean])
    assert told["allowed"] is False and "untar" in told["message"]


# Parameters.


def test_parameters_are_filled_by_the_question(supply: Supply, serve: Callable[..., Gate]) -> None:
    builder, packager = supply.keys.keyid("builder"), supply.keys.keyid("packager")
    commands = step("build", [builder], [], [["CREATE", "{image}/{namespace}"], ["DISALLOW", "*"]])
    last = step("package", [packager], [], [["CREATE", "{digest}"], ["CREATE", "manifest.json"], ["DISALLOW", "*"]])
    supply.layout(steps=[commands, last])
    parameters = {"image": "{IMAGE_NAME}", "digest": "is-{IMAGE_DIGEST}", "namespace": "in-{NAMESPACE}{{}}"}
    supply.policy(parameters=parameters)
    image = supply.image()
    for link in image.links.glob("*.link"):
        link.unlink()
    work = supply.folder / "parameters"
    (work / image.repository).mkdir(parents=True)
    product = f"{image.repository}/in-prod{{}}"
    supply.run("build", "builder", work, [], [image.repository], f"echo x > '{product}'")
    script = f"cp {supply.folder}/work-1/manifest.json . && echo > is-{image.digest}"
    supply.run("package", "packager", work, [], ["manifest.json", f"is-{image.digest}"], script)
    for link in work.glob("*.link"):
        link.rename(image.links / link.name)
    gate = serve(supply)
    decision = gate.verify(image, "prod")
    assert decision["allowed"] is True, decision["message"]
    elsewhere = gate.verify(image, "dev")
    assert elsewhere["reason"] == "rejected" and "build" in elsewhere["message"]
    other = gate.verify(f"registry.example/other@{image.digest}", "prod")
    assert other["reason"] == "rejected" and "build" in other["message"]


@pytest.mark.parametrize(
    "policy",
    [
        {"parameters": {"where": "{NAMESPACE}*"}},
        {"parameters": {"where": "x"}, "subject": "{NAMESPACE}manifest.json"},
        {"parameters": {"where": "x"}, "evidence": [{"directory": "../evidence/{NAMESPACE}"}]},
    ],
)
def test_a_placeholder_without_a_value(supply: Supply, serve: Callable[..., Gate], policy: dict[str, Any]) -> None:
    """Who does not say a namespace is not asked for less: with nothing in its place, `{NAMESPACE}*` would be every name."""
    steps = supply.steps()
    steps[1]["expected_products"] = [["CREATE", "{where}"], ["CREATE", "manifest.json"], ["DISALLOW", "*"]]
    supply.layout(steps=steps)
    supply.policy(**policy)
    image = supply.image(links=supply.evidence / "prod" if "evidence" in policy else None)
    gate = serve(supply)
    unsaid = gate.verify(image)
    assert unsaid["allowed"] is False and unsaid["outcome"] == "undecided"
    assert "`{NAMESPACE}` has no value here: whoever asks did not say it" in unsaid["message"]
    assert gate.verify(image, "prod")["outcome"] != "undecided"


# Thresholds that nobody wrote.


def test_a_forgotten_threshold(web: Supply, serve: Callable[..., Gate]) -> None:
    """It is 1, and whoever sees the policy is told: at the start, at a reload, and by a check."""
    said = "step `build` has no `threshold`: any 1 of its 2 keys is enough"
    gate = serve(web)
    image = web.image()
    steps = web.steps(builders=("builder", "second"))
    del steps[0]["threshold"]
    steps[0]["treshold"] = 2
    web.layout(steps=steps, keys=("builder", "second", "packager"))
    assert gate.logged(f"policy `web`: {said}")["level"] == "WARN"
    assert gate.verify(image)["allowed"] is True
    assert said in serve(web).logged("policy `web`: ")["message"]
    checked = linkgate("serve", "--policies", web.policies, "--check", image, cwd=web.folder)
    assert f"policy `web`: {said}" in checked.stderr
    web.policy(strict=True)
    wait_for(lambda: gate.verify(image)["reason"] == "rejected")
    gate.logged(f"policy `web`: {said}, and `strict` refuses that")
    del steps[0]["treshold"]
    web.layout(steps=steps, keys=("builder", "second", "packager"))
    wait_for(lambda: said in gate.verify(image)["message"])
    steps[0]["threshold"] = 1
    web.layout(steps=steps, keys=("builder", "second", "packager"))
    wait_for(lambda: gate.verify(image)["allowed"] is True)
    assert said not in linkgate("serve", "--policies", web.policies, "--check", cwd=web.folder).stderr


# Time.


@pytest.mark.parametrize("expires", ["2020-01-02T03:04:05Z", "1970-01-01T00:00:00Z", "1900-01-01T00:00:00Z"])
def test_an_expired_layout_is_no_broken_policy(web: Supply, serve: Callable[..., Gate], expires: str) -> None:
    """The gate starts with it, takes it at a reload, says so, and denies with the reason; other policies go on."""
    image = web.image()
    web.layout("other.layout")
    web.policy(images=["registry.example/web/*"])
    web.policy("other", layout="other.layout", images=["registry.example/other/*"])
    running = serve(web)
    assert running.verify(image)["allowed"] is True
    web.layout(expires=expires)
    wait_for(lambda: running.verify(image)["reason"] == "rejected")
    for gate in (running, serve(web)):
        assert f"expired at {expires}" in gate.verify(image)["message"]
        assert gate.verify(f"registry.example/other/app@{image.digest}")["allowed"] is True
        ready = gate.get("/readyz")
        assert ready.status_code == 200 and ready.json()["reload"] == "ok"
        assert gate.logged("policy `web` refuses everything: its layout expired at")["level"] == "WARN"
    checked = linkgate("serve", "--policies", web.policies, "--check", image, cwd=web.folder, code=1)
    assert "policy `web` refuses everything: its layout expired at" in checked.stderr
    assert "expired at" in checked.stdout


# The machine's clock, in seconds since 1970: what is asked of the real one is answered with these.
CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec = atoll(getenv("CLOCK_SECONDS"));
    return failed;
}
"""


@pytest.mark.parametrize("seconds", [-1, -(10**10), 253402300800, 2**63 - 1, -(2**63)])
def test_a_clock_that_is_not_set(
    web: Supply, serve: Callable[..., Gate], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: int
) -> None:
    """Before 1970 no layout has expired yet, and after the calendar's end all have: neither is judged."""
    image = web.image()
    (tmp_path / "clock.c").write_text(CLOCK)
    compiling = ["cc", "-shared", "-fPIC", "-o", tmp_path / "clock.so", tmp_path / "clock.c", "-ldl"]
    subprocess.run(compiling, check=True, timeout=PATIENCE)
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "clock.so"))
    monkeypatch.setenv("CLOCK_SECONDS", str(seconds))
    gate = serve(web)
    # Neither TLS nor HTTP can do with such a time: there is no answer, and so no allowing one.
    with pytest.raises(httpx.TransportError):
        gate.verify(image)
    assert gate.logged("no connection is taken")["level"] == "ERROR"
    assert not any("panicked" in line for line in gate.stderr)
    checked = linkgate("serve", "--policies", web.policies, "--check", image, cwd=web.folder, code=2)
    assert "is the clock set?" in checked.stdout + checked.stderr
    trusted = ("-l", web.policies / "root.layout", "-k", web.policies / "owner.pub")
    told = linkgate("verify", *trusted, "-d", image.links, cwd=web.folder, code=2)
    assert "is the clock set?" in told.stdout + told.stderr


# What else decides.


def test_subject_steps(supply: Supply, serve: Callable[..., Gate]) -> None:
    supply.layout()
    supply.policy(subjectSteps=["build"])
    image = supply.image()
    app = hashlib.sha256((supply.folder / "work-1" / "app").read_bytes()).hexdigest()
    shutil.copytree(image.links, supply.evidence / app)
    gate = serve(supply)
    assert gate.verify(f"{image.repository}@sha256:{app}")["allowed"] is True
    assert gate.verify(image)["allowed"] is False


def test_strict(supply: Supply, serve: Callable[..., Gate]) -> None:
    steps = supply.steps()
    steps[1]["expected_products"] = []
    supply.layout(steps=steps)
    supply.policy()
    supply.policy("strict", images=["registry.example/strict/*"], strict=True)
    image = supply.image()
    gate = serve(supply)
    lax = gate.verify(image)
    assert lax["allowed"] is True and any("manifest.json" in warning for warning in lax["warnings"])
    strict = gate.verify(f"registry.example/strict/app@{image.digest}")
    assert strict["reason"] == "rejected" and "manifest.json" in strict["message"]


def test_config_map_as_evidence(supply: Supply, serve: Callable[..., Gate]) -> None:
    """All keys are links; `..data` leads to them."""
    supply.layout()
    mount = supply.folder / "mounted"
    mount.mkdir()
    supply.policy(evidence=[{"configMap": str(mount)}])
    image = supply.image()
    data = mount / "..2026_11_25_00_00_00.1"
    data.mkdir()
    (mount / "..data").symlink_to(data.name)
    for number, link in enumerate(sorted(image.links.iterdir())):
        (data / f"key{number}").write_bytes(link.read_bytes())
        (mount / f"key{number}").symlink_to(f"..data/key{number}")
    gate = serve(supply)
    assert gate.verify(image)["allowed"] is True
    assert gate.verify(unknown_image())["allowed"] is False


def test_several_sources_are_one_body_of_evidence(supply: Supply, serve: Callable[..., Gate]) -> None:
    supply.layout()
    other = supply.folder / "other"
    other.mkdir()
    supply.policy(evidence=[{"directory": f"{supply.evidence}/{{IMAGE_DIGEST_HEX}}"}, {"directory": str(other)}])
    image = supply.image()
    image.link("build").rename(other / "build.link")
    assert serve(supply).verify(image)["allowed"] is True


# The check.


def test_check_says_what_would_be_decided(web: Supply) -> None:
    good, bad = web.image(), web.image()
    bad.tamper("build")

    def check(*images: Any, code: int) -> str:
        return linkgate("serve", "--policies", web.policies, "--check", *images, cwd=web.folder, code=code).stdout

    assert "policy web" in check(code=0)
    assert f"allow [accepted] {good}" in check(good, code=0)
    both = check(good, bad, unknown_image(), "registry.example/a:1", code=1)
    for told in (f"allow [accepted] {good}", f"deny [rejected] {bad}", "deny [no-evidence]", "deny [tag]"):
        assert told in both
    web.policy("down", evidence=[{"configMap": str(web.folder / "none")}])
    assert "deny [source-down]" in check(good, code=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--verifications", "0"], "--verifications 0"),
        (["--timeout=-1"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),
        (["--listing-ttl", "1e400"], "--listing-ttl"),
        (["--log-level", "a=b=c"], "--log-level"),
        (["--listen", "nowhere"], "--listen"),
        (["--ungoverned", "maybe"], "--ungoverned"),
        (["--client-ca", "/nonexistent.pem"], "/nonexistent.pem"),
        (["--tls-cert", "a.pem"], "--tls-key"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant(web: Supply, options: list, words: str) -> None:
    command = [binary(), "serve", "--policies", web.policies, *options]
    if "--listen" not in options:
        command += ["--listen", "127.0.0.1:0"]
    if "--tls-cert" not in options:
        command += ["--self-signed", "localhost"]
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_no_certificate(web: Supply) -> None:
    command = [str(binary()), "serve", "--policies", str(web.policies), "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2 and "--tls-cert" in done.stderr and "--self-signed" in done.stderr


def test_an_address_that_is_taken(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web)
    command = [binary(), "serve", "--policies", web.policies, "--listen", gate.address, "--self-signed", "localhost"]
    done = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2 and gate.address in done.stderr
