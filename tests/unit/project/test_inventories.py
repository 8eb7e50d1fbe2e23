"""The inventories that the project brings are valid: the action that checks a fleet accepts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
ANSIBLE = Path(sys.executable).parent / "ansible"
EXPECTED = {
    "demo": {"demo": {"web1", "web2", "db1", "db2", "metrics"}},
    "example": {
        "node1.example.com": {"www1", "orders"},
        "node2.example.com": {"www2", "stock"},
        "node3.example.com": {"www3", "metrics"},
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_inventory(name: str, tmp_path: Path) -> None:
    folder = CHECKOUT / "inventories" / name
    password = folder / "vault-password"
    vault: list[str | Path] = ["--vault-password-file", password] if password.exists() else []
    argv: list[str | Path] = [
        ANSIBLE,
        "localhost",
        "--inventory",
        folder / "hosts.yml",
        "--module-name",
        "strata.fleet.fleet",
    ]
    done = subprocess.run(
        [*argv, *vault, "--tree", tmp_path], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    nodes = json.loads((tmp_path / "localhost").read_text())["nodes"]
    assert {node: {item["name"] for item in items} for node, items in nodes.items()} == EXPECTED[name]
