"""What the role gitops leaves on a control node, as systemd and the program see it."""

from __future__ import annotations

import json
import typing as t

import pytest

if t.TYPE_CHECKING:
    from testinfra.host import Host

SECRETS = ("hush-the-vault", "hush-the-token", "BEGIN OPENSSH PRIVATE")
# The program's own folders; /root and /etc/ssh have keys of the test's.
PLACES = (
    "/etc/strata /etc/systemd /opt/strata/gitops/run /run/systemd/system /var/lib/strata-gitops /var/log /usr/local"
)
UNITS = ("strata-gitops.service", "strata-gitops-plan.service", "strata-gitops-accept.service")


def now(host: Host, code: int) -> str:
    done = host.run("strata-gitops now")
    assert done.rc == code, done.stdout + done.stderr
    return str(done.stdout)


def test_cycles_begin_by_themselves(host: Host) -> None:
    for unit in ("strata-gitops.timer", "strata-gitops-now.path"):
        assert host.service(unit).is_enabled
        assert host.service(unit).is_running
    assert host.file("/run/strata-gitops").mode == 0o770
    assert host.file("/run/strata-gitops").group == "strata-gitops"


@pytest.mark.parametrize("secret", SECRETS)
def test_no_file_has_a_secret_in_the_clear(host: Host, secret: str) -> None:
    assert host.run(f"grep --recursive --files-with-matches '{secret}' {PLACES}").stdout == ""
    assert host.run(f"journalctl --quiet --grep '{secret}'").stdout == ""
    assert secret not in host.check_output(f"systemctl show {' '.join(UNITS)}")


def test_secrets_are_sealed_for_root_alone(host: Host) -> None:
    folder = "/etc/strata/gitops/credentials"
    assert host.file(folder).mode == 0o700
    assert sorted(host.check_output(f"ls {folder}").split()) == [
        "node-key.cred",
        "repository-token.cred",
        "vault-password.cred",
    ]
    assert host.file(f"{folder}/node-key.cred").mode == 0o600
    decrypt = "systemd-creds decrypt --name=vault-password"
    assert host.check_output(f"{decrypt} {folder}/vault-password.cred -") == "hush-the-vault"
    assert host.run(f"{decrypt} {folder}/repository-token.cred -").rc != 0


@pytest.mark.parametrize("unit", UNITS)
def test_the_program_is_shut_in(host: Host, unit: str) -> None:
    assert host.run(f"systemd-analyze verify --man=no /etc/systemd/system/{unit}").stderr == ""
    said = host.run(f"systemd-analyze security --no-pager {unit}").stdout
    assert float(said.strip().splitlines()[-1].partition(": ")[2].split()[0]) < 2.0


def test_a_commit_is_judged_by_its_signature_and_then_by_what_it_says(host: Host) -> None:
    host.check_output("/root/commit Signed")
    said = now(host, 3)
    assert "is signed by ops@example.com" in said
    # Ansible said so, in the sandbox.
    assert "The group nodes has no host" in said
    host.check_output("/root/commit Unsigned --no-gpg-sign")
    assert "is not signed" in now(host, 3)
    assert host.run("strata-gitops plan").rc == 3


def test_everybody_reads_how_it_went(host: Host) -> None:
    now(host, 3)
    done = host.run("runuser --user nobody -- strata-gitops status --json")
    assert (done.rc, json.loads(done.stdout)["result"]) == (3, "refused")
    assert host.file("/var/lib/strata-metrics/gitops.prom").contains("strata_gitops")
    assert host.file("/var/lib/strata-gitops/runs").mode == 0o700


def test_members_of_the_group_ask_for_a_cycle(host: Host) -> None:
    host.check_output("id hook > /dev/null 2>&1 || useradd --groups strata-gitops hook")
    before = host.check_output("systemctl show --property=InvocationID strata-gitops.service")
    assert host.run("runuser --user nobody -- touch /run/strata-gitops/now").rc != 0
    host.check_output("runuser --user hook -- touch /run/strata-gitops/now")
    host.check_output("timeout 120 sh -c 'while [ -e /run/strata-gitops/now ]; do sleep 0.1; done'")
    assert host.check_output("systemctl show --property=InvocationID strata-gitops.service") != before


def test_the_program_of_a_person_says_what_it_wants(host: Host) -> None:
    assert host.run("strata-gitops accept").rc == 2
    assert host.run("runuser --user nobody -- strata-gitops now").rc == 2
