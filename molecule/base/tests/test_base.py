"""What the role base publishes."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://all"]


DEPOT = "/var/lib/strata/depot"
REF = "base/debian-13/stable"


def test_the_version_is_signed_by_the_depot(host: Host) -> None:
    node = "/root/node"
    host.run(f"rm --recursive --force {node}")
    host.check_output(f"ostree --repo={node} init --mode=bare")
    host.check_output(f"ostree --repo={node} remote add --gpg-import={DEPOT}/site.asc depot file://{DEPOT}/repo")
    assert host.run(f"ostree --repo={node} pull --commit-metadata-only depot {REF}").rc == 0


def test_it_tells_what_changed_and_what_fetching_it_takes(host: Host) -> None:
    assert host.run(f"ostree --repo={DEPOT}/repo show --print-metadata-key=strata.changes {REF}").rc == 0
    commit = host.check_output(f"ostree --repo={DEPOT}/repo rev-parse {REF}")
    sizes = json.loads(host.file(f"{DEPOT}/repo/deltas.json").content_string)
    assert sizes[f"-{commit}"] > 1_000_000


def test_its_init_is_stage_0(host: Host) -> None:
    assert "Stage 0" in host.check_output(f"ostree --repo={DEPOT}/repo cat {REF} /usr/sbin/init")


def test_nobody_can_log_in_or_become_root(host: Host) -> None:
    shadow = host.check_output(f"ostree --repo={DEPOT}/repo cat {REF} /etc/shadow")
    assert all(line.split(":")[1] in ("*", "!", "!*") for line in shadow.splitlines())


def test_there_is_no_ssh_server_and_no_python(host: Host) -> None:
    names = host.check_output(f"ostree --repo={DEPOT}/repo ls {REF} /usr/bin /usr/sbin")
    assert "python" not in names
    assert "sshd" not in names


def test_no_program_runs_as_somebody_else(host: Host) -> None:
    # As ls has it: a type and five digits of the mode.
    entries = host.check_output(f"ostree --repo={DEPOT}/repo ls --recursive {REF} /usr /etc").splitlines()
    assert len(entries) > 1000
    assert [entry for entry in entries if entry.startswith("-") and entry[2] in "2467"] == []


def test_it_brings_a_firewall_that_networkd_waits_for(host: Host) -> None:
    wanted = "/etc/systemd/system/sysinit.target.wants/strata-firewall.service"
    assert host.run(f"ostree --repo={DEPOT}/repo ls {REF} {wanted}").rc == 0
    network = "/usr/lib/systemd/system/systemd-networkd.service.d/50-strata-firewall.conf"
    assert "Requires=strata-firewall.service" in host.check_output(f"ostree --repo={DEPOT}/repo cat {REF} {network}")
