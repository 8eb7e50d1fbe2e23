"""What the role store leaves on a node."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]


STORE = "/var/lib/strata/store"


def test_base_and_app_are_checked_out(host: Host) -> None:
    layers = host.file(f"{STORE}/layers").listdir()
    assert len(layers) == 2
    found = {name: set(host.file(f"{STORE}/layers/{name}").listdir()) for name in layers}
    assert {"usr", "etc"} in found.values()
    assert {"sysext", "confext"} in found.values()


def test_the_content_is_what_was_signed(host: Host) -> None:
    assert host.run(f"ostree --repo={STORE}/repo fsck --quiet").rc == 0


def test_only_root_sees_it(host: Host) -> None:
    assert host.file(STORE).mode == 0o700


def test_no_appliance_was_made(host: Host) -> None:
    assert host.check_output("incus list --project strata --format csv") == ""
