"""Pools of connections: whom to trust, who we are, and which proxy stands between.

What is set wins over the environment. Of the environment, with `trust_env`:

- HTTP_PROXY, HTTPS_PROXY and ALL_PROXY name a proxy, NO_PROXY the hosts that need none. Loopback hosts never go
  through a proxy of the environment, whatever NO_PROXY says: the proxy's loopback is another machine. They go
  through one that is set.
- SSL_CERT_FILE and SSL_CERT_DIR name the authorities, unless `ca_file` or `verify_ssl` does.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import PoolManager, ProxyManager
from urllib3.util import make_headers

from .address import Host
from .wire import POOLS


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How to reach a host; the same for an API and for its token endpoint. Times are in seconds."""

    connect_timeout: float | None = None
    """To open a connection; None leaves it to the deadline of the call."""
    read_timeout: float | None = None
    """Longest silence of the server; None leaves it to the deadline of the call."""
    pool_size: int = 10
    """Connections kept open. More may be in use at once."""
    verify_ssl: bool | str | ssl.SSLContext = True
    """True: the system's authorities, or SSL_CERT_FILE. A path: these authorities. A context: used as it is."""
    ca_file: str | None = None
    """Authorities to trust instead of the system's."""
    client_cert: str | tuple[str, str] | None = None
    """Our certificate for mutual TLS: one PEM file with certificate and key, or two."""
    proxy: str | None = field(default=None, repr=False)
    """`http://[user:password@]host:port`, also for loopback hosts. Empty: none. None: as the environment says."""
    trust_env: bool = True
    """Whether HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR count."""

    @property
    def is_pool_free(self) -> bool:
        """Whether all that is set counts with a supplied manager too, which brings its own TLS, proxy and pools."""
        return self == TransportSettings(
            connect_timeout=self.connect_timeout, read_timeout=self.read_timeout, trust_env=self.trust_env
        )


def manager_for(settings: TransportSettings, host: Host) -> PoolManager:
    """Return pools whose connections keep deadlines, set up for this host.

    Raises ValueError or OSError for settings that cannot be used: no such file, not a certificate, not a proxy.
    """
    has_own_trust = bool(settings.ca_file) or settings.verify_ssl is not True
    # A read of an http host may be redirected to https: the same authorities count there.
    context = _context(settings) if has_own_trust or host.origin.startswith("https") else None
    proxy = settings.proxy
    if proxy is None and settings.trust_env:
        proxy = _environment_proxy(host)
    manager: PoolManager
    if not proxy:
        manager = PoolManager(num_pools=4, maxsize=settings.pool_size, ssl_context=context)
    else:
        address, headers = _proxy(proxy)
        manager = ProxyManager(
            address, num_pools=4, maxsize=settings.pool_size, ssl_context=context, proxy_headers=headers
        )
    manager.pool_classes_by_scheme = POOLS
    return manager


def _proxy(proxy: str) -> tuple[str, Mapping[str, str] | None]:
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"a proxy is http://host:port or https://host:port, not {parts.scheme}://…")
    if parts.username is None:
        return address, None
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    clean = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    # urllib3 encodes as latin-1; through bytes it is UTF-8 (RFC 7617 section 2.1).
    return clean, make_headers(proxy_basic_auth=credentials.encode().decode("latin-1"))


def _environment_proxy(host: Host) -> str | None:
    proxies = getproxies()
    parts = urlsplit(host.origin)
    if not proxies or _is_loopback(host) or proxy_bypass(parts.netloc):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


def _is_loopback(host: Host) -> bool:
    # Of all plain hosts only this machine's own count as not plain.
    return not Host(host.origin.replace("https://", "http://", 1), "").is_plain


def _context(settings: TransportSettings) -> ssl.SSLContext:
    verify = settings.verify_ssl
    if isinstance(verify, ssl.SSLContext):
        if settings.ca_file or settings.client_cert:
            raise ValueError("an SSLContext brings its own ca_file and client_cert")
        return verify
    authorities = settings.ca_file or (verify if isinstance(verify, str) else None)
    if authorities is None and not settings.trust_env:
        paths = ssl.get_default_verify_paths()  # its openssl_ paths are those built in, whatever SSL_CERT_FILE says
        file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
        context = _trusting(file if file.is_file() else None, folder if folder.is_dir() else None)
    elif authorities is None:
        context = ssl.create_default_context()
    else:
        named = Path(authorities)
        context = _trusting(None, named) if named.is_dir() else _trusting(named, None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_client_cert(context, settings)
    return context


def reload_client_cert(context: ssl.SSLContext | None, settings: TransportSettings) -> None:
    """Read the files of our certificate again into a context in use; what cannot be used changes nothing.

    Raises ValueError or OSError. None is the context of a host that is reached over plain http.
    """
    if context is not None:
        # A certificate beside the key of another would stay in the context: they are tried elsewhere first.
        _load_client_cert(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings)
        _load_client_cert(context, settings)


def _load_client_cert(context: ssl.SSLContext, settings: TransportSettings) -> None:
    if settings.client_cert:
        pair = settings.client_cert
        ours, key = (pair, None) if isinstance(pair, str) else pair
        context.load_cert_chain(ours, key, password=_refuse_to_ask)


def _refuse_to_ask() -> str:
    """Stand in for OpenSSL's own prompt: a service has no terminal to answer it."""
    raise ValueError("the key of client_cert is encrypted; give it in the clear, readable by this user only")


def _trusting(file: Path | None, folder: Path | None) -> ssl.SSLContext:
    """Return a context that trusts these authorities and no others; nobody, if there are none."""
    if file is None and folder is None:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return ssl.create_default_context(cafile=file, capath=folder)
