from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import __main__ as program
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import playbooks, settings
from ansible_collections.strata.fleet.plugins.plugin_utils.schema import SCHEMAS
from ansible_collections.strata.fleet.tests.unit.gitops.site import EVERYTHING

GOOD = {
    **EVERYTHING,
    "repository": "ssh://git@git.example.com/site.git",
    "state": "/var/lib/x",
    "allowed_signers": "/etc/x",
}


def build(**changes: t.Any) -> settings.Settings:
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials/x"}
    return settings.build({**GOOD, **changes}, Path("settings.json"), environment)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"branches": "main"}, "branches is not known (did you mean branch?)"),
        ({"limits": {"delete": 1}}, "limits.delete is not known"),
        ({"limits": {"remove": "150%"}}, "limits.remove: '150%' does not match"),
        ({"settle": "soon"}, "settle: 'soon' is not a length of time"),
        ({"threshold": "0.9"}, "threshold: '0.9' does not match"),
        ({"allowed_signers": ""}, "neither allowed_signers nor gpg_keys says whose commits are to be taken"),
        ({"inventory": "../elsewhere"}, "inventory '../elsewhere' is not a path within the repository"),
        ({"inventory": "/etc/hosts"}, "inventory '/etc/hosts' is not a path within the repository"),
        (
            {"windows": [{"from": "22:00", "to": "04:00", "timezone": "Mars"}]},
            "windows.0.timezone: 'Mars' is not a time zone",
        ),
        ({"metrics": "/srv/x"}, "metrics: '/srv/x' does not match"),
    ],
)
def test_what_is_refused(changes: dict[str, t.Any], fault: str) -> None:
    with pytest.raises(BadInput) as caught:
        build(**changes)
    assert caught.value.message.startswith(f"settings.json: {fault}")


def test_paths_count_from_the_folder_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file is named without a folder, as pipelines do: Ansible runs in another one."""
    monkeypatch.chdir(tmp_path)
    made = build(repository=".", known_hosts="known_hosts", gpg_keys=["keys/ops.asc"])
    assert (made.repository, made.known_hosts) == (str(tmp_path), tmp_path / "known_hosts")
    assert made.gpg_keys == (tmp_path / "keys" / "ops.asc",)


def test_credentials_are_named_never_shown() -> None:
    made = build(credentials={"vault_password": True, "node_key": True, "repository_token": False})
    assert playbooks.say_options(made) == (
        "--diff --vault-password-file /run/credentials/x/vault-password --private-key /run/credentials/x/node-key"
    )


def test_the_program_says_what_is_wrong_with_its_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "settings.json"
    assert program.main(["--settings", str(path), "cycle"]) == 2
    path.write_text("{")
    assert program.main(["--settings", str(path), "cycle"]) == 2
    path.write_text(json.dumps({**GOOD, "state": str(tmp_path)}))
    assert program.main(["--settings", str(path), "status"]) == 2
    (tmp_path / "file").touch()
    path.write_text(json.dumps({**GOOD, "state": str(tmp_path / "file" / "state")}))
    assert program.main(["--settings", str(path), "cycle"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{path} cannot be read: No such file or directory. On a control node, the role gitops writes it"
    assert said[1].startswith(f"{path} is not YAML: ")
    assert said[-2] == f"{tmp_path}/status.json cannot be read: there was no cycle yet, or this user may not read it"


def test_windows_are_written_as_those_of_rollouts() -> None:
    schemas = [json.loads((SCHEMAS / f"{name}.schema.json").read_text()) for name in ("gitops", "rollout")]
    assert schemas[0]["properties"]["windows"]["items"] == schemas[1]["properties"]["windows"]["items"]
    assert schemas[0]["$defs"]["time"] == schemas[1]["$defs"]["time"]
