"""Definitions of pipelines, run as their platforms would: the commands of a job, in order, in a clone of its own."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import typing as t
import urllib.parse
from pathlib import Path

import yaml
from ansible_collections.strata.fleet.tests.integration.tools import CHECKOUT

FOLDER = CHECKOUT / "docs" / "pipelines"
EXPRESSION = re.compile(r"\$\{\{ *([^}]*?) *\}\}")
# How GitLab's runner and GitHub's (with ``shell: bash``) call the shell.
BASH = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]
CONFIG = "/etc/ansible/ansible.cfg"  # an empty file of the image

Data = dict[str, t.Any]


class Step(t.NamedTuple):
    """Commands of one shell. ``always``: whatever became of the steps before."""

    script: str
    environment: dict[str, str]
    always: bool


class Secrets(t.NamedTuple):
    """What the platform keeps for a site: what is in the files, and the token that may write notes."""

    node_key: str
    vault_password: str
    allowed_signers: str
    token: str


class Site(t.NamedTuple):
    """Where the platform has a repository: a merge request or pull request of it is number 7."""

    bare: Path
    secrets: Secrets
    api: str


class Ran(t.NamedTuple):
    """How a job ended: the code of what failed, all that it said, and its folder."""

    code: int
    output: str
    folder: Path


class GitLab:
    """Runs jobs of gitlab-ci.yml."""

    name = "gitlab-ci"

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self._secrets = folder
        self._body: Data = yaml.safe_load((FOLDER / "gitlab-ci.yml").read_text())

    def summary(self, _folder: Path) -> str:
        """Return what GitLab shows beside its notes: nothing."""
        return ""

    def variables(self, _folder: Path, before: str) -> dict[str, str]:
        """Return what GitLab sets: secrets are files that everybody on the machine can read."""
        secrets = self.site.secrets
        files = {
            "STRATA_NODE_KEY": secrets.node_key,
            "ANSIBLE_VAULT_PASSWORD_FILE": secrets.vault_password,
            "STRATA_ALLOWED_SIGNERS": secrets.allowed_signers,
        }
        for name, text in files.items():
            (self._secrets / name).write_text(text)
            (self._secrets / name).chmod(0o666)
        return {
            **{name: str(self._secrets / name) for name in files},
            "STRATA_NOTE_TOKEN": secrets.token,
            "CI_COMMIT_BEFORE_SHA": before,
            "CI_API_V4_URL": f"{self.site.api}/v4",
            "CI_PROJECT_ID": "3",
            "CI_MERGE_REQUEST_IID": "7",
            **self._body["variables"],
        }

    def steps(self, job: str, _before: str) -> list[Step]:
        """Return what is run: before_script and script in one shell, after_script in another."""
        body = self._body[job]
        main = "\n".join([*body.get("before_script", []), *body["script"]])
        return [Step(main, {}, always=False), Step("\n".join(body.get("after_script", [])), {}, always=True)]


class GitHub:
    """Runs jobs of a workflow of GitHub's or Forgejo's."""

    def __init__(self, name: str, site: Site) -> None:
        self.name = name
        self.site = site
        self._body: Data = yaml.safe_load((FOLDER / f"{name}.yml").read_text())

    def summary(self, folder: Path) -> str:
        """Return what is shown beside the run."""
        path = folder / "summary"
        return path.read_text() if path.exists() else ""

    def variables(self, folder: Path, _before: str) -> dict[str, str]:
        """Return what the runner sets."""
        (folder / "temp").mkdir()
        return {
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "GITHUB_API_URL": f"{self.site.api}/v1",
            "GITHUB_REPOSITORY": "example/site",
            **self._body["env"],
        }

    def steps(self, job: str, before: str) -> list[Step]:
        """Return the steps that are commands; checkout and artifacts are the platform's."""
        secrets = self.site.secrets
        known = {
            "secrets.STRATA_NODE_KEY": secrets.node_key,
            "secrets.STRATA_VAULT_PASSWORD": secrets.vault_password,
            "secrets.STRATA_ALLOWED_SIGNERS": secrets.allowed_signers,
            "github.token": secrets.token,
            "github.event.before": before,
            "github.event.pull_request.number": "7",
        }

        def fill(text: str) -> str:
            return EXPRESSION.sub(lambda found: known[found[1]], text)

        return [
            Step(
                step["run"],
                {name: fill(text) for name, text in step.get("env", {}).items()},
                "cancelled" in str(step.get("if")),
            )
            for step in self._body["jobs"][job]["steps"]
            if "run" in step
        ]


Platform = GitLab | GitHub


def make(name: str, site: Site, folder: Path) -> Platform:
    """Return the platform of a definition."""
    return GitLab(site, folder) if name == GitLab.name else GitHub(name, site)


def run(platform: Platform, job: str, folder: Path, *, branch: str = "main", before: str = "0" * 40) -> Ran:
    """Run a job in a fresh clone of a branch. ``before``: where it was before it was pushed to."""
    folder.mkdir()
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", "--branch", branch, str(platform.site.bare), str(clone)], check=True)
    # pytest's own temporary folders are too deep for SSH's sockets.
    home = tempfile.mkdtemp(prefix="pl-", dir="/tmp")
    environment = {**image(folder), "HOME": home, **platform.variables(folder, before)}
    assert environment["ANSIBLE_CONFIG"] == CONFIG
    environment["ANSIBLE_CONFIG"] = str(folder / "ansible.cfg")
    Path(environment["ANSIBLE_CONFIG"]).touch()
    code, said = 0, []
    for step in platform.steps(job, before):
        if code and not step.always:
            continue
        done = subprocess.run(
            [*BASH, "-c", step.script],
            cwd=clone,
            env={**environment, **step.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        said.append(done.stdout + done.stderr)
        code = code or done.returncode
    return Ran(code, "\n".join(said), clone)


def image(folder: Path) -> dict[str, str]:
    """Return what jobs find in the image that execution-environment.yml describes; nothing else of this machine's."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "strata-gitops").symlink_to(FOLDER / "strata-gitops")
    return {
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.defpath]),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
    }


class Notes(http.server.ThreadingHTTPServer):
    """The API by which notes are written: keeps path, token and text of each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Writer)
        self.written: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.server_port}"


class Writer(http.server.BaseHTTPRequestHandler):
    """Takes one note."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = self.headers["Content-Type"] == "application/json"
        text = yaml.safe_load(body)["body"] if is_json else urllib.parse.parse_qs(body)["body"][0]
        token = self.headers.get("PRIVATE-TOKEN") or self.headers.get("Authorization") or ""
        t.cast("Notes", self.server).written.append((self.path, token, text))
        self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the parent's name for it
        pass


@contextlib.contextmanager
def notes() -> t.Iterator[Notes]:
    """Serve the API for a while."""
    server = Notes()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
