from mean_prompt.optimize import vocabulary
from mean_prompt.optimize.constraints import Constraints, Rules
from mean_prompt.optimize.vocabulary import Vocabulary, mine_phrases


def mine(fake, prompts, **constraints):
    rules = Rules(Constraints(**({"max_tokens": 8} | constraints)), fake)
    bank = mine_phrases(prompts, fake, rules, fake.encode)
    return dict(zip(fake.decode(bank.bodies), bank.vectors, strict=True))


def test_runs_of_words_that_recur_are_mined_with_their_vectors(fake):
    prompts = ["rewrite the text formal", "rewrite the text tone", "make rewrite the text", "poem"]
    bank = mine(fake, prompts)
    assert set(bank) == {"rewrite the", "the text", "rewrite the text"}
    assert (bank["the text"] == fake.encode(["the text"])[0]).all()


def test_phrases_keep_to_the_rules(fake):
    prompts = ["rewrite the text"] * 3
    assert set(mine(fake, prompts, banned_words=("text",))) == {"rewrite the"}
    assert set(mine(fake, prompts, max_tokens=2)) == {"rewrite the", "the text"}


def test_prompts_without_words_give_an_empty_bank(fake):
    assert mine(fake, ["12 34", "?!", "56"]) == {}


def test_phrases_of_very_many_prompts_are_those_of_a_sample(fake, monkeypatch):
    prompts = ["make the text"] * 6 + ["formal story"] * 3
    assert set(mine(fake, prompts)) == {"make the", "the text", "make the text", "formal story"}
    monkeypatch.setattr(vocabulary, "_MINED", 6)
    sampled = mine(fake, prompts)
    assert set(sampled) < {"make the", "the text", "make the text", "formal story"}
    assert set(sampled) == set(mine(fake, prompts))


def test_tokens_are_those_of_the_prompts_and_the_most_common(fake, monkeypatch):
    monkeypatch.setattr(vocabulary, "_COMMON", 2)
    rules = Rules(Constraints(max_tokens=8), fake)
    found = Vocabulary.gather(["the poem"] * 3, fake, rules)
    common = rules.allowed[:2].tolist()
    assert found.allowed.tolist() == sorted({*common, *fake.tokenize(["the poem"])[0]})
    assert (found.static == fake.encode([rules.surfaces[i] for i in found.allowed])).all()
    assert found.index[found.allowed].tolist() == list(range(len(found.allowed)))


def test_the_notice_reports_a_sample(fake, monkeypatch):
    rules = Rules(Constraints(max_tokens=8), fake)
    few = Vocabulary.gather(["the text"] * 40, fake, rules)
    monkeypatch.setattr(vocabulary, "_MINED", 40)
    many = Vocabulary.gather(["the text"] * 41, fake, rules)
    assert "phrases are mined from a random 40 of 41 prompts; every replacement" in many.notice
    assert "phrases" not in few.notice


def test_mined_phrases_are_kept_for_these_prompts_and_rules(fake, monkeypatch):
    def phrases(prompts, **constraints):
        rules = Rules(Constraints(**({"max_tokens": 8} | constraints)), fake)
        bank = Vocabulary.gather(prompts, fake, rules).phrases
        return dict(zip(fake.decode(bank.bodies), bank.vectors.tolist(), strict=True))

    first = phrases(["rewrite the text"] * 3)
    assert first == {
        text: row.tolist() for text, row in mine(fake, ["rewrite the text"] * 3).items()
    }
    monkeypatch.setattr(vocabulary, "_frequent", lambda _: [])
    assert phrases(["rewrite the text"] * 3) == first
    # Other rules and other prompts are mined anew, and here nothing is found.
    assert phrases(["rewrite the text"] * 3, max_tokens=2) == {}
    assert phrases(["rewrite the", "text"] * 3) == {}
