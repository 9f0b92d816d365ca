"""A submission of a few rows whose figures can be computed by hand."""

from types import SimpleNamespace

import numpy as np

from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.journal import Journal
from mean_prompt.hybrid.submission import Submission
from tests.hybrid.synthetic import encoder

UNIVERSAL = "make it"
ODD = '<script>alert("x")</script> \u202eabc 🦜'
#: id, answer, kind, expected, trust, rule, candidates, with a prediction, universal, prediction.
ANSWERS = (
    Answer("a", "make it style1", "prediction", 0.6, 0.95, "blend", 9, True, 0.2, "make it style1"),
    Answer("b", "style2 style3", "joined", 0.4, 0.5, "blend", 9, True, 0.3, "turn style2"),
    Answer("c", "make it", "universal", 0.25, None, "blend", 5, False, 0.25, None),
    Answer("d", ODD, "retrieved", 0.3, 0.05, "blend", 7, True, 0.1, ODD),
    Answer("e", "make it", "universal", None, None, "blank", 1, False, None, None),
    Answer("f", "make it style4", "affixed", 0.5, None, "blend", 5, False, 0.2, None),
)
TRUTHS = {
    "a": "make it style1",
    "b": "turn style2 style3",
    "c": "make it style5",
    "d": ODD,
    "f": "turn style6",
}
JOB = {
    "test": "0" * 64,
    "triples": "1" * 64,
    "universal": UNIVERSAL,
    "llm": "recorded <b>",
    "shots": None,
    "calibrate": None,
    "model": "m",
    "corpus": ["one.csv", "two.csv"],
    "prefix": None,
    "suffix": None,
    "max_tokens": 8,
    "trials": 1,
    "seed": 3,
}


def write_submission(folder, answers=ANSWERS, *, told=None, table=True, name="sub.csv"):
    """Write a submission and what is beside it.

    Args:
        folder: of all files.
        answers: the submission's.
        told: what the journal holds, where it is not the same.
        table: whether the run came to its end.
    """
    out = folder / name
    journal = Journal(out, JOB, resume=False)
    journal.pin("model found", encoder().identity.key)
    journal.record(answers if told is None else told)
    submission = Submission(out, [answer.id for answer in answers], UNIVERSAL)
    for row, answer in enumerate(answers):
        submission.put(row, answer.text)
    submission.write()
    if table:
        journal.write_table(answers)
    return out


def write_truth(path, truths=TRUTHS):
    """Write triples, the last row first, and one that is no row of the submission."""
    rows = [*reversed(truths.items()), ("stranger", "make it thing1")]
    cells = ['"' + prompt.replace('"', '""') + '"' for _, prompt in rows]
    lines = [f"{name},o,r,{cell}" for (name, _), cell in zip(rows, cells, strict=True)]
    header = "id,original_text,rewritten_text,rewrite_prompt"
    path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
    return path


def scs(first, second):
    """Return the SCS of two strings, by hand."""
    vectors = encoder().encode([first, second])
    return float(vectors[0] @ vectors[1]) ** 3


def by_hand(truths=TRUTHS, answers=ANSWERS):
    """Return what answers, the universal string and the LLM alone earn, row by row."""
    rows = [answer for answer in answers if answer.id in truths]
    return SimpleNamespace(
        ids=[answer.id for answer in rows],
        actual=np.array([scs(answer.text, truths[answer.id]) for answer in rows]),
        universal=np.array([scs(UNIVERSAL, truths[answer.id]) for answer in rows]),
        llm=np.array([scs(answer.prediction or UNIVERSAL, truths[answer.id]) for answer in rows]),
    )
