"""Images whose manifests a signed chain made, in a real registry, with their links attached to them."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from engine import Engine, listens, program, run
from gate import wait_for
from ports import free_port
from supply import PATIENCE, Keys, Supply, linkgate, step

REPOSITORY = "web/app"


@dataclass
class Registry:
    """Distribution's registry, as Debian has it: it knows no referrers."""

    folder: Path
    port: int = field(default_factory=free_port)
    # Where its images lie, if they are pushed to another one.
    storage: Path | None = None
    # The certificate and the key that it shows; without them it speaks no TLS.
    tls: tuple[Path, Path] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.storage = self.storage or self.folder / "storage"
        # Its configuration is YAML, which JSON is, too.
        configuration = {
            "version": "0.1",
            "log": {"accesslog": {"disabled": False}, "level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}},
            "http": {"addr": self.host},
        }
        if self.tls:
            certificate, key = self.tls
            configuration["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
        path = self.folder / "config.yml"
        path.write_text(json.dumps(configuration))
        command = [program("docker-registry"), "serve", path]
        self.engine = Engine(command, self.folder, "docker-registry", lambda: listens(self.port))

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def requests(self, client: str) -> list[str]:
        """What came from a client that calls itself so: `GET /v2/`."""
        # It may write that it answered just after it did. What it writes about a later question comes after that.
        mark = f"after-{uuid4().hex}"
        self.ask("/v2/", User_Agent=mark)
        wait_for(lambda: f'"{mark}"' in self.engine.log)
        lines = [line for line in self.engine.log.splitlines() if f'"{client}"' in line and ' HTTP/1.1" ' in line]
        return [line.split('"')[1].removesuffix(" HTTP/1.1") for line in lines]

    def ask(self, path: str, method: str = "GET", data: bytes | None = None, **headers: str) -> bytes:
        """A request of the test's own, past every gate."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"{'https' if self.tls else 'http'}://{self.host}{path}"
        request = urllib.request.Request(address, data=data, method=method, headers=named)
        # It was started here, on loopback: whether its certificate is right is others' to find out.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        opener = urllib.request.build_opener(*handlers)
        with opener.open(request, timeout=PATIENCE) as reply:
            return reply.read()

    def tag(self, tag: str, manifest: bytes, repository: str = REPOSITORY) -> None:
        """Gives a tag to a manifest."""
        media_type = json.loads(manifest)["mediaType"]
        self.ask(f"/v2/{repository}/manifests/{tag}", "PUT", manifest, Content_Type=media_type)

    def move(self, tag: str, digest: str, repository: str = REPOSITORY) -> None:
        """Moves a tag at once. A push would write where it is read meanwhile: this registry answers 500 then."""
        tags = self.storage / f"docker/registry/v2/repositories/{repository}/_manifests/tags"
        moved = self.folder / "moved"
        moved.write_text(digest)
        moved.rename(tags / tag / "current/link")


@dataclass(frozen=True)
class Image:
    """An image that a chain made, where it was pushed to, and the folder in which the chain ran."""

    host: str
    repository: str
    tag: str
    work: Path

    @property
    def layout(self) -> Path:
        return self.work / "layout"

    @property
    def digest(self) -> str:
        return json.loads((self.layout / "index.json").read_text())["manifests"][0]["digest"]

    @property
    def manifest(self) -> bytes:
        return self.blob(self.digest)

    def blob(self, digest: str) -> bytes:
        return (self.layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()

    @property
    def blobs(self) -> dict[str, bytes]:
        """All that it consists of, by digest."""
        return {f"sha256:{path.name}": path.read_bytes() for path in (self.layout / "blobs/sha256").iterdir()}

    @property
    def tagged(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}@{self.digest}"


@dataclass
class Chain:
    """Two steps that make images, and the registry to which they are pushed."""

    folder: Path
    keys: Keys

    def __post_init__(self) -> None:
        self.registry = Registry(self.folder / "registry")
        self.supply = Supply(self.folder / "supply", self.keys)
        self.supply.layout(steps=self.steps())
        self.policy()

    def policy(self, name: str = "web", repositories: str = "web/**", **fields: Any) -> Path:
        """A policy for repositories of the registry, whose evidence is attached to the images."""
        fields = {"evidence": [{"registry": {}}], "subject": "image"} | fields
        return self.supply.policy(name, images=[f"{self.registry.host}/{repositories}"], **fields)

    def steps(self) -> list[dict]:
        """`build` makes `app` from `main.c`; `package` an image from that, of which it records the manifest."""
        builder, packager = self.keys.keyid("builder"), self.keys.keyid("packager")
        build = [["ALLOW", "main.c"], ["DISALLOW", "*"]], [["CREATE", "app"], ["DISALLOW", "*"]]
        package = (
            [["MATCH", "app", "WITH", "PRODUCTS", "FROM", "build"], ["DISALLOW", "*"]],
            [["CREATE", "image"], ["CREATE", "*.json"], ["DISALLOW", "*"]],
        )
        return [step("build", [builder], *build), step("package", [packager], *package)]

    def make(
        self,
        tag: str,
        *platforms: str,
        repository: str = REPOSITORY,
        manifests: tuple[str, ...] = (),
        beside: bytes | None = None,
        push: bool = True,
    ) -> Image:
        """Runs both steps, pushes the image and attaches the links to it. The last step's product is the image, or if
        they are given the manifests of some platforms; and what lies beside them."""
        work = self.folder / f"{repository.replace('/', '-')}-{tag}"
        (work / "links").mkdir(parents=True)
        (work / "main.c").write_text(f"int main(void) {{ return {tag!r}; }}\n")
        products = ["-p", *(f"{name}.json" for name in manifests)]
        if not manifests:
            products = ["--product-image", "image=oci-layout:layout:v1"]
        if beside is not None:
            (work / "beside.json").write_bytes(beside)
            products += ["-p", "beside.json"]
        self.run(work, "build", "builder", "-m", "main.c", "-p", "app", "--", "cp", "main.c", "app")
        packing = [sys.executable, Path(__file__).with_name("pack.py"), "layout", *(platforms or ("amd64",))]
        self.run(work, "package", "packager", "-m", "app", *products, "--", *packing)
        image = Image(self.registry.host, repository, tag, work)
        if push:
            self.push(image)
            self.attach(image, work / "links")
        return image

    def run(self, work: Path, name: str, key: str, *more: Any) -> None:
        linkgate("run", "-q", "-n", name, "-k", self.keys.pair(key), "-d", "links", *more, cwd=work)

    def push(self, image: Image) -> None:
        to = f"docker://{image.tagged}"
        options = ("--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false")
        skopeo("copy", *options, f"oci:{image.layout}:v1", to, cwd=image.work)

    def attach(self, image: Image, links: Path) -> None:
        """By linkgate, as a build does."""
        linkgate("attach", "--plain-http", image.host, image, links, cwd=image.work)

    def stop(self) -> None:
        self.registry.engine.stop()


@dataclass
class Pushed:
    """What every gatekeeper is shown."""

    chain: Chain
    good: Image
    # Another program under the links of the good one.
    tampered: Image
    # Nobody attached anything to it.
    unknown: Image


def pushed(folder: Path, keys: Keys) -> Pushed:
    chain = Chain(folder, keys)
    good, tampered = chain.make("good"), chain.make("tampered", push=False)
    unknown = chain.make("unknown", push=False)
    for image in (tampered, unknown):
        chain.push(image)
    chain.attach(tampered, good.work / "links")
    return Pushed(chain, good, tampered, unknown)


def skopeo(*arguments: Any, cwd: Path, code: int | None = 0) -> Any:
    return run(program("skopeo"), "--insecure-policy", *arguments, cwd=cwd, code=code)
