"""Cycles over a real repository; what the fleet does is scripted (see site.py), and real in integration tests."""

from __future__ import annotations

import datetime as dt
import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, Conflict
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import cycle as cycles
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops import decide, ledger, outcome, playbooks
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.outcome import Remark
from ansible_collections.strata.fleet.plugins.plugin_utils.gitops.run import guard
from ansible_collections.strata.fleet.tests.unit.gitops.site import Fleet, Site, row

APPLIES = ["check", "deploy_plan", "site", "deploy_plan"]
LOOKS = ["deploy_plan"]
OPENS = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
CLOSED = [{"from": "00:00", "to": "00:01", "days": [f"{OPENS:%a}".lower()]}]


def run(site: Site, *, dry: bool = False, rewritten: str = "", **changes: t.Any) -> tuple[Remark, cycles.Cycle]:
    """Run a cycle as the program does; return how it ended, and the cycle."""
    settings = site.settings(**changes)
    with cycles.only_one(settings.state):
        cycle = cycles.Cycle(settings, cycles.open_repository(settings), ledger.read(settings.state), dry, rewritten)
        guard(cycle)
        return cycles.finish(cycle), cycle


def commits(cycle: cycles.Cycle) -> dict[str, str]:
    """Return the commits that are remembered, read from disk."""
    kept = ledger.read(cycle.settings.state)
    return {key: ledger.commit_of(getattr(kept, key)) for key in ("accepted", "applying", "applied", "good", "bad")}


def test_a_commit_is_applied_once(site: Site, fleet: Fleet) -> None:
    commit = site.commit()
    result, cycle = run(site)
    assert (result.word, fleet.names()) == (outcome.APPLIED, APPLIES)
    assert commits(cycle) == {"accepted": commit, "applying": "", "applied": commit, "good": commit, "bad": ""}
    result, cycle = run(site)
    assert (result, fleet.names()) == (Remark(outcome.SYNCED, ""), LOOKS)
    assert cycle.ledger.results == {"applied": 1, "synced": 1}


@pytest.mark.parametrize("signer", ["", "stranger"])
def test_what_is_not_signed_leaves_the_fleet_as_it_was(site: Site, fleet: Fleet, signer: str) -> None:
    first = site.commit()
    run(site)
    second = site.commit(signer, message="Not for us")
    fleet.names()
    result, cycle = run(site)
    assert (result.word, fleet.names()) == (outcome.REFUSED, LOOKS)
    assert second[:12] in result.reason
    assert commits(cycle)["applied"] == commits(cycle)["accepted"] == first
    # It is taken once somebody who may has signed on top.
    third = site.commit(message="Reviewed")
    result, cycle = run(site)
    assert (result.word, commits(cycle)["applied"]) == (outcome.APPLIED, third)


def test_the_first_commit_is_not_signed(site: Site, fleet: Fleet) -> None:
    site.commit("")
    result, _cycle = run(site)
    assert (result.word, fleet.names()) == (outcome.REFUSED, [])


def test_rewritten_history_is_refused_until_somebody_says_so(site: Site, fleet: Fleet) -> None:
    first = site.commit()
    second = site.commit(message="Second")
    run(site)
    site.git("reset", "--quiet", "--hard", first)
    other = site.commit(message="Instead of the second")
    fleet.names()
    result, cycle = run(site)
    assert (result.word, fleet.names(), commits(cycle)["applied"]) == (outcome.REFUSED, LOOKS, second)
    assert f"strata-gitops accept {other}" in result.reason
    # The mirror is only a copy: what was accepted is remembered beside it.
    site.forget_mirror()
    _result, cycle = run(site)
    assert [remark.word for remark in cycle.remarks] == [outcome.REFUSED, outcome.FAILED]
    assert f"does not have {second[:12]} any more" in cycle.remarks[1].reason
    assert outcome.REFUSED in [remark.word for remark in run(site, rewritten="0" * 40)[1].remarks]
    result, cycle = run(site, rewritten=other)
    assert (result.word, commits(cycle)["applied"]) == (outcome.APPLIED, other)


@pytest.mark.parametrize(
    ("playbook", "words"), [("check", "The inventory is refused"), ("deploy_plan", "It cannot be deployed")]
)
def test_what_cannot_be_deployed_is_refused(site: Site, fleet: Fleet, playbook: str, words: str) -> None:
    first = site.commit()
    run(site)
    site.commit(message="Broken")
    fleet.fails = {playbook: "web1: appliance_memory is not known"}
    result, cycle = run(site)
    assert "site" not in fleet.names()[4:]
    assert (result.word, commits(cycle)["applied"], commits(cycle)["applying"]) == (
        outcome.REFUSED if playbook == "check" else outcome.FAILED,
        first,
        "",
    )
    assert words in cycle.remarks[0].reason
    assert "appliance_memory" in cycle.remarks[0].reason


def test_too_wide_a_commit_is_refused_unless_it_says_so_itself(site: Site, fleet: Fleet) -> None:
    first = site.commit()
    run(site, limits={"remove": 1})
    fleet.rows = [row("web1", "remove"), row("web2", "remove")]
    site.commit(message="Remove both")
    fleet.names()
    result, cycle = run(site, limits={"remove": 1})
    assert "site" not in fleet.names()
    assert result.word == outcome.REFUSED
    assert "It would remove 2 appliances (web1, web2), 1 may be" in result.reason
    assert commits(cycle)["applied"] == first
    site.commit(message="Do remove both\n\nStrata-Limit: remove=2")
    fleet.after = {site.git("rev-parse", "HEAD").strip(): []}
    result, cycle = run(site, limits={"remove": 1})
    assert result.word == outcome.APPLIED
    site.commit(message="Nonsense\n\nStrata-Limit: everything")
    assert "is not one of create, remove" in run(site, limits={"remove": 1})[0].reason


def test_a_commit_that_drops_a_node_leaves_its_appliances_behind(site: Site, fleet: Fleet) -> None:
    fleet.rows = [row("web1"), row("web2", node="node2")]
    site.commit()
    run(site, limits={"remove": 0})
    fleet.rows = [row("web1")]  # node1 is all that it says
    site.commit(message="Forget node2")
    result, _cycle = run(site, limits={"remove": 0})
    assert result.word == outcome.REFUSED
    assert "It would remove 1 appliances (web2, left behind on node2), 0 may be" in result.reason


def test_outside_of_the_windows_a_commit_waits_and_drift_does_not(site: Site, fleet: Fleet) -> None:
    first = site.commit()
    run(site)
    second = site.commit(message="Later")
    fleet.names()
    result, cycle = run(site, windows=CLOSED)
    assert (result.word, fleet.names()) == (outcome.WAITING, ["check", "deploy_plan", "deploy_plan"])
    assert f"the next one begins {OPENS:%a}" in result.reason
    assert commits(cycle) == {"accepted": second, "applying": "", "applied": first, "good": first, "bad": ""}
    fleet.rows = [row("web1", "start"), row("web2")]
    fleet.after = {"deploy": [row("web1"), row("web2")]}
    result, cycle = run(site, windows=CLOSED)
    assert (result.word, cycle.mended) == (outcome.WAITING, ["web1"])


def test_a_commit_that_does_harm_is_undone_and_not_tried_again(site: Site, fleet: Fleet) -> None:
    good = site.commit()
    run(site)
    bad = site.commit(message="A bad version")
    ill = row("web1", health="unhealthy", fault="unit web.service failed:\nlong log")
    fleet.after = {bad: [ill, row("web2")], good: [row("web1"), row("web2")]}
    fleet.names()
    result, cycle = run(site)
    assert (result.word, fleet.names()) == (outcome.UNDONE, [*APPLIES, *LOOKS, "site", *LOOKS])
    assert (
        "1 of 2 appliances are healthy, 90% must be. Not healthy since this commit: web1 (unit web.service failed)"
        in result.reason
    )
    assert f"git revert --no-edit {bad[:12]}" in result.reason
    assert commits(cycle) == {"accepted": bad, "applying": "", "applied": good, "good": good, "bad": bad}
    # The commit need not say which version that was.
    runs = {"app": {"name": "site", "version": "1-1"}}
    assert fleet.variables[-2]["store_versions"] == {"web1": runs, "web2": runs}
    result, cycle = run(site)
    assert (result.word, fleet.names()) == (outcome.UNDONE, LOOKS)
    better = site.commit(message="A better version")
    result, cycle = run(site)
    assert (result.word, commits(cycle)["good"]) == (outcome.APPLIED, better)


def test_one_that_is_well_again_at_the_second_look(site: Site, fleet: Fleet) -> None:
    site.commit()
    run(site)
    second = site.commit(message="Second")
    fleet.after = {second: [row("web1", health="unhealthy"), row("web2")]}
    looks = iter([[row("web1", health="unhealthy"), row("web2")], [row("web1"), row("web2")]])

    def recover(settings: t.Any, playbook: str, checkout: t.Any, **variables: t.Any) -> playbooks.Played:
        if playbook == "deploy_plan" and fleet.rows[0]["health"] != "healthy":
            fleet.rows = next(looks)
        return fleet.run(settings, playbook, checkout, **variables)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playbooks, "run", recover)
        result, cycle = run(site)
    assert (result.word, commits(cycle)["good"]) == (outcome.APPLIED, second)


def test_what_was_ill_before_is_not_held_against_a_commit(site: Site, fleet: Fleet) -> None:
    fleet.rows = [row("web1", health="unhealthy", fault="disk"), row("web2")]
    site.commit()
    assert run(site)[0].word == outcome.APPLIED
    fleet.rows = [row("web1", health="unhealthy"), row("web2"), row("web3", "unknown", health="unknown")]
    site.commit(message="Second")
    assert run(site)[0].word == outcome.APPLIED


def test_a_new_appliance_that_never_gets_well_is_held_against_a_commit(site: Site, fleet: Fleet) -> None:
    """Status calls what is wanted and not there unhealthy: that is not what it was before."""
    good = site.commit()
    run(site)
    bad = site.commit(message="One more")
    fleet.rows = [row("web1"), row("web2"), row("web3", "create", state="absent", health="unhealthy")]
    fleet.after = {bad: [row("web1"), row("web2"), row("web3", health="unhealthy")], good: [row("web1"), row("web2")]}
    result, cycle = run(site)
    assert (result.word, commits(cycle)["applied"]) == (outcome.UNDONE, good)


def test_the_first_commit_does_harm(site: Site, fleet: Fleet) -> None:
    commit = site.commit()
    fleet.after = {commit: [row("web1", health="unhealthy"), row("web2")]}
    result, cycle = run(site)
    assert result.word == outcome.FAILED
    assert "no commit before it was good" in result.reason
    assert commits(cycle) == {"accepted": commit, "applying": "", "applied": commit, "good": "", "bad": commit}
    assert run(site)[0].word == outcome.FAILED


def test_harm_that_shows_only_later(site: Site, fleet: Fleet) -> None:
    first = site.commit()
    run(site)
    second = site.commit(message="Leaks")
    _result, cycle = run(site, settle="1h")
    assert commits(cycle)["good"] == first
    fleet.rows = [row("web1", health="unhealthy"), row("web2")]
    fleet.after = {first: [row("web1"), row("web2")]}
    result, cycle = run(site, settle="1h")
    assert result.word == outcome.UNDONE
    assert (commits(cycle)["bad"], commits(cycle)["applied"]) == (second, first)


def test_the_way_back_leads_past_what_was_not_known_to_be_good(site: Site, fleet: Fleet) -> None:
    good = site.commit()
    run(site, settle="0s")
    newer = [row(name, runs={"app": {"name": "site", "version": "2-2"}}) for name in ("web1", "web2")]
    fleet.after = {site.commit(message="Newer"): newer}
    assert commits(run(site, settle="1h")[1])["good"] == good
    fleet.after = {
        site.commit(message="Bad"): [row("web1", health="unhealthy"), newer[1]],
        good: [row("web1"), row("web2")],
    }
    result, _cycle = run(site, settle="1h")
    assert result.word == outcome.UNDONE
    assert {each["app"]["version"] for each in fleet.variables[-2]["store_versions"].values()} == {"1-1"}


class Killed(BaseException):
    """As SIGKILL would: nothing catches it."""


def kill_in(fleet: Fleet, monkeypatch: pytest.MonkeyPatch, commit: str) -> None:
    def die(settings: t.Any, playbook: str, checkout: t.Any, **variables: t.Any) -> playbooks.Played:
        if (playbook, checkout.name) == ("site", commit):
            raise Killed
        return fleet.run(settings, playbook, checkout, **variables)

    monkeypatch.setattr(playbooks, "run", die)


def test_killed_in_the_middle_of_an_apply(site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    first = site.commit()
    run(site)
    second = site.commit(message="Second")
    kill_in(fleet, monkeypatch, second)
    with pytest.raises(Killed):
        run(site)
    kept = ledger.read(site.settings().state)
    assert (ledger.commit_of(kept.applying), ledger.commit_of(kept.applied)) == (second, first)
    # It goes on with it, though the branch has moved to something that nobody signed, and no window is open.
    monkeypatch.setattr(playbooks, "run", fleet.run)
    site.commit("", message="Not signed")
    fleet.names()
    fleet.rows = [row("web1", health="unhealthy"), row("web2")]  # what was half applied
    fleet.after = {second: [row("web1"), row("web2")]}
    result, cycle = run(site, limits={"restart": 0}, windows=CLOSED)
    assert (result.word, fleet.names()) == (outcome.REFUSED, APPLIES)
    assert commits(cycle)["applied"] == second


def test_killed_in_the_middle_of_undoing(site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    good = site.commit()
    run(site)
    bad = site.commit(message="Bad")
    fleet.after = {bad: [row("web1", health="unhealthy"), row("web2")]}
    kill_in(fleet, monkeypatch, good)
    with pytest.raises(Killed):
        run(site)
    monkeypatch.setattr(playbooks, "run", fleet.run)
    fleet.names()
    _result, cycle = run(site, dry=True)
    planned = cycle.remarks[-1]
    assert (planned.word, fleet.names()) == (outcome.PLANNED, [])
    assert planned.reason.startswith(f"{bad[:12]} is undone, the fleet goes back to {good[:12]}: 1 of 2 appliances are")
    # What the good one leaves is not judged: there is nothing to go back to.
    fleet.after = {good: [row("web1", health="unhealthy"), row("web2")]}
    result, cycle = run(site)
    assert (result.word, fleet.names()) == (outcome.UNDONE, ["site", "deploy_plan"])
    assert commits(cycle) == {"accepted": bad, "applying": "", "applied": good, "good": good, "bad": bad}


def test_an_apply_that_fails_is_tried_again(site: Site, fleet: Fleet) -> None:
    commit = site.commit()
    fleet.fails = {"site": "node1: did not answer"}
    result, cycle = run(site)
    assert (result.word, commits(cycle)["applying"]) == (outcome.FAILED, commit)
    since = cycle.ledger.error["since"] if cycle.ledger.error else ""
    result, cycle = run(site)
    assert cycle.ledger.error
    assert (result.word, cycle.ledger.error["since"]) == (outcome.FAILED, since)
    fleet.fails = {}
    result, cycle = run(site)
    assert (result.word, commits(cycle)["good"], cycle.ledger.error) == (outcome.APPLIED, commit, None)


def test_drift_is_undone_reported_or_left_alone(site: Site, fleet: Fleet) -> None:
    site.commit()
    run(site)
    fleet.rows = [
        row("db1", "change", drift="report"),
        row("old", "remove"),
        row("test", "paused"),
        row("web1", "restart"),
        row("web2"),
    ]
    fleet.findings = [{"node": "node1", "appliance": "web2", "sentence": "a file in /usr was changed"}]
    fleet.after = {"remove": [fleet.rows[0], fleet.rows[2], row("web1"), row("web2")]}
    fleet.names()
    fleet.variables.clear()
    result, cycle = run(site)
    assert fleet.names() == ["deploy_plan", "deploy", "remove", "deploy_plan"]
    assert fleet.variables[1:3] == [{"store_only": ["web1"]}, {"remove": "old"}]
    assert cycle.mended == ["old", "web1"]
    assert {each["name"]: each["differences"] for each in decide.find_drift(cycle.plan)} == {
        "db1": ["change db1"],
        "web2": ["a file in /usr was changed"],
    }
    assert (result.word, "db1, web2" in result.reason) == (outcome.DRIFTED, True)


def test_a_node_that_does_not_answer_is_no_drift_and_not_well(site: Site, fleet: Fleet) -> None:
    commit = site.commit()
    run(site)
    fleet.nodes["node2"] = {"problem": "it did not answer:\nssh says more", "steps": []}
    fleet.rows.append(row("web3", "unknown", node="node2", health="unknown"))
    result, cycle = run(site)
    assert (result.word, decide.find_drift(cycle.plan), commits(cycle)["good"]) == (outcome.FAILED, [], commit)
    assert result.reason == "not all of the fleet could be looked at: node2: it did not answer"


def test_findings_that_are_of_no_appliance(site: Site, fleet: Fleet) -> None:
    site.commit()
    run(site)
    fleet.findings = [
        {"node": "node1", "appliance": "", "sentence": "a file in the store was changed"},
        {"node": "node2", "appliance": "web1", "sentence": "another one of that name"},
    ]
    result, cycle = run(site)
    assert result.reason == "node1: a file in the store was changed\nnode2 web1: another one of that name"
    assert decide.find_drift(cycle.plan) == []


def test_drift_of_a_node_is_undone_with_any_appliance(site: Site, fleet: Fleet) -> None:
    site.commit()
    run(site)
    fleet.nodes = {
        "node1": {"problem": "", "steps": ["update the list of what network strata0 lets through"]},
        "node2": {"problem": "", "steps": ["update the list of what network strata0 lets through"]},
    }
    db1 = row("db1", "change", node="node3", drift="report")
    fleet.rows = [db1, row("old", "stray"), row("web1", drift="report"), row("web2")]
    fleet.variables.clear()
    fleet.names()
    _result, cycle = run(site)
    assert (fleet.names(), fleet.variables[1]) == (["deploy_plan", "deploy", "deploy_plan"], {"store_only": ["web1"]})
    # Nothing was undone here: all is still told.
    said = "update the list of what network strata0 lets through"
    assert cycle.remarks == [
        (outcome.DRIFTED, f"not as {cycle.commit[:12]} says: db1, old"),
        (outcome.DRIFTED, f"node1: {said}\nnode2: {said}"),
    ]
    assert cycle.mended == []
    fleet.rows[3] = row("web2", "start")
    run(site)
    assert fleet.variables[-2] == {"store_only": ["web2"]}


def test_drift_of_a_node_that_is_only_told(site: Site, fleet: Fleet) -> None:
    site.commit()
    run(site)
    fleet.nodes["node1"]["steps"] = ["update a list"]
    cases = (
        [row("db1", "create", drift="report"), row("web1")],  # the list is to have db1, whatever is deployed besides
        [row("web1", "paused"), row("web2", steps=["wait until web2 is healthy"])],
    )
    for fleet.rows in cases:
        fleet.names()
        result, cycle = run(site)
        assert (result.word, fleet.names()) == (outcome.DRIFTED, LOOKS)
        assert "node1: update a list" in [remark.reason for remark in cycle.remarks]


def test_a_dry_run_tells_of_an_undoing_that_is_due(site: Site, fleet: Fleet) -> None:
    first = site.commit()
    run(site)
    second = site.commit(message="It takes a while to do harm")
    run(site, settle="1h")
    fleet.rows = [row("web1", health="unhealthy"), row("web2")]
    result, cycle = run(site, dry=True, settle="1h")
    assert (result.word, commits(cycle)["good"]) == (outcome.PLANNED, first)
    assert f"{second[:12]}, which is applied, would be undone: 1 of 2" in result.reason


def test_a_dry_run_cannot_change_anything(site: Site) -> None:
    with pytest.raises(ValueError, match="A dry run would have run site"):
        run(site, dry=True)[1].play("site", "0" * 40)


def test_more_drift_than_may_be_undone_at_once(site: Site, fleet: Fleet) -> None:
    site.commit()
    run(site)
    fleet.rows = [row("web1", "remove"), row("web2", "remove"), row("web3")]
    fleet.names()
    result, _cycle = run(site, limits={"remove": 1})
    assert fleet.names() == LOOKS
    assert result.reason == "drift is not undone: It would remove 2 appliances (web1, web2), 1 may be"
    # What is of a node has nothing to do with that.
    fleet.nodes["node1"]["steps"] = ["update a list"]
    fleet.variables.clear()
    run(site, limits={"remove": 1})
    assert (fleet.names(), fleet.variables[1]) == (["deploy_plan", "deploy", "deploy_plan"], {"store_only": ["web3"]})


def test_a_repository_that_is_away_for_a_while(site: Site, fleet: Fleet) -> None:
    first = site.commit()
    run(site)
    site.lose()
    fleet.rows = [row("web1", "start"), row("web2")]
    fleet.after = {"deploy": [row("web1"), row("web2")]}
    result, cycle = run(site)
    assert (result.word, cycle.mended, commits(cycle)["applied"]) == (outcome.UNREACHABLE, ["web1"], first)
    assert cycle.ledger.unreachable
    since = cycle.ledger.unreachable["since"]
    assert since in result.reason
    _result, cycle = run(site)
    assert cycle.ledger.unreachable
    assert cycle.ledger.unreachable["since"] == since
    site.find()
    result, cycle = run(site)
    assert (result.word, cycle.ledger.unreachable) == (outcome.SYNCED, None)


def test_a_dry_run_remembers_and_changes_nothing(site: Site, fleet: Fleet) -> None:
    site.commit()
    run(site)
    before = ledger.read(site.settings().state)
    second = site.commit(message="Second")
    fleet.rows = [row("web1", "restart"), row("web2")]
    fleet.names()
    result, cycle = run(site, dry=True)
    assert fleet.names() == ["check", "deploy_plan"]
    assert (ledger.read(site.settings().state), cycle.commit) == (before, second)
    assert result == (outcome.PLANNED, f"{second[:12]} would restart 1 (web1)")
    gates: dict[str, dict[str, t.Any]] = {
        outcome.REFUSED: {"limits": {"restart": 0}},
        outcome.WAITING: {"windows": CLOSED},
    }
    for word, settings in gates.items():
        result, cycle = run(site, dry=True, **settings)
        assert (result.word, cycle.commit, fleet.names()) == (word, second, ["check", "deploy_plan"])


def test_a_dry_run_says_whom_it_did_not_see(site: Site, fleet: Fleet) -> None:
    commit = site.commit()
    fleet.nodes = {"node1": {"problem": "", "steps": ["update a list"]}, "node2": {"problem": "away", "steps": []}}
    result, cycle = run(site, dry=True)
    assert cycle.remarks == [
        (outcome.PLANNED, f"{commit[:12]} would change what is of no single appliance on node1"),
        (outcome.FAILED, "not all of the fleet could be looked at: node2: away"),
    ]
    assert result.word == outcome.FAILED


def test_two_at_once(site: Site) -> None:
    state = site.settings().state
    with (
        cycles.only_one(state),
        pytest.raises(Conflict, match=r"Another cycle is running \(since 20"),
        cycles.only_one(state),
    ):
        pass
    with cycles.only_one(state):
        pass


def test_a_ledger_that_cannot_be_read_ends_it(site: Site) -> None:
    state = site.settings().state
    state.mkdir()
    for text in ("", "[]", '{"format": 2}', '{"format": 1, "more": 1}'):
        (state / ledger.NAME).write_text(text)
        with pytest.raises(BadInput, match=r"ledger.json (cannot be read|was written by another version)"):
            ledger.read(state)
