"""Restores out of real backups over SFTP: in place, elsewhere, in part, and cut off at any moment.

The role's modules are played here, as it calls them: restore_goal, restore_info, restore and restore_path.
"""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.modules.restore_path import explain
from ansible_collections.strata.fleet.tests.integration.fleet import backups
from ansible_collections.strata.fleet.tests.integration.fleet.backups import (
    COUNTER,
    FOLDER,
    Vault,
    arguments,
    back_up,
    count,
    refuse,
    restore,
    volumes,
)
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import (
    STORE,
    Fleet,
    assert_whole,
    init_pid,
    inside,
    instance,
    kill_holder,
    page,
    picture,
    wait_unlocked,
)
from ansible_collections.strata.fleet.tests.integration.fleet.test_faults import when
from ansible_collections.strata.fleet.tests.integration.tools import Node

Nodes = list[Node]
RESTORES = f"{STORE}/restores"


@pytest.fixture
def vault(fleet: Fleet, ready: Nodes) -> t.Iterator[Vault]:
    """A repository on node3 for a fleet on the others."""
    with backups.kept_on(ready[2], ready) as kept:
        fleet.variables["backup_repositories"] = {"offsite": kept.repository()}
        yield kept
        for node in ready:
            node.run("nft delete table inet strata-copies-strata-drill; incus network delete strata-drill", check=False)


def want(fleet: Fleet, node: Node, name: str = "web", **settings: t.Any) -> str:
    """Want an appliance that is backed up."""
    return fleet.want(name, node, backup={"repository": "offsite"}, **settings)


def set_count(node: Node, name: str, number: int) -> None:
    """Have the state say how often the app was started."""
    inside(node, name, f"echo {number} > {COUNTER}")


def asides(node: Node, name: str) -> list[str]:
    return [each for each in volumes(node, name) if ".aside-" in each]


def test_in_place_after_damage(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    set_count(node, name, 40)
    inside(node, name, "cd /var/lib/site; echo x > note; ln note twin; chown 33:0 note; chmod 4750 note")
    back_up(fleet, vault, name)
    set_count(node, name, 99)
    inside(node, name, "rm /var/lib/site/twin")

    before = picture(node)
    refuse(fleet, f"-e restore_over={name}", "is running", words=arguments(name))
    refuse(fleet, "the name must be the same", words=arguments(name, "over=it-other"))
    checked = fleet.play("restore", *arguments(name, f"over={name}"), "--check", "--diff")
    assert checked.returncode == 0, checked.output
    assert picture(node) == before

    restore(fleet, name, f"over={name}", changed=True)
    assert count(node, name) == 41
    assert inside(node, name, "stat -c %a:%h:%U /var/lib/site/twin") == "4750:2:www-data"
    (aside,) = asides(node, name)
    folder = f"/var/lib/incus/storage-pools/strata/custom/strata_{aside}"
    assert node.run(f"cat {folder}/lib/site/starts").stdout.strip() == "99"
    assert_whole(node)
    fleet.deploy(changed=False)

    # What was moved aside goes by its own name alone.
    ran = fleet.play("release_aside", "-e", "release_aside=nothing")
    assert ran.returncode != 0
    assert aside in " ".join(ran.output.split()), ran.output
    removed = fleet.play("remove", "-e", f"remove={name}", "-e", f"remove_state={name}")
    assert removed.returncode == 0, removed.output
    assert volumes(node, name) == [aside]
    assert fleet.play("release_aside", "-e", f"release_aside={aside}").returncode == 0
    assert volumes(node, name) == []


def test_by_id_and_time_and_one_volume(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    set_count(node, name, 10)
    first = back_up(fleet, vault, name)
    moment = json.loads(vault.restic("snapshots", first))[0]["time"]
    set_count(node, name, 20)
    back_up(fleet, vault, name)
    version = instance(node, name)["config"]["user.strata.composition"]
    refuse(fleet, "is no backup of", first[:8], words=arguments(name, f"over={name}", "snapshot=yesterday"))
    refuse(fleet, "from 2020-01-01 or before", words=arguments(name, f"over={name}", "snapshot=2020-01-01"))
    restore(fleet, name, f"over={name}", f"snapshot={first[:8]}")
    assert count(node, name) == 11
    restore(fleet, name, f"over={name}")
    assert count(node, name) == 21
    restore(fleet, name, f"over={name}", "volume=var", f"snapshot={moment}Z".replace("ZZ", "Z"))
    assert count(node, name) == 11
    assert instance(node, name)["config"]["user.strata.composition"] == version
    assert len(asides(node, name)) == 3
    refuse(fleet, "has no volume 'data'; it has var", words=arguments(name, f"over={name}", "volume=data"))


def test_an_old_version_comes_from_the_depot(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node, other = ready[:2]
    fleet.depot.publish_app("aged", "1-1")
    name = want(fleet, node, "aged", app="aged")
    fleet.deploy()
    back_up(fleet, vault, name)
    newer = fleet.depot.publish_app("aged", "2-1")
    want(fleet, node, "aged", app="aged", app_version="2-1")
    fleet.deploy()
    assert "version 2-1" in page(node, name)
    removed = fleet.play("remove", "-e", f"remove={name}", "-e", f"remove_state={name}")
    assert removed.returncode == 0, removed.output

    # Onto a node that has nothing of it, once without the version in the depot, once as another one.
    limit = ("--limit", f"{node.name},{other.name}")
    before = picture(other)
    ref = "app/aged/1-1"
    commit = fleet.depot.repo.rev(ref) or ""
    fleet.depot.repo.delete_ref(ref)
    words = arguments(name, f"node={other.name}")
    refuse(fleet, ref, words=[*words, *limit])
    fleet.depot.repo.set_ref(ref, newer)
    refuse(fleet, "offers version 2-1 as app/aged/1-1", words=[*words, *limit])
    assert picture(other) == before
    fleet.depot.repo.set_ref(ref, commit)
    ran = fleet.play("restore", *words, *limit)
    assert ran.returncode == 0, ran.output
    assert f"set its appliance_node to {other.name}" in ran.output
    assert "version 1-1" in page(other, name)
    assert count(other, name) == 2


def test_never_on_two_nodes(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node, other = ready[:2]
    name = want(fleet, node)
    fleet.deploy()
    back_up(fleet, vault, name)
    limit = ("--limit", f"{node.name},{other.name}")
    words = arguments(name, f"node={other.name}")
    refuse(fleet, f"is on {node.name} as well", words=[*words, *limit])
    refuse(fleet, "is left out of this run", words=[*words, "--limit", other.name])
    node.stop_engine()
    try:
        refuse(fleet, f"The inventory has {name} on {node.name}, which cannot tell", words=[*words, *limit])
        ran = fleet.play("restore", *words, "-e", f"restore_lost_node={node.name}", *limit)
    finally:
        node.start_engine()
    assert ran.returncode == 0, ran.output
    assert count(other, name) == 2


def test_under_another_name_for_a_look(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node = ready[0]
    name = want(fleet, node, publish=[{"listen": 18080, "port": 8080}])
    fleet.deploy()
    set_count(node, name, 5)
    back_up(fleet, vault, name)
    process = init_pid(node, name)
    refuse(fleet, "is an appliance of the inventory", words=arguments(name, f"as={name}"))
    restore(fleet, name, "as=it-look", changed=True)
    assert init_pid(node, name) == process
    assert count(node, "it-look") == 6
    assert "starts 6" in page(node, "it-look")
    config = instance(node, "it-look")
    assert config["config"]["boot.autostart"] == "false"
    assert not [device for device in config["devices"].values() if device["type"] == "proxy"]
    probe = 'perl -MIO::Socket::INET -e "exit !IO::Socket::INET->new(PeerAddr => shift, Timeout => 2)" {}'
    address = instance_address(node, name)
    enter = f"nsenter --net --target {init_pid(node, 'it-look')}"
    node.run(f"{enter} ip route add default via 10.254.87.1")  # as somebody inside could
    for reached in (f"{address}:8080", "10.87.0.1:18080", "10.87.0.1:53", "10.254.87.1:22", "10.254.87.1:18080"):
        assert node.run(f"{enter} {probe.format(reached)}", check=False).returncode, f"it reaches {reached}"
    other = f"nsenter --net --target {process} {probe.format(instance_address(node, 'it-look') + ':8080')}"
    assert node.run(other, check=False).returncode, "it can be reached from an appliance"
    refuse(fleet, "choose another name, or remove it", words=arguments(name, "as=it-look"))
    gone = fleet.play("remove", "-e", "remove=it-look", "-e", "remove_state=it-look")
    assert gone.returncode == 0, gone.output
    assert volumes(node, "it-look") == []


def test_a_look_that_was_cut_off_goes_on_or_is_given_up(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    """Have it as a run leaves it that is killed just before the end, and one that had no instance yet."""
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    set_count(node, name, 5)
    snapshot = back_up(fleet, vault, name)
    restore(fleet, name, "as=it-look")
    kept = f"{STORE}/marks/it-look.json"
    mark: dict[str, t.Any] = {
        "snapshot": snapshot,
        "volumes": ["var"],
        "moment": "20261122T171500Z",
        "started": "2026-11-22T17:15:00Z",
    }
    mark |= {"whole": True, "of": name, "repository": "offsite"}

    def cut() -> None:
        node.run(f"incus --project strata stop it-look --force; echo '{json.dumps({'restore': mark})}' > {kept}")

    cut()
    restore(fleet, name, "as=it-look", f"snapshot={snapshot[:8]}")
    assert count(node, "it-look") == 7
    assert "restore" not in json.loads(node.run(f"cat {kept}").stdout)
    cut()
    fleet.deploy(changed=False)
    ran = fleet.play("remove", "-e", "remove=it-look")
    assert ran.returncode != 0
    assert "remove_state=it-look" in " ".join(ran.output.split()), ran.output
    node.run("incus --project strata delete it-look")
    ran = fleet.play("remove", "-e", "remove=it-look")
    assert ran.returncode != 0
    assert f"-e restore={name} -e restore_snapshot={snapshot[:8]} -e restore_as=it-look" in " ".join(ran.output.split())
    gone = fleet.play("remove", "-e", "remove=it-look", "-e", "remove_state=it-look")
    assert gone.returncode == 0, gone.output
    assert volumes(node, "it-look") == []
    assert node.run(f"ls {kept}", check=False).returncode


def test_layers_of_a_restore_under_way_are_kept(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.depot.publish_app("kept", "1-1")
    commit = fleet.depot.repo.rev("app/kept/1-1")
    name = fleet.want("kept", node, app="kept")
    fleet.deploy()
    del fleet.appliances[name]
    removed = fleet.play("remove", "-e", f"remove={name}", "-e", f"remove_state={name}")
    assert removed.returncode == 0, removed.output
    fleet.variables["store_collect"] = True
    fleet.want("web", node)
    node.run(f"mkdir -p {RESTORES}; echo '[\"{commit}\"]' > {RESTORES}/needs.json")
    node.run(f"systemd-run --quiet --unit=it-reader flock {RESTORES}/lock sleep infinity")
    try:
        fleet.deploy()
        assert node.run(f"ls {STORE}/layers/{commit}", check=False).returncode == 0
    finally:
        node.run("systemctl stop it-reader")
    fleet.want("other", node)
    fleet.deploy()
    assert node.run(f"ls {STORE}/layers/{commit}", check=False).returncode
    node.run(f"rm {RESTORES}/needs.json")


def instance_address(node: Node, name: str) -> str:
    addresses = node.query(f"/1.0/instances/{name}/state?project=strata")["network"]["eth0"]["addresses"]
    return str(next(each["address"] for each in addresses if each["family"] == "inet"))


def test_one_path(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    set_count(node, name, 7)
    snapshot = back_up(fleet, vault, name)[:8]
    set_count(node, name, 8)
    ran = restore(fleet, name, "path=/var/lib/site/starts", changed=True)
    kept = f"/var/lib/strata/restored/{name}/{snapshot}/var+lib+site+starts/starts"
    assert node.run(f"cat {kept}; stat -c %u:%a {kept}").stdout.split() == ["7", "33:640"]
    assert node.run("stat -c %a /var/lib/strata/restored").stdout.strip() == "700"
    assert count(node, name) == 8
    said = explain(Path(kept), "/var/lib/site/starts", name, "strata")
    assert said.split()[:8] == ran.output[ran.output.index("msg: '") + 6 :].split()[:8]
    node.run(said.partition("starts.restored: ")[2])
    beside = inside(node, name, "cat /var/lib/site/starts.restored; stat -c %U:%a /var/lib/site/starts.restored")
    assert beside.split() == ["7", "www-data:640"]
    restore(fleet, name, "path=/var/lib/site/starts", changed=False)
    restore(fleet, name, "path=/var/lib/site", changed=True)
    whole = f"/var/lib/strata/restored/{name}/{snapshot}/var+lib+site/site"
    assert node.run(f"stat -c %u:%a {whole} {whole}/starts").stdout.split() == ["33:755", "33:640"]
    node.run(f"chmod 755 /var/lib/strata/restored/{name}")
    refuse(fleet, "has mode 0755", words=arguments(name, "path=/var/lib/site"))
    node.run(f"chmod 700 /var/lib/strata/restored/{name}")
    refuse(fleet, "has nothing at /volumes/var/lib/none", words=arguments(name, "path=/var/lib/none"))
    refuse(fleet, "is not in a backup of", words=arguments(name, "path=/etc/passwd"))


def test_refusals(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    back_up(fleet, vault, name)
    before = picture(node)
    over = f"over={name}"
    refuse(fleet, "'it-wep' is not an appliance of the inventory (did you mean it-web?)", words=arguments("it-wep"))
    refuse(fleet, "restore_node 'nod9' is not a node", words=arguments(name, over, "node=nod9"))
    refuse(
        fleet,
        "'of-site' is not in backup_repositories (did you mean offsite?)",
        words=arguments(name, over, "repository=of-site"),
    )
    refuse(fleet, "are two different things", words=arguments(name, "as=it-look", "volume=var"))
    fleet.variables["backup_repositories"] = {"offsite": vault.repository(password="wrong")}
    refuse(fleet, "the password in backup_repositories opens no key", words=arguments(name, over))
    fleet.variables["backup_repositories"] = {"offsite": vault.repository(url=f"{vault.url}/nothing")}
    refuse(fleet, "there is no repository yet", words=arguments(name, over))
    fleet.variables["backup_repositories"] = {"offsite": vault.repository()}
    never = want(fleet, node, "never")
    refuse(fleet, f"has no backup of {never}", words=arguments(never))
    del fleet.appliances[never]
    assert picture(node) == before
    assert count(node, name) == 1


def test_no_room(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    snapshot = back_up(fleet, vault, name)
    # The same backup, of a volume that says it held more than any pool has.
    record = json.loads(vault.restic("dump", snapshot, "/appliance.json"))
    record["volumes"]["var"]["used"] = 2**60
    vault.node.run("mkdir -p /srv/it-large/volumes/var")
    vault.node.run(f"cat > /srv/it-large/appliance.json <<'END'\n{json.dumps(record)}\nEND")
    tagged = f"backup --host={name} --tag=strata appliance.json volumes"
    vault.node.run(f"cd /srv/it-large && RESTIC_PASSWORD={backups.PASSWORD} restic -r {FOLDER} {tagged}")
    before = picture(node)
    refuse(fleet, "The pool strata needs 1048576.0 TiB for what is restored", words=arguments(name, f"over={name}"))
    assert picture(node) == before
    vault.node.run("rm -r /srv/it-large")


def test_a_damaged_repository_offers_older_backups(fleet: Fleet, ready: Nodes, vault: Vault) -> None:
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    set_count(node, name, 30)
    older = back_up(fleet, vault, name)
    good = vault.packs()
    inside(node, name, "head -c 3000000 /dev/urandom > /var/lib/site/news")
    set_count(node, name, 31)
    back_up(fleet, vault, name)
    vault.damage(largest(vault, vault.packs() - good))
    set_count(node, name, 32)
    refuse(fleet, f"Older backups: {older[:8]}", words=arguments(name, f"over={name}"))
    assert count(node, name) == 32, "it was touched"
    assert volumes(node, name) == [f"{name}.var"]
    restore(fleet, name, f"over={name}", f"snapshot={older[:8]}")
    assert count(node, name) == 31


def largest(vault: Vault, packs: set[str]) -> list[str]:
    return vault.node.run(f"ls -S {' '.join(packs)} | head -1").stdout.split()


@pytest.mark.parametrize("killed", ["controller", "module"])
def test_killed_while_restic_works(fleet: Fleet, ready: Nodes, vault: Vault, killed: str) -> None:
    node = ready[0]
    name = want(fleet, node, volumes={"var": {"size": "512MiB"}})
    fleet.deploy()
    inside(node, name, "head -c 200000000 /dev/urandom > /var/lib/site/news")
    set_count(node, name, 50)
    back_up(fleet, vault, name)
    set_count(node, name, 60)
    working = f"ls /var/lib/incus/storage-pools/strata/custom/strata_{name}.var.restoring/.strata-restore/volumes"
    words = arguments(name, f"over={name}")
    if killed == "controller":
        process = fleet.start("restore", *words)
        fleet.controller.kill_once(process, lambda: node.run(f"{working} 2> /dev/null", check=False).returncode == 0)
    else:
        wait = when(node, working, kill_holder(RESTORES))
        assert fleet.play("restore", *words).returncode != 0
        wait()
        assert count(node, name) == 60
        assert volumes(node, name) == [f"{name}.var", f"{name}.var.restoring"]
        fleet.deploy(changed=False)
    wait_unlocked(node, RESTORES)
    restore(fleet, name, f"over={name}")
    assert count(node, name) == 51
    assert f"{name}.var.restoring" not in volumes(node, name)
    assert_whole(node)
    fleet.deploy(changed=False)


@pytest.mark.parametrize("moment", ["stopping", "detached", "between the names", "in place"])
def test_killed_while_volumes_change_places(fleet: Fleet, ready: Nodes, vault: Vault, moment: str) -> None:
    """Kill the module as the appliance stops, then do what it would have done up to some moment."""
    node = ready[0]
    name = want(fleet, node)
    fleet.deploy()
    set_count(node, name, 70)
    snapshot = back_up(fleet, vault, name)
    set_count(node, name, 80)
    wait = when(node, f"grep -q restore {STORE}/marks/{name}.json", kill_holder())
    assert fleet.play("restore", *arguments(name, f"over={name}")).returncode != 0
    wait()
    wait_unlocked(node)
    mark = json.loads(node.run(f"cat {STORE}/marks/{name}.json").stdout)["restore"]
    aside = f"{name}.var.aside-{mark['moment']}"
    incus = "incus --project strata"
    done = {
        "stopping": [],
        "detached": [
            f"{incus} config set {name} boot.autostart=false",
            f"{incus} config device remove {name} state-var",
        ],
        "between the names": [f"{incus} storage volume rename strata {name}.var {aside}"],
        "in place": [f"{incus} storage volume rename strata {name}.var.restoring {name}.var"],
    }
    node.run(f"{incus} stop {name} --force", check=False)
    for each in list(done)[: list(done).index(moment) + 1]:
        for command in done[each]:
            node.run(command)
    fleet.refuse(f"a restore of backup {snapshot[:8]} was cut off", f"-e restore={name}")
    status = fleet.play("status", "-e", "status_fail=true")
    assert "was cut off" in " ".join(status.output.split())
    # What restores less than the other had begun to would end it with a part missing.
    refuse(fleet, "leaves out its versions of base and app", words=arguments(name, f"over={name}", "volume=var"))
    restore(fleet, name, f"over={name}")
    assert count(node, name) == 71
    assert volumes(node, name) == [f"{name}.var", aside]
    assert (
        node.run(f"cat /var/lib/incus/storage-pools/strata/custom/strata_{aside}/lib/site/starts").stdout.strip()
        == "80"
    )
    assert instance(node, name)["config"]["boot.autostart"] == "true"
    assert_whole(node)
    fleet.deploy(changed=False)
