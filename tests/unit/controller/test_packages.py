"""Which appliances run a package: found by name, and by age as Debian compares versions."""

from __future__ import annotations

import itertools
import json

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.modules.packages_info import choose
from ansible_collections.strata.fleet.plugins.plugin_utils.packages import (
    draw_packages,
    find_packages,
    find_unanswered,
    read_version,
    say_packages,
)

LAYERS = {
    "base": {"name": "debian-13", "version": "13.1", "commit": "b1"},
    "app": {"name": "nginx", "version": "1.1", "commit": "a1"},
}
FOUND = {
    "node2": {"msg": "no route to host", "unreachable": True},
    "node1": {
        "appliances": {
            "web2": {**LAYERS, "base": {"name": "debian-13", "version": "13.2", "commit": "b2"}},
            "web1": LAYERS,
        },
        "packages": {
            "b1": {"openssl": "3.5.4-1~deb13u1"},
            "b2": {"openssl": "3.5.4-1"},
            "a1": {"libssl3t64": "3.5.4-1"},
        },
    },
}
# From the lowest to the highest, by deb-version(7).
ORDER = ["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-0.1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b1", "1.0-10", "1.0a", "1:0.1"]


def test_every_package_of_every_appliance_is_a_row() -> None:
    rows = find_packages(FOUND, "")
    assert [(row["appliance"], row["package"], row["layer"]) for row in rows] == [
        ("web1", "libssl3t64", "app nginx 1.1"),
        ("web1", "openssl", "base debian-13 13.1"),
        ("web2", "libssl3t64", "app nginx 1.1"),
        ("web2", "openssl", "base debian-13 13.2"),
    ]


def test_only_older_versions_where_they_are_asked_for() -> None:
    rows = find_packages(FOUND, "3.5.4-1")
    assert [(row["appliance"], row["version"]) for row in rows] == [("web1", "3.5.4-1~deb13u1")]
    assert say_packages(rows, {}, "3.5.4-1") == "1 appliance has it in a version before 3.5.4-1."


def test_a_node_that_does_not_answer_is_named() -> None:
    unanswered = find_unanswered(FOUND)
    assert unanswered == {"node2": "no route to host"}
    assert draw_packages([], unanswered) == "node2 did not answer: no route to host"
    assert say_packages([], unanswered, "") == "No appliance has it; node2 did not answer."


def test_the_table_names_the_layer() -> None:
    lines = draw_packages(find_packages(FOUND, "3.5.4-1"), {}).splitlines()
    assert " ".join(lines[-1].split()) == "web1 node1 openssl 3.5.4-1~deb13u1 base debian-13 13.1"


def test_rows_are_json() -> None:
    rows = find_packages(FOUND, "")
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.parametrize(("lower", "higher"), list(itertools.combinations(ORDER, 2)))
def test_versions_compare_as_debian_does(lower: str, higher: str) -> None:
    assert read_version(lower) < read_version(higher)


@pytest.mark.parametrize("text", ["", "1 0", "1.0_1", "a:1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is not a version as Debian writes them"):
        read_version(text)


def test_names_are_patterns_and_sources_count_as_well() -> None:
    packages = {"libssl3t64": "1", "openssl": "2", "zlib1g": "3"}
    sources = {"libssl3t64": "openssl"}
    assert choose(packages, sources, ["lib*"]) == {"libssl3t64": "1"}
    assert choose(packages, sources, ["openssl"]) == {"libssl3t64": "1", "openssl": "2"}
    assert choose(packages, {}, ["*"]) == packages
