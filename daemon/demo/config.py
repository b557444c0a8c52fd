"""The demo's folder: a job file that reads like a real one, its secrets, and its key."""

from pathlib import Path
from string import Template

from daemon import upkeep
from daemon.errors import UsageError

from .compare import Access

JOB = "people-to-helpdesk"

_JOB_FILE = Template("""\
# Written by `crudsd demo`. Everybody in the HR system gets a user at the help desk.
version: 1

connections:
  hr:
    host: $hr_url/api
    auth:
      type: oauth2                    # a token lives 60 seconds; crudsd renews it and keeps it sealed
      grant: client_credentials
      url: $hr_url/oauth/token
      client_id: $client_id
      client_secret: {file: secrets/hr-client-secret}
  helpdesk:
    host: $helpdesk_url/v1
    auth: {type: bearer, token: {file: secrets/helpdesk-token}}

jobs:
  $job:
    schedule: {every: 10s}            # for `crudsd serve`; real jobs are more patient
    mode: mirror                      # create, update, and delete what is provably gone
    source:
      connection: hr
      read: employees
      params: {status: active, page_size: 200}
      records: data.items
      paginate: {type: cursor, param: cursor, next: data.next_cursor, total: data.total}
    key: record.employee_no
    map:
      external_id: record.employee_no
      name: record.given_name ~ ' ' ~ record.family_name
      email: {from: record.work_email | trim | lower, required: true}
      phone: {from: record.mobile, when_null: clear}
      locale: {from: record.language | default('en'), set_once: true}
    target:
      connection: helpdesk
      match: external_id              # what is there already is adopted, not doubled
      list: {uri: users, records: users, paginate: {type: page, param: page, total: total}}
      lookup: {uri: users, params: {external_id: "{{ document.external_id }}"}, records: users}
      create: {uri: users, idempotency_header: Idempotency-Key, id: user.id}
      update: {uri: "users/{{ target.id }}", body: changed}
      delete: {uri: "users/{{ target.id }}"}
    guards: {deletes: 5%, updates: 50%, min_records: 100}
""")


def job_file(access: Access) -> str:
    """Return the text of the demo's crudsd.yaml."""
    return _JOB_FILE.substitute(
        job=JOB, hr_url=access.hr_url, helpdesk_url=access.helpdesk_url, client_id=access.client_id
    )


def write_folder(folder: Path, access: Access) -> Path:
    """Fill a new or empty folder and return its crudsd.yaml; only its owner can read the secrets and the key.

    Raises UsageError when something is in it: an older state would speak of systems that are gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"{folder}: the folder is not empty; name a new one (example: --dir ./crudsd-demo)")
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    _write_private(secrets / "hr-client-secret", access.client_secret)
    _write_private(secrets / "helpdesk-token", access.helpdesk_token)
    upkeep.generate_key(folder / "crudsd.key")
    config = folder / "crudsd.yaml"
    config.write_text(job_file(access), encoding="utf-8")
    return config


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")
