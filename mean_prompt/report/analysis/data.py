"""Data classes of the analysis of a string, stored as JSON in the folder of a search run."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenWorth(_Data):
    """One token, with the blanks before it, and what the score loses without it (its worth)."""

    piece: str
    worth: float


class PromptScore(_Data):
    """A prompt of the corpus and its cosine with the analysed string.

    Attributes:
        cosine: cosine of the string and the prompt, within [-1, 1]; its cube is their SCS.
        share: share of the prompt in the corpus, within (0, 1].
    """

    prompt: str
    cosine: float
    share: float


class CosineSpread(_Data):
    """Histogram of a string's cosines with the prompts of a corpus.

    Attributes:
        edges: the B + 1 rising edges of the bins.
        shares: shares of the corpus in the B bins, of sum 1.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    mean: float


class StringAnalysis(_Data):
    """Comparison of one string with all prompts of a corpus, in the embedding space.

    Attributes:
        tokens: number of the string's tokens, without special ones.
        is_cut: whether the model reads only the string's beginning.
        fraction: the score divided by the ceiling, the highest score of any unit vector.
        place: the string's coordinates on the map of the corpus.
    """

    text: str
    tokens: int
    is_cut: bool
    score: float
    fraction: float
    worths: tuple[TokenWorth, ...]
    spread: CosineSpread
    nearest: tuple[PromptScore, ...]
    farthest: tuple[PromptScore, ...]
    place: tuple[float, float]


class CorpusMap(_Data):
    """A sample of a corpus's prompts projected onto two principal components.

    Attributes:
        x: first coordinates of the K prompts of the sample; ``y`` has the second ones, ``prompts``
            the beginnings of the prompts and ``clusters`` the numbers of their clusters.
        explained: share of the vectors' variance that the two dimensions hold, within [0, 1].
        mean: coordinates of the normalised mean vector of the corpus.
        ceiling: coordinates of the unit vector with the highest expected SCS.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    prompts: tuple[str, ...]
    clusters: tuple[int, ...]
    explained: float
    mean: tuple[float, float]
    ceiling: tuple[float, float]


class PromptCluster(_Data):
    """A cluster of similar prompts, with the analysed string's score on it.

    Attributes:
        share: share of the corpus by weight, within (0, 1].
        score: expected SCS of the string over the prompts of the cluster.
    """

    words: tuple[str, ...]
    example: str
    prompts: int
    share: float
    score: float


class Analysis(_Data):
    """The analysis of a run's best string, with the map and the clusters of its corpus."""

    look: StringAnalysis
    ceiling: float
    map: CorpusMap
    clusters: tuple[PromptCluster, ...]


class Suggestion(_Data):
    """A suggested edit of a string, with the score after the edit.

    Attributes:
        gain: ``score`` less the score before the edit; ``None`` if the string was blank.
    """

    edit: str
    text: str
    score: float
    gain: float | None


class Advice(_Data):
    """Suggested edits of a string, the best first.

    Attributes:
        fault: the run's rule that the string breaks, such as ``is blank``; ``None`` if none.
    """

    text: str
    fault: str | None
    tried: int
    suggestions: tuple[Suggestion, ...]


class AffixRow(_Data):
    """SCS of an LLM prediction with its true prompt, with and without an affix (prefix, suffix)."""

    id: str
    prediction: str
    prompt: str
    without: float
    affixed: float
    held_out: bool


class AffixAnalysis(_Data):
    """The effect of an affix (a prefix or suffix of LLM predictions) on each row.

    Attributes:
        worths: contributions of the affix's tokens, in their order: mean SCS of predictions with
            the affix, less that with the affix without the token.
        judged: number of random rows that the contributions are averaged over.
    """

    text: str
    position: str
    rows: tuple[AffixRow, ...]
    worths: tuple[TokenWorth, ...]
    judged: int
