"""A prediction run over made-up rows: its files, and a fake LLM."""

import csv
import json
import time
from dataclasses import dataclass, field, fields

import numpy as np
from pyarrow import parquet

from mean_prompt.hybrid.check import check_submission
from mean_prompt.hybrid.job import PredictionJob
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.request import Request
from mean_prompt.llm.base import Prediction
from tests.hybrid.synthetic import UNIVERSAL, tongue

WORLD = tongue()
KNOWN, HIDDEN = WORLD.halves()
IDS = [WORLD.triples.rows.ids[row] for row in HIDDEN]
#: The LLM's predictions for the test rows.
SAID = WORLD.said(HIDDEN)


def write_rows(path, numbers, *, prompts=False, said=None):
    """Write some rows of the world as JSONL."""
    rows = WORLD.triples.rows
    with path.open("w") as file:
        for place, number in enumerate(numbers):
            row = {
                "id": rows.ids[number],
                "original_text": rows.originals[number],
                "rewritten_text": rows.rewritten[number],
            }
            if prompts:
                row["rewrite_prompt"] = WORLD.triples.prompts[number]
            if said is not None:
                row["said"] = said[place]
            file.write(json.dumps(row) + "\n")
    return path


def with_options(kind, **given):
    """Return a request or a comparison, whose options of the blend are given beside its own."""
    names = {field.name for field in fields(BlendOptions)} & set(given)
    options = BlendOptions(**{name: given.pop(name) for name in names})
    return kind(options=options, **given)


@dataclass
class Place:
    """Files of one run."""

    folder: object
    test: object = field(init=False)
    triples: object = field(init=False)

    def __post_init__(self):
        said = [texts[0] for texts in SAID]
        known = [texts[0] for texts in WORLD.said(KNOWN)]
        self.test = write_rows(self.folder / "test.jsonl", HIDDEN, said=said)
        self.triples = write_rows(self.folder / "known.jsonl", KNOWN, prompts=True, said=known)

    def request(self, name="out.csv", **changes):
        files = {"test": self.test, "triples": self.triples, "out": self.folder / name}
        given = {"prompt": UNIVERSAL, "shots": 0, "calibrate": 0, "max_tokens": 8, "trials": 1}
        return with_options(Request, **(files | given | changes))

    def path(self, name="out.csv"):
        return self.folder / name

    def answers(self, name="out.csv"):
        with (self.folder / name).open(newline="") as file:
            return {row["id"]: row["rewrite_prompt"] for row in csv.DictReader(file)}

    def table(self, name="out.parquet"):
        return parquet.read_table(self.folder / name)

    def assert_valid(self, name="out.csv"):
        assert check_submission(self.folder / name, self.test) == []


@dataclass
class FakeLLM:
    """Predicts for each row what the world's LLM predicts, unless an attribute says otherwise.

    Attributes:
        seconds: that a row takes; no row is begun that would end after the deadline.
        fails: ids of rows that fail.
        breaks: an id, and what is raised when it is to be asked about that row.
    """

    seconds: float = 0.0
    fails: tuple = ()
    breaks: tuple = (None, RuntimeError)
    name: str = "fake"
    asked: list = field(default_factory=list)
    shown: list = field(default_factory=list)

    @property
    def identity(self):
        return self.name

    def predict(self, rows, examples=None, *, deadline=None):
        number = {name: n for n, name in enumerate(WORLD.triples.rows.ids)}
        for row, name in enumerate(rows.ids):
            if deadline is not None and deadline.remaining < self.seconds:
                return
            time.sleep(self.seconds)
            if name == self.breaks[0]:
                raise self.breaks[1]("the LLM broke")
            self.asked.append(name)
            self.shown.append(None if examples is None else examples[row])
            if name in self.fails:
                yield Prediction(row, (), "time-out: of its own")
            else:
                yield Prediction(row, tuple(WORLD.predictions[number[name]]))

    def notes(self):
        return [f"fake: {len(self.asked)} rows"]


def run(request, **options):
    return PredictionJob(request, **options).run()


def universal_everywhere():
    return dict.fromkeys(IDS, UNIVERSAL)


def earned(answers, encoder):
    """Return the mean SCS of answers, by id, with the truth."""
    place = {name: n for n, name in enumerate(WORLD.triples.rows.ids)}
    truth = encoder.encode([WORLD.triples.prompts[place[name]] for name in answers])
    return float((np.einsum("nd,nd->n", encoder.encode(list(answers.values())), truth) ** 3).mean())
