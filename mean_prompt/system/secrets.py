"""Keeping passwords and keys out of messages, logs and files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
#: What may be credentials in a URL: all before the last @ that no blank or quote comes before.
#: A password that is not escaped may hold a slash, and a URL that was taken for a path has lost
#: one of its own. The form of a URL, in messages about it, is no credential.
_CREDENTIALS: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]+:/{1,2}+)(?!USER:PASSWORD@HOST)[^\s'\"<>]*@"
)
#: Names of options and parameters whose values are secrets: ``sslpassword``, ``api_key``.
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)|pwd|secret|token|api.?key|^key$|^sig(nature)?$", re.IGNORECASE
)
#: A parameter and its value in the query of a URL.
_PARAMETER: Final = re.compile(r"(?<=[?&])([^\s=&#'\"]+)=([^\s&#'\"]*)")


def masked_urls(text: str) -> str:
    """Return a text in which the credentials within URLs are replaced by ``***``."""

    def masked(parameter: re.Match[str]) -> str:
        return f"{parameter[1]}={MASK}" if is_secret_name(parameter[1]) else parameter[0]

    return _PARAMETER.sub(masked, _CREDENTIALS.sub(rf"\1{MASK}@", text))


def is_secret_name(name: str) -> bool:
    """Return whether the name of an option or parameter suggests a secret, such as ``api_key``."""
    return _SECRET_NAME.search(name) is not None


def scrubbed(text: str, secrets: Iterable[str | None]) -> str:
    """Return a text in which given secrets are replaced by ``***``, URL-encoded ones as well.

    Blank secrets and ``None`` are ignored.
    """
    forms = {
        form
        for secret in secrets
        if secret and secret.strip()
        for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret))
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text
