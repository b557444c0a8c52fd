"""A REST client with four verbs, honest errors, pages, and OAuth 2.0 that renews itself."""

from .address import path
from .auth import OAuth2
from .core import AuthABC, CallOptions, Client
from .exchange import EventKind, RequestEvent
from .pages import End, EndReason, PageFacts, Pager, PageRequest, PageType, Paging
from .reading import Page, Pages, read_page
from .response import Response
from .retries import RetryPolicy

__all__ = [
    "AuthABC",
    "CallOptions",
    "Client",
    "End",
    "EndReason",
    "EventKind",
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
    "path",
    "read_page",
]
