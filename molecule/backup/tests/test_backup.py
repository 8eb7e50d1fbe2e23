"""What the role backup leaves on a node, as restic and systemd see it."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]
RESTIC = "RESTIC_PASSWORD=for-a-test restic --no-cache --repo /srv/backup --json"


def snapshots(host: Host) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", json.loads(host.check_output(f"{RESTIC} snapshots --host=web1")))


def test_as_many_backups_are_kept_as_asked_for(host: Host) -> None:
    assert len(snapshots(host)) == 2


def test_a_backup_holds_the_state_and_what_it_belongs_to(host: Host) -> None:
    newest = snapshots(host)[-1]["id"]
    listed = [json.loads(line) for line in host.check_output(f"{RESTIC} ls {newest}").splitlines()]
    paths = {entry["path"]: entry for entry in listed if "path" in entry}
    (log,) = [entry for path, entry in paths.items() if path == "/volumes/var/log"]
    record = json.loads(host.check_output(f"{RESTIC} dump {newest} /appliance.json"))
    (shift, *_others) = json.loads(record["volumes"]["var"]["idmap"])
    assert log["uid"] == shift["Hostid"]
    assert record["composition"] == json.loads(
        host.check_output("incus config get --project strata web1 user.strata.composition")
    )
    assert "appliance_config" not in record["variables"]


def test_the_repository_is_whole(host: Host) -> None:
    host.check_output(f"{RESTIC} check --read-data")


def test_nothing_is_left_of_the_making(host: Host) -> None:
    listed = host.check_output(
        "incus query '/1.0/storage-pools/strata/volumes/custom/web1.var/snapshots?project=strata'"
    )
    assert json.loads(listed) == []


def test_the_node_backs_up_by_itself(host: Host) -> None:
    assert host.service("strata-backup@web1.timer").is_enabled
    assert host.service("strata-backup@web1.timer").is_running
    before = snapshots(host)[-1]["id"]
    host.check_output("systemctl start strata-backup@web1.service")
    assert snapshots(host)[-1]["id"] != before


def test_secrets_are_roots(host: Host) -> None:
    holding = host.check_output("grep --recursive --files-with-matches for-a-test /etc /usr/local /var/lib/strata")
    assert holding.splitlines() == ["/etc/strata/backup/repositories/local.json"]
    assert host.file(holding.strip()).mode == 0o600
