"""What the role deploy leaves on a node."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]


def test_the_appliance_serves_its_page(host: Host) -> None:
    page = host.check_output(
        "python3 -c 'import urllib.request as u; print(u.urlopen(\"http://10.87.0.11/\").read().decode())'"
    )
    assert "<h1>molecule</h1>" in page


def test_it_has_booted_without_a_failed_unit(host: Host) -> None:
    assert host.run("incus exec --project strata web1 -- systemctl is-system-running").stdout.strip() == "running"


def test_it_is_unprivileged_with_a_map_of_its_own(host: Host) -> None:
    config = host.check_output("incus config show --project strata web1")
    assert 'security.idmap.isolated: "true"' in config
    assert "security.privileged" not in config
    assert host.check_output("incus exec --project strata web1 -- cat /proc/self/uid_map").split()[1] != "0"


def test_base_and_layers_cannot_be_written(host: Host) -> None:
    for path in ("/usr/strata", "/etc/strata", "/strata/sysext/nginx/usr/strata"):
        assert host.run(f"incus exec --project strata web1 -- touch {path}").rc != 0


def test_root_inside_cannot_make_a_mapped_layer_writable(host: Host) -> None:
    assert host.run("incus exec --project strata web1 -- mount -o remount,bind,rw /strata/sysext/nginx").rc != 0


def test_the_merged_tree_stays_unwritable_when_it_is_remounted(host: Host) -> None:
    # The merge is a mount of the appliance's own, with nowhere to write to.
    host.run("incus exec --project strata web1 -- mount -o remount,bind,rw /usr")
    assert host.run("incus exec --project strata web1 -- touch /usr/strata").rc != 0


def test_its_state_is_a_volume(host: Host) -> None:
    assert host.run("incus storage volume show --project strata strata web1.var").rc == 0


def test_a_paused_one_is_left_alone(host: Host) -> None:
    assert host.check_output("incus list --project strata --format csv --columns n") == "web1"
