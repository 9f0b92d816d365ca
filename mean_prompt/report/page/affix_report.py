"""The sections of an affix: what it changes row by row, and what its tokens are worth there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mean_prompt.report.analysis.data import AffixAnalysis
from mean_prompt.report.page.figures import Figure, histogram
from mean_prompt.report.page.page import fragment

#: Rows that are listed as gaining and as losing the most.
_LISTED: Final = 12


def affix_sections(
    analysis: AffixAnalysis, figures: dict[str, Figure]
) -> Iterator[tuple[str, str]]:
    """Yield the sections of an affix by their ids, and add their figures to those of the page."""
    rows = sorted(analysis.rows, key=lambda row: row.without - row.affixed)
    changes = [row.affixed - row.without for row in rows]
    figures["plot-change"] = histogram(
        changes, x=f"change in SCS by the {analysis.position}", y="rows"
    )
    best = [row for row in rows if row.affixed > row.without][:_LISTED]
    worst = [row for row in reversed(rows) if row.affixed < row.without][:_LISTED]
    yield (
        "rows",
        fragment(
            "search/rows.html",
            position=analysis.position,
            total=len(rows),
            gained=sum(change > 0 for change in changes),
            lost=sum(change < 0 for change in changes),
            best=best,
            worst=worst,
        ),
    )
    if analysis.worths:
        largest = max(abs(row.worth) for row in analysis.worths) or 1.0
        worths = fragment("search/tokens.html", worths=analysis.worths, largest=largest)
        yield (
            "tokens",
            fragment(
                "search/affix_tokens.html",
                worths=worths,
                judged=analysis.judged,
                total=len(rows),
                position=analysis.position,
            ),
        )
