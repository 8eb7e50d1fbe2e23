"""What a ruleset that means to deceive lets in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils.lockdown import ruleset

CHAIN = "chain input { type filter hook input priority 0; policy drop;"
SETS = f"""
table inet own {{ set open {{ type inet_service; elements = {{ 22 }}; }}; {CHAIN} tcp dport @open accept; }}; }}
table ip own {{ set open {{ type inet_service; elements = {{ 80 }}; }}; }}
"""
DYNAMIC = f"""
table inet own {{
    set open {{ type inet_service; size 99; flags dynamic; }}
    {CHAIN} tcp dport 1-65535 add @open {{ tcp dport }}; tcp dport @open accept; }}
}}
"""


@pytest.fixture(autouse=True)
def _needs_nft() -> None:
    if not shutil.which(ruleset.PROGRAM) or ruleset.load({"/a": ""}, "/a") is None:
        pytest.skip("nft cannot be tried here")


def read(text: str) -> ruleset.Opening:
    loaded = ruleset.load({"/a": text}, "/a")
    assert loaded is not None
    assert loaded["error"] == ""
    return ruleset.read(loaded["rules"])


def test_a_set_is_that_of_its_own_table() -> None:
    assert read(SETS).ports == {(22, "tcp")}


def test_a_set_that_packets_fill_is_told_of() -> None:
    assert read(DYNAMIC).other


def test_a_table_that_sleeps_drops_nothing() -> None:
    assert not read(f"table inet own {{ flags dormant; {CHAIN} }}; }}").denies


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could read what others cannot")
@pytest.mark.parametrize("how", ['table inet a {{ }}; include "{}"', 'include "../..{}"', 'include \\\n"{}"'])
def test_no_file_of_the_node_is_read(tmp_path: Path, how: str) -> None:
    file = tmp_path / "secret"
    file.write_text("what only the node knows\n")
    loaded = ruleset.load({"/etc/a": f"{how.format(file)}\n"}, "/etc/a")
    assert loaded is not None
    assert "only the node" not in str(loaded)
    assert "rror" in loaded["error"]
