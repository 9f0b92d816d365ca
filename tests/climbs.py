"""Records of ended climbs, for tests."""

from mean_prompt.optimize.sampling import ClimbRecord


def climb(number=0, *, score=0.5, ended="complete", reports=(0.1, 0.2, 0.3), params=None):
    return ClimbRecord(
        number=number,
        params=params or {"start": "corpus"},
        reports=tuple(reports),
        ended=ended,
        text=f"climb {number} \N{PARROT}",
        score=score,
        evaluations=100,
        began=1_700_000_000.0 + number,
        over=1_700_000_050.25 + number,
    )
