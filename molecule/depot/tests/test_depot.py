"""What the role depot leaves on its host."""

from __future__ import annotations

import json
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


def test_nodes_can_read_how_much_they_would_fetch(host: Host) -> None:
    commit = host.check_output(f"ostree --repo={DEPOT}/repo rev-parse app/nginx/stable")
    program = (
        "import ssl, urllib.request; context = ssl.create_default_context(cafile='/etc/ssl/depot.pem');"
        " print(urllib.request.urlopen('https://127.0.0.1:8080/deltas.json', context=context).read().decode())"
    )
    said = host.check_output("python3 -c %s", program)
    assert json.loads(said)[f"-{commit}"] > 100_000


def test_it_listens_on_one_address(host: Host) -> None:
    assert [socket for socket in host.socket.get_listening_sockets() if socket.endswith((":8080", ":80"))] == [
        "tcp://127.0.0.1:8080"
    ]


def test_its_key_is_its_own(host: Host) -> None:
    assert host.file(f"{DEPOT}/gnupg").mode == 0o700
    assert host.file(f"{DEPOT}/site.asc").contains("BEGIN PGP PUBLIC KEY BLOCK")
