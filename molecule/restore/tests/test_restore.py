"""What the role restore leaves on a node."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]
POOL = "/var/lib/incus/storage-pools/strata/custom"


def volumes(host: Host) -> list[str]:
    paths = json.loads(host.check_output("incus query '/1.0/storage-pools/strata/volumes/custom?project=strata'"))
    return sorted(path.rpartition("/")[2].partition("?")[0] for path in paths)


def test_the_state_is_that_of_the_backup(host: Host) -> None:
    assert host.check_output("incus exec --project strata web1 -- cat /var/lib/note") == "before"


def test_what_it_had_is_kept_aside(host: Host) -> None:
    present, aside = volumes(host)
    assert present == "web1.var"
    assert aside.startswith("web1.var.aside-")
    assert host.file(f"{POOL}/strata_{aside}/lib/note").content_string == "after\n"


def test_it_serves(host: Host) -> None:
    page = host.check_output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://10.87.0.11/\").read().decode())'"
    )
    assert "<h1>molecule</h1>" in page
