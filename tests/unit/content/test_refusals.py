from __future__ import annotations

import os
import pathlib
import socket

import pytest
from ansible_collections.strata.fleet.plugins.module_utils import refusals
from ansible_collections.strata.fleet.plugins.module_utils.errors import BadInput
from ansible_collections.strata.fleet.plugins.module_utils.refusals import Problem

# In two parts, so that no tool takes this file for a key.
MARKER = "-----BEGIN %sPRIVATE KEY-----\nMC4CAQ==\n"


def problems(root: pathlib.Path) -> dict[str, str]:
    return {problem.path: problem.reason for problem in refusals.find_problems(root, "etc", setid=True)}


@pytest.fixture
def etc(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_of_any_kind(etc: pathlib.Path, kind: str) -> None:
    (etc / "server.pem").write_text("a comment\n" + MARKER % kind)
    assert "private key" in problems(etc.parent)["etc/server.pem"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("ssh_host_ed25519_key", "anything", "SSH host key"),
        ("machine-id", "0123456789abcdef0123456789abcdef\n", "identity of a machine"),
        ("shadow", "root:*:1:0:99999:7:::\napp:$y$j9T$abc$def:1::::::\n", "password's hash"),
        ("htpasswd", "admin:$2y$10$abcdefgh\n", "password's hash"),
    ],
)
def test_other_secrets(etc: pathlib.Path, name: str, content: str, reason: str) -> None:
    (etc / name).write_text(content)
    assert reason in problems(etc.parent)[f"etc/{name}"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("machine-id", ""),
        ("shadow", "root:*:1:0:99999:7:::\npostgres:!:1::::::\n"),
        ("ca.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
        ("library.so", "\0" + MARKER % ""),
        ("manual", "write the line `-----BEGIN PRIVATE KEY-----` first"),
        ("ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA"),
    ],
)
def test_what_only_looks_like_one(etc: pathlib.Path, name: str, content: str) -> None:
    (etc / name).write_text(content)
    assert problems(etc.parent) == {}


def test_what_a_layer_cannot_have(etc: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(etc / "pipe")
    monkeypatch.chdir(etc)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    found = problems(etc.parent)
    assert "a pipe" in found["etc/pipe"]
    assert "a socket" in found["etc/socket"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device(etc: pathlib.Path) -> None:
    os.mknod(etc / "null", 0o020666, os.makedev(1, 3))
    assert "a device" in problems(etc.parent)["etc/null"]


def test_set_uid_only_where_it_is_declared(etc: pathlib.Path) -> None:
    (etc / "su").write_text("#!/bin/sh\n")
    (etc / "su").chmod(0o4755)
    found = list(refusals.find_problems(etc.parent, "etc", setid=True))
    with pytest.raises(BadInput, match=r"/etc/su: it runs with the rights of its owner.*allow\.setuid"):
        refusals.refuse("tool", found)
    with pytest.raises(BadInput):
        refusals.refuse("tool", found, {"secrets": ["/etc/su"]})
    refusals.refuse("tool", found, {"setuid": ["/etc/s*"]})
    assert list(refusals.find_problems(etc.parent, "etc")) == []


def test_every_path_is_named() -> None:
    with pytest.raises(BadInput) as caught:
        refusals.refuse("tool", [Problem("usr/b", "why b"), Problem("etc/a", "why a")])
    assert caught.value.facts["paths"] == ["/etc/a", "/usr/b"]
    assert "/etc/a: why a; /usr/b: why b" in caught.value.message
