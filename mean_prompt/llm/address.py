"""Split an LLM server's URL into an address to display, and credentials, which are kept secret."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from mean_prompt.system import InputError, is_secret_name, masked_urls, scrubbed

#: The environment variable with the server's key, which is never part of a message or a cache.
KEY_VARIABLE: Final = "OPENAI_API_KEY"
#: Loggers that log the URLs of requests, with their queries.
_URL_LOGGERS: Final = ("httpx", "httpx2", "openai._base_client")


class ServerAddress:
    """The URL of an LLM server, with its credentials separated from the rest.

    User and password, a query and the environment's key reach the server, in a header or as
    parameters; no message and no result contains them.

    Attributes:
        shown: the URL without user, password, query and fragment.

    Raises:
        InputError: the URL is invalid, or the key cannot be sent. The message shows neither.
    """

    def __init__(self, url: str) -> None:
        try:
            self._parts = urlsplit(url)
            host, port = self._parts.hostname, self._parts.port
        except ValueError:
            host, port = None, None
        if host is None or self._parts.scheme not in {"http", "https"} or not url.isprintable():
            raise InputError(
                "--llm server:MODEL@URL must have the URL of the server's API, such as "
                "http://localhost:8000/v1: found none that can be read"
            )
        place = f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        self.shown = f"{self._parts.scheme}://{place}{self._parts.path.rstrip('/')}"
        self.key()

    def key(self) -> str:
        """Return the API key from the environment, or a placeholder, as the client needs one."""
        key = os.environ.get(KEY_VARIABLE, "").strip()
        for place, character in enumerate(key, 1):
            if not (character.isascii() and character.isprintable()):
                raise InputError(
                    f"{KEY_VARIABLE} must be printable ASCII: character {place} of it is not; set "
                    "it again"
                )
        return key or "none"  # local servers need none

    def headers(self) -> dict[str, str]:
        """Return the URL's user and password as an HTTP header: libraries would log the URL."""
        if self._parts.username is None:
            return {}
        pair = f"{unquote(self._parts.username)}:{unquote(self._parts.password or '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def query(self) -> Mapping[str, str]:
        """Return the parameters in the URL's query, which are sent with every request."""
        return dict(parse_qsl(self._parts.query, keep_blank_values=True))

    def scrub(self, text: str) -> str:
        """Mask the server's credentials in a text, such as an error message that repeats them."""
        secrets = [os.environ.get(KEY_VARIABLE), (os.environ.get(KEY_VARIABLE) or "").strip()]
        secrets += [unquote(self._parts.password or ""), self.headers().get("Authorization")]
        secrets += [value for name, value in self.query().items() if is_secret_name(name)]
        return scrubbed(text, secrets)

    def __repr__(self) -> str:
        return f"ServerAddress({self.shown!r})"


@contextmanager
def masked_logs() -> Iterator[None]:
    """Mask the credentials in the URLs that libraries log while the block runs."""
    mask = _Mask()
    loggers = [logging.getLogger(name) for name in _URL_LOGGERS]
    for logger in loggers:
        logger.addFilter(mask)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(mask)


class _Mask(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                masked_urls(str(value)) if ":/" in str(value) else value for value in record.args
            )
        return True
