"""The data of an analysis, as it is written to a run's folder and read back."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenWorth(_Data):
    """What one token of a string is worth, by leaving it out.

    Attributes:
        piece: the token as it stands in the string, blanks before it included.
        worth: expected SCS of the string less that of the string without the token.
    """

    piece: str
    worth: float


class PromptScore(_Data):
    """A prompt, and how close a string is to it.

    Attributes:
        cosine: cosine of the string with it, within [-1, 1]; its cube is the string's score there.
        share: share of the prompt in the corpus, within (0, 1].
    """

    prompt: str
    cosine: float
    share: float


class CosineSpread(_Data):
    """How a string's cosines with the prompts are distributed.

    Attributes:
        edges: B + 1 rising cosines.
        shares: B shares of the corpus between them, sum 1.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    mean: float


class StringAnalysis(_Data):
    """The analysis of one string in a corpus's space.

    Attributes:
        tokens: number of its tokens, without special ones.
        is_cut: whether the model reads only its beginning.
        score: expected SCS over every prompt.
        fraction: the score as a share of the ceiling.
        worths: worths of its tokens, in their order, as far as the model reads.
        nearest: the prompts that it scores best on, the best first.
        farthest: the prompts that it scores worst on, the worst first.
        place: its place on the corpus's map.
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
    """A corpus in two dimensions.

    Attributes:
        x: first coordinates of K prompts, a sample; ``y`` has their second ones, ``prompts``
            their beginnings and ``clusters`` the numbers of their clusters.
        explained: share of the vectors' variance that the two dimensions hold, within [0, 1].
        mean: place of the normalised mean vector.
        ceiling: place of the vector that reaches the ceiling.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    prompts: tuple[str, ...]
    clusters: tuple[int, ...]
    explained: float
    mean: tuple[float, float]
    ceiling: tuple[float, float]


class PromptCluster(_Data):
    """Prompts that are alike.

    Attributes:
        words: words that distinguish it from the rest of the corpus.
        example: the prompt nearest to its centre, shortened.
        share: share of the corpus by weight, within (0, 1].
        score: expected SCS of the string over these prompts alone.
    """

    words: tuple[str, ...]
    example: str
    prompts: int
    share: float
    score: float


class Analysis(_Data):
    """The analysis of a run's string, and the corpus around it.

    Attributes:
        ceiling: highest expected SCS of any unit vector.
        clusters: clusters of the prompts, the largest share first.
    """

    look: StringAnalysis
    ceiling: float
    map: CorpusMap
    clusters: tuple[PromptCluster, ...]


class Suggestion(_Data):
    """An edit to make next.

    Attributes:
        edit: the edit, in words.
        text: the string after it.
        score: expected SCS of that string over every prompt.
        gain: ``score`` less that of the string before; ``None`` if that was blank.
    """

    edit: str
    text: str
    score: float
    gain: float | None


class Advice(_Data):
    """Suggestions for a string.

    Attributes:
        fault: which of the run's rules it breaks, such as ``is blank``; ``None`` if none.
        tried: number of strings that were scored.
        suggestions: edits that keep to the rules, the best first.
    """

    text: str
    fault: str | None
    tried: int
    suggestions: tuple[Suggestion, ...]


class AffixRow(_Data):
    """One row of an affix's context.

    Attributes:
        prompt: the true prompt.
        without: SCS of the prediction alone.
        affixed: SCS of the prediction with the affix.
    """

    id: str
    prediction: str
    prompt: str
    without: float
    affixed: float
    held_out: bool


class AffixAnalysis(_Data):
    """An affix, row by row.

    Attributes:
        position: ``suffix`` or ``prefix``.
        rows: all rows, in the file's order.
        worths: worths of the affix's tokens, in their order: mean SCS of predictions with it less
            that with the affix without the token.
        judged: number of rows that the worths are means over, drawn at random.
    """

    text: str
    position: str
    rows: tuple[AffixRow, ...]
    worths: tuple[TokenWorth, ...]
    judged: int
