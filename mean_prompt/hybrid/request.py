"""The inputs and options of a prediction run, and the summary of its results."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.llm import LLMOptions
from mean_prompt.runs import BEST
from mean_prompt.system import InputError, user_path

_TEXT: Final = ".txt"

#: Known rows that an LLM is shown and asked about by default, and the time limit, in seconds,
#: under which it is asked about test rows at once instead.
_SHOTS: Final = 3
_CALIBRATE: Final = 64
_SHORT: Final = 600.0


@dataclass(frozen=True, slots=True)
class Request:
    """Inputs and options of a prediction run (``mean-prompt predict``).

    Attributes:
        test, triples: files of the rows to answer, and of known rows (with true prompts).
        prompt: the universal string, the folder of the run that found it, or a text file.
        llm: source of predictions, see :func:`~mean_prompt.llm.factory.make_predictor`.
        shots: known rows that an LLM is shown with each row; ``None`` for 3, or for none if
            the time limit is under ten minutes: to find them all texts are embedded first.
        calibrate: known rows that an LLM is asked about, to learn how far to trust it; ``None``
            for 64, or for none in so short a time.
        time_limit: seconds for everything; no limit if ``None``.
    """

    test: Path
    triples: Path
    prompt: str
    out: Path
    options: BlendOptions = field(default_factory=BlendOptions)
    llm: str = field(default="none", repr=False)  # it may hold a password
    llm_options: LLMOptions = field(default_factory=LLMOptions)
    shots: int | None = None
    calibrate: int | None = None
    time_limit: float | None = None
    resume: bool = False

    @property
    def shots_used(self) -> int:
        """Number of known rows that the LLM is shown with each row: ``shots`` or its default."""
        return self._unless_short(self.shots, _SHOTS)

    @property
    def calibrate_used(self) -> int:
        """Number of known rows that the LLM is asked about: ``calibrate`` or its default."""
        return self._unless_short(self.calibrate, _CALIBRATE)

    def _unless_short(self, given: int | None, default: int) -> int:
        if given is not None:
            return given
        return 0 if self.time_limit is not None and self.time_limit < _SHORT else default


@dataclass(frozen=True, slots=True)
class Summary:
    """Results of a prediction run: its files, and how many rows were answered in which way.

    Attributes:
        with_llm: number of rows answered with an LLM's prediction at hand.
        by_index: number of rows answered by retrieval alone.
        universal: number of rows left with the universal string because time ran out.
        expected: mean expected SCS of the blended answers; ``None`` without any.
        page: HTML page of the answers; ``None`` if it was not written, which a note explains.
    """

    rows: int
    with_llm: int
    by_index: int
    universal: int
    kinds: dict[str, int]
    rules: dict[str, int]
    faults: dict[str, int]
    expected: float | None
    seconds: float
    out: Path
    table: Path
    page: Path | None
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as a dictionary that can be written as JSON."""
        page = None if self.page is None else str(self.page)
        return asdict(self) | {"out": str(self.out), "table": str(self.table), "page": page}


def universal_string(given: str, option: str = "--prompt") -> str:
    """Return the universal string that an option gives as itself, a run's folder or a .txt file.

    Raises:
        InputError: a folder holds no string, or what looks like a path does not exist.
    """
    if not given.strip():
        return given  # an empty path would be the working directory
    path = user_path(given)
    try:
        if path.is_dir():
            return _read(path / BEST, option, f"{path} has no {BEST}; give a run that found one")
        if path.suffix.lower() == _TEXT and path.is_file():
            return _read(path, option, f"{path} cannot be read").rstrip("\r\n")
    except (OSError, ValueError):  # too long, or no path at all
        return given
    if _looks_like_path(given):
        raise InputError(
            f"{option} must be a string, the folder of a run or a {_TEXT} file: found neither file "
            f"nor folder {given}; fix the path"
        )
    return given


def _read(path: Path, option: str, fault: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{option} must be a string, the folder of a run or a {_TEXT} file: {fault}"
        ) from error


def _looks_like_path(text: str) -> bool:
    """Return whether a text looks like a path (``results/run``, ``a.txt``; not ``and/or``)."""
    if any(map(str.isspace, text)):
        return False
    begins = text.startswith(("/", "./", "../", "~/", "results/"))
    return begins or text.count("/") > 1 or Path(text).suffix.lower() == _TEXT
