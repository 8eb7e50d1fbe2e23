"""What the tests of the guard share: where an instance's root is on its node, and a restart from there."""

from __future__ import annotations

import subprocess

from ansible_collections.strata.fleet.tests.integration.fleet.fleet import page
from ansible_collections.strata.fleet.tests.integration.tools import Node, wait_until

ROOT_FOLDER = "/var/lib/incus/storage-pools/strata/containers/strata_{name}/rootfs"


def restart(node: Node, name: str, *arguments: str) -> None:
    """Restart an appliance and return once it serves again."""
    node.run(f"incus restart --project strata {name} {' '.join(arguments)}")
    wait_until(lambda: serves(node, name))


def serves(node: Node, name: str) -> bool:
    """Whether the appliance answers."""
    try:
        return bool(page(node, name))
    except (subprocess.CalledProcessError, StopIteration, KeyError, TypeError):
        return False
