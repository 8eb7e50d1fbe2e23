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


def test_nodes_can_pull_from_it_over_https(host: Host) -> None:
    pull = """
        rm --recursive --force /root/node
        ostree --repo=/root/node init --mode=bare
        ostree --repo=/root/node remote add --set=tls-ca-path=/etc/ssl/depot.pem --gpg-import=/srv/content/site.asc \\
            depot https://127.0.0.1:8080
        ostree --repo=/root/node pull --commit-metadata-only depot app/nginx/stable
    """
    assert host.run(f"set -e; {pull}").rc == 0


def test_it_listens_on_one_address(host: Host) -> None:
    assert [socket for socket in host.socket.get_listening_sockets() if socket.endswith((":8080", ":80"))] == [
        "tcp://127.0.0.1:8080"
    ]


def test_its_key_is_its_own(host: Host) -> None:
    assert host.file(f"{DEPOT}/gnupg").mode == 0o700
    assert host.file(f"{DEPOT}/site.asc").contains("BEGIN PGP PUBLIC KEY BLOCK")
