"""The how-to pages about systemd, typed as they stand, on a machine that never heard of crudsd."""

from daemon.errors import Exit

from .base import VENV, WHEELS
from .desk import CHECKOUT, DIST, UNIT, Desk, as_service, page

SHELL = f"""
    cd {CHECKOUT}
    export PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}  # a box has no network: pip finds what is locked in a folder
    journalctl() {{ command journalctl "${{@/-f/--no-pager}}"; }}  # which else would never end
    crudsd() {{ {VENV}/bin/crudsd "$@"; }}
    {as_service()}
"""


def test_ten_lines_make_a_running_service_and_six_upgrade_it_and_five_remove_it(desk: Desk) -> None:
    desk.box.sh(f"""
        rm -r {VENV} /etc/crudsd /etc/systemd/system/crudsd.service /usr/lib/{{sysusers,tmpfiles}}.d/crudsd.conf
        systemctl daemon-reload
        userdel crudsd 2>/dev/null
        cp -r {DIST} {CHECKOUT}/dist
    """)
    install, look = page("Install").split("systemctl status", 1)
    assert len(install.splitlines()) == 10

    shown = desk.box.sh(f"{SHELL}{install}systemctl status{look}", within_s=240)

    assert "Active: active (running)" in shown
    assert "service.ready" in shown
    assert desk.box.run("systemctl", "is-enabled", "crudsd").stdout == "enabled\n"
    assert desk.box.sh("stat --format='%U %a' /etc/crudsd/{,jobs.d,secrets,key}").split("\n")[:4] == [
        *("root 755", "root 755", "root 700", "root 600")
    ]
    desk.wait_until_in_step()

    asked = desk.box.sh(SHELL + page("Run a command as the service would") + page("Change the configuration"))

    assert "crudsd.yaml: valid, 2 connections and 1 job" in asked
    desk.change()
    desk.wait_until_in_step()

    upgraded = desk.box.sh(SHELL + page("Upgrade"), within_s=240)

    assert "up to date" in upgraded
    assert desk.box.sh("stat --format=%a /var/backups/crudsd-*.db") == "600\n"

    desk.box.sh(SHELL + page("Change the unit"))
    desk.change()
    desk.wait_until_in_step()
    desk.assert_nothing_was_doubled_or_lost()
    for_people, fields = page("Read the log").splitlines()
    desk.box.until(lambda: "run.ended" in desk.box.sh(f"{SHELL}{fields}"), what="a run is found by its fields")
    desk.box.sh(SHELL + for_people)

    remove, _, forget = page("Remove it").rpartition("rm -r")
    desk.box.sh(SHELL + remove)
    assert set(desk.box.sh("ls -d /etc/crudsd /var/lib/crudsd").split()) == {"/etc/crudsd", "/var/lib/crudsd"}
    desk.box.sh(f"rm -r{forget}")
    left = desk.box.sh("find /etc /usr /var /opt /run -xdev -name '*crudsd*' -not -path '/var/backups/*'")
    assert left.split() == []


def test_the_key_of_a_service_is_changed_and_then_encrypted_on_disk(desk: Desk) -> None:
    desk.start()
    desk.wait_until_in_step()
    first = desk.box.sh("cut -d: -f1 /etc/crudsd/key").strip()
    typed = page("With a systemd credential", of="keys-and-secrets").replace("k88a941e5", first)
    change, sign, encrypt = typed.partition("systemd-creds encrypt")

    desk.box.sh(SHELL + change)

    assert first not in desk.box.sh("cut -d: -f1 /etc/crudsd/key")
    assert desk.as_service("key", "check").returncode == Exit.DONE

    desk.box.sh(SHELL + sign + encrypt)
    plain = "LoadCredential=crudsd-key:/etc/crudsd/key"
    sealed = "LoadCredentialEncrypted=crudsd-key:/etc/crudsd/key.cred"
    desk.box.sh(f"sed -i s#^{plain}#{sealed}# {UNIT} && systemctl daemon-reload && systemctl restart crudsd")

    assert desk.box.run("test", "-e", "/etc/crudsd/key", check=False).returncode
    desk.change()
    desk.wait_until_in_step()
    desk.assert_nothing_was_doubled_or_lost()


def test_a_secret_given_to_the_service_s_vault_is_used_by_its_jobs(desk: Desk) -> None:
    desk.edit_config("{credential: helpdesk-token}", "{vault: helpdesk-token}")
    refused = desk.as_service("validate")
    assert refused.returncode == Exit.CONFIG

    desk.box.sh(f"{SHELL}as_service secret set helpdesk-token < {CHECKOUT}/secrets/helpdesk-token")

    desk.start()
    desk.wait_until_in_step()
