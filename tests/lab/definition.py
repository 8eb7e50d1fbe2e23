"""What the lab consists of, as lab.yml says."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import tempfile
import typing as t
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
CACHE = CHECKOUT / ".cache" / "lab"


@dataclasses.dataclass(frozen=True)
class Image:
    """A node image: ``packages`` of Debian's ``suite``. ``recipe`` is everything else that decides what is in it."""

    name: str
    suite: str
    packages: tuple[str, ...]
    recipe: str

    @property
    def alias(self) -> str:
        """The image's name in the engine: another recipe is another image."""
        digest = hashlib.sha256(repr((self.suite, self.packages, self.recipe)).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine of the lab; ``group`` is '' for one that only tests use."""

    name: str
    image: Image
    address: str
    group: str


@dataclasses.dataclass(frozen=True)
class Lab:
    """The whole lab."""

    project: str
    pool: str
    pool_size: str
    network: str
    gateway: ipaddress.IPv4Interface
    machines: dict[str, Machine]

    def select(self, names: t.Sequence[str]) -> list[Machine]:
        """Return the machines of these names; all that have a group when there are none."""
        if unknown := set(names) - self.machines.keys():
            raise SystemExit(f"lab.yml has no machine {', '.join(sorted(unknown))}; it has {', '.join(self.machines)}")
        return [self.machines[name] for name in names] or [each for each in self.machines.values() if each.group]


def load(recipe: str) -> Lab:
    """Return the lab of lab.yml; ``recipe`` is what every image is made with."""
    data = yaml.safe_load((HERE / "lab.yml").read_text())
    images = {name: _image(name, data["images"], recipe) for name in data["images"]}
    machines = {
        name: Machine(name, images[each["image"]], each["address"], each.get("group", ""))
        for name, each in data["machines"].items()
    }
    network = data["network"]
    gateway = ipaddress.IPv4Interface(network["address"])
    return Lab(data["project"], data["pool"], data["pool_size"], network["name"], gateway, machines)


def write_whole(path: Path, text: str) -> None:
    """Write a file that others may be reading: they find what it was, or all of the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", delete=False) as new:
        new.write(text)
    Path(new.name).replace(path)


def _image(name: str, images: dict[str, t.Any], recipe: str) -> Image:
    body = images[name]
    parent = _image(body["extends"], images, recipe) if "extends" in body else None
    packages = (*(parent.packages if parent else ()), *body["packages"])
    return Image(name, parent.suite if parent else body["suite"], packages, recipe)
