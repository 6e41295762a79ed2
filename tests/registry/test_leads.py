"""Where a registry leads who asks it: what is checked by its digest may come from elsewhere, all else is its own to say."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path

import pytest
from conftest import UNKNOWN, Stub, Workspace, digest_of
from test_faults import DIGEST, LIST, attached, authority, config, page, plain, refused

BLOB = f"/v2/app/blobs/{digest_of(b'link')}"
ARTIFACT = next(path for path in attached() if "/manifests/" in path)
ALICE = "Basic " + base64.b64encode(b"alice:right").decode()
__all__ = ["authority"]


def to(place: str, status: int = 307) -> tuple[int, dict[str, str], bytes]:
    return status, {"Location": place}, b""


@pytest.fixture
def tls(authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "certificate.pem", authority / "key.pem")
    return context


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", [BLOB, ARTIFACT])
def test_what_has_its_digest_may_come_from_elsewhere(workspace: Workspace, make_stub, path: str, status: int) -> None:
    there = attached()
    storage = make_stub({"/1": there[path], "/2": to("/1", status)})
    stub = make_stub(there | {path: to(f"http://{storage.host}/2", status)})
    workspace.linkgate("fetch", *plain(stub.host))
    assert list(workspace.links("out").values()) == [b"link"]
    # Other bytes are not taken for them, nor is what is not there taken for nothing.
    for answer, why in [
        ((200, {}, b"lunk"), "sent" if path == BLOB else "whose digest is not"),
        (UNKNOWN, f"`{stub.host}` leads to `{storage.host}`, which answered 404"),
        ((404, {}, b""), "which answered 404"),
        ((401, {"WWW-Authenticate": f'Bearer realm="http://{storage.host}/token"'}, b""), "which answered 401"),
        ((302, {}, b""), "cannot be read"),
        (to("/2", status), "one redirection too many"),
    ]:
        storage.answers["/1"] = answer
        assert why in refused(workspace, *plain(stub.host)), answer
    assert "/token" not in {seen[1] for seen in storage.seen}


@pytest.mark.parametrize("path", [LIST, "/v2/", f"/v2/app/manifests/{DIGEST.replace(':', '-')}", "/v2/app/manifests/1"])
@pytest.mark.parametrize("answer", [(200, {}, page([])), UNKNOWN, (404, {}, b"")])
def test_lists_and_tags_are_the_registrys_own(workspace: Workspace, make_stub, path: str, answer) -> None:
    """Nobody else is asked, and is not asked to say that there is nothing."""
    other = make_stub({"*": answer})
    for place in (f"http://{other.host}/x", f"//{other.host}/x", f"http://localhost:{other.server.server_port}/"):
        stub = make_stub(attached() | {path: to(place)})
        image, *more = plain(stub.host)
        image = f"{stub.host}/app:1" if path.endswith("/1") else image
        assert "only the registry itself is asked for that" in refused(workspace, image, *more)
    assert other.seen == []


def test_a_registry_leads_within_itself(workspace: Workspace, make_stub) -> None:
    there = attached()
    moved = {f"/moved{path}": answer for path, answer in there.items()}
    stub = make_stub(moved | {path: to(f"/moved{path}") for path in there})
    workspace.linkgate("fetch", *plain(stub.host))
    assert list(workspace.links("out").values()) == [b"link"]
    # A list that is not where it was moved to is no registry without lists.
    stub.answers[f"/moved{LIST}"] = UNKNOWN
    assert "answered 404" in refused(workspace, *plain(stub.host))
    stub.answers[LIST] = to(LIST)
    assert "one redirection too many" in refused(workspace, *plain(stub.host))
    stub.answers[LIST] = to(f"http://user:word@{stub.host}/moved{LIST}")
    assert "holds a name or a password" in refused(workspace, *plain(stub.host))


INSIDE = "at an address of this machine or of its network"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("http://169.254.169.254/latest/meta-data", INSIDE),
        ("https://10.0.0.1/", INSIDE),
        ("https://192.168.0.1/", INSIDE),
        ("https://100.64.0.1/", INSIDE),
        ("https://[fe80::1]/", INSIDE),
        ("https://[fd00:ec2::254]/", INSIDE),
        ("https://[::ffff:169.254.169.254]/", INSIDE),
        ("https://0.0.0.0:PORT/1", INSIDE),
        ("https://[::]:PORT/1", INSIDE),
        ("file:///etc/passwd", "no place of the web"),
        ("ftp://127.0.0.1:PORT/1", "no place of the web"),
        ("http://user@127.0.0.1:PORT/1", "holds a name or a password"),
        ("http://:word@127.0.0.1:PORT/1", "holds a name or a password"),
        ("\\\\127.0.0.1:PORT\\1", "cannot be read"),
        ("/\\127.0.0.1:PORT/1", "cannot be read"),
        ("http://127.0.0.1:PORT /1", "cannot be read"),
        ("http://[::1/", "cannot be read"),
        ("", "cannot be read"),
    ],
)
@pytest.mark.parametrize("path", [BLOB, ARTIFACT])
def test_places_that_are_not_asked(workspace: Workspace, make_stub, path: str, place: str, why: str) -> None:
    there = attached()
    storage = make_stub({"*": there[path]})
    stub = make_stub(there | {path: to(place.replace("PORT", str(storage.server.server_port)))})
    assert why in refused(workspace, *plain(stub.host))
    assert storage.seen == []


def test_two_places(workspace: Workspace, make_stub) -> None:
    there = attached()
    storage = make_stub({"*": there[BLOB]})
    places = [("Location", f"http://{storage.host}/{number}") for number in range(2)]
    stub = make_stub(there | {BLOB: (307, places, b"")})
    assert "cannot be read" in refused(workspace, *plain(stub.host))
    assert storage.seen == []


def test_never_out_of_tls(workspace: Workspace, make_stub, authority: Path, tls: ssl.SSLContext) -> None:
    there = attached()
    storage, clear = make_stub({"*": there[BLOB]}, tls), make_stub({"*": there[BLOB]})
    known = (f"app@{DIGEST}", "out", "--registry-ca", str(authority / "ca.pem"))
    for first, second, is_taken in [
        (f"https://{storage.host}/1", None, True),
        (f"http://{clear.host}/1", None, False),
        (f"https://{storage.host}/1", f"http://{clear.host}/1", False),
    ]:
        storage.answers["*"] = to(second) if second else there[BLOB]
        stub = make_stub(there | {BLOB: to(first)}, tls)
        image, *more = known
        image = f"{stub.host}/{image}"
        if is_taken:
            workspace.linkgate("fetch", image, *more)
        else:
            assert "it is in the clear" in refused(workspace, image, *more)
        # Nor once the way led through TLS.
        stub = make_stub(there | {BLOB: to(first)})
        if second:
            assert "it is in the clear" in refused(workspace, image.replace(image.split("/")[0], stub.host), *more, "--plain-http", stub.host)
    assert clear.seen == []


def tokens(realm: str) -> tuple[int, dict[str, str], bytes]:
    return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, b"{}"


@pytest.mark.parametrize(
    ("realm", "why"),
    [
        ("http://169.254.169.254/token", INSIDE),
        ("https://10.0.0.1/token", INSIDE),
        ("https://[::ffff:192.168.0.1]/token", INSIDE),
        ("http://user@HOST/token", "holds a name or a password"),
        ("file:///token", "wants its credentials sent to"),
        ("//HOST/token", "wants its credentials sent to"),
    ],
)
def test_token_servers(workspace: Workspace, make_stub, tmp_path: Path, realm: str, why: str) -> None:
    other = make_stub({"*": (200, {}, b'{"token":"t"}')})
    stub = make_stub(attached() | {"/v2/": tokens(realm.replace("HOST", other.host))})
    known = config(tmp_path / "known", stub.host, "alice:right")
    assert why in refused(workspace, *plain(stub.host), "--registry-config", str(known))
    assert other.seen == []


def test_a_token_server_leads_nowhere(workspace: Workspace, make_stub, tmp_path: Path) -> None:
    other = make_stub({"*": (200, {}, b'{"token":"t"}')})
    server = make_stub({"*": to(f"http://{other.host}/token")})
    stub = make_stub(attached() | {"/v2/": tokens(f"http://{server.host}/token")})
    known = config(tmp_path / "known", stub.host, "alice:right")
    assert "answered 307" in refused(workspace, *plain(stub.host), "--registry-config", str(known))
    assert [seen[2] for seen in server.seen] == [ALICE] and other.seen == []


def test_tokens_are_bounded(workspace: Workspace, make_stub) -> None:
    """They are kept, and go along with each request."""
    for length, is_taken in [(60_000, True), ((64 << 10) + 1, False)]:
        server = make_stub({"*": (200, {}, json.dumps({"token": "t" * length}).encode())})
        stub = make_stub(attached() | {"/v2/": tokens(f"http://{server.host}/token")})
        if is_taken:
            workspace.linkgate("fetch", *plain(stub.host))
        else:
            said = refused(workspace, *plain(stub.host))
            assert f"`{server.host}` sent a token that is larger than 65536 bytes" in said
            assert all(seen[1] == "/v2/" for seen in stub.seen)


def test_others_learn_no_credentials(workspace: Workspace, make_stub, tmp_path: Path) -> None:
    """Not by a redirection, nor by asking for them, nor by leading back."""
    there = attached()
    storage = make_stub({})
    stub = make_stub(there | {"/v2/": (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"{}"), "/back": there[BLOB]})
    stub.answers[BLOB] = to(f"http://{storage.host}/1")
    storage.answers |= {"/1": to(f"http://{stub.host}/back")}
    known = config(tmp_path / "known", stub.host, "alice:right")
    workspace.linkgate("fetch", *plain(stub.host), "--registry-config", known)
    assert [seen[2] for seen in storage.seen] == [None]
    assert {seen[1]: seen[2] for seen in stub.seen if seen[1] in ("/back", BLOB)} == {"/back": None, BLOB: ALICE}


def uploads(stub: Stub, place: str) -> None:
    """Answers of a registry that takes a blob at that place."""
    stub.answers["/v2/app/blobs/uploads/"] = (202, {"Location": place}, b"")


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("http://169.254.169.254/upload", INSIDE),
        ("https://10.0.0.1/upload", INSIDE),
        ("http://user:word@HOST/upload", "holds a name or a password"),
        ("\\\\HOST\\upload", "does not say where"),
        ("", "does not say where"),
    ],
)
def test_where_blobs_are_sent(workspace: Workspace, make_stub, place: str, why: str) -> None:
    other = make_stub({"*": (201, {}, b"")})
    stub = subject(make_stub({}))
    uploads(stub, place.replace("HOST", other.host))
    done = workspace.linkgate("attach", f"{stub.host}/app:1", "links", "--plain-http", stub.host, code=2)
    assert why in done.stderr
    assert other.seen == []


def test_blobs_are_not_sent_out_of_tls(workspace: Workspace, make_stub, authority: Path, tls: ssl.SSLContext) -> None:
    other = make_stub({"*": (201, {}, b"")})
    stub = subject(make_stub({}, tls))
    uploads(stub, f"http://{other.host}/upload")
    ca = ("--registry-ca", authority / "ca.pem")
    done = workspace.linkgate("attach", f"{stub.host}/app:1", "links", *ca, code=2)
    assert "it is in the clear" in done.stderr
    assert other.seen == []


def test_blobs_may_be_sent_elsewhere(workspace: Workspace, make_stub, tmp_path: Path) -> None:
    """Without credentials, and not from there to a third place."""
    other, third = make_stub({"*": (201, {}, b"")}), make_stub({"*": (201, {}, b"")})
    stub = subject(make_stub({}))
    stub.answers["/v2/"] = (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"{}")
    uploads(stub, f"http://{other.host}/upload?a=b")
    known = ("--plain-http", stub.host, "--registry-config", config(tmp_path / "known", stub.host, "alice:right"))
    workspace.linkgate("attach", f"{stub.host}/app:1", "links", *known)
    sent = {body for _, _, _, body in other.seen}
    assert set(workspace.links().values()) <= sent
    assert {seen[2] for seen in other.seen} == {None}
    assert all(f"/upload?a=b&digest={digest_of(body)}".replace(":", "%3A") == path for _, path, _, body in other.seen)
    other.answers["*"] = to(f"http://{third.host}/upload")
    done = workspace.linkgate("attach", f"{stub.host}/app:1", "links", *known, code=2)
    assert "only the registry itself is asked for that" in done.stderr
    assert third.seen == []


def subject(stub: Stub) -> Stub:
    """A registry that has an image, lists referrers, and takes manifests."""
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "x", "digest": digest_of(b"{}"), "size": 2},
            "layers": [],
        }
    ).encode()

    def manifests(request, body: bytes):
        return (201, {"OCI-Subject": digest_of(manifest)}, b"") if request.command == "PUT" else UNKNOWN

    stub.answers |= {
        "/v2/": (200, {}, b""),
        "/v2/app/manifests/1": (200, {}, manifest),
        f"/v2/app/referrers/{digest_of(manifest)}": (200, {}, page([])),
        "*": manifests,
    }
    return stub


def test_a_proxy_connects_for_itself(workspace: Workspace, make_stub) -> None:
    """Names are its own to resolve; addresses, and the name that means its own machine, it is not asked for."""
    there = attached()
    seen = []

    def answer(request, _: bytes):
        seen.append(request.path)
        path = request.path.removeprefix("http://r.example")
        return stub_answers.get(path.split("?")[0], UNKNOWN)

    stub_answers = there | {BLOB: to("http://storage.example/1")}
    proxy = make_stub({"*": answer, "http://storage.example/1": there[BLOB]})
    environment = {"HTTP_PROXY": f"http://{proxy.host}"}
    known = (f"r.example/app@{DIGEST}", "out", "--plain-http", "r.example")
    workspace.linkgate("fetch", *known, **environment)
    assert list(workspace.links("out").values()) == [b"link"]
    for place in ("http://127.0.0.1:1/", "http://10.0.0.1/", "http://localhost/", "http://a.localhost./", "http://[::1]/"):
        stub_answers[BLOB] = to(place)
        assert INSIDE in refused(workspace, *known, **environment)
