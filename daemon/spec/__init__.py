"""YAML job files in, one frozen spec out, or every problem at once with its place and its cure."""

from .alert_rules import address_trouble
from .alerts import (
    ALERTED,
    PINGED,
    Alert,
    AlertEvent,
    CommandAlert,
    HeartbeatAlert,
    HttpAlert,
    OnFailure,
    OnLate,
    Tells,
    WebhookAlert,
    secrets_of,
)
from .auth import BasicAuth, BearerAuth, HeaderAuth, NoAuth, OAuth2Auth, QueryAuth
from .batch import Batch
from .calls import ListCall, MethodCall
from .connection import (
    Connection,
    FilesConnection,
    HttpConnection,
    InterfaceConnection,
    Quota,
    RestConnection,
    Retry,
    SqlConnection,
    SqlTimeout,
    Timeout,
    Tls,
)
from .expressions import Expression, ExpressionError, compile_expression
from .files import CellType, Compression, CsvRead, CsvWrite, Dialect, Format, compression_of, delimiter_of, format_of
from .ignored import read_paths, record_paths
from .incremental import CursorType, Incremental, Reconcile
from .job import Field_, Guards, Job
from .limit import Limit
from .load import Loaded, load
from .mode import Mode
from .partition import ForEach, LinkedParents, ListedParents, Parents
from .problems import Problem, SpecError
from .request import ListRequest, Paginate, Request, Rule, Then
from .revision import SELECTED_BY, changed_blocks, has_moved, job_revision, job_selection
from .schedule import CatchUp, Overlap, Schedule, cron_fields
from .schema import json_schema
from .secrets import (
    LookUp,
    SecretError,
    check_secrets,
    entered_secret,
    no_vault,
    resolve,
    secret_file,
    vault_references,
)
from .source import CallSource, FileSource, QuerySource, RequestSource, Source, SourceBlock
from .spec import Spec
from .sql import query_parameters, query_pieces
from .target import CallTarget, FileTarget, RequestTarget, TableTarget, Target, WriteRequest
from .templates import PathTemplate, Template, compile_file_path, compile_path, compile_template, is_file_pattern
from .types import Method, OptionOrSecret, SecretRef

__all__ = [
    "ALERTED",
    "PINGED",
    "SELECTED_BY",
    "Alert",
    "AlertEvent",
    "BasicAuth",
    "Batch",
    "BearerAuth",
    "CallSource",
    "CallTarget",
    "CatchUp",
    "CellType",
    "CommandAlert",
    "Compression",
    "Connection",
    "CsvRead",
    "CsvWrite",
    "CursorType",
    "Dialect",
    "Expression",
    "ExpressionError",
    "Field_",
    "FileSource",
    "FileTarget",
    "FilesConnection",
    "ForEach",
    "Format",
    "Guards",
    "HeaderAuth",
    "HeartbeatAlert",
    "HttpAlert",
    "HttpConnection",
    "Incremental",
    "InterfaceConnection",
    "Job",
    "Limit",
    "LinkedParents",
    "ListCall",
    "ListRequest",
    "ListedParents",
    "Loaded",
    "LookUp",
    "Method",
    "MethodCall",
    "Mode",
    "NoAuth",
    "OAuth2Auth",
    "OnFailure",
    "OnLate",
    "OptionOrSecret",
    "Overlap",
    "Paginate",
    "Parents",
    "PathTemplate",
    "Problem",
    "QueryAuth",
    "QuerySource",
    "Quota",
    "Reconcile",
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
    "SourceBlock",
    "Spec",
    "SpecError",
    "SqlConnection",
    "SqlTimeout",
    "TableTarget",
    "Target",
    "Tells",
    "Template",
    "Then",
    "Timeout",
    "Tls",
    "WebhookAlert",
    "WriteRequest",
    "address_trouble",
    "changed_blocks",
    "check_secrets",
    "compile_expression",
    "compile_file_path",
    "compile_path",
    "compile_template",
    "compression_of",
    "cron_fields",
    "delimiter_of",
    "entered_secret",
    "format_of",
    "has_moved",
    "is_file_pattern",
    "job_revision",
    "job_selection",
    "json_schema",
    "load",
    "no_vault",
    "query_parameters",
    "query_pieces",
    "read_paths",
    "record_paths",
    "resolve",
    "secret_file",
    "secrets_of",
    "vault_references",
]
