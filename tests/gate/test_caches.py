"""What is kept, and for how long it is believed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from gate import Gate, wait_for
from supply import Image, Supply, linkgate, unknown_image
from test_admission import ask, pod_spec, review

HITS, MISSES = (f'linkgate_cache_total{{cache="verdicts",result="{result}"}}' for result in ("hit", "miss"))


def written(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def soon(is_in_time: Callable[[datetime], bool]) -> datetime:
    """An instant before which there is enough time for what is to be done: on a busy machine more than on another."""
    for seconds in (4, 16, 64):
        instant = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        if is_in_time(instant):
            return instant
    raise AssertionError("this machine is too slow")


def judged(gate: Gate) -> float:
    return gate.metrics()["linkgate_verify_seconds_count"]


def test_the_second_answer_is_the_first(web: Supply, serve: Callable[..., Gate]) -> None:
    good, bad = web.image(), web.image()
    bad.tamper("build")
    gate = serve(web, "--negative-ttl", "60")
    for image in (good, bad, unknown_image()):
        answers = [gate.post("/v1/verify", {"image": str(image)}).content for _ in range(5)]
        assert len(set(answers)) == 1
    samples = gate.metrics()
    assert samples[MISSES] == 3 and samples[HITS] == 12 and judged(gate) == 3


def test_without_a_cache_the_answers_are_the_same(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    bodies = set()
    for options in (
        (),
        ("--verdict-ttl", "0"),
        ("--listing-ttl", "0"),
        ("--verdict-cache", "0", "--evidence-cache", "0"),
    ):
        gate = serve(web, *options)
        bodies |= {gate.post("/v1/verify", {"image": str(image)}).content for _ in range(3)}
        if options[:1] == ("--verdict-ttl",):
            assert judged(gate) == 3
    assert len(bodies) == 1


def test_faces_share_a_verdict(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    gate = serve(web)
    gate.verify(image)
    assert ask(gate, review("Pod", "CREATE", pod_spec(image), namespace=""))["allowed"] is True
    assert judged(gate) == 1


def test_another_namespace_or_name_is_another_question(web: Supply, serve: Callable[..., Gate]) -> None:
    """They fill parameters."""
    image = web.image()
    gate = serve(web)
    for number, (name, namespace) in enumerate([("a", ""), ("a", "prod"), ("b", "prod"), ("b", "dev")]):
        assert gate.verify(f"registry.example/{name}@{image.digest}", namespace)["allowed"] is True
        assert judged(gate) == number + 1


def test_a_changed_link_is_seen_after_the_listings_time(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, "--listing-ttl", "0.2")
    image = web.image()
    original = image.link("build").read_bytes()
    assert gate.verify(image)["allowed"] is True
    image.tamper("build")
    wait_for(lambda: gate.verify(image)["allowed"] is False, seconds=3)
    image.link("build").write_bytes(original)
    wait_for(lambda: gate.verify(image)["allowed"] is True, seconds=3)
    image.link("build").unlink()
    wait_for(lambda: gate.verify(image)["allowed"] is False, seconds=3)


def test_within_the_listings_time_it_is_believed(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, "--listing-ttl", "60", "--negative-ttl", "0.2")
    image = web.image()
    assert gate.verify(image)["allowed"] is True
    for link in image.links.iterdir():
        link.unlink()
    time.sleep(0.5)
    assert gate.verify(image)["allowed"] is True


def test_that_there_is_nothing_is_believed_for_a_short_time(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, "--listing-ttl", "60", "--negative-ttl", "0.3")
    image = web.image()
    away = image.links.rename(web.folder / "away")
    assert gate.verify(image)["reason"] == "no-evidence"
    away.rename(image.links)
    wait_for(lambda: gate.verify(image)["allowed"] is True, seconds=3)


def test_an_accept_ends_with_its_layout(web: Supply, serve: Callable[..., Gate]) -> None:
    image = web.image()
    gate = serve(web)

    def is_in_time(expires: datetime) -> bool:
        """Whether it was asked about five times before that."""
        before = gate.get("/readyz").json()["fingerprint"]
        web.layout(expires=written(expires))
        wait_for(lambda: gate.get("/readyz").json()["fingerprint"] != before)
        hits = gate.metrics().get(HITS, 0)
        allowed = [gate.verify(image)["allowed"] for _ in range(6)]
        if datetime.now(UTC) >= expires:
            return False
        assert allowed == [True] * 6 and gate.metrics()[HITS] == hits + 5
        return True

    expires = soon(is_in_time)
    while datetime.now(UTC) < expires:
        asked = datetime.now(UTC)
        decision = gate.verify(image)
        assert decision["allowed"] is True or datetime.now(UTC) >= expires, asked
        time.sleep(0.1)
    decision = gate.verify(image)
    assert decision["reason"] == "rejected" and "expired" in decision["message"]


def test_a_sublayouts_expiry_ends_an_accept(web: Supply, serve: Callable[..., Gate]) -> None:
    """The earliest of all instants at which the answer could change counts, not the root layout's."""
    keyid = web.keys.keyid("builder")
    image = web.image()
    inner = {
        "_type": "layout",
        "readme": "",
        "keys": web.keys.in_layout("second"),
        "steps": [{**web.steps()[0], "name": "compile", "pubkeys": [web.keys.keyid("second")]}],
        "inspect": [],
    }
    name = f"build.{keyid[:8]}"
    work = web.folder / "inner"
    work.mkdir()
    (work / "main.c").write_bytes((web.folder / "work-1" / "main.c").read_bytes())
    web.run("compile", "second", work, ["main.c"], ["app"], "cp main.c app")
    image.link("build").unlink()
    (image.links / name).mkdir()
    for link in work.glob("compile.*.link"):
        link.rename(image.links / name / link.name)
    sublayout = image.links / f"{name}.link"
    gate = serve(web, "--listing-ttl", "0")

    def is_in_time(expires: datetime) -> bool:
        sublayout.write_text(json.dumps(inner | {"expires": written(expires)}))
        linkgate("sign", "-q", "-f", sublayout, "-k", web.keys.pair("builder"), cwd=web.folder)
        decision = gate.verify(image)
        if datetime.now(UTC) >= expires:
            return False
        assert decision["allowed"] is True, decision["message"]
        assert decision["policies"][0]["answer"]["valid_until"] == int(expires.timestamp())
        return True

    expires = soon(is_in_time)
    while datetime.now(UTC) < expires:
        time.sleep(0.1)
    assert gate.verify(image)["allowed"] is False


def test_equal_questions_at_once_are_judged_alike(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, "--verdict-ttl", "0.05", "--listing-ttl", "0.05")
    images: list[Image] = [web.image() for _ in range(4)]
    for image in images[2:]:
        image.tamper("package")
    with ThreadPoolExecutor(16) as pool:
        decisions = list(pool.map(gate.verify, images * 100))
    assert [decision["allowed"] for decision in decisions] == [True, True, False, False] * 100
