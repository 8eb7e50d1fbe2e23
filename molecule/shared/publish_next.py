"""Copy a depot, and publish what its app nginx is once more there, as a newer version: publish_next.py DEPOT COPY."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ansible_collections.strata.fleet.plugins.module_utils import manifests
from ansible_collections.strata.fleet.plugins.module_utils.depots import Depot


def main() -> None:
    """Leave the copy, in place of one that is there."""
    source, target = map(Path, sys.argv[1:])
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("work", "S.*"))
    depot = Depot(str(target))
    current = depot.repo.rev("app/nginx/stable") or ""
    manifest = depot.repo.manifest(current)
    manifest["version"] += ".next"
    depot.repo.commit_tree(
        current,
        refs=["app/nginx/stable", f"app/nginx/{manifest['version']}"],
        metadata={manifests.MANIFEST_KEY: manifests.encode(manifest)},
        gpg_key=depot.fingerprint() or "",
        gpg_home=str(depot.gpg_home),
    )
    depot.update_summary()


if __name__ == "__main__":
    main()
