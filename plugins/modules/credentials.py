# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have secrets on a machine that only units of its systemd can read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: credentials
short_description: Have secrets on a machine that only units of its systemd can read
version_added: 0.1.0
description:
  - Seals each secret with C(systemd-creds) by a key of the machine, for C(LoadCredentialEncrypted=) of a unit. The file
    is worth nothing elsewhere, nor under another name.
  - A secret that is sealed already is opened to compare it, and neither logged nor returned.
  - Sealed files of other names in the folder are removed.
options:
  folder:
    description: The folder of the sealed files, C(NAME.cred). Only root can look into it.
    type: path
    required: true
  secrets:
    description: The secrets by name, as a text of JSON. An empty one is not kept. Each ends with one line break.
    type: str
    required: true
  key:
    description:
      - What the secrets are sealed with, as C(--with-key) of systemd-creds(1) has it. What is sealed already stays.
    type: str
    choices: [auto, host, tpm2]
    default: auto
requirements:
  - systemd 250 or newer on the machine
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Tells names, never what they are.
    support: full
  idempotent:
    description: Running it twice changes nothing the second time.
    support: full
"""

EXAMPLES = r"""
- name: Have the password of Ansible Vault, and nothing else
  strata.fleet.credentials:
    folder: /etc/strata/gitops/credentials
    secrets: "{{ {'vault-password': vault_password_of_this_site} | to_json }}"
"""

RETURN = r"""
names:
  description: The secrets that are there then.
  returned: success
  type: list
  elements: str
  sample: [vault-password]
steps:
  description: What was done, or would be in check mode, a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["seal vault-password"]
"""

import json
import os
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import command, runner
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput, StrataError
from ansible_collections.strata.fleet.plugins.module_utils.model import Step

SPEC = {
    "folder": {"type": "path", "required": True},
    # One text: of a dict, Ansible would take each value for a secret word, and cut it out of all that is returned.
    "secrets": {"type": "str", "required": True, "no_log": True},
    "key": {"type": "str", "choices": ["auto", "host", "tpm2"], "default": "auto", "no_log": False},
}
SUFFIX = ".cred"
ONLY_ROOT = 0o600


def parse(text: str) -> dict[str, str]:
    """Return the secrets that are to be kept. Raises BadInput, with nothing of them."""
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise BadInput("secrets is no JSON object of texts: give it as \"{{ {'name': value} | to_json }}\"")
    strange = [name for name in given if not name.replace("-", "").isalnum()]
    if strange:
        raise BadInput(f"{strange[0]!r} cannot name a secret: letters, digits and '-' can")
    # ssh reads no key whose last line does not end, and a lookup takes line ends away.
    return {name: value.rstrip("\n") + "\n" for name, value in given.items() if value.strip()}


def read(folder: Path) -> dict[str, str | None]:
    """Return the secrets that the folder has, None for one that cannot be opened here, or that others could read."""
    return {path.name.removesuffix(SUFFIX): _open(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}


def _open(path: Path) -> str | None:
    about = path.stat()
    if about.st_mode & 0o7777 != ONLY_ROOT or about.st_uid != os.geteuid():
        return None
    done = command.call(["systemd-creds", "decrypt", f"--name={path.name.removesuffix(SUFFIX)}", str(path), "-"])
    return done.stdout if done.returncode == 0 else None


def plan(want: t.Mapping[str, str], have: t.Mapping[str, str | None]) -> list[Step]:
    """Return the steps. Pure."""
    changed = [name for name, value in sorted(want.items()) if have.get(name) != value]
    gone = sorted(set(have) - set(want))
    steps = [Step("", "seal", f"seal {name}", {"name": name}) for name in changed]
    return steps + [Step("", "remove", f"remove {name}", {"name": name}) for name in gone]


def apply(steps: t.Iterable[Step], folder: Path, want: t.Mapping[str, str], key: str) -> None:
    """Carry the steps out."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for step in steps:
        name = step.args["name"]
        path = folder / f"{name}{SUFFIX}"
        if step.action == "remove":
            path.unlink()
            continue
        argv = ["systemd-creds", "encrypt", f"--name={name}", f"--with-key={key}", "-", "-"]
        new = folder / f".{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, ONLY_ROOT), "w") as file:
            file.write(command.run(argv, stdin=want[name]))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)


def work(params: dict[str, t.Any], check_mode: bool) -> runner.Result:
    """Want, have, plan, apply, report."""
    folder, want = Path(params["folder"]), parse(params["secrets"])
    have = read(folder)
    steps = plan(want, have)
    if steps and not check_mode:
        apply(steps, folder, want, params["key"])
        left = plan(want, read(folder))
        if left:
            sentences = "; ".join(step.sentence for step in left)
            raise StrataError(f"{folder} did not keep what was sealed, so the machine's key may not last: {sentences}")
    changed = {step.args["name"] for step in steps}
    return runner.Result(
        changed=bool(steps),
        steps=[step.sentence for step in steps],
        before={name: "another" if name in changed else "sealed" for name in have},
        after=dict.fromkeys(want, "sealed"),
        facts={"names": sorted(want)},
    )


def main() -> None:
    """Run the module."""
    runner.run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
