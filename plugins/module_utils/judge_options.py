# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules openscap and lynis are to look at."""

from __future__ import annotations

import contextlib
import pathlib
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils import judge_trees
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.judge_trees import Tree

JUDGE_OPTIONS: t.Mapping[str, t.Mapping[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "trees": {"type": "list", "elements": "path", "default": []},
    "depot": {"type": "path"},
    "refs": {"type": "list", "elements": "str", "default": []},
    "folder": {"type": "path"},
}


@contextlib.contextmanager
def merged(params: t.Mapping[str, t.Any], markers: t.Sequence[str] = ()) -> t.Iterator[Tree]:
    """Give what the options name, put together. Raises BadInput where they name nothing."""
    trees = [pathlib.Path(each) for each in params["trees"]]
    if bool(trees) == bool(params["refs"]) or (params["refs"] and not params["depot"]):
        raise BadInput("Give either trees, or depot and refs: what is to be judged", key="trees")
    if trees:
        with judge_trees.merged(trees, {}, markers) as tree:
            yield tree
        return
    depot = Depot(params["depot"])
    depot.require()
    with judge_trees.checked_out(depot, params["refs"]) as (checked_out, packages):  # noqa: SIM117  pylint loses track
        with judge_trees.merged(checked_out, packages, markers) as tree:
            yield tree


def result_file(params: t.Mapping[str, t.Any], word: str) -> pathlib.Path:
    """Return where a result is kept. Raises BadInput where the name would lead elsewhere."""
    if "/" in params["name"] or params["name"].startswith("."):
        raise BadInput(f"{params['name']!r} cannot be the name of files", key="name")
    return pathlib.Path(params["folder"], f"{params['name']}-{word}")


def keep(file: pathlib.Path, content: bytes) -> None:
    """Write a result, readable by its owner alone: it tells what is weak."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(content)
    unfinished.rename(file)
