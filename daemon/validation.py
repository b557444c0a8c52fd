"""The configuration, read and checked as a whole: `crudsd validate`, and each start before it opens anything.

Names no database and no client: what a check needs of them is loaded for a configuration that asks for it.
"""

from .checks import check_named
from .settings import Settings
from .spec import Loaded, LookUp, Problem, SpecError, check_secrets, load, no_vault, vault_references


def validate(settings: Settings) -> Loaded:
    """Read the configuration and check its secrets. Raises SpecError with every problem; asks no system anything.

    Where it refers to secrets in the vault, the state database is read for them, if there is one.
    """
    loaded = load(settings.config)
    if vault_references(loaded):
        from .sealing import vault_lookup

        with vault_lookup(settings, loaded) as vault:
            problems = _problems(settings, loaded, vault)
    else:
        problems = _problems(settings, loaded, no_vault)
    if problems:
        raise SpecError(problems)
    return loaded


def _problems(settings: Settings, loaded: Loaded, vault: LookUp) -> tuple[Problem, ...]:
    problems = check_secrets(loaded, settings.environment, settings.credentials, vault=vault)
    problems += check_named(settings, loaded, vault)
    if loaded.spec.alerts:
        from .alerting import check_alerts

        problems += check_alerts(settings, loaded)
    return problems
