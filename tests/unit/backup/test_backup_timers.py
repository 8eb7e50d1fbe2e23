"""What a node needs to back up by itself: files and timers as data, and a program without Ansible."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import backup_main, backup_timers
from ansible_collections.strata.fleet.plugins.module_utils.backup_timers import PROGRAM, Timers, build, make_plan
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.model import Plan, Step
from ansible_collections.strata.fleet.plugins.plugin_utils.backup_program import build_program

COMMON = {"node": "node1", "wait": 60, "parallel": 2}
TIMER = "/etc/systemd/system/strata-backup@web1.timer"
JOB = "/etc/strata/backup/web1.json"
REPOSITORY = "/etc/strata/backup/repositories/near.json"


def files(schedule: str = "daily", word: str = "secret-one", names: tuple[str, ...] = ("web1",)) -> dict[str, t.Any]:
    items = [{"name": name, "repository": "near", "keep": {}, "variables": {}, "schedule": schedule} for name in names]
    return build(items, {"near": {"url": "/srv"}}, {"near": json.dumps({"password": word})}, COMMON, b"program")


def test_everything_is_there_before_its_timer_runs() -> None:
    plan = make_plan(files(), Timers({}, []))
    assert [step.sentence for step in plan.steps] == [
        f"write {REPOSITORY}",
        f"write {JOB}",
        "write /etc/systemd/system/strata-backup@.service",
        f"write {TIMER}",
        f"write {PROGRAM}",
        "have systemd read its units again",
        "start strata-backup@web1.timer",
    ]
    assert make_plan(files(), Timers(files(), ["strata-backup@web1.timer"])).steps == ()


def test_a_secret_is_only_in_a_file_that_root_reads_and_in_no_diff() -> None:
    made = files()
    holding = {path for path, file in made.items() if b"secret-one" in file.content}
    assert holding == {REPOSITORY}
    assert made[REPOSITORY].mode == 0o600
    plan = make_plan(files(word="secret-two"), Timers(made, ["strata-backup@web1.timer"]))
    assert [step.sentence for step in plan.steps] == [f"write {REPOSITORY}"]
    assert "secret" not in json.dumps([plan.before, plan.after]) + repr(plan)


def test_another_schedule_begins_at_once() -> None:
    plan = make_plan(files("hourly"), Timers(files(), ["strata-backup@web1.timer"]))
    assert [step.sentence for step in plan.steps] == [
        f"write {TIMER}",
        "have systemd read its units again",
        "start strata-backup@web1.timer",
    ]


def test_a_timer_that_somebody_stopped_is_started() -> None:
    assert [step.sentence for step in make_plan(files(), Timers(files(), [])).steps] == [
        "start strata-backup@web1.timer"
    ]


@pytest.mark.parametrize("begun", [files("hourly"), {}])
def test_what_a_run_that_was_cut_off_wrote_comes_into_force(begun: dict[str, t.Any]) -> None:
    """All files are as they should be, but systemd may not have read them."""
    running = ["strata-backup@web1.timer"] if begun else []
    plan = make_plan(begun, Timers(begun, running, is_cut=True))
    timers = ["start strata-backup@web1.timer"] if begun else []
    assert [step.sentence for step in plan.steps] == ["have systemd read its units again", *timers]


def test_a_run_that_is_cut_off_leaves_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "strata" / ".unfinished"
    monkeypatch.setattr(backup_timers, "UNFINISHED", str(note))
    file = backup_timers.File(b"x", 0o600, "")
    write = Step("", "write", "write", {"path": str(tmp_path / "units" / "file"), "file": file})
    blocked = Step("", "write", "write", {"path": str(tmp_path / "units" / "file" / "below"), "file": file})
    with pytest.raises(OSError, match="units/file"):
        backup_timers.apply(Plan((write, blocked), {}, {}))
    assert note.exists()
    backup_timers.apply(Plan((write,), {}, {}))
    assert not note.exists()


@pytest.mark.parametrize("place", ["/root/backup", "/home/ops/backup", "/run/user/0/x", "/root", "/srv/../etc/x"])
def test_a_repository_where_a_timer_can_keep_nothing(place: str) -> None:
    with pytest.raises(BadInput, match=r"Repository near is in .*: move it"):
        backup_timers.check_places({"near": {"url": place}})


def test_a_repository_elsewhere(tmp_path: Path) -> None:
    backup_timers.check_places({"near": {"url": "/srv/rootless"}, "far": {"url": "sftp:host:/root/backup"}})
    (tmp_path / "link").symlink_to("/root/backup")
    with pytest.raises(BadInput):
        backup_timers.check_places({"near": {"url": str(tmp_path / "link")}})


def test_what_nobody_needs_any_more_goes() -> None:
    both = files(names=("web1", "web2"))
    running = ["strata-backup@web1.timer", "strata-backup@web2.timer"]
    assert [step.sentence for step in make_plan(files(), Timers(both, running)).steps] == [
        "stop strata-backup@web2.timer",
        "remove /etc/strata/backup/web2.json",
        "remove /etc/systemd/system/strata-backup@web2.timer",
        "have systemd read its units again",
    ]
    gone = {step.args["path"] for step in make_plan({}, Timers(both, running)).steps if step.action == "remove"}
    assert gone == set(both)


def test_the_program_is_the_same_each_time_and_runs_without_ansible(tmp_path: Path) -> None:
    program = tmp_path / "backup.pyz"
    program.write_bytes(build_program())
    assert program.read_bytes() == build_program()
    # Isolated, in an empty folder, without site-packages: what is not in the program is not there.
    argv = [sys.executable, "-I", "-S", str(program), "nobody"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "nobody.json" in json.loads(done.stdout)["reason"]


def test_timers_that_go_off_together_wait_for_a_slot(tmp_path: Path) -> None:
    working, most = 0, 0
    lock = threading.Lock()

    def work(_number: int) -> None:
        nonlocal working, most
        with backup_main.slot(tmp_path, 2):
            with lock:
                working += 1
                most = max(most, working)
            time.sleep(0.2)
            with lock:
                working -= 1

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(work, range(5)))
    assert most == 2
