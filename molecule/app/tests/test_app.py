"""What the role app publishes."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://all"]


DEPOT = "/var/lib/strata/depot"
REF = "app/nginx/stable"


def test_it_is_a_sysext_and_a_confext(host: Host) -> None:
    for path in ("/sysext/usr/sbin/nginx", "/confext/etc/nginx/mime.types"):
        assert host.run(f"ostree --repo={DEPOT}/repo ls {REF} {path}").rc == 0


def test_both_say_which_base_they_fit(host: Host) -> None:
    for path in ("/sysext/usr/lib/extension-release.d", "/confext/etc/extension-release.d"):
        release = host.check_output(f"ostree --repo={DEPOT}/repo cat {REF} {path}/extension-release.nginx")
        assert {"ID=debian", "VERSION_ID=13"} <= set(release.split())


def test_it_says_whether_its_state_has_a_format(host: Host) -> None:
    said = (
        host.check_output(f"ostree --repo={DEPOT}/repo show --print-metadata-key=strata.manifest {REF}")
        .strip()
        .strip("'")
    )
    assert json.loads(gzip.decompress(base64.b64decode(said)))["state_schema"] == ""


def test_it_is_small(host: Host) -> None:
    files = host.check_output(f"ostree --repo={DEPOT}/repo ls -R {REF}").splitlines()
    assert sum(int(line.split()[3]) for line in files if line.startswith("-")) < 10_000_000
