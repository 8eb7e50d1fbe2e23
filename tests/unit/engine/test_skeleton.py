"""The skeleton image."""

from __future__ import annotations

import io
import tarfile

from ansible_collections.strata.fleet.plugins.module_utils import skeleton


def test_same_bytes_each_time() -> None:
    assert skeleton.build("x86_64") == skeleton.build("x86_64")


def test_fingerprint_follows_content() -> None:
    assert skeleton.fingerprint(skeleton.build("x86_64")) != skeleton.fingerprint(skeleton.build("aarch64"))


def test_has_what_the_strata_are_mapped_onto() -> None:
    with tarfile.open(fileobj=io.BytesIO(skeleton.build("x86_64"))) as archive:
        entries = {entry.name: entry for entry in archive}
    assert {"rootfs/usr", "rootfs/etc", "rootfs/var", "rootfs/strata"} <= entries.keys()
    assert entries["rootfs/sbin"].linkname == "usr/sbin"
    assert entries["rootfs/tmp"].mode == 0o1777
    assert all(entry.mtime == 0 and entry.uid == 0 for entry in entries.values())
