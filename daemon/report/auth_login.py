"""What a person is told who logs in. Pure: values in, lines out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from . import shown
from .auth_status import about, session
from .auth_subjects import Status


class Browser(Protocol):
    """A login through a browser that has begun."""

    @property
    def connection(self) -> str:
        """The connection's name."""

    @property
    def address(self) -> str:
        """What the person opens."""

    @property
    def comes_back_to(self) -> str:
        """Where their browser ends."""

    @property
    def is_listening(self) -> bool:
        """Whether it is waited for there."""

    @property
    def may_paste(self) -> bool:
        """Whether they may paste the address they end at."""


class Code(Protocol):
    """A code that a person enters elsewhere."""

    @property
    def user_code(self) -> str:
        """The code."""

    @property
    def address(self) -> str:
        """Where."""

    @property
    def address_with_code(self) -> str | None:
        """The same with the code in it."""

    @property
    def expires_at(self) -> datetime:
        """Until when."""


def browser(login: Browser, *, minutes: int) -> Iterator[str]:
    """Yield what to open, and where it ends."""
    yield f"To log in to {login.connection}, open this address in a browser:"
    yield ""
    yield shown.plain(login.address)
    yield ""
    place = shown.plain(login.comes_back_to)
    if login.is_listening:
        yield f"It comes back to {place}, where this command waits for it ({minutes} minutes; Ctrl-C ends it)."
    else:
        yield f"It ends at {place}, at a page that need not exist ({minutes} minutes; Ctrl-C ends it)."
    if login.is_listening and login.may_paste:
        yield "Where the browser runs on another machine, that page does not open there. Then copy its whole address"
        yield "from the browser's address bar and paste it here:"
    elif login.may_paste:
        yield "Copy that page's whole address from the browser's address bar and paste it here:"


def device(connection: str, code: Code, now: datetime) -> Iterator[str]:
    """Yield where to enter which code."""
    yield f"To log in to {connection}, open this address on any device:"
    yield ""
    yield f"  {shown.plain(code.address)}"
    yield ""
    yield f"and enter the code  {shown.plain(code.user_code)}"
    if code.address_with_code:
        yield ""
        yield f"Or open it with the code in it: {shown.plain(code.address_with_code)}"
    yield ""
    left = about((code.expires_at - now).total_seconds())
    yield f"The code is good for {left}; this command waits for you (Ctrl-C ends it)."


def logged_in(status: Status, now: datetime) -> Iterator[str]:
    """Yield what came of a login."""
    yield ""
    yield f"Logged in to {status.connection}; a running crudsd serve goes on with it by itself."
    yield from session(status, now)


def tried_out(status: Status, now: datetime) -> Iterator[str]:
    """Yield what there is to say to somebody who would log in where no person is needed."""
    if status.standing == "static":
        sends = "it sends no credentials" if status.kind == "none" else f"its credentials ({status.kind}) stay the same"
        yield f"{status.connection} needs no login: {sends}."
        return
    yield f"{status.connection} needs no login: with {status.kind}, crudsd gets its tokens by itself. It got one now:"
    yield from session(status, now)
    if status.standing == "not_used":
        yield "  ! it is not kept, for there is no key: `crudsd key generate` makes one"


def logged_out(connection: str, *, was_in: bool, local: bool, personal: bool) -> Iterator[str]:
    """Yield what came of a logout, and what follows from it."""
    if not was_in:
        yield f"{connection} has no session that could be ended."
        return
    if local:
        yield f"The session of {connection} is forgotten here. At the server its tokens stay good until they run out."
    else:
        yield f"The session of {connection} is over: its tokens were given back to the server and are forgotten here."
    if personal:
        yield f"Jobs of {connection} need a login before they can go on: crudsd auth login {connection}"
    else:
        yield f"The next run with {connection} asks for a new token by itself."
