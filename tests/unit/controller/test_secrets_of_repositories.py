"""What of a backup repository reaches a module's options, and where."""

from __future__ import annotations

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
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
    assert set(given["repository_secrets"]["offsite"]) == {"password", "ssh_key", "environment"}


@pytest.mark.parametrize("change", [{"url": "nowhere"}, {"pasword": "x"}, {"url": "rest:http://u:secret@h/"}])
def test_what_is_not_described_as_it_should_be(change: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="backup_repositories"):
        hide_secrets({"repositories": {"offsite": {**REPOSITORY, **change}}})
