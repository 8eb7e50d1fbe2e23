"""The program in a pipeline: it remembers nothing, and its settings lie in the repository itself."""

from __future__ import annotations

import json
import os
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import __main__ as program
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import outcome
from ansible_collections.strata.fleet.tests.unit.gitops.site import Fleet, Site, row, run

APPLIES = ["check", "deploy_plan", "site", "deploy_plan"]
LOOKS_BACK = ["check", "deploy_plan", "deploy_plan", "site", "deploy_plan"]
ILL = [row("web1", health="unhealthy"), row("web2", health="unhealthy")]


class Job:
    """What a pipeline does for each push: a clone of its own, and the program in it."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.site = site
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._count = 0

    def run(self, before: str = "", depth: int = 0, owner: int = 0, **settings: t.Any) -> tuple[int, dict[str, t.Any]]:
        """Return how it ended, and the report; the folder and the state are new each time."""
        self._count += 1
        folder = self.site.folder / f"job{self._count}"
        self._monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        run(
            "git",
            "clone",
            "--quiet",
            *([f"--depth={depth}"] if depth else []),
            f"file://{self.site.bare}",
            f"{folder}/site",
        )
        for path in (folder / "site" / ".git", folder / "site") if owner else ():
            os.chown(path, owner, owner)
        path = folder / "site" / "gitops.yml"
        path.write_text(json.dumps({"repository": ".", "branch": "HEAD", "inventory": "hosts.yml", **settings}))
        signers = ["--settings", str(path), "--allowed-signers", str(self.site.signers)]
        code = program.main([*signers, "cycle", "--json", *(["--before", before] if before else [])])
        return code, json.loads(self._capsys.readouterr().out)


@pytest.fixture
def job(site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    return Job(site, monkeypatch, capsys)


def test_what_was_merged_is_applied(site: Site, fleet: Fleet, job: Job) -> None:
    first = site.commit()
    assert (job.run("0" * 40)[0], fleet.names()) == (0, APPLIES)
    second = site.commit(message="Second")
    code, report = job.run(first)
    assert (code, report["result"], report["applied"]["commit"]) == (0, outcome.APPLIED, second)
    assert fleet.names() == LOOKS_BACK


def test_one_that_does_harm_is_undone_by_what_was_there_before(site: Site, fleet: Fleet, job: Job) -> None:
    first, second = site.commit(), site.commit(message="Second")
    fleet.after = {second: ILL, first: fleet.rows}
    code, report = job.run(first)
    assert (code, report["bad"]["commit"], report["applied"]["commit"]) == (5, second, first)


@pytest.mark.parametrize(
    ("signer", "rows"),
    [
        ("allowed", [row("web1", "restart"), row("web2")]),  # it was refused, or had to wait
        ("allowed", ILL),  # it did harm already
        ("", [row("web1"), row("web2")]),  # nobody signed it, whatever the fleet is
    ],
)
def test_there_is_no_way_back_to_what_was_never_good(
    site: Site, fleet: Fleet, job: Job, signer: str, rows: list[dict[str, t.Any]]
) -> None:
    site.commit()
    before, head = site.commit(signer, message="Before"), site.commit(message="Head")
    fleet.plans, fleet.after = {before: rows}, {head: ILL}
    code, report = job.run(before)
    assert (code, report["good"], "no commit before it was good" in report["reason"]) == (4, None, True)
    assert ("site", before) not in fleet.played


@pytest.mark.parametrize("settings", [{}, {"windows": [{"from": "00:00", "to": "00:01", "days": ["mon"]}]}])
def test_what_is_not_taken_changes_nothing(site: Site, fleet: Fleet, job: Job, settings: dict[str, t.Any]) -> None:
    """Neither the head, nor what was before it: that was perhaps not taken, either."""
    site.commit()
    fleet.rows = [row("web1", "restart"), row("web2")]
    before = site.commit("", message="Not signed")
    site.commit("allowed" if settings else "", message="Head")
    code, report = job.run(before, **settings)
    assert (code, report["result"]) == ((8, outcome.WAITING) if settings else (3, outcome.REFUSED))
    assert set(fleet.names()) <= {"check", "deploy_plan"}


def test_rewritten_history_is_refused(site: Site, fleet: Fleet, job: Job) -> None:
    first, second = site.commit(), site.commit(message="Second")
    site.git("reset", "--quiet", "--hard", first)
    site.commit(message="Instead of the second")
    code, report = job.run(second)
    assert (code, "history was rewritten" in report["reason"], fleet.names()) == (3, True, [])


def test_settings_in_the_repository_trust_nobody(site: Site, fleet: Fleet, job: Job) -> None:
    """Whoever can push could name a key of their own there."""
    site.commit("stranger")
    added = site.folder / "added"
    added.write_text(f"ops@example.com {(site.folder / 'stranger.pub').read_text()}")
    code, report = job.run(allowed_signers=str(added), gpg_keys=["/nowhere/key.asc"])
    assert (code, report["result"], fleet.names()) == (3, outcome.REFUSED, [])


def test_a_clone_without_history_is_named_as_such(site: Site, fleet: Fleet, job: Job) -> None:
    first = site.commit()
    site.commit(message="Second")
    code, report = job.run(first, depth=1)
    assert (code, "is a clone without all of history" in report["reason"], fleet.names()) == (9, True, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else(site: Site, fleet: Fleet, job: Job) -> None:
    """Runners check out as one user, and jobs in a container are another."""
    site.commit()
    assert (job.run(owner=12345)[0], fleet.names()) == (0, APPLIES)
