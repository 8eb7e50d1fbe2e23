"""What the role configure changes of a running appliance."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from testinfra.host import Host

testinfra_hosts = ["ansible://nodes"]


def test_the_page_has_the_new_title(host: Host) -> None:
    assert "<h1>molecule</h1>" in host.check_output(
        "incus exec --project strata web1 -- cat /etc/nginx/site/index.html"
    )


def test_nginx_was_reloaded_and_not_restarted(host: Host) -> None:
    shown = host.check_output(
        "incus exec --project strata web1 -- systemctl show nginx --property=NRestarts,ExecReload"
    )
    assert "NRestarts=0" in shown
    log = host.check_output("incus exec --project strata web1 -- journalctl --unit nginx --output cat")
    assert "Reloaded nginx.service" in log


def test_the_config_before_is_kept_for_a_way_back(host: Host) -> None:
    assert len(host.file("/var/lib/strata/store/config/web1").listdir()) == 2
