"""What a notebook shows of results, corpora, scored strings and answers, as data.

Each function takes an object and returns its :class:`~mean_prompt.display.html.View`; figures are
those that the command line prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mean_prompt.display.figures import (
    METHOD_HEADINGS,
    affix_headings,
    affix_rows,
    compared,
    effort,
    holdout_line,
    method_figures,
    no_affix,
)
from mean_prompt.display.html import Cell, Table, View, shortened

if TYPE_CHECKING:
    from mean_prompt.corpus import Corpus
    from mean_prompt.hybrid.answer import Answer
    from mean_prompt.hybrid.evaluation import Evaluation, GroupScore
    from mean_prompt.result import ContextScores, ScoredString, SearchResult
    from mean_prompt.sources import Source

#: Characters of a string that somebody looks at for its own sake.
_MOST: Final = 2_000
#: Prompts of a corpus that are shown.
_EXAMPLES: Final = 6


def result_view(result: SearchResult) -> View:
    """Show the string, its scores, and what it is compared with."""
    if result.context is not None:
        return _affix_view(result, result.context)
    *others, found = compared(result)
    table = Table(
        "expected SCS over every prompt",
        ("string", "score", "of the ceiling", "text"),
        (
            *((name, score, share, shortened(text)) for score, share, name, text in others),
            (found[2], found[0], found[1], "as above"),
        ),
        strong=len(others),
    )
    return View(
        f"expected SCS {result.score:.5f}, {result.fraction:.3f} of the ceiling "
        f"{result.ceiling:.5f}",
        string=shortened(result.string, _MOST),
        share=min(max(result.fraction, 0.0), 1.0),
        tables=(table,),
        lines=_closing(result),
    )


def _affix_view(result: SearchResult, scores: ContextScores) -> View:
    gain = scores.everything.ratio - 1
    title = f"{scores.position} that changes the mean SCS of predictions by {gain:+.2%}"
    table = Table(
        f"mean SCS of predictions, {scores.position} searched",
        affix_headings(scores),
        tuple(affix_rows(scores)),
    )
    return View(
        title if result.string else no_affix(scores),
        string=shortened(result.string, _MOST) if result.string else None,
        tables=(table,),
        lines=_closing(result),
    )


def _closing(result: SearchResult) -> tuple[str, ...]:
    model = result.details.get("model")
    lines = (
        holdout_line(result) if result.context is None else None,
        effort(result),
        f"model {model['name']}" if isinstance(model, dict) and "name" in model else None,
        f"saved in {result.out}" if result.out else None,
    )
    return tuple(line for line in lines if line)


def corpus_view(corpus: Corpus) -> View:
    """Show how many prompts there are, where they come from, and some of them."""
    count, shown = len(corpus), min(len(corpus), _EXAMPLES)
    rows = [round(number * (count - 1) / (shown - 1)) for number in range(shown)]
    examples = Table(
        f"{shown} of the {count:,} prompts, at equal distances",
        ("prompt", "share", "text"),
        tuple(
            (f"{row + 1:,}", f"{corpus.weights[row]:.3%}", shortened(corpus.prompts[row]))
            for row in rows
        ),
    )
    low, high = float(corpus.weights.min()), float(corpus.weights.max())
    weights = (
        f"every prompt has the same weight, {high:.3%}"
        if low == high
        else f"prompts have weights from {low:.3%} to {high:.3%}"
    )
    return View(
        f"corpus of {count:,} prompts",
        tables=(_sources(corpus.sources), examples) if corpus.sources else (examples,),
        lines=(weights,),
    )


def _sources(sources: tuple[Source, ...]) -> Table:
    total = sum(source.weight or 0.0 for source in sources)
    rows = tuple(_source(source, total) for source in sources)
    headings = ("source", "prompts", "rows", "empty", "duplicates", "stripped", "weight", "path")
    return Table("what was read, and what cleaning did", headings, rows)


def _source(source: Source, total: float) -> tuple[Cell, ...]:
    counts = (source.kept, source.rows, source.empty, source.duplicates, source.stripped)
    weight = "by its rows" if source.weight is None else f"{source.weight / total:.1%}"
    cells = tuple(f"{count:,}" for count in counts)
    return (shortened(source.name), *cells, weight, shortened(source.path))


def scored_view(scored: ScoredString) -> View:
    """Show a string and its score."""
    cut = "; the model reads only its beginning" if scored.truncated else ""
    return View(
        f"expected SCS {scored.score:.5f}, {scored.fraction:.3f} of the ceiling "
        f"{scored.ceiling:.5f}",
        string=shortened(scored.text, _MOST),
        share=min(max(scored.fraction, 0.0), 1.0),
        lines=(f"{scored.tokens:,} tokens{cut}",),
    )


def answer_view(answer: Answer) -> View:
    """Show what a row is answered with, and why."""
    decided = "by weighing candidates" if answer.rule == "blend" else f"by rule: {answer.rule}"
    rows = {
        "kind": answer.kind,
        "decided": decided,
        "expected SCS": None if answer.expected is None else f"{answer.expected:.4f}",
        "trust in the prediction": None if answer.trust is None else f"{answer.trust:.3f}",
        "strings compared": f"{answer.candidates:,}",
    }
    cells = tuple((name, shortened(value)) for name, value in rows.items() if value is not None)
    return View(
        f"answer to row {shortened(answer.id, 80).head}",
        string=shortened(answer.text, _MOST),
        tables=(Table("how it came about", (), cells),),
    )


def evaluation_view(evaluation: Evaluation) -> View:
    """Show what ways of answering earn, and the prompts that gain and lose most."""
    names = [method.name for method in evaluation.methods]
    methods = Table(
        f"SCS, compared with the {evaluation.reference}",
        ("method", *METHOD_HEADINGS),
        tuple((method.name, *method_figures(method)) for method in evaluation.methods),
        strong=names.index("hybrid") if "hybrid" in names else None,
    )
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in evaluation.kinds.items())
    expected = "" if evaluation.expected is None else f"expected {evaluation.expected:.4f}; "
    return View(
        f"evaluation over {evaluation.rows:,} rows of {evaluation.groups:,} prompts",
        tables=(
            methods,
            _groups("prompts that gain most", evaluation.winners),
            _groups("prompts that lose most", evaluation.losers),
        ),
        lines=(f"The hybrid: {expected}{kinds}.",),
        notes=evaluation.notes,
    )


def _groups(caption: str, groups: tuple[GroupScore, ...]) -> Table:
    rows = tuple(
        (
            shortened(group.prompt),
            f"{group.hybrid:.3f}",
            f"{group.reference:.3f}",
            f"{group.rows:,}",
        )
        for group in groups
    )
    return Table(caption, ("prompt", "hybrid", "reference", "rows"), rows)
