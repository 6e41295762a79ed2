"""What is no answer is never "no evidence": each fault of a registry is told for what it is, with exit code 2."""

from __future__ import annotations

import base64
import datetime
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from conftest import IN_TOTO, INDEX, MANIFEST, UNKNOWN, Registry, Workspace, digest_of, run
from ports import free_port

DIGEST = digest_of(b"image")
# bcrypt of `right`
HTPASSWD = "alice:$2y$05$abcdefghijklmnopqrstuu8xaCxxL82bnl.UY74PMksDxIJShppPC"


def refused(workspace: Workspace, *arguments: str, **more: str) -> str:
    done = workspace.linkgate("fetch", *arguments, code=2, **more)
    assert "no evidence" not in done.stderr
    assert done.stderr.count("\n") <= 2, done.stderr
    return done.stderr


def plain(host: str) -> tuple[str, ...]:
    return (f"{host}/app@{DIGEST}", "out", "--plain-http", host)


def test_down(workspace: Workspace) -> None:
    host = f"127.0.0.1:{free_port()}"
    assert f"cannot connect to `{host}`: connection refused" in refused(workspace, *plain(host))


def test_no_such_host(workspace: Workspace) -> None:
    # A resolver that is out of reach is not waited for.
    said = refused(workspace, f"nonexistent.invalid/app@{DIGEST}", "out", RES_OPTIONS="timeout:1 attempts:1")
    assert "cannot connect to `nonexistent.invalid`" in said


def test_slow(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        begins = time.monotonic()
        said = refused(workspace, *plain(host), "--registry-timeout", "1")
        assert f"`{host}` did not answer within 1 s" in said
        assert time.monotonic() - begins < 5


def test_dripping(workspace: Workspace) -> None:
    """A server that says one byte at a time does not hold anybody up."""

    def drip(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=drops, args=(connection,), daemon=True).start()

    def drops(connection: socket.socket) -> None:
        try:
            # an answer before its question would be another fault: a broken connection
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                connection.sendall(b" ")
                time.sleep(0.1)
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        assert "did not answer within 1 s" in refused(workspace, *plain(host), "--registry-timeout", "1")


HTML = (200, {"Content-Type": "text/html"}, b"<html>log in here</html>")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HTML, "no manifest: "),
        ((404, {"Content-Type": "text/html"}, b"<html>no such page</html>"), "404 without saying what is unknown"),
        ((404, {}, b""), "404 without saying what is unknown"),
        ((200, {}, b"{}"), "no manifest: neither `manifests` nor `config`"),
        ((200, {}, b""), "no manifest: "),
        ((500, {}, b"oops"), "answered 500: its log says why"),
        ((503, {"Content-Type": "text/html"}, b"<html>"), "answered 503"),
        ((429, {}, b"{}"), "was asked too often (429)"),
        ((401, {}, b"{}"), "refused anonymous access (401): log in with docker login"),
        ((403, {}, b'{"errors":[{"code":"DENIED","message":"x"}]}'), "refused anonymous access (403)"),
        ((418, {}, b"{}"), "answered 418: does it speak the OCI distribution protocol?"),
        ((200, {}, b"x" * (5 << 20)), "is larger than 4194304 bytes"),
    ],
)
@pytest.mark.parametrize("where", ["everywhere", "referrers", "tag", "att"])
def test_answers_that_are_none(workspace: Workspace, make_stub, answer, why: str, where: str) -> None:
    hexadecimal = DIGEST.removeprefix("sha256:")
    paths = {
        "everywhere": "*",
        "referrers": f"/v2/app/referrers/{DIGEST}",
        "tag": f"/v2/app/manifests/sha256-{hexadecimal}",
        "att": f"/v2/app/manifests/sha256-{hexadecimal}.att",
    }
    if where == "referrers" and answer[0] == 404:
        pytest.skip("404 is how a registry says that it has no referrers API")
    answers = {"/v2/": (200, {}, b"{}"), paths[where]: answer}
    assert why in refused(workspace, *plain(make_stub(answers).host))


def test_a_tag_of_what_is_none(workspace: Workspace, make_stub) -> None:
    for answer, why in [(HTML, "no manifest"), ((404, {}, b""), "is it a registry?")]:
        stub = make_stub({"*": answer})
        assert why in refused(workspace, f"{stub.host}/app:1", "out", "--plain-http", stub.host)
    stub = make_stub({"/v2/": (200, {}, b"")})
    assert "there is no image" in refused(workspace, f"{stub.host}/app:1", "out", "--plain-http", stub.host)
    assert "there is no image" in refused(workspace, *plain(stub.host))


def blobs(manifest: dict) -> list[str]:
    return [layer["digest"] for layer in manifest["layers"]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data[:-1], "bytes for the blob"),
        (lambda data: data + b" ", "bytes for the blob"),
        (lambda data: data[:-1] + b" ", "what it stores was changed or damaged"),
        (lambda data: b"", "bytes for the blob"),
        (None, "does not have it"),
    ],
    ids=["truncated", "longer", "swapped", "empty", "removed"],
)
def test_changed_blobs(registry: Registry, workspace: Workspace, change, why: str) -> None:
    image = workspace.push(registry)
    attached = workspace.linkgate("attach", image, "links", "--plain-http", registry.host)
    manifest = registry.manifest("app", attached.stdout.strip().rpartition("@")[2])
    stored = registry.stored(max(manifest["layers"], key=lambda layer: layer["size"])["digest"])
    if change:
        data = change(stored.read_bytes())
        stored.write_bytes(data)
    else:
        stored.unlink()
    said = refused(workspace, image, "out", "--plain-http", registry.host)
    assert why in said, said
    assert not (workspace.folder / "out").exists()


def test_changed_manifests(registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(registry)
    attached = workspace.linkgate("attach", image, "links", "--plain-http", registry.host)
    stored = registry.stored(attached.stdout.strip().rpartition("@")[2])
    stored.write_bytes(stored.read_bytes().replace(b'"dev.linkgate.step":"build"', b'"dev.linkgate.step":"built"'))
    assert "refused" not in refused(workspace, image, "out", "--plain-http", registry.host)


def referrers(count: int) -> list[dict]:
    return [
        {"mediaType": MANIFEST, "digest": digest_of(b"%d" % number), "size": 1, "artifactType": IN_TOTO}
        for number in range(count)
    ]


def page(manifests: list[dict]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


LIST = f"/v2/app/referrers/{DIGEST}"
FIRST = f"{LIST}?artifactType=application%2Fvnd.in-toto%2Bjson"


def attached(link: bytes = b"link") -> dict:
    """Answers of a registry that has evidence with one link; its list is yet to be made of `LAST`."""
    layer = {"mediaType": IN_TOTO, "digest": digest_of(link), "size": len(link)}
    artifact = {
        "mediaType": MANIFEST,
        "artifactType": IN_TOTO,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2},
        "layers": [layer],
        "subject": {"mediaType": MANIFEST, "digest": DIGEST, "size": 5},
    }
    data = json.dumps(artifact).encode()
    last = {"mediaType": MANIFEST, "digest": digest_of(data), "size": len(data), "artifactType": IN_TOTO}
    return {
        "/v2/": (200, {}, b""),
        LIST: (200, {}, page([last])),
        f"/v2/app/manifests/{digest_of(data)}": (200, {}, data),
        f"/v2/app/blobs/{digest_of(link)}": (200, {}, link),
    }


@pytest.mark.parametrize(
    "headers",
    [
        ['<HERE?n=2>; rel="next"'],
        ['<HERE?n=2>; rel = "next"'],
        ["<HERE?n=2>; REL=next"],
        ['<HERE?n=2>; rel="next prefetch"'],
        ['</v2/>; rel="prev", <HERE?n=2>; title="a, <b>; c"; rel=next'],
        ['</v2/>; rel="prev"', '<HERE?n=2>; rel="next"'],
        ["<?n=2>; rel=next"],
        ["<http://HOSTHERE?n=2>; rel=next"],
        ["<//HOSTHERE?n=2>; rel=next"],
        ["</v2/app/referrers/HEX?n=2>; rel=next"],
    ],
)
def test_lists_in_pages(workspace: Workspace, make_stub, headers: list[str]) -> None:
    stub = make_stub({})

    def link(header: str) -> tuple[str, str]:
        header = header.replace("HERE", LIST).replace("HOST", stub.host).replace("HEX", DIGEST.replace(":", "%3a"))
        return "Link", header

    there = attached()
    stub.answers |= there | {FIRST: (200, [link(header) for header in headers], page([])), f"{LIST}?n=2": there[LIST]}
    workspace.linkgate("fetch", *plain(stub.host))
    assert list(workspace.links("out").values()) == [b"link"]
    # Where a page was listed, there is a next one, or nobody knows.
    for answer, why in [
        (UNKNOWN, "answered 404 MANIFEST_UNKNOWN"),
        ((404, {}, b""), "404 without saying what is unknown"),
        ((302, {"Location": LIST}, b""), "its pages lead back"),
    ]:
        stub.answers[f"{LIST}?n=2"] = answer
        stub.answers[LIST] = (200, [link(header) for header in headers], page([]))
        assert why in refused(workspace, *plain(stub.host))


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (["<?n=2; rel=next"], "a `<` without `>`"),
        (["?n=2; rel=next"], "begins without `<`"),
        (["<?n=2>"], "a link without `rel`"),
        (["<?n=2>; rel=prev; rel=next"], "two `rel`"),
        (["<?n=2>; rel=\"next"], "without a second one"),
        (["<?n=2>; rel=next; anchor=\"/x\""], "a next page of something else"),
        (["<?n= 2>; rel=next"], "a target that is no URI"),
        (["<?n=\t2>; rel=next"], "a target that is no URI"),
        (["<\\\\HOST\\v2>; rel=next"], "a target that is no URI"),
        (["<?n=\xe4>; rel=next"], "a target that is no URI"),
        (["<?n=2>; rel=next, <?n=3>; rel=next"], "two next pages"),
        (["<?n=2>; rel=next", "<?n=3>; rel=next"], "two next pages"),
        (["<http://127.0.0.1:1/>; rel=next"], "at another place than its own"),
        (["<//127.0.0.1:1/>; rel=next"], "at another place than its own"),
        (["<http://user@HOSTHERE?n=2>; rel=next"], "at another place than its own"),
        (["<http://HOST@127.0.0.1:1HERE?n=2>; rel=next"], "at another place than its own"),
        (["<https://HOSTHERE?n=2>; rel=next"], "at another place than its own"),
        (["</v2/other/referrers/x?n=2>; rel=next"], "at another place than its own"),
        (["</v2/app/referrers%2FHEX?n=2>; rel=next"], "at another place than its own"),
    ],
)
def test_lists_that_go_on_nobody_knows_where(workspace: Workspace, make_stub, headers: list[str], why: str) -> None:
    stub = make_stub({})
    links = [("Link", header.replace("HERE", LIST).replace("HOST", stub.host)) for header in headers]
    there = attached()
    stub.answers |= there | {LIST: (200, links, there[LIST][2])}
    assert why in refused(workspace, *plain(stub.host))
    assert not any("n=" in seen[1] for seen in stub.seen)


def test_many_pages(workspace: Workspace, make_stub) -> None:
    def answer(request, _: bytes):
        number = int(request.path.partition("n=")[2] or 0) + 1
        return 200, {"Link": f"<?n={number}>; rel=next"}, page([])

    stub = make_stub({"/v2/": (200, {}, b""), LIST: answer})
    assert "it has more than 32 pages" in refused(workspace, *plain(stub.host))
    assert sum(LIST in seen[1] for seen in stub.seen) == 32


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((200, {}, page(referrers(1001))), "more than 1000 referrers"),
        ((200, {"Link": f'</v2/app/referrers/{DIGEST}>; rel="next"'}, page([])), "its pages lead back to one that was read"),
        ((200, {"Link": '<http://127.0.0.1:1/>; rel="next"'}, page([])), "at another place than its own"),
        ((200, {}, page([{"mediaType": MANIFEST, "digest": "sha256:../../x", "size": 1}])), "is no digest"),
        ((200, {}, page([])[:-1]), "no manifest: "),
    ],
)
def test_lists_without_end(workspace: Workspace, make_stub, answer, why: str) -> None:
    stub = make_stub({"/v2/": (200, {}, b""), f"/v2/app/referrers/{DIGEST}": answer})
    assert why in refused(workspace, *plain(stub.host))


def test_plain_http_only_if_named(registry: Registry, workspace: Workspace) -> None:
    image = workspace.push(registry)
    said = refused(workspace, image, "out")
    assert f"`{registry.host}` does not speak TLS" in said and f"--plain-http {registry.host}" in said
    for wrong in ("http://localhost:5000", "localhost:5000/app"):
        assert "a host is expected" in refused(workspace, image, "out", "--plain-http", wrong)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A private authority, and a certificate by it for 127.0.0.1."""
    folder = tmp_path / "authority"
    folder.mkdir()
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("openssl", "req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=private", cwd=folder)
    run("openssl", "req", *ec, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=registry", cwd=folder)
    (folder / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
    run(
        *("openssl", "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-out", "certificate.pem", "-extfile", "extensions", "-days", "2"),
        cwd=folder,
    )
    return folder


def test_tls(make_registry, workspace: Workspace, authority: Path) -> None:
    tls = {"certificate": str(authority / "certificate.pem"), "key": str(authority / "key.pem")}
    registry = make_registry(http={"tls": tls})
    trusted = workspace.folder / "trusted"
    trusted.mkdir()
    (trusted / "ca.crt").write_bytes((authority / "ca.pem").read_bytes())
    image = workspace.push(registry, "app", "1", f"--dest-cert-dir={trusted}")
    said = refused(workspace, image, "out")
    assert f"the certificate of `{registry.host}` is not trusted (UnknownIssuer)" in said and "--registry-ca" in said
    ca = ("--registry-ca", str(authority / "ca.pem"))
    workspace.linkgate("attach", image, "links", *ca)
    workspace.linkgate("fetch", image, "out", *ca)
    assert workspace.links("out") == workspace.links()
    for file, why in (("key.pem", "no certificate in PEM"), ("nonexistent", "No such file")):
        assert why in refused(workspace, image, "out", "--registry-ca", str(authority / file))


def config(folder: Path, host: str, credentials: str) -> Path:
    """A docker config.json; where it is."""
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(credentials.encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return folder


def test_basic(make_registry, workspace: Workspace, tmp_path: Path) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(f"{HTPASSWD}\n")
    registry = make_registry(auth={"htpasswd": {"realm": "registry", "path": str(htpasswd)}})
    here = ("--plain-http", registry.host)
    pushed = ("--dest-tls-verify=false", "--dest-creds=alice:right")
    image = workspace.push(registry, "app", "1", *pushed)
    said = refused(workspace, image, "out", *here)
    assert f"`{registry.host}` refused anonymous access (401): log in with docker login" in said
    wrong = config(tmp_path / "wrong", registry.host, "alice:hunter2")
    said = refused(workspace, image, "out", *here, "--registry-config", str(wrong))
    assert f"`{registry.host}` refused the credentials (401)" in said and "hunter2" not in said
    right = config(tmp_path / "right", registry.host, "alice:right")
    workspace.linkgate("attach", image, "links", *here, "--registry-config", right)
    workspace.linkgate("fetch", image, "out", *here, DOCKER_CONFIG=str(right))
    assert workspace.links("out") == workspace.links()
    workspace.linkgate("fetch", image, "again", *here, REGISTRY_AUTH_FILE=str(right / "config.json"))
    # As Kubernetes mounts a secret.
    secret = tmp_path / "secret"
    secret.mkdir()
    (right / "config.json").rename(secret / ".dockerconfigjson")
    workspace.linkgate("fetch", image, "third", *here, "--registry-config", secret)
    assert "no such file" in refused(workspace, image, "out", *here, "--registry-config", str(right))


def test_helpers(make_registry, workspace: Workspace, tmp_path: Path) -> None:
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(f"{HTPASSWD}\n")
    registry = make_registry(auth={"htpasswd": {"realm": "registry", "path": str(htpasswd)}})
    image = workspace.push(registry, "app", "1", "--dest-tls-verify=false", "--dest-creds=alice:right")
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    configured = tmp_path / "config.json"
    configured.write_text(json.dumps({"credHelpers": {registry.host: "test"}}))
    arguments = ("--plain-http", registry.host, "--registry-config", str(configured))
    path = f"{helper.parent}:/usr/bin:/bin"

    def becomes(script: str) -> None:
        helper.write_text(f"#!/bin/sh\n{script}\n")
        helper.chmod(0o755)

    becomes("""cat >/dev/null; echo '{"Username":"alice","Secret":"right"}'""")
    workspace.linkgate("attach", image, "links", *arguments, PATH=path)
    workspace.linkgate("fetch", image, "out", *arguments, PATH=path)
    becomes("cat >/dev/null; echo s3cret; echo s3cret >&2; exit 1")
    said = refused(workspace, image, "more", *arguments, PATH=path)
    assert "`docker-credential-test` failed" in said and "s3cret" not in said
    becomes("cat >/dev/null; echo 'credentials not found in native keychain'; exit 1")
    assert "refused anonymous access (401)" in refused(workspace, image, "more", *arguments, PATH=path)
    pid = tmp_path / "pid"
    for lasting in ("exec sleep 30", "exec >&-; exec sleep 30", "exec </dev/null >/dev/null; exec sleep 30"):
        becomes(f"echo $$ >{pid}; {lasting}")
        begins = time.monotonic()
        assert "gave nothing" in refused(workspace, image, "more", *arguments, "--registry-timeout", "2", PATH=path)
        assert time.monotonic() - begins < 10
        # It was ended.
        assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    # It does not listen, and answers.
    becomes("""exec <&-; echo '{"Username":"alice","Secret":"right"}'""")
    workspace.linkgate("fetch", image, "deaf", *arguments, PATH=path)
    # What it says without an end is not kept.
    becomes("exec yes s3cret")
    said = refused(workspace, image, "more", *arguments, PATH=path)
    assert "printed more than 1048576 bytes" in said and "s3cret" not in said


# It breaks lines, gives orders to CI systems, turns the direction of writing, sets a title, and moves a cursor.
HOSTILE = "x\n::error::x\r##[error]x\u202e\x1b]0;x\x07\u2028\x9b2J"
IN_HEADER = "::error::x ##[error]x\u202e\x9b2J\t"
JSON = {"Content-Type": "application/json"}


def says(code: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": HOSTILE, "detail": HOSTILE}]}, ensure_ascii=False).encode()


def lists(**members: object) -> tuple[int, dict[str, str], bytes]:
    listed = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [members], HOSTILE: HOSTILE}
    return 200, {"Content-Type": INDEX}, json.dumps(listed, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "answer",
    [
        (404, JSON, says(HOSTILE)),
        (418, JSON, says(f"DENIED{HOSTILE}")),
        (500, JSON, says("UNKNOWN")),
        (500, {"Content-Type": "text/plain"}, HOSTILE.encode()),
        (200, {"Content-Type": INDEX}, f'{{"{HOSTILE}": '.encode()),
        (401, {"WWW-Authenticate": f'Bearer realm="{IN_HEADER}"'}, b""),
        (401, {"WWW-Authenticate": f'Bearer realm="http://elsewhere.example/{IN_HEADER}",service="{IN_HEADER}"'}, b""),
        (401, {"WWW-Authenticate": f'{IN_HEADER} realm="x"'}, HOSTILE.encode()),
        (307, {"Location": f"http://elsewhere.example/{IN_HEADER}"}, b""),
        (307, {"Location": IN_HEADER}, b""),
        (200, {"Content-Type": IN_HEADER}, b"{}"),
        (200, {"Content-Type": INDEX, "Link": f'<http://elsewhere.example/{IN_HEADER}>; rel="next"'}, lists()[2]),
        lists(mediaType=HOSTILE, digest=HOSTILE, size=1),
        lists(mediaType=MANIFEST, digest=f"sha256:{HOSTILE}", size=HOSTILE, artifactType=IN_TOTO),
    ],
)
@pytest.mark.parametrize("verb", [("fetch", "out"), ("attach", "links")])
def test_what_a_registry_says_does_nothing(workspace: Workspace, make_stub, answer, verb: tuple[str, str]) -> None:
    status, headers, body = answer
    # The library writes headers in Latin-1.
    headers = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    host = make_stub({"*": (status, headers, body)}).host
    command, folder = verb
    for reference in (f"{host}/app@{DIGEST}", f"{host}/app:1"):
        done = workspace.linkgate(command, reference, folder, "--plain-http", host, code=2)
        assert done.stdout == "" and done.stderr.count("\n") <= 2
        for line in done.stderr.split("\n"):
            assert line.isprintable() and not line.startswith("::") and "##" not in line, ascii(line)


@pytest.fixture
def signer(tmp_path: Path):
    """What signs tokens for distribution's registry: JWTs whose certificate goes along."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    bundle = tmp_path / "tokens.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def token(access: list[dict]) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [der]}
        claims = {"iss": "tests", "sub": "alice", "aud": "registry", "jti": str(now), "access": access}
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 300}
        signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
        return f"{signed}.{part(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    return bundle, token


def test_bearer(make_registry, make_stub, workspace: Workspace, tmp_path: Path, signer) -> None:
    """Anyone may pull, alice may push: what token servers of public registries do."""
    bundle, token = signer
    basic = "Basic " + base64.b64encode(b"alice:right").decode()

    def answer(request, body: bytes):
        from urllib.parse import parse_qs, urlsplit

        asked = parse_qs(body.decode() or urlsplit(request.path).query)
        _, name, actions = asked["scope"][0].split(":")
        known = request.headers.get("Authorization")
        identified = asked.get("refresh_token") == ["id3ntity"]
        if known not in (None, basic) or (not known and not identified and asked.get("refresh_token")):
            return 401, {}, b"{}"
        granted = actions.split(",") if known or identified else ["pull"]
        made = token([{"type": "repository", "name": name, "actions": granted}])
        return 200, {}, json.dumps({"access_token" if identified else "token": made}).encode()

    server = make_stub({"/token": answer})
    realm = f"http://{server.host}/token"
    settings = {"realm": realm, "service": "registry", "issuer": "tests", "rootcertbundle": str(bundle)}
    registry = make_registry(auth={"token": settings})
    here = ("--plain-http", registry.host)
    image = workspace.push(registry, "app", "1", "--dest-tls-verify=false", "--dest-creds=alice:right")
    nothing = workspace.linkgate("fetch", image, "out", *here, code=1)
    assert "no evidence is attached" in nothing.stderr
    denied = workspace.linkgate("attach", image, "links", *here, code=2)
    assert f"`{registry.host}` refused" in denied.stderr and "log in" in denied.stderr
    right = config(tmp_path / "right", registry.host, "alice:right")
    workspace.linkgate("attach", image, "links", *here, "--registry-config", right)
    workspace.linkgate("fetch", image, "out", *here)
    assert workspace.links("out") == workspace.links()
    wrong = config(tmp_path / "wrong", registry.host, "alice:hunter2")
    said = refused(workspace, image, "more", *here, "--registry-config", str(wrong))
    assert f"`{server.host}` refused the credentials (401)" in said and "hunter2" not in said
    identity = tmp_path / "identity.json"
    identity.write_text(json.dumps({"auths": {registry.host: {"identitytoken": "id3ntity"}}}))
    workspace.linkgate("fetch", image, "more", *here, "--registry-config", identity)
    server.answers["/token"] = (503, {}, b"secret s3cret")
    said = refused(workspace, image, "more", *here)
    assert f"`{server.host}` answered 503" in said and "s3cret" not in said
    server.answers["/token"] = HTML
    assert "sent no token" in refused(workspace, image, "more", *here)


def test_credentials_stay(workspace: Workspace, make_stub, tmp_path: Path) -> None:
    """Blobs may lie with another host; who one is to the registry is not told there."""
    storage = make_stub({"/data": (200, {}, b"link")})
    layer = {"mediaType": IN_TOTO, "digest": digest_of(b"link"), "size": 4}
    config_ = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
    artifact = json.dumps({"mediaType": MANIFEST, "config": config_, "layers": [layer]}).encode()
    tag = f"/v2/app/manifests/{DIGEST.replace(':', '-')}.att"
    challenge = (401, {"WWW-Authenticate": 'Basic realm="x"'}, b"{}")
    stub = make_stub(
        {
            "/v2/": challenge,
            tag: (200, {}, artifact),
            f"/v2/app/blobs/{layer['digest']}": (307, {"Location": f"http://{storage.host}/data"}, b""),
        }
    )
    known = config(tmp_path / "known", stub.host, "alice:right")
    workspace.linkgate("fetch", *plain(stub.host), "--registry-config", known)
    assert workspace.links("out") == {f"{digest_of(b'link').removeprefix('sha256:')}.link": b"link"}
    assert [seen[2] for seen in storage.seen] == [None]
    assert {seen[2] for seen in stub.seen if seen[1] != "/v2/"} == {
        "Basic " + base64.b64encode(b"alice:right").decode()
    }
