"""Who migrates where, how far that has come, where a node's appliances go, and what becomes of them."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.plugin_utils import files, inventory_line, migration
from ansible_collections.strata.fleet.plugins.plugin_utils.evacuation import fill, spread
from ansible_collections.strata.fleet.plugins.plugin_utils.migration import Found, Order, plan_moves, resolve
from ansible_collections.strata.fleet.plugins.plugin_utils.migration_outcome import judge

GIB = 2**30
AWAY = {"unreachable": True, "msg": "no route"}
NODES = ("node1", "node2", "node3")


def facts(name: str = "web1", role: str = "", other: str = "", **changes: t.Any) -> dict[str, t.Any]:
    mark = {"role": role, "node": other, "when": "then", "reason": ""} if role else None
    layer = {"name": "x", "version": "1", "commit": "c"}
    rest = {"quarantine": "", "swap": False, "restore": None}
    common = {"type": "container", "state": "running", "base": layer, "app": layer, **rest}
    return {
        "name": name,
        "migration": mark,
        "volumes": {f"{name}.var": 10},
        "snapshots": {},
        "leftovers": [],
        "memory": 0,
        **common,
        **changes,
    }


def node(*appliances: dict[str, t.Any], **changes: t.Any) -> dict[str, t.Any]:
    own = {"architecture": "x86_64", "clustered": False, "driver": "btrfs", "pool_free": GIB, "memory_available": GIB}
    return {"node": {**own, **changes}, "appliances": list(appliances)}


def found(**nodes: t.Any) -> Found:
    return Found({name: nodes.get(name, node()) for name in NODES})


def phase(*, to: str = "node2", give_back: bool = False, **nodes: t.Any) -> tuple[str, str, str] | None:
    moves, _sentences = plan_moves(Order({"web1": to}, give_back), found(**nodes))
    return (moves[0].source, moves[0].target, moves[0].phase) if moves else None


def refused(**arguments: t.Any) -> str:
    with pytest.raises(BadInput) as caught:
        phase(**arguments)
    return caught.value.message


OUT, IN = facts(role="out", other="node2"), facts(role="in", other="node1")
TAKEN, GIVEN_UP = facts(role="taken", other="node1"), facts(role="given_up", other="node1")
KEPT = facts(role="kept", other="node2")


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (facts(), None, "copy"),
        (facts(), IN, "copy"),
        (OUT, None, "switch"),
        (OUT, IN, "switch"),
        (OUT, TAKEN, "start"),
        (None, TAKEN, "start"),
        (OUT, facts(), "finish"),
        (OUT, GIVEN_UP, "give_back"),
        (facts(), GIVEN_UP, "clean"),
    ],
)
def test_what_a_run_that_was_cut_off_left_decides_how_it_goes_on(source: t.Any, target: t.Any, expected: str) -> None:
    nodes: t.Any = {name: node(*([each] if each else [])) for name, each in (("node1", source), ("node2", target))}
    assert phase(**nodes) == ("node1", "node2", expected)


@pytest.mark.parametrize(("source", "target"), [(None, facts()), (KEPT, facts())])
def test_nothing_is_done_where_it_is_there(source: t.Any, target: t.Any) -> None:
    assert phase(node1=node(*([source] if source else [])), node2=node(target)) is None


@pytest.mark.parametrize(
    ("source", "target", "expected"), [(facts(), IN, "clean"), (OUT, IN, "give_back"), (OUT, TAKEN, "start")]
)
def test_it_can_be_told_to_stay_as_long_as_nobody_took_it_over(source: t.Any, target: t.Any, expected: str) -> None:
    assert phase(to="node1", node1=node(source), node2=node(target)) == ("node1", "node2", expected)


def test_snapshots_that_a_cut_off_run_left_are_let_go_of() -> None:
    left = facts(leftovers=["web1.var/strata-migrate-1"])
    assert phase(node2=node(left)) == ("node2", "node2", "tidy")
    assert phase(node1=node(KEPT), node2=node(left)) == ("node2", "node2", "tidy")


@pytest.mark.parametrize(("source", "target"), [(facts(), TAKEN), (facts(), facts()), (None, IN), (None, GIVEN_UP)])
def test_what_no_migration_leaves_behind_is_refused(source: t.Any, target: t.Any) -> None:
    nodes: t.Any = {name: node(*([each] if each else [])) for name, each in (("node1", source), ("node2", target))}
    assert "no migration leaves" in refused(**nodes)


def test_a_node_that_is_silent_may_run_what_was_handed_to_it() -> None:
    assert "may run there" in refused(node1=node(OUT), node2=AWAY)
    assert phase(node1=node(OUT), node2=AWAY, give_back=True) == ("node1", "node2", "give_back")
    assert "may run there" not in refused(node1=node(facts()), node2=AWAY)
    assert "did not answer" in refused(node1=node(facts()), node2=AWAY, give_back=True)


def test_what_is_not_wanted_there_is_given_back() -> None:
    assert phase(node1=node(OUT), node2=node(TAKEN), give_back=True) == ("node1", "node2", "give_back")


def test_a_node_that_is_no_part_of_the_run_may_run_it_as_well() -> None:
    nodes = Found({"node1": node(OUT)})
    for to in ("node1", "node2"):
        with pytest.raises(BadInput, match=r"it is no part of this run\. It was handed over, and may run there"):
            plan_moves(Order({"web1": to}), nodes)
        moves, _sentences = plan_moves(Order({"web1": to}, give_back=True), nodes)
        assert moves[0].phase == "give_back"


def test_the_only_copy_is_not_given_back_to_a_node_that_is_away() -> None:
    for away in ({"node1": AWAY}, {}):
        answers = {**away, "node2": node(TAKEN)}
        with pytest.raises(BadInput, match="cannot be given back to node1"):
            plan_moves(Order({"web1": "node2"}, give_back=True), Found(answers))
        assert plan_moves(Order({"web1": "node2"}), Found(answers))[0][0].phase == "start"
    assert "cannot be given back to node1: it has no state of it" in refused(node2=node(TAKEN), give_back=True)
    for state in (IN, GIVEN_UP):
        assert "cannot be given back to node1: no route" in refused(node1=AWAY, node2=node(state))


def test_what_is_asked_to_be_given_back_is_by_an_inventory_that_never_changed() -> None:
    nodes: t.Any = {"node1": node(OUT), "node2": node(TAKEN)}
    assert phase(to="node1", give_back=True, **nodes) == ("node1", "node2", "give_back")


def test_one_that_is_nowhere_may_be_on_a_silent_node() -> None:
    assert "node1 did not answer" in refused(node1=AWAY)
    assert "deploy it first" in refused()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quarantine": "quarantined since then"}, "Release it first"),
        ({"swap": True}, "playbooks/patch.yml first"),
        ({"state": "frozen"}, "playbooks/backup.yml first"),
        ({"state": "error"}, "the engine says 'error'"),
        ({"restore": {"snapshot": "0123456789abcdef"}}, "a restore of backup 01234567 was cut off"),
        ({"type": "virtual-machine"}, "live migration of virtual machines"),
        ({"base": None}, "Strata did not make"),
        ({"memory": 2 * GIB}, "2 GiB of memory are needed, and 1 GiB are free"),
        ({"volumes": {"web1.var": 2 * GIB}}, "has no room for web1"),
        ({"snapshots": {"web1.var": 2 * GIB}}, "has no room for web1"),
    ],
)
def test_one_that_cannot_go_is_refused_with_the_reason(changes: dict[str, t.Any], words: str) -> None:
    assert words in refused(node1=node(facts(**changes)))


@pytest.mark.parametrize(("source", "target"), [(OUT, IN), (OUT, TAKEN)])
@pytest.mark.parametrize("side", ["source", "target"])
def test_quarantine_outlasts_a_run_that_was_cut_off(source: t.Any, target: t.Any, side: str) -> None:
    cut = {"quarantine": "quarantined since then"}
    source, target = {**source, **(cut if side == "source" else {})}, {**target, **(cut if side == "target" else {})}
    nodes: t.Any = {"node1": node(source), "node2": node(target)}
    assert "Release it first" in refused(**nodes)
    assert phase(give_back=True, **nodes) == ("node1", "node2", "give_back")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clustered": True}, "member of a cluster"),
        ({"architecture": "aarch64"}, "node2 is aarch64"),
        ({"driver": "dir"}, "pools of one driver"),
    ],
)
def test_a_node_that_cannot_take_it_is_refused_with_the_reason(changes: dict[str, t.Any], words: str) -> None:
    assert words in refused(node1=node(facts()), node2=node(**changes))


def test_one_on_its_way_goes_there_first() -> None:
    assert "on its way to node2" in refused(to="node3", node1=node(OUT), node2=node(IN))


def test_room_is_for_all_that_come() -> None:
    big: t.Any = {"volumes": {"x": 500 * 2**20}}
    nodes = found(node1=node(facts("web1", **big), facts("web2", **big)))
    with pytest.raises(BadInput, match="no room for web1, web2"):
        plan_moves(Order({"web1": "node2", "web2": "node2"}), nodes)
    moves, sentences = plan_moves(Order({"web1": "node2", "web2": "node3"}), nodes)
    assert [move.target for move in moves] == ["node2", "node3"]
    assert sentences[0] == "web1: from node1 to node2 (500 MiB of state)"


def test_names_and_nodes_are_known() -> None:
    wanted = {"web1": "node1"}
    assert resolve(["web1"], "", wanted, NODES) == {"web1": "node1"}
    assert resolve(["web1"], "node2", wanted, NODES) == {"web1": "node2"}
    for names, to, words in (
        (["web"], "", "did you mean web1"),
        (["web1"], "node4", "is not a node of this run"),
        ([], "", "Name what"),
    ):
        with pytest.raises(BadInput, match=words):
            resolve(names, to, wanted, NODES)


def test_a_node_is_emptied_by_free_memory_and_apart() -> None:
    quarter = GIB // 4
    leaving = [facts("db1", memory=2 * quarter), facts("db2", memory=quarter), facts("web1"), facts("web2")]
    nodes = found(node1=node(*leaving), node3=node(memory_available=3 * quarter))
    placed = spread("node1", nodes, {"databases": ["db1", "db2"], "web": ["web1", "web2"]})
    assert placed.targets["db1"] == "node2"
    assert placed.targets["db2"] == "node3"
    assert {placed.targets["web1"], placed.targets["web2"]} == {"node2", "node3"}
    assert placed.warnings == []


def test_those_that_cannot_be_kept_apart_go_together_and_it_is_said() -> None:
    nodes = found(node1=node(facts("db1"), facts("db2"), facts("db3")))
    placed = spread("node1", nodes, {"databases": ["db1", "db2", "db3"]})
    assert len(set(placed.targets.values())) == 2
    assert len(placed.warnings) == 1


def test_an_evacuation_without_room_changes_nothing() -> None:
    with pytest.raises(BadInput, match="has room on no other node"):
        spread("node1", found(node1=node(facts(memory=4 * GIB))), {})
    with pytest.raises(BadInput, match="no other node answered"):
        spread("node1", found(node1=node(facts()), node2=AWAY, node3=AWAY), {})


def test_an_evacuation_that_was_cut_off_goes_on_where_it_was_going() -> None:
    bound = facts(role="out", other="node3")
    nodes = found(node1=node(bound), node3=node(facts(role="in", other="node1"), memory_available=1))
    assert spread("node1", nodes, {}).targets == {"web1": "node3"}


def test_a_node_is_filled_with_what_the_inventory_has_on_it() -> None:
    wanted = {"web1": "node1", "web2": "node1", "web3": "node2", "web4": "node1"}
    nodes = found(node1=node(facts("web1"), facts("web2", role="kept")), node2=node(facts("web2"), facts("web3")))
    assert fill("node1", nodes, wanted) == {"web2": "node1"}


RESULTS = ("handed", "taken", "given_up", "back", "cleaned", "committed", "finished", "tidied")
EMPTY: dict[str, t.Any] = {**{key: {} for key in RESULTS}, "fault": ""}
DONE: dict[str, t.Any] = {"steps": []}
ENTRY = {"name": "web1", "source": "node1", "target": "node2", "phase": "copy", **EMPTY}
WENT = {
    **ENTRY,
    "handed": {"began": "2026-11-30T16:00:00.000Z"},
    "taken": {"outcome": "healthy", "ended": "2026-11-30T16:00:02.400Z"},
    "committed": DONE,
}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (WENT, "migrated from node1 to node2, away for 2.4 s by the nodes' clocks"),
        ({**WENT, "taken": {"outcome": "healthy", "ended": "2026-11-30T15:00:00Z"}}, "migrated from node1 to node2"),
        (
            {**WENT, "finished": {"msg": "It differs."}},
            "is on node2, and something is left to do: It differs. Run again.",
        ),
        (
            {**ENTRY, "taken": {"outcome": "unhealthy", "reason": "It is ill."}, "given_up": DONE, "back": DONE},
            "did not migrate to node2, it runs on node1 again: It is ill.",
        ),
        (
            {**ENTRY, "taken": {"msg": "No room."}, "given_up": DONE, "back": DONE, "cleaned": {"skipped": True}},
            "did not migrate to node2, it runs on node1 again: No room.",
        ),
        (
            {**ENTRY, "taken": {"msg": "No room."}, "given_up": {"msg": "Nobody answers."}, "back": {"skipped": True}},
            "did not migrate from node1 to node2: No room. It was to be given back: Nobody answers. Run again.",
        ),
        (
            {
                **ENTRY,
                "taken": {"msg": "No engine."},
                "given_up": {"msg": "No."},
                "back": DONE,
                "cleaned": {"msg": "No."},
            },
            "did not migrate to node2, it runs on node1 again: No engine. No.",
        ),
        (
            {**ENTRY, "fault": "No route."},
            "did not migrate from node1 to node2: No route. It is on node1, where it was not stopped. Run again.",
        ),
        ({**ENTRY, "phase": "tidy", "source": "node2", "tidied": DONE}, "is on node2, as before"),
        (
            {**ENTRY, "phase": "tidy", "source": "node2", "tidied": {"msg": "Busy."}},
            "is on node2, and something is left to do: Busy. Run again.",
        ),
        (
            {**ENTRY, "taken": {"unreachable": True, "msg": "Gone."}},
            "did not migrate from node1 to node2: node node2 went away, and may have started it: bring it back and run",
        ),
        (
            {**ENTRY, "phase": "start", "taken": {"outcome": "unhealthy", "reason": "Ill."}},
            "is on node2, and something is left to do: it is not healthy: Ill. What it wrote there may be newer",
        ),
        ({**ENTRY, "phase": "give_back", "back": DONE, "given_up": {"skipped": True}}, "is on node1, as before"),
        (
            {**ENTRY, "phase": "clean", "cleaned": {"steps": ["keep what web1 wrote here as x"]}},
            "is on node1, as before: On node2: keep what web1 wrote here as x.",
        ),
    ],
)
def test_what_became_of_it(entry: dict[str, t.Any], said: str) -> None:
    assert str(judge(entry)).startswith(f"web1: {said}")


@pytest.mark.parametrize(
    ("path", "text", "changed"),
    [
        (
            "host_vars/web1.yml",
            "# of web1\nappliance_node: node1  # for now\nx: 1\n",
            "appliance_node: node2  # for now",
        ),
        ("host_vars/web1/main.yml", "appliance_node: node1\n", "appliance_node: node2"),
        (
            "hosts.yml",
            "all:\n  web1: {appliance_node: node1, address: a}\n",
            "  web1: {appliance_node: node2, address: a}",
        ),
        (
            "hosts.yml",
            "web0:\n  appliance_node: x\nweb1:\n  a: 1\n  appliance_node: node1\n",
            "  appliance_node: node2",
        ),
    ],
)
def test_the_line_that_says_where_it_is(tmp_path: Path, path: str, text: str, changed: str) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all:\n")
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    line = inventory_line.find_line([str(inventory)], "web1", "node2")
    assert line
    assert line.after == changed
    inventory_line.rewrite(line)
    before, after = text.splitlines(), file.read_text().splitlines()
    assert [now for was, now in zip(before, after, strict=True) if was != now] == [changed]
    assert file.read_text().endswith("\n")


def test_the_file_stays_the_file_that_it_was(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept.yml", tmp_path / "hosts.yml"
    kept.write_text("web1: {appliance_node: node1}\n")
    kept.chmod(0o640)
    link.symlink_to(kept)
    line = inventory_line.find_line([str(link)], "web1", "node2")
    assert line
    inventory_line.rewrite(line)
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("web1: {appliance_node: node2}\n", 0o640)
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hosts.yml", "kept.yml"]


def test_a_report_does_not_follow_a_link_that_somebody_left(tmp_path: Path) -> None:
    kept, report = tmp_path / "kept", tmp_path / "report.json"
    kept.write_text("mine")
    report.symlink_to(kept)
    files.write_json(report, {})
    assert (kept.read_text(), report.is_symlink(), report.stat().st_mode & 0o777) == ("mine", False, 0o644)


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "report.json"
    folder.mkdir()
    with pytest.raises(BadInput, match=r"report\.json cannot be written: Is a directory"):
        files.write_json(folder, {})
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    "text", ["appliance_node: '{{ home }}'\n", "other: 1\n", "web1: {a: 1}\nweb2: {appliance_node: n}\n"]
)
def test_what_is_not_plain_is_left_to_a_person(tmp_path: Path, text: str) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(text)
    assert inventory_line.find_line([str(inventory)], "web1", "node2") is None
    assert inventory_line.advise("web1", "node2", None).endswith("appliance_node: node2")


def test_every_phase_has_a_sentence() -> None:
    for each in {*migration.PHASES.values(), migration.TIDY}:
        assert migration.describe(migration.Move("web1", "node1", "node2", each, facts())).startswith("web1: ")
