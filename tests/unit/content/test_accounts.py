from __future__ import annotations

from ansible_collections.strata.fleet.plugins.module_utils import accounts

POSTGRES = {
    "name": "postgres",
    "uid": 910,
    "home": "/var/lib/postgresql",
    "shell": "/bin/bash",
    "comment": 'The "admin"',
}


def table(*lines: str) -> accounts.Table:
    return {line.split(":")[0]: line.split(":") for line in lines}


def test_sysusers() -> None:
    text = accounts.sysusers(
        [POSTGRES, {"name": "web", "uid": 911, "gid": 912, "groups": ["ssl-cert"]}], [{"name": "ssl-cert", "gid": 913}]
    )
    assert text.splitlines() == [
        "g ssl-cert 913",
        "g postgres 910",
        "u postgres 910:910 \"The 'admin'\" /var/lib/postgresql /bin/bash",
        "g web 912",
        'u web 911:912 "web" / /usr/sbin/nologin',
        "m web ssl-cert",
    ]


def test_who_joined_what() -> None:
    before = table("adm:x:4:", "tty:x:5:a")
    after = table("adm:x:4:syslog", "tty:x:5:a,b", "new:x:900:a")
    assert accounts.new_memberships(before, after) == "m syslog adm\nm a new\nm b tty\n"


def test_what_is_not_declared_as_it_is() -> None:
    before = table("root:x:0:0:::")
    after = table("root:x:0:0:::", "postgres:x:910:910:::", "other:x:101:101:::", "web:x:102:102:::")
    found = list(accounts.undeclared("passwd", before, after, {"postgres": 910, "web": 911}))
    assert [problem.path for problem in found] == ["etc/passwd", "etc/passwd"]
    assert "'other' (number 101), which app.yml does not declare at all" in found[0].reason
    assert "'web' (number 102), which app.yml does not declare with the number 911" in found[1].reason


def test_declared_numbers() -> None:
    assert accounts.declared_users([POSTGRES]) == {"postgres": 910}
    assert accounts.declared_groups([POSTGRES, {"name": "a", "uid": 1, "gid": 2, "group": "b"}], []) == {
        "postgres": 910,
        "b": 2,
    }
