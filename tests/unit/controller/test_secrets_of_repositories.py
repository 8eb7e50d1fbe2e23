"""What of a backup repository reaches a module's options, and where."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible_collections.strata.fleet.plugins.module_utils import backup_options, restore_sources
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import backup
from ansible_collections.strata.fleet.plugins.plugin_utils.render import hide_secrets

REPOSITORY = {
    "url": "sftp:backup@depot:/srv",
    "known_hosts": "depot ssh-ed25519 AAAA",
    "password": "tell-nobody",
    "ssh_key": "-----BEGIN",
    "environment": {"AWS_SECRET_ACCESS_KEY": "neither"},
}


def test_secrets_travel_where_the_module_hides_them() -> None:
    given = hide_secrets({"repositories": {"offsite": REPOSITORY}, "path": "/var"})
    assert given["path"] == "/var"
    assert set(given["repositories"]["offsite"]) == {"url", "known_hosts"}
    assert set(json.loads(given["repository_secrets"]["offsite"])) == {"password", "ssh_key", "environment"}


@pytest.mark.parametrize("change", [{"url": "nowhere"}, {"pasword": "x"}, {"url": "rest:http://u:secret@h/"}])
def test_what_is_not_described_as_it_should_be(change: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="backup_repositories"):
        hide_secrets({"repositories": {"offsite": {**REPOSITORY, **change}}})


def hidden_words(spec: t.Mapping[str, t.Any], given: dict[str, t.Any]) -> set[str]:
    """Return what Ansible cuts out of all results of a module with these options."""
    result = ArgumentSpecValidator(dict(spec)).validate(given)
    assert not result.error_messages
    found: set[str] = result._no_log_values
    return found


def test_a_short_secret_takes_nothing_else_out_of_what_a_module_returns() -> None:
    short = {**REPOSITORY, "environment": {"GOMAXPROCS": "1", "RESTIC_REST_USERNAME": "node1"}, "password": "a"}
    restoring = hide_secrets({"repositories": {"offsite": short}})
    shown, hidden = backup.split({"offsite": short}, ["offsite"])
    answer = {"node": "node1", "size": 10001, "snapshot": "a1" * 32, "msg": "node1 is 1 of 1"}
    for spec, given in (
        (restore_sources.REPOSITORY_OPTIONS, restoring),
        (backup_options.REPOSITORY_OPTIONS, {"repositories": shown, "secrets": hidden}),
    ):
        words = hidden_words(spec, given)
        assert words
        assert remove_values(answer, words) == answer


def test_a_repository_is_put_together_again() -> None:
    given = hide_secrets({"repositories": {"offsite": REPOSITORY}})
    built = backup_options.build_repository(
        "offsite", given["repositories"]["offsite"], given["repository_secrets"]["offsite"]
    )
    assert {key: value for key, value in built._asdict().items() if key != "name"} == REPOSITORY


@pytest.mark.parametrize("hidden", ["tell-nobody", '["tell-nobody"]'])
def test_secrets_that_are_no_json_are_not_shown(hidden: str) -> None:
    with pytest.raises(BadInput, match="no JSON object") as refused:
        backup_options.build_repository("offsite", {"url": "/srv"}, hidden)
    assert "tell-nobody" not in refused.value.message
