"""Build the page of answers (predicted prompts) of a submission or an evaluation."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mean_prompt.hybrid import Answer, Outcome
from mean_prompt.report.page import hybrid_data, hybrid_figures
from mean_prompt.report.page.figures import Figure
from mean_prompt.report.page.page import PageParts, fragment
from mean_prompt.report.page.submission_files import UNEXPLAINED, SubmissionFiles
from mean_prompt.system import masked_urls

if TYPE_CHECKING:
    from mean_prompt.hybrid import Comparison, Evaluation, GroupScore, MethodScore
    from mean_prompt.report.page.truth import Truth

HEADINGS: Final = {
    "status": "",
    "winners": "Which kind of answer was chosen",
    "truth": "Expected and actual scores",
    "gains": "Rows that gain and lose most",
    "searched": "Strings searched for rows",
    "reproduce": "Reproduce these answers",
}
#: Most rows that are listed as gaining, and as losing, the most.
_LISTED: Final = 12
#: Characters of a hash that are shown.
_HASH: Final = 16
#: Fields of the request in a prediction run's journal, and their names on the page.
_PINNED: Final = {
    "universal": "universal string",
    "llm": "LLM",
    "shots": "known rows that the LLM was shown",
    "calibrate": "known rows that the LLM was asked about",
    "model": "model",
    "model found": "hash of the model",
    "corpus": "corpus",
    "corpus hash": "hash of the corpus",
    "prefix": "prefix",
    "suffix": "suffix",
    "max_tokens": "most tokens of an answer",
    "trials": "settings tried",
    "seed": "seed",
    "vector": "trained predictor of vectors",
    "row_search": "strings encoded in a search for each row",
    "test": "hash of the test rows",
    "triples": "hash of the known rows",
}
#: Fields of the request, and the command-line options that repeat them.
_OPTIONS: Final = {
    "model": "--model",
    "corpus": "--corpus",
    "prefix": "--prefix",
    "suffix": "--suffix",
    "shots": "--llm-shots",
    "calibrate": "--calibrate",
    "max_tokens": "--max-tokens",
    "trials": "--trials",
    "seed": "--seed",
    "vector": "--vector",
    "row_search": "--row-search",
}

Figures = dict[str, Figure]
Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AnswersReport:
    """Data of a page: answers (predicted prompts), their scores, and how to reproduce them.

    Attributes:
        outcomes: scores of the answers whose true prompt is known.
        groups: prompts that gain and lose most, by title.
        facts: model, corpus, seed and other inputs of the answers, by name.
        command: the command that reproduces the answers, and ``how``, a sentence on it.
    """

    title: str
    universal: str | None
    answers: tuple[Answer, ...]
    outcomes: tuple[Outcome, ...] = ()
    methods: tuple[MethodScore, ...] = ()
    groups: tuple[tuple[str, tuple[GroupScore, ...]], ...] = ()
    facts: Facts = ()
    command: str = ""
    how: str = ""
    truth_notes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def submission_parts(files: SubmissionFiles, truth: Truth | None = None) -> PageParts:
    """Return the content of a submission's page, with actual scores if true prompts are known."""
    return _parts(
        AnswersReport(
            title=f"mean-prompt: {files.path.resolve().name}",
            universal=files.universal,
            answers=files.answers,
            outcomes=truth.outcomes if truth else (),
            methods=truth.methods if truth else (),
            facts=_facts(files),
            command=_predict_command(files),
            how="Put the files that were read in the places of TEST and TRIPLES, and the same LLM "
            "in that of LLM: the journal knows them by the hashes above.",
            truth_notes=truth.notes if truth else (),
        )
    )


def evaluation_parts(evaluation: Evaluation, plan: Comparison, universal: str) -> PageParts:
    """Return the content of the page of a cross-validated comparison of ways of answering.

    Args:
        evaluation: the results.
        plan: the settings of the comparison.
        universal: the universal string, which the plan may name by its run's folder.
    """
    known = (
        f"{evaluation.rows:,} known rows of {evaluation.groups:,} prompts, each answered by a "
        "predictor that never saw its prompt."
    )
    return _parts(
        AnswersReport(
            title=f"mean-prompt: evaluation of {plan.triples.name}",
            universal=universal,
            answers=tuple(row.answer for row in evaluation.outcomes),
            outcomes=evaluation.outcomes,
            methods=evaluation.methods,
            groups=tuple(
                (f"Prompts that {what} most compared with the {evaluation.reference}", rows)
                for what, rows in (("gain", evaluation.winners), ("lose", evaluation.losers))
            ),
            facts=_plan_facts(plan, universal),
            how="The same command gives the same figures on the same machine, if an LLM answers "
            "the same.",
            truth_notes=(known,),
            notes=evaluation.notes,
        )
    )


def _parts(found: AnswersReport) -> PageParts:
    figures: Figures = {}
    sections = dict(_sections(found, figures))
    return PageParts(title=found.title, headings=HEADINGS, sections=sections, figures=figures)


def _sections(found: AnswersReport, figures: Figures) -> Iterator[tuple[str, str]]:
    yield "status", _status(found)
    yield "winners", _winners(found, figures)
    if found.outcomes:
        yield "truth", _truth(found, figures)
    if tables := list(_gains(found, figures)):
        yield "gains", fragment("hybrid/gains.html", tables=tables)
    if section := _searched(found):
        yield "searched", section
    if found.facts:
        made = {name: getattr(found, name) for name in ("facts", "how", "command", "notes")}
        yield "reproduce", fragment("hybrid/reproduce.html", **made)


def _status(found: AnswersReport) -> str:
    rows = len(found.answers)
    improved = sum(answer.text != found.universal for answer in found.answers)
    line = f"{rows:,} rows"
    if found.universal is not None:
        line += (
            f": {improved:,} with an answer of their own, {rows - improved:,} with the universal "
            "string"
        )
    kinds = hybrid_data.by_kind(found.answers)
    late = sum(a.rule == "no time" and a.kind != UNEXPLAINED for a in found.answers)
    return fragment(
        "hybrid/status.html",
        line=f"{line}.",
        kinds=[(row.kind, row.rows) for row in kinds],
        late=late,
        unexplained=sum(answer.kind == UNEXPLAINED for answer in found.answers),
    )


def _winners(found: AnswersReport, figures: Figures) -> str:
    kinds = hybrid_data.by_kind(found.answers, found.outcomes)
    places = hybrid_data.by_knowledge(found.answers)
    trusts = [answer.trust for answer in found.answers if answer.trust is not None]
    figures["plot-kinds"] = hybrid_figures.kinds_bars(kinds)
    figures["plot-knowledge"] = hybrid_figures.knowledge_bars(places)
    has_scores = any(row.expected is not None or row.actual is not None for row in kinds)
    if has_scores:
        figures["plot-expected"] = hybrid_figures.expected_bars(kinds)
    if trusts:
        figures["plot-trust"] = hybrid_figures.trust_bars(trusts)
    return fragment(
        "hybrid/winners.html",
        kinds=kinds,
        rows=len(found.answers),
        places=places,
        names=[row.kind for row in kinds],
        columns=[f"#{row.kind}" for row in kinds],
        has_scores=has_scores,
        is_known=bool(found.outcomes),
        trusts=len(trusts),
    )


def _truth(found: AnswersReport, figures: Figures) -> str:
    parts = hybrid_data.calibration(found.outcomes)
    judged = [row for row in found.outcomes if row.answer.expected is not None]
    if parts:
        figures["plot-truth"] = hybrid_figures.truth_points(found.outcomes)
        figures["plot-calibration"] = hybrid_figures.calibration_line(parts)
    figures["plot-methods"] = hybrid_figures.methods_bars(found.methods)
    return fragment(
        "hybrid/truth.html",
        figures=_figures(found, judged),
        methods=found.methods,
        parts=parts,
        judged=len(judged),
        drawn=len(hybrid_figures.drawn(found.outcomes)),
        groups=found.groups,
        notes=found.truth_notes,
    )


def _figures(found: AnswersReport, judged: Sequence[Outcome]) -> list[tuple[str, str, str]]:
    """Return the mean scores of a page of answers as (name, value, note), all text."""
    figures = []
    if judged:
        expected = sum(row.answer.expected or 0.0 for row in judged) / len(judged)
        actual = sum(row.actual for row in judged) / len(judged)
        figures += [
            ("mean expected", f"{expected:.5f}", f"SCS, {len(judged):,} rows that were weighed"),
            ("mean actual", f"{actual:.5f}", "the same rows"),
        ]
    for method in found.methods:
        if method.name in {"hybrid", "universal alone", "LLM alone"}:
            interval = f"95 % interval {method.interval.low:.5f} to {method.interval.high:.5f}"
            figures.append((f"{method.name}, all rows", f"{method.mean:.5f}", interval))
    return figures


def _gains(found: AnswersReport, figures: Figures) -> Iterator[dict[str, Any]]:
    """Yield tables of the rows that gain and lose most; add a histogram each to ``figures``."""
    kinds = (
        (
            ("plot-gain-universal", "the universal string", "universal"),
            ("plot-gain-llm", "the LLM alone", "llm"),
        )
        if found.outcomes
        else (("plot-expected-gain", "the universal string", None),)
    )
    for name, over, field in kinds:
        gains = (
            hybrid_data.actual_gains(found.outcomes, field)
            if field
            else hybrid_data.expected_gains(found.answers)
        )
        if not gains:
            continue
        best, worst = hybrid_data.ends(gains, _LISTED)
        figures[name] = hybrid_figures.gain_bars(gains, over)
        yield {
            "plot": name,
            "title": f"{'Actual' if found.outcomes else 'Expected'} gain over {over}",
            "best": best,
            "worst": worst,
            "rows": len(gains),
            "gaining": sum(row.gain > 0 for row in gains),
            "losing": sum(row.gain < 0 for row in gains),
            "is_known": bool(found.outcomes),
        }


def _searched(found: AnswersReport) -> str:
    """Return the section on row search: what was found for the rows of which most is expected."""
    tried = [answer for answer in found.answers if answer.searched is not None]
    if not tried:
        return ""
    actual = {row.answer.id: row.actual for row in found.outcomes}
    taken = [answer for answer in tried if answer.kind == "searched"]
    gains = [(answer.expected or 0.0) - (answer.choice_expected or 0.0) for answer in taken]
    order = sorted(range(len(taken)), key=lambda row: -gains[row])[:_LISTED]
    return fragment(
        "hybrid/searched.html",
        tried=len(tried),
        taken=len(taken),
        gain=sum(gains) / len(tried),
        rows=[(taken[row], gains[row], actual.get(taken[row].id)) for row in order],
        is_known=bool(found.outcomes),
    )


def _plan_facts(plan: Comparison, universal: str) -> Facts:
    options = plan.options
    corpus = options.corpus if isinstance(options.corpus, tuple) else (options.corpus.content_hash,)
    asked = {name: getattr(options, name, getattr(plan, name, None)) for name in _PINNED}
    asked |= {"universal": universal, "llm": masked_urls(plan.llm), "corpus": list(corpus)}
    asked["triples"] = None  # it is the file's name here
    facts = {"known rows": str(plan.triples), "predictions swapped": f"{plan.swap:g}"}
    facts |= {title: _text(asked[name]) for name, title in _PINNED.items()}
    return tuple((name, value) for name, value in facts.items() if value)


def _facts(files: SubmissionFiles) -> Facts:
    facts = [(title, _text(files.job.get(name))) for name, title in _PINNED.items()]
    for name, title in (("text", "without a prediction"), ("llm", "with a prediction")):
        facts.append((f"settings of the blend, {title}", _text(files.fit.get(name))))
    return tuple((name, value) for name, value in facts if value)


def _text(value: object) -> str:
    """Format a JSON value for the page: hashes are shortened, missing values are empty."""
    if value is None or value == []:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner) or 'none'}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value) if str(value).strip() else repr(value)
    is_hash = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:_HASH] if is_hash else text


def _predict_command(files: SubmissionFiles) -> str:
    if not files.job:
        return ""
    words = ["mean-prompt", "predict", "TEST", "--triples", "TRIPLES"]
    words += ["--prompt", str(files.universal), *(["--llm", "LLM"] if files.job.get("llm") else [])]
    for name, option in _OPTIONS.items():
        value = files.job.get(name)
        for one in value if isinstance(value, list) else [value]:
            words += [] if one is None else [option, json.dumps(one).strip('"')]
    return shlex.join([*words, "--out", "submission.csv"])
