"""What the policy does not allow is refused by name before it is mapped, by deploy and by patch alike."""

from __future__ import annotations

import datetime as dt
import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.depots import fingerprint_of
from ansible_collections.strata.fleet.tests.integration.fleet.attacks import ATTACKS, plant_setuid
from ansible_collections.strata.fleet.tests.integration.fleet.fleet import Fleet, instance, page, picture
from ansible_collections.strata.fleet.tests.integration.fleet.test_refusals import mapped
from ansible_collections.strata.fleet.tests.integration.tools import Node

Nodes = list[Node]
SITE: dict[str, t.Any] = {
    "profile": "hardened",
    "mode": "enforce",
    "owner": "IT security",
    "actions": {"medium": "refuse"},
    "rules": {
        "allowed-bases": ["debian-13*"],
        "allowed-os": ["debian 13"],
        "allowed-ports": ["80/tcp", "1024-65535/tcp"],
    },
}


def policy(**rules: t.Any) -> dict[str, t.Any]:
    """Return the site's policy with more rules."""
    return {"site": {**SITE, "rules": {**SITE["rules"], **rules}}}


def add_host_path(node: Node, name: str) -> None:
    """Map a folder of the node into an appliance, as somebody with access to the engine could."""
    node.run(f"incus stop --project strata {name}")
    node.run(f"incus config device add --project strata {name} peek disk source=/etc path=/mnt/peek")
    node.run(f"incus start --project strata {name}")


def today() -> dt.date:
    """Return the day that nodes and controller have now: a run may begin on another."""
    return dt.datetime.now(dt.UTC).date()


def waive(fleet: Fleet, rule: str, subject: str, days: int) -> None:
    """Waive a rule for a subject until some days from now."""
    fleet.variables["lockdown_waivers"] = [
        {
            "control": rule,
            "subject": subject,
            "reason": "The vendor works on it.",
            "owner": "Example",
            "approver": "IT security",
            "expires": str(today() + dt.timedelta(days)),
        }
    ]


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """A fleet under the site's policy."""
    fleet.variables["lockdown_policies"] = policy()
    return fleet


def test_every_attack_is_refused_by_its_rule(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    good = fleet.want("good", node)
    fleet.deploy()
    shown = mapped(picture(node))
    for name, attack in ATTACKS.items():
        fleet.depot.publish_app(name, plant=attack.plant, **attack.manifest)
        fleet.want(name, node, app=name)
    fleet.depot.publish_base("debian-13-strange", os={"id": "alpine", "version_id": "3"}, abi="debian-13")
    fleet.depot.publish_base("debian-13-old", built=f"{today() - dt.timedelta(400)}T00:00:00Z")
    fleet.want("strangebase", node, base="debian-13-strange")
    fleet.want("oldbase", node, base="debian-13-old")
    expected = {name: attack.rule for name, attack in ATTACKS.items()}
    expected |= {"strangebase": "allowed-os", "oldbase": "base-age"}
    ran = fleet.refuse(*(f"rule {rule} of policy site" for rule in expected.values()))
    said = " ".join(ran.output.split())
    for name, attack in ATTACKS.items():
        sentences = [each for each in said.split("Appliance it-") if each.startswith(f"{name}: ")]
        assert any(attack.named in each and f"rule {attack.rule} of" in each for each in sentences), (name, sentences)
    assert "Appliance it-good" not in said
    after = mapped(picture(node))
    assert after["instances"] == shown["instances"]
    assert "starts 1" in page(node, good)


def test_a_waiver_admits_until_its_day_is_over(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.depot.publish_app("waived", plant=plant_setuid)
    name = fleet.want("waived", node, app="waived")
    waive(fleet, "setuid-files", "app/waived", -1)
    yesterday = today() - dt.timedelta(1)
    fleet.refuse(f"Its waiver expired on {yesterday}", "/usr/bin/become-root")
    waive(fleet, "setuid-files", "app/waived", 0)
    fleet.deploy(changed=True)
    assert "starts 1" in page(node, name)


def test_keys_that_a_policy_revokes_or_does_not_name(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.want("any", node)
    key = fingerprint_of(fleet.depot.site.public)
    fleet.variables["lockdown_policies"] = policy(**{"revoked-keys": [key], "app-signers": ["vendor"]})
    fleet.refuse("rule revoked-keys of policy site", key, "rule app-signers of policy site allows vendor")
    fleet.variables["lockdown_policies"] = policy(**{"countersigned-apps": ["maker"]})
    fleet.refuse("rule countersigned-apps of policy site")


def test_a_patch_to_what_is_not_allowed_leaves_everything_as_it_runs(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.depot.publish_app("patched")
    name = fleet.want("patched", node, app="patched")
    fleet.deploy()
    shown = picture(node)["instances"]
    fleet.depot.publish_app("patched", "2-1", plant=plant_setuid)
    fleet.refuse("Appliance it-patched: /usr/bin/become-root is", "rule setuid-files", playbook="patch")
    assert picture(node)["instances"] == shown
    assert "version 1-1" in page(node, name)


def test_a_rollback_to_what_is_not_allowed_leaves_everything_as_it_runs(
    fleet: Fleet, ready: Nodes, tmp_path: Path
) -> None:
    node = ready[0]
    fleet.variables |= {"patch_rollout": {"settle": 0}, "patch_record_path": str(tmp_path), "rollback_settle": 0}
    fleet.variables["lockdown_policies"]["site"]["mode"] = "audit"
    fleet.depot.publish_app("former", plant=plant_setuid)
    name = fleet.want("former", node, app="former")
    fleet.deploy()
    fleet.depot.publish_app("former", "2-1")
    ran = fleet.play("patch")
    assert ran.returncode == 0, ran.output
    fleet.variables |= {"lockdown_policies": policy(), "rollback": name}
    shown = picture(node)["instances"]
    fleet.refuse("Appliance it-former: /usr/bin/become-root is", "rule setuid-files", playbook="rollback")
    assert picture(node)["instances"] == shown
    assert "version 2-1" in page(node, name)
    waive(fleet, "setuid-files", "app/former", 1)
    ran = fleet.play("rollback")
    assert ran.returncode == 0, ran.output
    assert "version 1-1" in page(node, name)


def test_configure_is_refused_what_deploy_is(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    name = fleet.want("configured", node, config={"title": "before"})
    fleet.deploy()
    key = fingerprint_of(fleet.depot.site.public)
    fleet.variables["lockdown_policies"] = policy(**{"revoked-keys": [key]})
    fleet.want("configured", node, config={"title": "after"})
    fleet.refuse(f"Appliance {name}:", "rule revoked-keys", playbook="configure")
    assert "title before" in page(node, name)


def test_what_somebody_did_by_hand_stops_the_next_change_until_a_person_looked(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    name = fleet.want("touched", node)
    fleet.deploy()
    add_host_path(node, name)
    fleet.want("touched", node, memory="96MiB")
    fleet.refuse(f"Appliance {name}: peek is the node's /etc", "rule host-paths", "deploy_repair")
    assert "peek" in instance(node, name)["devices"]
    fleet.deploy("-e", f'{{"deploy_repair": ["{name}"]}}')
    assert "peek" not in instance(node, name)["devices"]


def test_a_policy_that_is_only_audited_refuses_nothing(fleet: Fleet, ready: Nodes) -> None:
    fleet.variables["lockdown_policies"]["site"]["mode"] = "audit"
    fleet.depot.publish_app("audited", plant=plant_setuid)
    fleet.want("audited", ready[0], app="audited")
    fleet.deploy(changed=True)


def test_a_base_that_no_policy_allows_is_refused_before_anything_is_fetched(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    shown = picture(node)
    fleet.want("any", node, base="alpine-3")
    fleet.refuse("Appliance it-any asks for base alpine-3 (appliance_base), and rule allowed-bases of policy site")
    assert picture(node) == shown


def test_a_policy_that_makes_no_sense_is_refused_first(fleet: Fleet, ready: Nodes) -> None:
    node = ready[0]
    fleet.want("any", node, publish=[{"listen": 8081, "port": 8080}])
    shown = picture(node)
    fleet.variables["lockdown_policies"] = {"site": {"rules": {"setuid-file": []}}}
    fleet.refuse("policy site: rules.setuid-file is not a rule (did you mean setuid-files?)")
    fleet.variables["lockdown_policies"] = {"site": {**SITE, "rules": {"published-ports": ["443/tcp"]}}}
    fleet.refuse("it-any", "8081", "published-ports")
    assert picture(node) == shown
