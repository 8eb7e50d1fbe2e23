# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup carries beside the files: appliance.json at the top of each snapshot, the volumes below volumes/.

/appliance.json      the record, see Record
/volumes/<volume>/   what the volume held at that moment, with owners as the engine of that node had them on disk
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.strata.fleet.plugins.module_utils.errors import ContentError
from ansible_collections.strata.fleet.plugins.module_utils.model import Composition
from ansible_collections.strata.fleet.plugins.module_utils.restic import Restic

FORMAT = 1
NAME = "appliance.json"
VOLUMES = "volumes"


class SavedVolume(t.NamedTuple):
    """A volume as it was: where the appliance has it, bytes (0: no limit), bytes that it held, where it is in a backup.

    ``idmap`` is the text of the engine's volatile.idmap.last: by which map the files' owners are shifted.
    """

    path: str
    size: int
    used: int
    idmap: str
    saved: str


class Record(t.NamedTuple):
    """What an appliance was when it was backed up. ``variables`` are the inventory's appliance_*, without secrets."""

    appliance: str
    node: str
    made: str
    composition: Composition
    state_schema: str
    variables: t.Mapping[str, t.Any]
    volumes: t.Mapping[str, SavedVolume]

    def to_text(self) -> str:
        """Return it as JSON."""
        data = {
            "format": FORMAT,
            **self._asdict(),
            "composition": self.composition.to_data(),
            "volumes": {name: volume._asdict() for name, volume in self.volumes.items()},
        }
        return json.dumps(data, indent=1, sort_keys=True) + "\n"


def saved_path(volume: str) -> str:
    """Return where a volume is in a snapshot."""
    return f"/{VOLUMES}/{volume}"


def parse(text: str, source: str) -> Record:
    """Return what ``to_text`` gave. Raises ContentError for anything else."""
    try:
        data = json.loads(text)
        found = data.pop("format")
        if found != FORMAT:
            raise ContentError(f"{source} has format {found!r}; this Strata reads format {FORMAT}: update one of them")
        volumes = {name: SavedVolume(**volume) for name, volume in data.pop("volumes").items()}
        return Record(**{**data, "composition": Composition.from_data(data["composition"]), "volumes": volumes})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ContentError(f"{source} is not a record of Strata's: {error}") from error


def read_record(restic: Restic, snapshot: str) -> Record:
    """Return what a backup says of itself."""
    return parse(restic.dump(snapshot, f"/{NAME}"), f"{NAME} in snapshot {snapshot[:8]} of {restic.repository.name}")
