"""Definitions of pipelines, the sample of settings and the execution environment, as far as nothing has to run."""

from __future__ import annotations

import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import settings

CHECKOUT = Path(__file__).parents[3]
FOLDER = CHECKOUT / "docs" / "pipelines"
SAMPLE = CHECKOUT / "inventories" / "example" / "gitops.yml"
WORKFLOWS = ["github", "forgejo"]
SAME_REPOSITORY = "github.event.pull_request.head.repo.full_name == github.repository"
PIN = re.compile(r"^([\w.-]+)==(\S+)$", re.MULTILINE)


def read(path: Path) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("name", "schema"),
    [("gitlab-ci", "gitlab-ci"), ("github", "github-workflows"), ("forgejo", "github-workflows")],
)
def test_definitions_fit_their_schema(name: str, schema: str) -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    argv: list[str | Path] = [program, "--builtin-schema", f"vendor.{schema}", FOLDER / f"{name}.yml"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", WORKFLOWS)
def test_proposals_of_strangers_get_nothing(name: str) -> None:
    """Forks get no secrets by the platform, and no plan. Nothing that others write becomes a command."""
    body = read(FOLDER / f"{name}.yml")
    assert set(body["on"]) == {"pull_request", "push", "workflow_dispatch"}
    assert (body["jobs"]["plan"]["if"], body["jobs"]["plan"]["needs"]) == (SAME_REPOSITORY, "check")
    assert body["jobs"]["apply"]["if"].startswith("github.event_name != 'pull_request' && ")
    for job in body["jobs"].values():
        assert [step["run"] for step in job["steps"] if "${{" in step.get("run", "")] == []
        uses = [step for step in job["steps"] if "checkout@" in step.get("uses", "")]
        assert [step["with"]["persist-credentials"] for step in uses] == [False]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_one_at_a_time_with_all_of_history(name: str) -> None:
    body = read(FOLDER / f"{name}.yml")
    exclusion = body.get("concurrency") or body["jobs"]["apply"]["concurrency"]
    assert exclusion["cancel-in-progress"] is False
    assert body["jobs"]["apply"]["steps"][0]["with"]["fetch-depth"] == 0


def test_gitlab() -> None:
    body = read(FOLDER / "gitlab-ci.yml")
    assert body["variables"]["GIT_DEPTH"] == "0"
    assert (body["apply"]["resource_group"], body["apply"]["interruptible"]) == ("fleet", False)
    assert body["apply"]["rules"] == [{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}]
    assert [rule["if"].endswith("&& $STRATA_NODE_KEY") for rule in body["plan"]["rules"]] == [True]


def test_the_sample_is_taken_and_trusts_nobody() -> None:
    said = read(SAMPLE)
    assert not {"allowed_signers", "gpg_keys"} & set(said)
    made = settings.build({**said, "allowed_signers": "/nowhere/signers"}, SAMPLE, {})
    assert (made.branch, made.repository, made.limits["remove"]) == ("HEAD", str(SAMPLE.parent), 1)
    assert (SAMPLE.parent / made.inventory).exists()


def test_the_image_has_what_is_tested() -> None:
    body = read(CHECKOUT / "execution-environment.yml")
    version = read(CHECKOUT / "galaxy.yml")["version"]
    pins = dict(PIN.findall((CHECKOUT / "requirements" / "run.txt").read_text()))
    pins |= dict(PIN.findall((CHECKOUT / "requirements" / "test.txt").read_text()))
    own = [body["dependencies"][key]["package_pip"] for key in ("ansible_core", "ansible_runner")]
    for name, pinned in PIN.findall("\n".join([*own, *body["dependencies"]["python"]])):
        assert pins[name] == pinned
    assert body["dependencies"]["galaxy"]["collections"][0]["name"].endswith(f"-{version}.tar.gz")
    assert {each["src"] for each in body["additional_build_files"]} == {
        f"build/strata-fleet-{version}.tar.gz",
        "docs/pipelines/strata-gitops",
    }
    needs = read(CHECKOUT / "meta" / "execution-environment.yml")["dependencies"]
    assert [path for path in needs.values() if not (CHECKOUT / path).exists()] == []
