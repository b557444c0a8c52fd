"""The verdict on a final answer whose status is a failure: which error says it."""

from __future__ import annotations

from .address import bare
from .exception import AnswerLostError, HTTPStatusError, RateLimitedError, RequestError
from .exchange import Call, utc_now
from .response import Response
from .retries import retry_after_of


def failure(call: Call, response: Response) -> RequestError:
    """Return the error that this answer is for the call that was made."""
    if response.method != call.method:
        return AnswerLostError(
            f"it was carried out; reading its result ended with status code {response.status}",
            method=call.method,
            url=bare(call.url),
            attempts=response.attempts,
            sent=True,
            last_response=response,
        )
    retry_after = retry_after_of(response.headers, utc_now)
    is_limit = response.status == 429 or (response.status == 503 and retry_after is not None)
    return (RateLimitedError if is_limit else HTTPStatusError)(
        response.status,
        response.headers,
        response.body,
        method=response.method,
        url=bare(response.url),
        request_id=response.request_id,
        attempts=response.attempts,
        retry_after=retry_after,
        last_response=response,
    )
