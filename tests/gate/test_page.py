"""The page for people: off unless it is asked for, and nothing on it that runs or comes from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from gate import Gate
from supply import Supply


def test_off_unless_asked_for(gate: Gate) -> None:
    for path in ("/", "/decisions/1"):
        assert gate.get(path).status_code == 404


def test_decisions_and_their_chains(web: Supply, serve: Callable[..., Gate]) -> None:
    gate = serve(web, "--page")
    assert "None since the start" in gate.get("/").text
    good, bad = web.image(), web.image()
    bad.tamper("build")
    gate.verify(good)
    gate.verify(bad)
    gate.verify("<script>alert(1)</script>\x1b[2J")
    overview = gate.get("/")
    assert overview.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in overview.headers["content-security-policy"]
    assert "<script" not in overview.text and "\x1b" not in overview.text and "&lt;script&gt;" in overview.text
    assert str(good) in overview.text and "root.layout" in overview.text
    accepted, refused = gate.get("/decisions/1").text, gate.get("/decisions/2").text
    assert "allowed (accept)" in accepted and "the chain holds" in accepted and "1 of 1 signatures" in accepted
    assert "refused (reject)" in refused and "0 of 1 signatures" in refused and "signature-invalid" in refused
    for page in (accepted, refused):
        assert 'role="img"' in page and "<script" not in page and "http://" not in page.replace("http://www.w3.org/", "")
    assert gate.get("/decisions/4").status_code == 404
