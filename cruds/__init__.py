"""A REST client with four verbs, honest errors, pages, and OAuth 2.0 that renews itself."""

from .address import path
from .auth import OAuth2
from .core import AuthABC, CallOptions, Client, VerbOptions
from .events import EventKind, RequestEvent
from .gate import Gate
from .oauth2 import DeviceLogin, Narrowed, ServerMetadata
from .pages import End, EndReason, PageFacts, Pager, PageRequest, PageType, Paging
from .reading import Page, Pages, read_page
from .response import Response
from .retries import RetryPolicy
from .streaming import Stream

__all__ = [
    "AuthABC",
    "CallOptions",
    "Client",
    "DeviceLogin",
    "End",
    "EndReason",
    "EventKind",
    "Gate",
    "Narrowed",
    "OAuth2",
    "Page",
    "PageFacts",
    "PageRequest",
    "PageType",
    "Pager",
    "Pages",
    "Paging",
    "RequestEvent",
    "Response",
    "RetryPolicy",
    "ServerMetadata",
    "Stream",
    "VerbOptions",
    "path",
    "read_page",
]
