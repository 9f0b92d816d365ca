"""Build the HTML page of a search run from the files in its folder, section by section."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from mean_prompt.report.analysis.data import AffixAnalysis, Analysis
from mean_prompt.report.page import search_figures
from mean_prompt.report.page.figures import Figure, histogram
from mean_prompt.report.page.files import RunFiles
from mean_prompt.report.page.history import ClimbHistory, History, Improvement, gains_by_move
from mean_prompt.report.page.page import PageParts, fragment
from mean_prompt.runs import RunStatus, SearchResult

HEADINGS: Final = {
    "status": "",
    "string": "The string",
    "score": "Score",
    "progress": "Progress of the search",
    "edits": "What each edit gained",
    "rows": "Predictions that gain and lose most",
    "tokens": "What each token is worth",
    "prompts": "Prompts it scores best and worst on",
    "map": "Map of the corpus",
    "study": "Which moves and settings gained most",
    "reproduce": "Reproduce this run",
}
#: Most edits, and most climbs (local searches from one start), that are listed.
_MOST_EDITS: Final = 400
_MOST_CLIMBS: Final = 400
#: Most rows that are listed as gaining, and as losing, the most.
_LISTED_ROWS: Final = 12
#: Settings of climbs that are drawn, and their titles.
_SETTINGS: Final = {
    "width": "edits evaluated a step",
    "hot": "first temperature, as a share of the ceiling",
    "kick": "random edits to an elite before the climb",
}


def run_parts(run: Path) -> PageParts:
    """Read the folder of a search run, finished or not, and return the content of its page.

    Raises:
        InputError: ``run`` is no run's folder, or a file in it is damaged.
    """
    return search_parts(RunFiles.read(run))


def search_parts(run: RunFiles) -> PageParts:
    """Return the content of the page of a search run whose files have been read."""
    figures: dict[str, Figure] = {}
    sections = dict(_sections(run, figures))
    return PageParts(page_title(run.path), HEADINGS, sections, figures)


def page_title(run: Path) -> str:
    """Return the title of a search run's page, which holds the name of the run's folder."""
    return f"mean-prompt: {run.resolve().name}"


def status_section(status: RunStatus, fault: str = "") -> str:
    """Return the status of a search as HTML, with an error if the page could not be updated."""
    return fragment("search/status.html", state=status.state, line=status.describe(), fault=fault)


def _sections(run: RunFiles, figures: dict[str, Figure]) -> Iterator[tuple[str, str]]:
    history, result, string = run.history, run.result, run.status.string
    yield "status", status_section(run.status)
    if string is not None:
        # As JSON, because HTML parsers change line ends.
        values = {"exact": json.dumps(string), "tokens": result.tokens if result else None}
        yield "string", fragment("search/string.html", string=string, **values)
    if result or history.improvements:
        yield "score", _score(result, history)
    if history.improvements:
        figures["plot-progress"] = search_figures.progress_lines(history)
        drawn = len(search_figures.drawn_climbs(history))
        climbs = {"drawn": drawn, "hidden": len(history.climbs) - drawn}
        yield "progress", fragment("search/progress.html", resumes=history.resumes, **climbs)
        yield "edits", _edits(history.improvements)
    if run.analysis:
        yield from _analysis(run.analysis, figures)
    if run.affix:
        yield from affix_sections(run.affix, figures)
    if len(history.improvements) > 1 or history.climbs:
        yield "study", _study(history, figures)
    yield "reproduce", _reproduce(run)


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
    rows = [*map(asdict, result.baselines), found]
    context = result.context
    names = {"train": "searched", "holdout": "held out", "everything": "all"} if context else {}
    sides = [(title, getattr(context, name)) for name, title in names.items()]
    return fragment(
        "search/score.html",
        figures=_result_figures(result),
        baselines=() if context else sorted(rows, key=lambda row: row["score"]),
        ceiling=result.ceiling,
        context=context,
        sides=[(name, side) for name, side in sides if side is not None],
    )


def _result_figures(result: SearchResult) -> list[tuple[str, str, str]]:
    """Return the scores of a search's result as (name, value, note), all text."""
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


def _edits(improvements: tuple[Improvement, ...]) -> str:
    largest = sorted(improvements, key=lambda row: -row.gain)[:_MOST_EDITS]
    kept = {id(row) for row in largest}
    rows = [row for row in improvements if id(row) in kept]
    left_out = len(improvements) - len(rows)
    return fragment("search/edits.html", rows=rows, total=len(improvements), left_out=left_out)


def _analysis(analysis: Analysis, figures: dict[str, Figure]) -> Iterator[tuple[str, str]]:
    look = analysis.look
    if look.worths:
        largest = max(abs(row.worth) for row in look.worths) or 1.0
        yield "tokens", fragment("search/tokens.html", worths=look.worths, largest=largest)
    figures["plot-cosines"] = search_figures.cosine_bars(look.spread)
    yield "prompts", fragment("search/prompts.html", look=look)
    figures["plot-map"] = search_figures.map_figure(analysis)
    clusters = [
        (search_figures.cluster_name(cluster.words, number), cluster)
        for number, cluster in enumerate(analysis.clusters)
    ]
    prompts = sum(cluster.prompts for cluster in analysis.clusters)
    values = {"clusters": clusters, "prompts": prompts, "score": look.score}
    drawn = {"drawn": len(analysis.map.x), "explained": analysis.map.explained}
    yield "map", fragment("search/map.html", **values, **drawn)


def affix_sections(
    analysis: AffixAnalysis, figures: dict[str, Figure]
) -> Iterator[tuple[str, str]]:
    """Yield (id, HTML) of the sections on an affix (prefix or suffix); fill in ``figures``."""
    rows = sorted(analysis.rows, key=lambda row: row.without - row.affixed)
    changes = [row.affixed - row.without for row in rows]
    figures["plot-change"] = histogram(
        changes, x=f"change in SCS by the {analysis.position}", y="rows"
    )
    best = [row for row in rows if row.affixed > row.without][:_LISTED_ROWS]
    worst = [row for row in reversed(rows) if row.affixed < row.without][:_LISTED_ROWS]
    shared = {"position": analysis.position, "total": len(rows)}
    gained, lost = sum(change > 0 for change in changes), sum(change < 0 for change in changes)
    counts = {"gained": gained, "lost": lost, **shared}
    yield "rows", fragment("search/rows.html", best=best, worst=worst, **counts)
    if analysis.worths:
        largest = max(abs(row.worth) for row in analysis.worths) or 1.0
        worths = fragment("search/tokens.html", worths=analysis.worths, largest=largest)
        judged = {"worths": worths, "judged": analysis.judged, **shared}
        yield "tokens", fragment("search/affix_tokens.html", **judged)


def _study(history: History, figures: dict[str, Figure]) -> str:
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


def _starts(climbs: tuple[ClimbHistory, ...]) -> list[dict[str, Any]]:
    """Return best and median scores of climbs (local searches) by kind of start, best first."""
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
    repeats = (
        result is not None
        and not result.stopped
        and "budget =" not in run.recipe
        and result.details.get("workers", 1) == 1
    )
    how = (
        "With a limit of evaluations alone the same seed gives the same string on the same machine."
        if repeats
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


def _facts(result: SearchResult) -> list[tuple[str, str]]:
    details = result.details
    model, corpus = details.get("model", {}), details.get("corpus", {})
    sources = corpus.get("sources", ())
    named = (source["path"] if isinstance(source, dict) else str(source) for source in sources)
    prompts = corpus.get("prompts", corpus.get("rows"))
    facts = {
        "model": model.get("name"),
        "hash of the model": (model.get("content_hash") or "")[:16],
        "device and dtype": f"{model.get('device')}, {model.get('dtype')}, screening in "
        f"{details.get('screening', {}).get('dtype')}",
        "corpus": ", ".join(named),
        "prompts": f"{prompts}: {corpus.get('train')} searched, {corpus.get('holdout')} held out",
        "hash of the corpus": (corpus.get("hash") or "")[:16],
        "hash of the recipe": (details.get("recipe_hash") or "")[:16],
        "seed": str(details.get("seed")),
        "versions": ", ".join(f"{name} {v}" for name, v in details.get("versions", {}).items()),
    }
    return [(name, value) for name, value in facts.items() if value]
