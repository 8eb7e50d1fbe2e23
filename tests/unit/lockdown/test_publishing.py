"""What a depot's policy does not allow is refused before it becomes a version."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot, Draft
from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import admission, publishing

RULES = {"setuid-files": [], "allowed-os": ["debian 13"], "base-signers": ["site"], "published-ports": []}


def ruled(
    mode: str = "enforce", waivers: t.Sequence[dict[str, str]] = (), more: t.Mapping[str, t.Any] | None = None
) -> dict[str, t.Any]:
    policy = {
        "digest": "d",
        "names": ["site"],
        "mode": mode,
        "rules": {name: {"value": value, "severity": "high"} for name, value in {**RULES, **(more or {})}.items()},
        "actions": {"high": "refuse"},
    }
    return {"policy": policy, "waivers": list(waivers), "names": ["depot1"], "today": "2026-11-22"}


def draft_of(tmp_path: Path) -> Draft:
    tree = tmp_path / "tree"
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "usr/bin/su").write_text("#!/bin/sh\n")
    (tree / "usr/bin/su").chmod(0o4755)
    manifest = {"kind": "base", "name": "debian-13", "os": {"id": "debian", "version_id": "13"}}
    return Draft("base", "debian-13", "stable", str(tree), "13.", manifest, [], [], "", lambda _old: [])


def gate(tmp_path: Path, own: dict[str, t.Any]) -> Depot:
    depot = Depot(str(tmp_path / "depot"))
    publishing.guard(depot, own)
    return depot


def test_a_refusal_names_what_is_built_and_how_it_was_found(tmp_path: Path) -> None:
    with pytest.raises(admission.Refused) as refused:
        gate(tmp_path, ruled()).gate(draft_of(tmp_path))
    (sentence,) = refused.value.facts["refusals"]
    assert sentence.startswith("base debian-13: /usr/bin/su is")
    assert "rule setuid-files of policy site allows" in sentence
    assert "IT" in sentence


def test_an_audited_policy_and_no_policy_refuse_nothing(tmp_path: Path) -> None:
    draft = draft_of(tmp_path)
    gate(tmp_path, ruled("audit")).gate(draft)
    gate(tmp_path, {}).gate(draft)


@pytest.mark.parametrize("subject", ["base/debian-13", "depot1"])
def test_a_waiver_for_the_base_or_the_depot_lets_it_through(tmp_path: Path, subject: str) -> None:
    waiver = {"control": "setuid-files", "subject": subject, "expires": "2026-12-31"}
    gate(tmp_path, ruled(waivers=[waiver])).gate(draft_of(tmp_path))


def test_a_rule_that_this_version_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="asks for no-such-rule"):
        gate(tmp_path, ruled(more={"no-such-rule": True})).gate(draft_of(tmp_path))
