"""How `make test` runs its parts: what fails is named, keeps its output, and stops nothing but what needs it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.tests import parts
from ansible_collections.strata.fleet.tests.integration.tools import wait_until
from ansible_collections.strata.fleet.tests.parts import Part

CHECKOUT = Path(__file__).parents[3]
# In place of make: says the targets, and fails where one is called bad.
SCRIPT = """
for target; do
    echo "this is $target"
    test "$target" != bad || exit 2
    sleep 0.3
done
"""
MAKE = ["sh", "-c", SCRIPT, "make"]
# The logs of a real run, which this test may be part of, are left alone.
MAIN = f"""
import pathlib, sys
sys.path.insert(0, {str(CHECKOUT / ".collections")!r})
from ansible_collections.strata.fleet.tests import parts
from ansible_collections.strata.fleet.tests.integration.tools import wait_until
parts.LOGS = pathlib.Path(sys.argv[1])
sys.exit(parts.main())
"""


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(parts, "LOGS", tmp_path)
    return tmp_path


def test_a_part_that_fails_stops_only_what_needs_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    given = [Part("bad"), Part("needs-bad", ("bad",)), Part("needs-that", ("needs-bad",)), Part("good better")]
    assert parts.run(given, MAKE) == {
        "bad": "failed with 2",
        "needs-bad": "not run: it needs bad",
        "needs-that": "not run: it needs needs-bad",
        "good better": "",
    }
    said = capfdbinary.readouterr().out.decode()
    assert "=== bad\nthis is bad\n=== bad: failed with 2" in said
    assert "=== good better\nthis is good\nthis is better\n=== good better: passed" in said
    assert "this is needs-bad" not in said


def test_a_need_that_no_part_meets_is_refused() -> None:
    with pytest.raises(ValueError, match="no part is called gone"):
        parts.run([Part("good", ("gone",))], MAKE)


def test_two_run_at_once_and_the_first_ones_first(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    began = time.monotonic()
    parts.run([Part("one"), Part("after-one", ("one",)), Part("two"), Part("three")], MAKE)
    assert time.monotonic() - began >= 0.6, "never more than two at once"
    said = [line for line in capfdbinary.readouterr().out.decode().splitlines() if line.endswith(": begins")]
    assert said[:2] == ["--- one: begins", "--- two: begins"]
    assert len(said) == 4


def test_whoever_ends_it_sees_how_far_it_came(tmp_path: Path) -> None:
    (tmp_path / "make").write_text("#!/bin/sh\nprintf 'this is %s' $3\nexec sleep 60\n")
    (tmp_path / "make").chmod(0o755)
    log = tmp_path / "logs/lint.log"
    run = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(log.parent)],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: log.exists() and "this is lint" in log.read_text(), 30)
    finally:
        run.terminate()
        said = run.communicate()[0]
    assert run.returncode == 1
    assert "this is lint\n=== lint: failed with -9" in said


def test_every_part_is_a_target_and_every_kind_of_test_a_part() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = " ".join(part.targets for part in parts.PARTS).split()
    assert all(f"\n{target}: " in makefile for target in targets)
    kinds = dict(re.findall(r"^(test-[a-z]+|lint|sanity): (.*) ##", makefile, re.MULTILINE))
    both = {kind for kind, needs in kinds.items() if set(needs.split()) <= set(targets)}
    assert both == {"test-integration"}
    assert kinds.keys() - both <= set(targets)
