"""What documentation shows works: examples pass their checks, what pages name exists, the reference is current."""

from __future__ import annotations

import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import find_faults

CHECKOUT = Path(__file__).parents[3]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "inventories/*/*.md", "roles/*/*.md", "tests/*/*.md")
    for path in CHECKOUT.glob(pattern)
)
REFERENCE = CHECKOUT / "docs" / "reference"
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
VARIABLE = re.compile(r"\b(?:engine|depot|base|app|store|deploy|configure|status)_[a-z_]+\b")
# Variables of the whole inventory that no role declares as its own, and names that only look like variables.
OTHER_NAMES = {
    "depot_url",
    "depot_trust",
    "depot_info",
    "engine_info",
    "store_info",
    "engine_result",
    "engine_setup",
    "status_table",
    "store_needs",
    "deploy_plan",
    "deploy_plan_report",
}
BINARIES = Path(sys.executable).parent


def page_id(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def find_blocks(kind: str) -> list[t.Any]:
    """Return the fenced blocks of a kind in all pages, as test parameters named by page and number."""
    return [
        pytest.param(text, id=f"{page_id(path)}-{number}")
        for path in PAGES
        for number, (name, text) in enumerate(FENCE.findall(path.read_text()))
        if name.strip() == kind
    ]


@pytest.mark.parametrize("text", find_blocks("yaml playbook"))
def test_playbooks_are_valid(text: str, tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(text)
    argv: list[str | Path] = [BINARIES / "ansible-playbook", "--syntax-check", playbook]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kind, block.values[0])
        for kind in ("appliance", "app", "base", "node", "rollout")
        for block in find_blocks(f"yaml {kind}")
    ],
)
def test_examples_fit_their_schema(kind: str, text: str) -> None:
    assert find_faults(yaml.safe_load(text), kind) == []


@pytest.mark.parametrize("text", find_blocks("yaml"))
def test_other_examples_are_yaml(text: str) -> None:
    assert yaml.safe_load(text)


@pytest.mark.parametrize("text", find_blocks("sh"))
def test_commands_name_what_exists(text: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    for line in text.strip().splitlines():
        program, *words = line.split()
        assert program == "make" or (BINARIES / program).exists(), line
        if program == "make":
            assert set(words) <= targets, line
        for word in words:
            # What is below .cache is made by running something.
            if word.startswith(("playbooks/", "inventories/")):
                assert (CHECKOUT / word).exists(), line


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_pages_name_exist(page: Path) -> None:
    named = re.findall(r"`((?:playbooks|roles|inventories|tests|plugins|molecule)/[\w./-]+)`", page.read_text())
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


def test_the_map_names_files_that_exist() -> None:
    named = set(re.findall(r"\b(\w+\.py)\b", (CHECKOUT / "ARCHITECTURE.md").read_text()))
    assert named - {path.name for path in (CHECKOUT / "plugins").rglob("*.py")} == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_variables_of_roles_are_declared(page: Path) -> None:
    declared = {
        name
        for specs in (CHECKOUT / "roles").glob("*/meta/argument_specs.yml")
        for spec in yaml.safe_load(specs.read_text())["argument_specs"].values()
        for name in spec.get("options", {})
    }
    named = set(VARIABLE.findall(page.read_text()))
    assert named - declared - OTHER_NAMES == set()


def test_the_reference_is_current(tmp_path: Path) -> None:
    subprocess.run([sys.executable, CHECKOUT / "docs/generate.py", tmp_path], check=True)
    assert read_pages(REFERENCE) == read_pages(tmp_path), "run: make docs"


def read_pages(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.md")}
