"""From a value of the credentials in the job file to the value as it is now."""

from functools import partial

from daemon.spec import SecretRef

from .blot import Blotter
from .rotation import Fixed, Held, WatchedSecret
from .surroundings import Surroundings, unheard


def watched(name: str, around: Surroundings, blot: Blotter | None, value: str | SecretRef, what: str) -> Held:
    """Return what knows a value at any time; `blot` is None for a name, which is no secret. Raises SecretError."""
    if isinstance(value, str):
        return Fixed(value)
    return WatchedSecret(
        value,
        what=what,
        resolve=lambda ref: around.resolve(ref).reveal(),
        look=around.watch(value),
        learn=unheard if blot is None else partial(blot.learn_as, what),
        tell=partial(around.on_secret, name),
    )
