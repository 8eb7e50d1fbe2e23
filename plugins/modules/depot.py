# Copyright (c) 2026, The Strata authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set up a depot: its key, what it mirrors and what it keeps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: depot
short_description: Set up a depot, mirror vendors' depots into it and prune it
version_added: 0.1.0
description:
  - A depot is a folder on one host. Its C(repo) is an OSTree repository of static files, which nodes read directly or
    over HTTP(S); C(gnupg) has the key that signs; C(work) is for builds.
  - Vendors' depots are mirrored after the signature of each version was verified by that vendor's own key, so that a
    site's nodes talk to one provider. Versions keep their vendor's signature.
  - Old versions are dropped, except those that a channel names.
options:
  path:
    description: The depot's folder.
    type: path
    required: true
  signer:
    description: The name in the signing key that is made when there is none.
    type: str
    default: Strata depot
  key_file:
    description:
      - A file on the host with the private key to sign with, without a passphrase. Without it a key is made.
      - Versions that are published already keep their signatures.
    type: path
  mirrors:
    description: Vendors' depots to take versions over from.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the vendor is called here.
        type: str
        required: true
      url:
        description: The address of the vendor's repository.
        type: str
        required: true
      key:
        description: The vendor's public key, armored.
        type: str
        required: true
      refs:
        description: Which refs to take over, as shell patterns.
        type: list
        elements: str
        default: ["app/*/*"]
  keep:
    description: How many versions of each base and app to keep besides those that a channel names. V(0) keeps all.
    type: int
    default: 5
requirements:
  - ostree and gpg on the host
author:
  - The Strata authors (@strata-fleet)
attributes:
  check_mode:
    description: Can run in check mode and tell what would change.
    support: full
  diff_mode:
    description: Tells the refs before and after.
    support: full
  idempotent:
    description: Running it twice changes nothing the second time.
    support: full
seealso:
  - module: strata.fleet.depot_info
"""

EXAMPLES = r"""
- name: A depot that also offers what a vendor publishes
  strata.fleet.depot:
    path: /var/lib/strata/depot
    mirrors:
      - name: acme
        url: https://depot.acme.example/repo
        key: "{{ lookup('ansible.builtin.file', 'keys/acme.asc') }}"
        refs: [app/crm/*]
    keep: 3
"""

RETURN = r"""
depot:
  description: The depot as it is, or in check mode would be.
  returned: success
  type: dict
  contains:
    path:
      description: The depot's folder.
      type: str
      sample: /var/lib/strata/depot
    repository:
      description: What nodes read.
      type: str
      sample: /var/lib/strata/depot/repo
    public_key_file:
      description: The file with the public key.
      type: str
      sample: /var/lib/strata/depot/site.asc
    public_key:
      description: The public key, armored.
      type: str
      sample: "-----BEGIN PGP PUBLIC KEY BLOCK-----..."
    fingerprint:
      description: The signing key's fingerprint.
      type: str
      sample: 0123456789ABCDEF0123456789ABCDEF01234567
    refs:
      description: Commits by ref.
      type: dict
      sample: {"base/debian-13/stable": "2da192f84a4bff6f828a7534b12d1bfb46a393479f5f999579c416dca9e56b3d"}
    mirrors:
      description: Addresses of mirrored depots by vendor.
      type: dict
      sample: {"acme": "https://depot.acme.example/repo"}
steps:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ["make the repository /var/lib/strata/depot/repo", "make a signing key for Strata depot"]
"""

import os
import pathlib
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.strata.fleet.plugins.module_utils import depots
from ansible_collections.strata.fleet.plugins.module_utils import mirrors as mirror_plans
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot
from ansible_collections.strata.fleet.plugins.module_utils.mirrors import Mirror
from ansible_collections.strata.fleet.plugins.module_utils.runner import Result, run

Step = tuple[str, t.Callable[[], None]]


def argument_spec() -> dict[str, t.Any]:
    mirror = {
        "name": {"type": "str", "required": True},
        "url": {"type": "str", "required": True},
        "key": {"type": "str", "required": True, "no_log": False},
        "refs": {"type": "list", "elements": "str", "default": ["app/*/*"]},
    }
    return {
        "path": {"type": "path", "required": True},
        "signer": {"type": "str", "default": "Strata depot"},
        "key_file": {"type": "path", "no_log": False},
        "mirrors": {"type": "list", "elements": "dict", "default": [], "options": mirror},
        "keep": {"type": "int", "default": 5},
    }


def plan_setup(depot: Depot, signer: str, key_file: str | None) -> t.Iterator[Step]:
    if not (depot.repo.exists() and depot.gpg_home.is_dir() and depot.work.is_dir()):
        yield f"make the repository {depot.repo.path}", depot.make_folders
    if key_file:
        wanted = depots.fingerprint_of(pathlib.Path(key_file))
        if depot.fingerprint() != wanted:
            yield f"sign with the key {wanted}", lambda: depot.take_key(key_file)
    elif depot.fingerprint() is None:
        yield f"make a signing key for {signer}", lambda: depot.make_key(signer)


def plan_content(depot: Depot, mirrors: t.Sequence[Mirror], keep: int) -> tuple[list[Step], dict[str, str]]:
    """Return the steps, and the refs as they are afterwards."""
    present = depot.repo.refs()
    incoming = mirror_plans.plan([(mirror, depot.look(mirror)) for mirror in mirrors], present)
    after = {**present, **{ref: commit for ref, (_mirror, commit) in incoming.items()}}
    old = depots.plan_prune(after, keep) if keep else []
    steps: list[Step] = [
        (f"mirror {ref} of {mirror.name} ({commit[:12]})", fetcher(depot, mirror, ref, commit))
        for ref, (mirror, commit) in incoming.items()
        if ref not in old
    ]
    steps += [(f"drop {ref}", dropper(depot, ref)) for ref in old if ref in present]
    if any(ref in present for ref in old):
        steps.append(("delete what nothing names any more", depot.repo.prune))
    return steps, {ref: commit for ref, commit in sorted(after.items()) if ref not in old and ":" not in ref}


def fetcher(depot: Depot, mirror: Mirror, ref: str, commit: str) -> t.Callable[[], None]:
    return lambda: depot.fetch(mirror, ref, commit)


def dropper(depot: Depot, ref: str) -> t.Callable[[], None]:
    return lambda: depot.drop(ref)


def read_mirrors(given: t.Sequence[t.Mapping[str, t.Any]]) -> list[Mirror]:
    mirrors = [Mirror(each["name"], each["url"], each["key"], tuple(each["refs"])) for each in given]
    mirror_plans.check(mirrors)
    return mirrors


def work(params: dict[str, t.Any], check_mode: bool) -> Result:
    os.umask(0o022)
    depot = Depot(params["path"])
    mirrors = read_mirrors(params["mirrors"])
    before = depot.state()
    setup = list(plan_setup(depot, params["signer"], params["key_file"]))
    if depot.work.is_dir():
        content, refs = plan_content(depot, mirrors, params["keep"])
    else:
        content, refs = [(f"mirror {', '.join(mirror.refs)} of {mirror.name}", lambda: None) for mirror in mirrors], {}
    steps = [*setup, *content]
    if steps or not depot.summary_is_current():
        steps.append(("sign a summary of what there is", depot.update_summary))
    if not check_mode and steps:
        apply(depot, setup, mirrors, params["keep"])
    after = {**before, "refs": refs} if check_mode else depot.state()
    return Result(
        bool(steps), [sentence for sentence, _call in steps], diffable(before), diffable(after), {"depot": after}
    )


def apply(depot: Depot, setup: t.Sequence[Step], mirrors: t.Sequence[Mirror], keep: int) -> None:
    for _sentence, call in setup:
        call()
    with depot.locked():
        # Planned again inside the lock (and, for a new depot, for the first time).
        for _sentence, call in plan_content(depot, mirrors, keep)[0]:
            call()
        depot.update_summary()


def diffable(state: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in state.items() if key != "public_key"}


def main() -> None:
    run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), work)


if __name__ == "__main__":
    main()
