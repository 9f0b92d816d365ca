"""What an analysis says, as data that is written to a run's folder and read back."""

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


class Served(_Data):
    """A prompt and how well a string serves it.

    Attributes:
        prompt: the prompt.
        cosine: of the string with it, within [-1, 1]; its cube is what the string earns there.
        share: of the prompt in the corpus, within (0, 1].
    """

    prompt: str
    cosine: float
    share: float


class Spread(_Data):
    """How a string's cosines with the prompts are distributed.

    Attributes:
        edges: B + 1 rising cosines.
        shares: B shares of the corpus between them, sum 1.
        mean: of the cosines.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    mean: float


class Look(_Data):
    """One string, seen in a corpus's space.

    Attributes:
        text: the string.
        tokens: how many it has, without special ones.
        is_cut: whether the model reads only its beginning.
        score: expected SCS over every prompt; ``fraction`` of the ceiling.
        worths: of its tokens, in their order, as far as the model reads.
        spread: of its cosines.
        nearest: the prompts that it serves best, the best first.
        farthest: those that it serves worst, the worst first.
        place: where it lies on the corpus's map.
    """

    text: str
    tokens: int
    is_cut: bool
    score: float
    fraction: float
    worths: tuple[TokenWorth, ...]
    spread: Spread
    nearest: tuple[Served, ...]
    farthest: tuple[Served, ...]
    place: tuple[float, float]


class Map(_Data):
    """A corpus in two dimensions.

    Attributes:
        x, y: K places of a sample of the prompts.
        prompts: K, shortened.
        clusters: K numbers of their clusters.
        explained: share of the vectors' variance that the two dimensions hold.
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


class Cluster(_Data):
    """Prompts that are alike.

    Attributes:
        words: that tell it from the rest of the corpus.
        example: the prompt nearest to its centre, shortened.
        prompts: how many; ``share`` of the corpus by weight.
        score: expected SCS of the string over these prompts alone.
    """

    words: tuple[str, ...]
    example: str
    prompts: int
    share: float
    score: float


class Analysis(_Data):
    """A run's string in its corpus's space.

    Attributes:
        look: the string.
        ceiling: highest expected SCS of any unit vector.
        map: of the corpus.
        clusters: of its prompts, the largest share first.
    """

    look: Look
    ceiling: float
    map: Map
    clusters: tuple[Cluster, ...]


class Suggestion(_Data):
    """An edit to make next.

    Attributes:
        edit: it, in words.
        text: the string after it.
        score: expected SCS of that string over every prompt, float32.
        gain: ``score`` less that of the string before; ``None`` where there was none.
    """

    edit: str
    text: str
    score: float
    gain: float | None


class Advice(_Data):
    """What to do next with a string.

    Attributes:
        text: the string.
        fault: which of the run's rules it breaks, such as ``is blank``; ``None`` where it keeps
            to all of them.
        tried: strings that were scored.
        suggestions: the best first; they keep to the rules.
    """

    text: str
    fault: str | None
    tried: int
    suggestions: tuple[Suggestion, ...]


class AffixRow(_Data):
    """One row of an affix's context.

    Attributes:
        id: of the row.
        prediction, prompt: what was predicted, and the truth; both shortened.
        without, affixed: SCS of the prediction alone, and with the affix.
        held_out: whether the search did not see it.
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
        text: the affix.
        position: which side of predictions it stands on.
        rows: all of them, in the file's order.
        worths: of the affix's tokens, in their order: mean SCS of predictions with it less that
            with the affix without the token.
        judged: rows that the worths are means over, drawn at random.
    """

    text: str
    position: str
    rows: tuple[AffixRow, ...]
    worths: tuple[TokenWorth, ...]
    judged: int
