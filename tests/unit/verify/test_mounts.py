"""Mounts as data: each file in mounts/ says how a healthy appliance's mountinfo was changed, and what is found."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.strata.fleet.plugins.module_utils import mounts

HERE = Path(__file__).parent
CASES = sorted((HERE / "mounts").glob("*.yml"))
NODE = mounts.parse((HERE / "mounts" / "node.mountinfo").read_text())
LAYERS = "/var/lib/strata/store/layers"
VIEW = mounts.View(
    {
        "/usr": mounts.Mapped(f"{LAYERS}/bbb/usr", True),
        "/etc": mounts.Mapped(f"{LAYERS}/bbb/etc", True),
        "/strata/sysext/nginx": mounts.Mapped(f"{LAYERS}/aaa/sysext", True),
        "/strata/confext/nginx": mounts.Mapped(f"{LAYERS}/aaa/confext", True),
        "/strata/confext/zz-config": mounts.Mapped("/var/lib/strata/store/config/g1/ccc/zz-config", True),
        "/var": mounts.Mapped("/var/lib/incus/storage-pools/strata/custom/strata_g1.var", False),
    },
    {"/usr": ("sysext", {"nginx"}), "/etc": ("confext", {"nginx", "zz-config"})},
)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    text = (HERE / "mounts" / "appliance.mountinfo").read_text()
    for old, new in case.get("replaced", {}).items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    lines = [*text.splitlines(), *case.get("added", [])]
    found = mounts.find_faults("g1", mounts.parse("\n".join(lines)), NODE, VIEW)
    assert [f"{one.where}: {one.sentence}" for one in found] == case["found"]
    assert all(one.appliance == "g1" and one.remedy for one in found)


def test_an_old_base_has_a_remedy_of_its_own() -> None:
    text = (HERE / "mounts" / "appliance.mountinfo").read_text()
    old = text.replace("/ / ro,relatime shared:301 - overlay overlay", "/root / rw,relatime - btrfs /dev/sda")
    (finding,) = mounts.find_faults("g1", mounts.parse(old), NODE, VIEW)
    assert finding.remedy == mounts.PATCH


def test_blanks_in_paths() -> None:
    (mount,) = mounts.parse(r"1 2 0:3 /a\040b /c\011d rw - tmpfs none rw")
    assert (mount.root, mount.point) == ("/a b", "/c\td")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/var/lib/strata/store/x", ("0:41", "/node/rootfs/var/lib/strata/store/x")),
        ("/var/lib/incus/storage-pools/strata/custom/v", ("0:41", "/node/rootfs/var/lib/strata/pool/custom/v")),
        ("/", ("0:41", "/node/rootfs")),
        ("/run/x", ("0:50", "/x")),
    ],
)
def test_locate(path: str, place: tuple[str, str]) -> None:
    assert mounts.locate(path, NODE) == place
