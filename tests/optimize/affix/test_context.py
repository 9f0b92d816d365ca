import pytest

from mean_prompt import Context, InputError
from mean_prompt.optimize.affix.context import Joiner
from tests.fakes import FakeEncoder

HEADER = "id,original_text,rewritten_text,rewrite_prompt,llm_prediction\n"


@pytest.fixture
def table(tmp_path):
    def write(text, header=HEADER):
        path = tmp_path / "triples.csv"
        path.write_text(header + text, "utf-8")
        return path

    return write


@pytest.fixture
def joiner():
    def make(position="suffix", budget=5):
        return Joiner(position, budget, FakeEncoder().tokenize)

    return make


def test_rows_are_read_with_their_predictions_and_blank_ones_are_counted(table):
    path = table("a,x,y,make it rhyme, a poem \nb,x,y,make it formal,  \nc,x,y,,a story\n")
    context = Context.from_file(path)
    assert context.predictions == ("a poem",)
    assert context.prompts == ("make it rhyme",)
    assert context.triples.rows.ids == ("a",)
    assert any("1 rows dropped, llm_prediction is blank" in note for note in context.notes)


def test_another_column_and_a_file_without_ids(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("original_text,rewritten_text,prompt,mine\nx,y,p,one\nx,y,,two\nx,y,q,three\n")
    context = Context.from_file(path, "mine")
    assert context.predictions == ("one", "three")
    assert context.prompts == ("p", "q")


def test_a_missing_column_and_a_file_without_predictions_are_refused(table):
    with pytest.raises(InputError, match=r"llm_guess"):
        Context.from_file(table("a,x,y,p,q\n"), "llm_guess")
    with pytest.raises(InputError, match=r"a context must have rows with a prediction"):
        Context.from_file(table("a,x,y,p,\nb,x,y,q, \n"))


def test_pairs_must_be_whole():
    with pytest.raises(InputError, match=r"found 1 and 2"):
        Context.from_pairs(["a"], ["b", "c"])
    with pytest.raises(InputError, match=r"row 2 has a blank one"):
        Context.from_pairs(["a", " "], ["b", "c"])


def test_the_hash_depends_on_every_text():
    pairs = [(["a", "b"], ["c", "d"]), (["a", "x"], ["c", "d"]), (["a", "b"], ["c", "x"])]
    assert len({Context.from_pairs(*pair).content_hash for pair in pairs}) == 3


def test_rows_of_one_prompt_stay_on_one_side():
    prompts = [f"prompt {number % 10}" for number in range(50)]
    prompts[3] = " Prompt  3"  # case and blanks make no other prompt
    context = Context.from_pairs(["x"] * 50, prompts)
    seen = set()
    for seed in range(5):
        split = context.split(0.5, seed=seed)
        sides = [
            {" ".join(prompts[row].lower().split()) for row in side}
            for side in (split.train, split.holdout)
        ]
        assert not sides[0] & sides[1]
        assert len(sides[1]) == 5
        assert len(split.train) + len(split.holdout) == 50
        seen.add(tuple(split.holdout))
    assert len(seen) > 1


def test_one_prompt_cannot_be_split():
    context = Context.from_pairs(["x", "y"], ["p", "p"])
    assert len(context.split(0.0).train) == 2
    with pytest.raises(InputError, match=r"all have the same"):
        context.split(0.2)


def test_one_blank_stands_between_prediction_and_affix(joiner):
    assert joiner().join(["the text", "a poem"], "formal") == ["the text formal", "a poem formal"]
    assert joiner("prefix").join(["the text"], "formal") == ["formal the text"]
    # Without an affix predictions stay as they are.
    long = "the text the text the text the text"
    assert joiner().join([long], "") == [long]


@pytest.mark.parametrize("position", ["suffix", "prefix"])
@pytest.mark.parametrize("words", [1, 3, 4, 11])
def test_long_predictions_lose_no_more_words_than_needed(joiner, position, words):
    prediction = " ".join(["text"] * words)
    [joined] = joiner(position).join([prediction], "make style")
    left = min(words, 3)
    parts = [" ".join(["text"] * left), "make style"]
    assert joined == " ".join(parts if position == "suffix" else parts[::-1])
    # The first word stays even over the budget.
    assert joiner(budget=2).join(["the text"], "make style") == ["the make style"]
