"""A person with a browser: walks the server's own pages, logs in, and says yes or no."""

import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode, urljoin, urlsplit

from tests.servers.exchange import Answer, ask
from tests.servers.oidc import FORM

MOST_STEPS = 12
"""No walk through these pages is longer; a circle must end."""


@dataclass(slots=True)
class Browser:
    """Follows redirects as long as they stay on one server, and keeps its cookies."""

    says: dict[str, str] = field(default_factory=dict)
    """What the person answers at the interaction page; nothing is yes to everything."""
    _cookies: dict[str, str] = field(default_factory=dict)

    def open(self, url: str) -> tuple[str, Answer | None]:
        """Go there; the last address, and its page unless it is on another server."""
        return self._walk("GET", url, None)

    def submit(self, page: str, answer: Answer, **changes: str) -> tuple[str, Answer | None]:
        """Send the page's only form, with some fields changed or added."""
        text = answer.body.decode()
        action = re.search(r'<form[^>]* action="([^"]+)"', text)
        assert action is not None, text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text)
        fields = {name: unescape(value) for name, value in hidden} | changes
        return self._walk("POST", urljoin(page, unescape(action[1])), fields)

    def _walk(self, method: str, url: str, form: dict[str, str] | None) -> tuple[str, Answer | None]:
        home = urlsplit(url).netloc
        for _ in range(MOST_STEPS):
            if urlsplit(url).netloc != home:
                return url, None
            if urlsplit(url).path.startswith("/interaction/"):
                url = f"{url}?{urlencode(self.says)}"
            answer = self._step(method, url, form)
            if answer.status not in {302, 303}:
                return url, answer
            method, url, form = "GET", urljoin(url, answer.headers["Location"]), None
        raise AssertionError(f"more than {MOST_STEPS} steps, the last one to {url}")

    def _step(self, method: str, url: str, form: dict[str, str] | None) -> Answer:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        body = None if form is None else urlencode(form).encode()
        answer = ask(method, url, body=body, headers=headers | (FORM if form else {}))
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            if value:
                self._cookies[name] = value
            else:
                self._cookies.pop(name, None)
        return answer


def log_in(authorization_url: str, **says: str) -> str:
    """Log in and consent; the address that the browser is sent back to."""
    url, page = Browser(says).open(authorization_url)
    assert page is None, f"{page.status}: {page.body[:500]!r}"
    return url


def enter(verification_uri: str, user_code: str, *, deny: bool = False) -> None:
    """Type the code that a device shows, and approve or refuse it."""
    browser = Browser()
    url, page = browser.open(f"{verification_uri}?{urlencode({'user_code': user_code})}")
    assert page is not None
    url, page = browser.submit(url, page)
    assert page is not None
    _, page = browser.submit(url, page, **({"abort": "yes"} if deny else {}))
    assert page is not None
    assert page.status == 200, page.body
