"""What the role depot leaves on its host."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://all"]


DEPOT = "/var/lib/strata/depot"


def test_it_offers_the_vendors_apps_and_nothing_else(host: Host) -> None:
    refs = host.check_output(f"ostree --repo={DEPOT}/repo refs").split()
    assert "app/nginx/stable" in refs
    assert all(ref.rpartition(":")[2].startswith("app/") for ref in refs)


def test_it_answers_over_http_on_one_address(host: Host) -> None:
    assert "mode=archive" in host.check_output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1:8080/config\").read().decode())'"
    )
    assert [socket for socket in host.socket.get_listening_sockets() if socket.endswith((":8080", ":80"))] == [
        "tcp://127.0.0.1:8080"
    ]


def test_its_key_is_its_own(host: Host) -> None:
    assert host.file(f"{DEPOT}/gnupg").mode == 0o700
    assert host.file(f"{DEPOT}/site.asc").contains("BEGIN PGP PUBLIC KEY BLOCK")
