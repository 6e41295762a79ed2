"""What a refusal says beyond its verdict: what an inspection printed, which file was asked about, whose link is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from parties import Linkgate, write_layout


@pytest.fixture
def chain(workspace: Path, linkgate: Linkgate) -> Path:
    """Keys of an owner and a builder, and the builder's link with the product `app`."""
    for key in ("builder", "owner"):
        linkgate.keygen("ed25519", key, workspace)
    (workspace / "app").write_text("app")
    assert linkgate.run("build", "builder", "-p", "app", command=["true"], cwd=workspace).returncode == 0
    return workspace


def signed(chain: Path, linkgate: Linkgate, **members) -> None:
    write_layout(chain, False, [{"name": "build", "pubkeys": ["builder.pub"]}], ["builder.pub"], **members)
    assert linkgate.sign("root.layout", "owner", cwd=chain).returncode == 0


def test_the_end_of_what_a_failed_inspection_printed(chain, linkgate):
    script = r"seq 30; printf '\033[31mred\n' >&2; exit 2"
    look = {"_type": "inspection", "name": "look", "run": ["sh", "-c", script], "expected_materials": [], "expected_products": []}
    signed(chain, linkgate, inspect=[look])
    done = linkgate.verify("root.layout", "owner.pub", cwd=chain)
    assert done.returncode == 1
    shown = [line for line in done.stdout.splitlines() if line.startswith("  | ")]
    assert shown == [*(f"  | {number}" for number in range(12, 31)), r"  | \u{1b}[31mred"]


def test_a_file_that_the_chain_did_not_make(chain, linkgate):
    signed(chain, linkgate)
    (chain / "inspect" / "app").write_text("another")
    done = linkgate.verify("root.layout", "owner.pub", cwd=chain, options=("--subject", "inspect/app"))
    assert done.returncode == 1
    assert "  file:     inspect/app\n" in done.stdout
    assert "  in links: sha256:a172cedcae47474b615c54d510a5d84a8dea3032e958587430b413538be3f333, as `app` of step 'build'\n" in done.stdout


def test_a_missing_link_by_a_key_whose_label_is_no_keyid(chain, linkgate):
    signed(chain, linkgate)
    layout = json.loads((chain / "root.layout").read_text())
    [keyid] = layout["signed"]["keys"]
    (chain / "root.layout").write_text(json.dumps(layout).replace(keyid, "builder-of-acme"))
    assert linkgate.sign("root.layout", "owner", cwd=chain).returncode == 0
    [link] = chain.glob("links/build.*.link")
    link.unlink()
    done = linkgate.verify("root.layout", "owner.pub", cwd=chain)
    assert "  missing:  a link of 'build', which builder-of-acme could sign\n" in done.stdout
    named = linkgate.verify("root.layout", "owner.pub", cwd=chain, options=("--functionary-key", "builder.pub"))
    assert f"  missing:  {link.name}, which builder could sign\n" in named.stdout
