"""Figures as text: what terminals, log files and notebooks show alike."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mean_prompt.units import format_duration

if TYPE_CHECKING:
    from mean_prompt.hybrid.evaluation import MethodScore
    from mean_prompt.result import ContextScores, SearchResult, Side
    from mean_prompt.tracker import Progress

_PHASES: Final = {"loaded": "loading", "embedding": "embedding the corpus"}
#: What stands over the columns of :func:`method_figures`, after the method's name.
METHOD_HEADINGS: Final = ("mean", "95 %", "ratio", "difference, 95 %")


def phase_title(progress: Progress) -> str:
    """Return what is done before a search begins."""
    return _PHASES.get(progress.phase, "embedding the vocabulary")


def progress_figures(progress: Progress) -> dict[str, str]:
    """Return where a search stands; a figure that is not known is empty."""
    left = "" if progress.remaining is None else format_duration(progress.remaining)
    return {
        "score": f"{progress.score:.5f}",
        "of the ceiling": f"{progress.fraction:.3f}",
        "hold-out": "" if progress.holdout is None else f"{progress.holdout:.5f}",
        "evaluations": f"{progress.done:,}",
        "per second": f"{progress.rate:,.0f}",
        "climb": str(progress.trial + 1),
        "time left": left,
    }


def log_line(progress: Progress) -> str:
    """Return a line of where a search stands."""
    clock = f"{progress.seconds:7.1f}s"
    if progress.phase != "searching":
        return f"{clock} {phase_title(progress)}: {progress.done:,} of {progress.total or 0:,}"
    figures = (f"{name} {value}" for name, value in progress_figures(progress).items() if value)
    return f"{clock} {', '.join(figures)}: {progress.text}"


def edited_words(before: str, after: str) -> Iterator[tuple[str, bool]]:
    """Yield a string's words, and whether each is new against the string's predecessor."""
    old, new = before.split(" "), after.split(" ")
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, _, _, first, last in matcher.get_opcodes():
        for word in new[first:last]:
            yield word, tag != "equal"


def effort(result: SearchResult) -> str:
    """Return what a search took."""
    line = (
        f"{result.tokens} tokens, {result.evaluations:,} evaluations in "
        f"{format_duration(result.seconds)} ({result.evaluations_per_second:,.0f}/s searching)"
    )
    return f"{line}; stopped early" if result.stopped else line


def holdout_line(result: SearchResult) -> str | None:
    """Return the scores of both sides of the hold-out, if there is one."""
    interval = result.holdout_interval
    if result.holdout_score is None or interval is None:
        return None
    return (
        f"training {result.train_score:.5f}, hold-out {result.holdout_score:.5f} "
        f"(95 % interval {interval.low:.5f} to {interval.high:.5f})"
    )


def compared(result: SearchResult) -> list[tuple[str, str, str, str]]:
    """Return score, share of the ceiling, name and text of the baselines, and last of what won."""
    rows = [(row.score, row.name, row.text) for row in result.baselines]
    rows = [*sorted(rows, key=lambda row: row[0]), (result.score, "found", result.string)]
    return [
        (f"{score:.5f}", f"{score / result.ceiling:.3f}", name, text) for score, name, text in rows
    ]


def affix_headings(scores: ContextScores) -> tuple[str, ...]:
    """Return what stands over the columns of :func:`affix_rows`."""
    without, affixed = f"without {scores.position}", f"with {scores.position}"
    return ("rows", "number", "prompts", without, affixed, "change", "95 % interval")


def affix_rows(scores: ContextScores) -> list[tuple[str, ...]]:
    """Return what an affix does for predictions, a row for each side of the hold-out."""
    sides = [("searched", scores.train), ("held out", scores.holdout), ("all", scores.everything)]
    return [(name, *_side_figures(side)) for name, side in sides if side is not None]


def no_affix(scores: ContextScores) -> str:
    """Return what is said where the affix found is empty."""
    return (
        f"No {scores.position} was found that is better than none: leave predictions as they are."
    )


def method_figures(method: MethodScore) -> tuple[str, str, str, str]:
    """Return what one way of answering earns."""
    interval, difference = method.interval, method.difference_interval
    return (
        f"{method.mean:.4f}",
        f"{interval.low:.3f} to {interval.high:.3f}",
        f"{method.ratio:.3f}",
        f"{difference.low:+.4f} to {difference.high:+.4f}",
    )


def _side_figures(side: Side) -> tuple[str, ...]:
    return (
        f"{side.rows:,}",
        f"{side.groups:,}",
        f"{side.without:.5f}",
        f"{side.affixed:.5f}",
        f"{side.ratio - 1:+.2%}",
        f"{side.low / side.without:+.2%} to {side.high / side.without:+.2%}",
    )
