"""Where several searches keep one study: an SQLite file or a PostgreSQL database, as a URL.

Such a URL may hold a password. Wherever it is shown the password is masked, and no message repeats
what may be part of one: a URL that is spelt wrongly has it in a wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from mean_prompt.system import MASK, InputError, check_local, is_secret_name, scrubbed, user_path

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

Kind = Literal["sqlite", "postgresql"]

#: What can be given, for messages.
FORMS: Final = "sqlite:///FILE.db or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
#: Ways to spell each kind. SQLAlchemy's own default driver for PostgreSQL depends on its version.
_KINDS: Final[dict[str, Kind]] = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "postgresql+psycopg": "postgresql",
    "postgres+psycopg": "postgresql",
}
_DRIVERS: Final[dict[Kind, str]] = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_HOST: Final = re.compile(r"[\w.%:-]*")
#: Characters of a URL, about as long as a path may be.
_LONGEST: Final = 4096
_SQLITE_HEADER: Final = b"SQLite format 3\0"


class StorageURL:
    """A storage that a study can be kept in; made by :meth:`parse` or :meth:`of_file`.

    Written out in any way it shows no password; :meth:`with_secrets` is the one exception.
    """

    __slots__ = ("_url",)

    def __init__(self, url: URL) -> None:
        self._url = url

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a storage URL, and check all that can be checked without opening it.

        ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or
        ``postgresql://user:password@host:port/database?options`` (``postgres://`` and
        ``postgresql+psycopg://`` are the same). User, password, host and port may be left to
        PostgreSQL's own settings. Reserved characters are percent-encoded.

        Raises:
            InputError: it is none of these, the SQLite file cannot be there, or psycopg, which
                PostgreSQL needs, is not installed. The message holds no part of a password.
        """
        kind = _kind(text)
        _check_spelling(text)
        url = _parsed(text)
        _check_decoded(url)
        if kind == "sqlite":
            return cls.of_file(_sqlite_path(url))
        _check_postgresql(url)
        _need_psycopg()
        return cls(url.set(drivername=_DRIVERS[kind]))

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Return the storage in an SQLite file, whatever characters its path has.

        Raises:
            InputError: no SQLite file can be there: it is a folder or another file, its folder is
                missing, or on a network file system.
        """
        from sqlalchemy.engine import URL

        _check_unicode(path)
        _check_place(path)
        return cls(URL.create(_DRIVERS["sqlite"], database=str(path)))

    @property
    def kind(self) -> Kind:
        """``sqlite`` or ``postgresql``."""
        return _KINDS[self._url.drivername]

    @property
    def path(self) -> Path | None:
        """The SQLite file; ``None`` for PostgreSQL."""
        return Path(str(self._url.database)) if self.kind == "sqlite" else None

    @property
    def shown(self) -> str:
        """The URL for people and files: secrets are masked."""
        if self.kind == "sqlite":
            return f"sqlite:///{self._url.database}"
        query = {
            name: MASK if is_secret_name(name) else value for name, value in self._url.query.items()
        }
        masked = self._url.set(drivername=self.kind, query=query)
        # SQLAlchemy masks the password, and spells our mask in the query as URLs do.
        return masked.render_as_string(hide_password=True).replace("%2A%2A%2A", MASK)

    def with_secrets(self) -> str:
        """Return the URL as SQLAlchemy and Optuna take it, with its password: for them alone."""
        return self._url.render_as_string(hide_password=False)

    def scrub(self, text: str) -> str:
        """Return a text, such as a driver's error, without this URL's secrets."""
        return scrubbed(text, self._secrets())

    def _secrets(self) -> Iterator[str | None]:
        yield self._url.password
        for name, values in self._url.query.items():
            if is_secret_name(name):
                yield from _listed(values)

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"StorageURL({self.shown!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorageURL) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)


def _listed(values: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of a parameter, which may stand in a query several times."""
    return (values,) if isinstance(values, str) else values


def _kind(text: str) -> Kind:
    found = _SCHEME.match(text)
    scheme = found[1].lower() if found else ""
    if scheme in _KINDS:
        return _KINDS[scheme]
    if scheme.startswith(("postgresql+", "postgres+")):
        raise InputError(
            f"a study in PostgreSQL is reached through psycopg 3: found {scheme}; write "
            "postgresql://"
        )
    raise InputError(
        f"a storage URL must be {FORMS}: found {f'{scheme}://' if found else 'neither'}; mend it"
    )


def _check_spelling(text: str) -> None:
    if len(text) > _LONGEST:
        raise InputError(
            f"a storage URL must have at most {_LONGEST:,} characters: found {len(text):,}; "
            "shorten it"
        )
    _check_printable(text)


def _check_decoded(url: URL) -> None:
    """Refuse control characters that percent-encoding hid: no path and no password holds one."""
    for part in (url.username, url.password, url.database):
        _check_printable(part or "")
    for name, values in url.query.items():
        for part in (name, *_listed(values)):
            _check_printable(part)


def _check_printable(text: str) -> None:
    for character in text:
        if not character.isprintable():
            raise InputError(
                "a storage URL must be of characters that can be printed: found "
                f"U+{ord(character):04X}; remove it, or percent-encode it where it is a letter"
            )


def _parsed(text: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # Without the cause: what was taken for the port may be the end of a password.
        raise InputError(
            f"a storage URL must be {FORMS}: found a port that is no number, or none after a "
            "colon; mend it, and percent-encode a password's / : @ ? and %"
        ) from None


def _sqlite_path(url: URL) -> Path:
    name = url.database or ""
    if any(part is not None for part in (url.username, url.password, url.host, url.port)):
        found = "a host"
    elif url.query:
        found = "options after a question mark (%3F in a file's name)"
    elif not name.strip() or name == ":memory:" or name.startswith("file:"):
        found = "no file that others could open"
    else:
        return user_path(name)
    raise InputError(
        f"an SQLite storage must be sqlite:///FILE.db, with three slashes and nothing else: found "
        f"{found}; mend it"
    )


def _check_unicode(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"an SQLite storage must have a path that is Unicode text: character "
            f"{error.start + 1} of {str(path)!r} is none; rename the file or its folder"
        ) from error


def _check_place(path: Path) -> None:
    try:
        found = _fault_of_place(path)
    except OSError as error:
        found = f"{error.strerror}"
    if found:
        raise InputError(
            f"an SQLite storage must be a file of its own in a folder that is there: "
            f"{_shown_path(path)}: {found}; name another"
        )
    check_local(path, "an SQLite storage", "use PostgreSQL, or a local disk")


def _fault_of_place(path: Path) -> str | None:
    if path.is_dir():
        return "a folder"
    if not path.parent.is_dir():
        return "its folder is missing"
    if not path.exists():
        return None
    if not path.is_file():
        return "no regular file"
    with path.open("rb") as file:
        begins = file.read(len(_SQLITE_HEADER))
    return None if begins in {b"", _SQLITE_HEADER} else "a file that is not SQLite's"


def _shown_path(path: Path) -> str:
    """Return a path for a message, unless it looks like what belongs into a PostgreSQL URL."""
    name = str(path)
    return MASK if set(":@") & set(name.removeprefix(path.drive)) else name


def _check_postgresql(url: URL) -> None:
    name = url.database or ""
    if not _HOST.fullmatch(url.host or "") or "@" in name:
        raise InputError(
            f"a storage URL must be {FORMS}: found an @ or a blank in a wrong place; "
            "percent-encode a password's / : @ ? and %"
        )
    if not name.strip():
        raise InputError(
            f"a storage URL must be {FORMS}: found no name of a database at its end; add one"
        )
    if url.port is not None and not 1 <= url.port <= 65_535:
        raise InputError(
            f"a storage URL must be {FORMS}: found a port that is not from 1 to 65535; mend it"
        )


def _need_psycopg() -> None:
    if find_spec("psycopg") is None:
        raise InputError(
            "a study in PostgreSQL needs psycopg, which is not installed; run: "
            "pip install 'mean-prompt[postgres]'"
        )
