"""YAML job files in, one frozen spec out, or every problem at once with its place and its cure."""

from .auth import BasicAuth, BearerAuth, HeaderAuth, NoAuth, OAuth2Auth, QueryAuth
from .batch import Batch
from .connection import (
    Connection,
    FilesConnection,
    InterfaceConnection,
    Quota,
    RestConnection,
    Retry,
    SqlConnection,
    Timeout,
    Tls,
)
from .expressions import Expression, ExpressionError, compile_expression
from .ignored import record_paths
from .job import Field_, Guards, Job, Limit
from .load import Loaded, load
from .mode import Mode
from .problems import Problem, SpecError
from .request import ListRequest, Paginate, Request, Rule, Then
from .revision import SELECTED_BY, changed_blocks, job_revision, job_selection
from .schedule import CatchUp, Overlap, Schedule, cron_fields
from .schema import json_schema
from .secrets import LookUp, SecretError, check_secrets, entered_secret, resolve, secret_file, vault_references
from .source import CallSource, FileSource, QuerySource, RequestSource, Source
from .spec import Spec
from .target import CallTarget, FileTarget, RequestTarget, TableTarget, Target, WriteRequest
from .templates import PathTemplate, Template, compile_path, compile_template
from .types import Method, SecretRef

__all__ = [
    "SELECTED_BY",
    "BasicAuth",
    "Batch",
    "BearerAuth",
    "CallSource",
    "CallTarget",
    "CatchUp",
    "Connection",
    "Expression",
    "ExpressionError",
    "Field_",
    "FileSource",
    "FileTarget",
    "FilesConnection",
    "Guards",
    "HeaderAuth",
    "InterfaceConnection",
    "Job",
    "Limit",
    "ListRequest",
    "Loaded",
    "LookUp",
    "Method",
    "Mode",
    "NoAuth",
    "OAuth2Auth",
    "Overlap",
    "Paginate",
    "PathTemplate",
    "Problem",
    "QueryAuth",
    "QuerySource",
    "Quota",
    "Request",
    "RequestSource",
    "RequestTarget",
    "RestConnection",
    "Retry",
    "Rule",
    "Schedule",
    "SecretError",
    "SecretRef",
    "Source",
    "Spec",
    "SpecError",
    "SqlConnection",
    "TableTarget",
    "Target",
    "Template",
    "Then",
    "Timeout",
    "Tls",
    "WriteRequest",
    "changed_blocks",
    "check_secrets",
    "compile_expression",
    "compile_path",
    "compile_template",
    "cron_fields",
    "entered_secret",
    "job_revision",
    "job_selection",
    "json_schema",
    "load",
    "record_paths",
    "resolve",
    "secret_file",
    "vault_references",
]
