"""The page of a search: what its folder holds, section by section."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from mean_prompt.report.analysis.data import Analysis
from mean_prompt.report.page import search_figures
from mean_prompt.report.page.affix_report import affix_sections
from mean_prompt.report.page.files import RunFiles
from mean_prompt.report.page.history import Climb, History, Improvement, gains_by_move
from mean_prompt.report.page.page import Parts, exact, fragment
from mean_prompt.runs import SearchResult
from mean_prompt.system import format_duration

HEADINGS: Final = {
    "status": "",
    "string": "The string",
    "score": "Score",
    "progress": "How it went",
    "story": "Edit by edit",
    "rows": "Row by row",
    "tokens": "What each token is worth",
    "prompts": "Whom it serves",
    "map": "The corpus",
    "study": "What paid",
    "reproduce": "To do it again",
}
#: Rows of the story and of the climbs that are listed.
_MOST_EDITS: Final = 400
_MOST_CLIMBS: Final = 400
#: Settings of climbs that are drawn, and what they are.
_SETTINGS: Final = {
    "width": "edits evaluated a step",
    "hot": "first temperature, as a share of the ceiling",
    "kick": "random edits to an elite before the climb",
}

Figures = dict[str, dict[str, Any]]


def run_parts(run: Path) -> Parts:
    """Return the page of a run's folder, as far as the run has come.

    Raises:
        InputError: it is no run's folder, or a file in it is damaged.
    """
    return search_parts(RunFiles.read(run))


def search_parts(run: RunFiles) -> Parts:
    """Return the page of a run that was read."""
    figures: Figures = {}
    sections = dict(_sections(run, figures))
    return Parts(
        title=f"mean-prompt: {run.path.resolve().name}",
        headings=HEADINGS,
        sections=sections,
        figures=figures,
    )


def _sections(run: RunFiles, figures: Figures) -> Iterator[tuple[str, str]]:
    history, result, analysis = run.history, run.result, run.analysis
    yield "status", _status(run)
    if run.string is not None:
        tokens = result.tokens if result else None
        yield (
            "string",
            fragment(
                "search/string.html", string=run.string, exact=exact(run.string), tokens=tokens
            ),
        )
    if result or history.improvements:
        yield "score", _score(result, history)
    if history.improvements:
        figures["plot-time"] = search_figures.over_time(history)
        figures["plot-evaluations"] = search_figures.over_evaluations(history)
        yield "progress", _progress(history)
        yield "story", _story(history.improvements)
    if analysis:
        yield from _analysis(analysis, result, figures)
    if run.affix:
        yield from affix_sections(run.affix, figures)
    if len(history.improvements) > 1 or history.climbs:
        yield "study", _study(history, figures)
    yield "reproduce", _reproduce(run)


def _status(run: RunFiles) -> str:
    """Return what became of the run, as its files tell it."""
    result, last = run.result, run.history.last
    if result is not None:
        state = "stopped" if result.stopped else "ended"
        line = (
            f"{'Stopped' if result.stopped else 'Done'} after {format_duration(result.seconds)} "
            f"and {result.evaluations:,} strings encoded, "
            f"{result.evaluations_per_second:,.0f} a second."
        )
    elif last is not None:
        state = "unfinished"
        line = (
            f"Not finished: {last[1]:,} strings encoded at the last event, after "
            f"{format_duration(last[0])}."
        )
    else:
        state, line = "unfinished", "Not finished: nothing was found yet."
    return fragment("search/status.html", state=state, line=line)


def _score(result: SearchResult | None, history: History) -> str:
    if result is None:
        best = history.improvements[-1]
        figures = [
            ("score so far", f"{best.point.score:.5f}", "expected SCS, training prompts"),
            ("of the ceiling", f"{100 * best.point.fraction:.1f} %", "of the training prompts"),
        ]
        if best.holdout is not None:
            figures.append(("hold-out", f"{best.holdout:.5f}", "prompts it did not see"))
        return fragment("search/score.html", figures=figures, baselines=(), ceiling=1, context=None)
    found = {"name": "found", "text": result.string, "score": result.score}
    rows = [*(asdict(row) for row in result.baselines), found]
    context = result.context
    sides = [("searched", context.train), ("held out", context.holdout)] if context else []
    if context:
        sides.append(("all", context.everything))
    return fragment(
        "search/score.html",
        figures=_figures(result),
        baselines=() if context else sorted(rows, key=lambda row: row["score"]),
        ceiling=result.ceiling,
        context=context,
        sides=[(name, side) for name, side in sides if side is not None],
    )


def _figures(result: SearchResult) -> list[tuple[str, str, str]]:
    """Return the figures of a result by name, each with a note."""
    what = "mean SCS of predictions with it" if result.context else "expected SCS, every prompt"
    figures = [
        ("score", f"{result.score:.5f}", what),
        ("of the ceiling", f"{100 * result.fraction:.1f} %", f"ceiling {result.ceiling:.5f}"),
        ("training", f"{result.train_score:.5f}", "what the search saw"),
    ]
    if result.holdout_score is not None:
        interval = result.holdout_interval
        note = f"95 % interval {interval.low:.5f} to {interval.high:.5f}" if interval else ""
        figures.append(("hold-out", f"{result.holdout_score:.5f}", note))
    best = max(result.baselines, key=lambda row: row.score, default=None)
    if best is not None and best.score > 0:
        name = f"{best.name}, {best.score:.5f}"
        figures.append(("of the best baseline", f"{result.score / best.score:.2f} ×", name))  # noqa: RUF001 - the sign
    return figures


def _progress(history: History) -> str:
    drawn = len(search_figures.drawn_climbs(history))
    return fragment(
        "search/progress.html",
        drawn=drawn,
        hidden=len(history.climbs) - drawn,
        resumes=history.resumes,
    )


def _story(improvements: tuple[Improvement, ...]) -> str:
    largest = sorted(improvements, key=lambda row: -row.gain)[:_MOST_EDITS]
    kept = {id(row) for row in largest}
    rows = [row for row in improvements if id(row) in kept]
    return fragment(
        "search/story.html",
        rows=rows,
        total=f"{len(improvements):,}",
        left_out=len(improvements) - len(rows),
    )


def _analysis(
    analysis: Analysis, result: SearchResult | None, figures: Figures
) -> Iterator[tuple[str, str]]:
    look = analysis.look
    if look.worths:
        largest = max(abs(row.worth) for row in look.worths) or 1.0
        yield "tokens", fragment("search/tokens.html", worths=look.worths, largest=largest)
    figures["plot-spread"] = search_figures.spread_bars(look.spread)
    yield "prompts", fragment("search/prompts.html", look=look)
    figures["plot-map"] = search_figures.corpus_map(analysis)
    names = [
        search_figures.cluster_name(cluster.words, number)
        for number, cluster in enumerate(analysis.clusters)
    ]
    yield (
        "map",
        fragment(
            "search/map.html",
            clusters=list(zip(names, analysis.clusters, strict=True)),
            prompts=sum(cluster.prompts for cluster in analysis.clusters),
            drawn=len(analysis.map.x),
            explained=analysis.map.explained,
            score=result.score if result else look.score,
        ),
    )


def _study(history: History, figures: Figures) -> str:
    moves = gains_by_move(history)
    if moves:
        figures["plot-moves"] = search_figures.moves_bars(moves)
    settings = []
    for name, title in _SETTINGS.items():
        values = {climb.params[name] for climb in history.climbs if name in climb.params}
        if len(values) > 1:
            figures[f"plot-{name}"] = search_figures.climbs_by_setting(history.climbs, name, title)
            settings.append((f"plot-{name}", f"Climbs by {title}, with the fraction they reached"))
    return fragment(
        "search/study.html",
        moves=moves,
        starts=_starts(history.climbs),
        settings=settings,
        climbs=history.climbs[:_MOST_CLIMBS],
        more_climbs=len(history.climbs[_MOST_CLIMBS:]),
    )


def _starts(climbs: tuple[Climb, ...]) -> list[dict[str, Any]]:
    """Return what climbs of each kind of start came to, the best kind first."""
    ended = [climb for climb in climbs if climb.ended]
    rows = []
    for start in {climb.start for climb in ended}:
        of_kind = [climb for climb in ended if climb.start == start]
        fractions = [climb.fraction for climb in of_kind]
        rows.append(
            {
                "start": start,
                "climbs": len(of_kind),
                "best": max(fractions),
                "median": median(fractions),
                "spent": sum(climb.spent or 0 for climb in of_kind),
            }
        )
    return sorted(rows, key=lambda row: (-row["best"], row["start"]))


def _reproduce(run: RunFiles) -> str:
    recipe = shlex.quote(str(run.path / "recipe.toml"))
    result = run.result
    exactly = result is not None and _is_repeatable(result, run.recipe)
    how = (
        "With a limit of evaluations alone the same seed gives the same string on the same machine."
        if exactly
        else "A limit of time is spent as fast as the machine is: the same command finds a string "
        "of about this score, and the same one only by chance."
    )
    return fragment(
        "search/reproduce.html",
        facts=_facts(result) if result else (),
        how=how,
        command=f"mean-prompt search --recipe {recipe}",
        recipe=run.recipe,
    )


def _is_repeatable(result: SearchResult, recipe: str) -> bool:
    return "budget =" not in recipe and "workers" not in result.details and not result.stopped


def _facts(result: SearchResult) -> list[tuple[str, str]]:
    """Return what the run was of, by name."""
    details = result.details
    model, corpus = details.get("model", {}), details.get("corpus", {})
    sources = corpus.get("sources", ())
    named = (source["path"] if isinstance(source, dict) else str(source) for source in sources)
    prompts = corpus.get("prompts", corpus.get("rows"))
    versions = details.get("versions", {})
    facts = {
        "model": model.get("name"),
        "model's content": (model.get("content_hash") or "")[:16],
        "device and dtype": f"{model.get('device')}, {model.get('dtype')}, screening in "
        f"{details.get('screening', {}).get('dtype')}",
        "corpus": ", ".join(named),
        "prompts": f"{prompts}: {corpus.get('train')} searched, {corpus.get('holdout')} held out",
        "corpus's content": (corpus.get("hash") or "")[:16],
        "recipe's content": (details.get("recipe_hash") or "")[:16],
        "seed": str(details.get("seed")),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return [(name, value) for name, value in facts.items() if value]
