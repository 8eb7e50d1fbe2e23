"""From faults, waivers and a day to verdicts and refusals."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import judging, model
from ansible_collections.strata.fleet.plugins.module_utils.lockdown.model import Facts, Fault, Moot, Rule, Unknown

TODAY = "2026-11-22"
MANIFESTS = {"base": {"commit": "b1"}, "app": {"commit": "a1", "vendor": "Example Ltd"}}
FACTS = Facts("web1", manifests=MANIFESTS)
TWO = (Fault("/usr/bin/su", "set-uid root", "none", "base"), Fault("/usr/bin/app", "set-uid root", "none", "app"))


def rule(outcome: t.Any, place: str = model.TREE) -> Rule:
    def check(_facts: Facts, _value: t.Any) -> t.Iterable[Fault]:
        if isinstance(outcome, Exception):
            raise outcome
        return t.cast("t.Iterable[Fault]", outcome)

    return Rule("setuid-files", place, model.ONLY, model.HIGH, "No set-uid files", "Strip the bit", check)


def court(*waivers: dict[str, str], mode: str = "enforce", action: str = "refuse") -> judging.Court:
    policy = {
        "digest": "d",
        "names": ["site"],
        "mode": mode,
        "rules": {"setuid-files": {"value": [], "severity": "high"}},
        "actions": {"high": action},
    }
    return judging.Court(policy, waivers, {"web1", "web"}, TODAY)


def waiver(expires: str = TODAY, subject: str = "web1", **more: str) -> dict[str, str]:
    return {"control": "setuid-files", "subject": subject, "expires": expires, **more}


def judge(outcome: t.Any, own: judging.Court, place: str = model.TREE) -> model.Verdict:
    (verdict,) = judging.judge(FACTS, [rule(outcome, place)], own)
    return verdict


def test_what_follows_from_digests_is_guaranteed_for_them() -> None:
    verdict = judge((), court())
    assert (verdict.status, verdict.digests) == ("guaranteed", ("b1", "a1"))
    assert judge((), court(), model.LIVE).status == "pass"


@pytest.mark.parametrize(
    ("waivers", "status", "left"),
    [
        ((), "fail", 2),
        ((waiver(),), "waived", 2),
        ((waiver(subject="web"),), "waived", 2),
        ((waiver(subject="web2"),), "fail", 2),
        ((waiver(what="/usr/bin/su"),), "fail", 1),
        ((waiver(what="/usr/bin/su"), waiver(what="*/app")), "waived", 2),
        ((waiver("2026-11-21"),), "expired", 2),
        ((waiver("2026-11-21", what="/usr/bin/su"), waiver(what="*/app")), "expired", 1),
        ((waiver("2026-11-21"), waiver()), "waived", 2),
    ],
)
def test_a_waiver_covers_what_it_names_until_its_day_is_over(
    waivers: tuple[dict[str, str], ...], status: str, left: int
) -> None:
    verdict = judge(TWO, court(*waivers))
    assert (verdict.status, len(verdict.faults)) == (status, left)


def test_a_verdict_names_those_who_can_mend_it() -> None:
    assert judge(TWO, court()).owners == ("Example Ltd", "IT")
    assert judge([Fault("security.privileged", "true", "false")], court()).owners == ("operators",)


def test_what_cannot_be_told_is_refused_where_the_policy_enforces() -> None:
    verdict = judge(Unknown("no facts"), court())
    assert (verdict.status, verdict.reason) == ("unknown", "no facts")
    assert judging.is_refusal(verdict, court().policy)
    assert not judging.is_refusal(verdict, court(mode="audit").policy)
    told = judge(Unknown("no facts"), court(action="report"))
    assert not judging.is_refusal(told, court().policy)


def test_what_is_moot_says_why_and_refuses_nothing() -> None:
    verdict = judge(Moot("there is no sshd"), court())
    assert (verdict.status, verdict.reason) == ("not_applicable", "there is no sshd")
    assert not judging.is_refusal(verdict, court().policy)


def test_a_refusal_names_appliance_rule_value_what_is_allowed_and_owner() -> None:
    own = court(waiver("2026-11-21", what="/usr/bin/su"))
    (sentence,) = judging.explain(judge(TWO[:1], own), rule(()), own.policy)
    assert sentence == (
        "Appliance web1: /usr/bin/su is set-uid root, and rule setuid-files of policy site allows none. "
        "Strip the bit (IT). Its waiver expired on 2026-11-21."
    )


def test_many_faults_of_a_kind_are_cut_and_counted() -> None:
    verdict = judge([Fault(f"/usr/bin/{number}", "set-uid", "none", "base") for number in range(25)], court())
    assert (len(verdict.faults), verdict.reason) == (20, "5 more of this kind")


def test_rules_that_the_policy_does_not_ask_for_are_not_judged() -> None:
    own = court()._replace(policy={**court().policy, "rules": {}})
    assert judging.judge(FACTS, [rule(TWO)], own) == []


@pytest.mark.parametrize("error", [KeyError("ipv4.address"), TypeError("no"), ValueError("no"), AttributeError("no")])
def test_facts_of_a_strange_shape_are_unknown_and_stop_nothing(error: Exception) -> None:
    verdict = judge(error, court())
    assert (verdict.status, verdict.owners) == ("unknown", ("operators",))
    assert type(error).__name__ in verdict.reason
    assert judging.is_refusal(verdict, court().policy)
