"""`crudsd auth`: sessions at the systems' login servers."""

import sys
from typing import TYPE_CHECKING

import click

from daemon.errors import Exit

from . import output
from .lazy import VerbGroup
from .options import settings, start_logs

if TYPE_CHECKING:
    from daemon.runtime.auth_desk import Told
    from daemon.runtime.login_answers import Pasted


@click.group("auth", cls=VerbGroup)
def command() -> None:
    """Log in to systems, see how their credentials stand, and log out."""


@command.command("login", short_help="Log in to CONNECTION, once.")
@click.argument("connection")
@click.option("--browser", is_flag=True, help="Also open the address in a browser of this machine.")
@click.option("--paste", is_flag=True, help="Listen on no port: paste the address that the browser ends at.")
@click.pass_context
def login(context: click.Context, connection: str, browser: bool, paste: bool) -> int:
    """Log in to CONNECTION, once; its session is kept sealed and renewed from then on.

    For connections that a person logs in to (authorization_code, device_code). With any other grant it tries whether a
    token can be had.
    """
    from daemon.app import open_app
    from daemon.clock import utc_clock
    from daemon.report import auth_login
    from daemon.runtime.signals import stop_on_signals

    start_logs(context)
    with stop_on_signals(speaks=False) as stop, open_app(settings(context), stop=stop) as app:
        desk = app.auth()
        if not desk.is_personal(connection):
            output.emit(auth_login.tried_out(desk.try_out(connection), utc_clock()))
            return Exit.DONE
        status = desk.login(connection, lambda told: _tell(told, browser=browser), pasted=_pasted(), listens=not paste)
        output.emit(auth_login.logged_in(status, utc_clock()))
    return Exit.DONE


@command.command("status", short_help="Show how the credentials of each connection stand.")
@click.argument("connection", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_context
def status(context: click.Context, connection: str | None, as_json: bool) -> int:
    """Show who each connection is, what it may do, until when, and whether somebody has to log in.

    Asks no server. Ends with 1 when a connection needs a login, or its token cannot be opened.
    """
    from daemon.app import open_app
    from daemon.clock import utc_clock
    from daemon.report import auth_status, json

    start_logs(context)
    with open_app(settings(context)) as app:
        rows = app.auth().status(connection)
    if as_json:
        output.emit([json.document(auth_status.as_json(rows))])
    elif connection is not None:
        output.emit(auth_status.whole(rows[0], utc_clock()))
    else:
        output.emit(auth_status.table(rows, utc_clock()))
    return Exit.DONE if all(row.is_well for row in rows) else Exit.ERROR


@command.command("logout", short_help="End the session of CONNECTION, and forget it.")
@click.argument("connection")
@click.option("--local", is_flag=True, help="Forget the session here only; its tokens stay good at the server.")
@click.pass_context
def logout(context: click.Context, connection: str, local: bool) -> int:
    """Give the tokens of CONNECTION back to the server (RFC 7009), and forget them."""
    from daemon.app import open_app
    from daemon.report import auth_login
    from daemon.runtime.signals import stop_on_signals

    start_logs(context)
    with stop_on_signals(speaks=False) as stop, open_app(settings(context), stop=stop) as app:
        desk = app.auth()
        personal = desk.is_personal(connection)
        was_in = desk.logout(connection, local=local)
    output.emit(auth_login.logged_out(connection, was_in=was_in, local=local, personal=personal))
    return Exit.DONE


def _pasted() -> "Pasted | None":
    from daemon.runtime.login_answers import Pasted

    return None if sys.stdin is None else Pasted(sys.stdin.fileno())


def _tell(told: "Told", *, browser: bool) -> None:
    from daemon.clock import utc_clock
    from daemon.report import auth_login
    from daemon.runtime.auth_desk import PATIENCE_S, BrowserLogin, DeviceLogin

    if isinstance(told, BrowserLogin):
        output.emit(auth_login.browser(told, minutes=round(PATIENCE_S / 60)))
        address = told.address
    elif isinstance(told, DeviceLogin):
        output.emit(auth_login.device(told.connection, told.code, utc_clock()))
        address = told.code.address_with_code or told.code.address
    else:
        output.message(f"{told.reason}; still waiting")
        return
    if browser and not _opened(address):
        output.message("no browser could be opened here; open the address yourself")


def _opened(address: str) -> bool:
    import webbrowser

    from .process import clean_environment

    with clean_environment():
        return webbrowser.open(address)
