"""A site's repository with people who sign, and a fleet that only a plan tells of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import settings
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.playbooks import Played
from ansible_collections.strata.fleet.tests.working_clone import ENVIRONMENT, WorkingClone

EVERYTHING: dict[str, t.Any] = {
    "repository": "",
    "branch": "main",
    "inventory": "hosts.yml",
    "state": "",
    "collections": "/nowhere",
    "ansible_config": "/nowhere/ansible.cfg",
    "known_hosts": "/nowhere/known_hosts",
    "allowed_signers": "",
    "gpg_keys": [],
    "limits": {},
    "windows": [],
    "threshold": "90%",
    "settle": "0s",
    "prune": True,
    "content_every": "0s",
    "keep_runs": 5,
    "timeout": "1h",
    "metrics": "",
    "credentials": {},
}


class Site:
    """A bare repository, a clone to commit in, and keys of people: ``allowed`` is trusted, ``stranger`` is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bare, self.clone = folder / "site.git", folder / "clone"
        run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        self._work = WorkingClone(self.clone, folder, ("allowed", "stranger"), str(self.bare))
        self.signers = folder / "allowed_signers"
        self.signers.write_text(self._work.sign_of("allowed"))
        self.git, self.push = self._work.git, self._work.push

    def commit(self, name: str = "allowed", message: str = "A change", *, branch: str = "main", **files: str) -> str:
        """Commit files, signed by somebody ('' for nobody), push, and return the commit."""
        for path, text in (files or {"hosts": message}).items():
            (self.clone / f"{path}.yml").write_text(text)
        self._work.commit_all(message, name)
        return self.push(branch)

    def settings(self, **changes: t.Any) -> settings.Settings:
        """Return the settings of a control node for this repository."""
        places = {
            "repository": str(self.bare),
            "state": str(self.folder / "state"),
            "allowed_signers": str(self.signers),
        }
        return settings.build({**EVERYTHING, **places, **changes}, self.folder / "settings.json", {})

    def lose(self) -> None:
        """Have the repository away."""
        self.bare.rename(self.folder / "away.git")

    def find(self) -> None:
        """Have it back."""
        (self.folder / "away.git").rename(self.bare)

    def forget_mirror(self) -> None:
        """Have the control node's copy lost."""
        shutil.rmtree(self.folder / "state" / "repository.git")


class Fleet:
    """What playbooks would find: each round says the plan, and how a playbook ends; ``played`` tells what was run."""

    def __init__(self) -> None:
        self.rows: list[dict[str, t.Any]] = [row("web1"), row("web2")]
        self.findings: list[dict[str, t.Any]] = []
        self.nodes: dict[str, dict[str, t.Any]] = {"node1": {"problem": "", "steps": []}}
        self.fails: dict[str, str] = {}
        self.after: dict[str, list[dict[str, t.Any]]] = {}  # what a playbook, or a commit that is applied, leaves
        self.played: list[tuple[str, str]] = []
        self.plans: dict[str, list[dict[str, t.Any]]] = {}  # of commits for which it is not what ``rows`` says
        self.variables: list[dict[str, t.Any]] = []

    def run(self, _settings: t.Any, playbook: str, checkout: Path, **variables: t.Any) -> Played:
        """Stand in for playbooks.run."""
        self.played.append((playbook, checkout.name))
        self.variables.append(variables)
        if playbook in self.fails:
            return Played(2, (self.fails[playbook],), "log")
        if playbook == "deploy_plan":
            rows = self.plans.get(checkout.name, self.rows)
            plan = {"appliances": rows, "nodes": self.nodes, "findings": self.findings}
            Path(variables["deploy_plan_file"]).write_text(json.dumps(plan))
        key = checkout.name if playbook == "site" else playbook
        self.rows = self.after.get(key, self.rows)
        return Played(0, (), "log")

    def names(self) -> list[str]:
        """Return which playbooks were run since this was last asked."""
        names = [name for name, _commit in self.played]
        self.played.clear()
        return names


def row(name: str, verdict: str = "none", **changes: t.Any) -> dict[str, t.Any]:
    """Return a row of a plan."""
    return {
        "name": name,
        "node": "node1",
        "owner": "",
        "wanted": verdict != "stray",
        "want_state": "running",
        "verdict": verdict,
        "steps": [] if verdict in ("none", "stray", "paused", "unknown") else [f"{verdict} {name}"],
        "drift": "undo",
        "paused": {"reason": "they said so", "until": "2026-12-24"} if verdict == "paused" else None,
        "state": "running",
        "health": "healthy",
        "runs": {"app": {"name": "site", "version": "1-1"}},
        "fault": "",
        **changes,
    }


def run(*argv: str) -> str:
    """Return what a program says."""
    return subprocess.run(argv, env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True, text=True).stdout
