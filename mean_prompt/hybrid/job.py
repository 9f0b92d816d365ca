"""One prediction run: a test file in, a submission out that is valid at every moment.

The submission is written first with the universal string for every row. Then the index answers
all rows, and the LLM's predictions, asked for in a thread of their own meanwhile, improve them as
they arrive. Whatever ends the run, the file holds the best answers so far.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mean_prompt.corpus import Corpus, Rows, Triples, read_rows, read_triples
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.asking import Examples, PredictionQueue, ask_known
from mean_prompt.hybrid.journal import Journal
from mean_prompt.hybrid.predictor import LEAST_PREDICTED, HybridPredictor
from mean_prompt.hybrid.request import Request, Summary, universal_string
from mean_prompt.hybrid.submission import Submission
from mean_prompt.llm import Prediction, Predictor, RecordedPredictor, make_predictor
from mean_prompt.system import Clock, InputError, OutOfTimeError, stopping

#: Seconds, and share of the limit, kept for writing the last files.
_MARGIN_SECONDS: Final = 3.0
_MARGIN_SHARE: Final = 0.03
#: Share of the time left that fitting may take, and asking an LLM about known rows.
_FIT_SHARE: Final = 0.3
#: Shares of the known rows that are fitted on, until one fits into its time.
_FIT_PARTS: Final = (1, 1 / 4, 1 / 16)
_CALIBRATION_SHARE: Final = 0.2
#: Rows answered between two writes, by the index; predictions are answered as they arrive.
_BATCH: Final = 64
#: Rules by which a row keeps the universal string whatever is predicted for it.
_FINAL: Final = ("blank", "unchanged")

Listener = Callable[[str, int, int], None]


class PredictionJob:
    """Runs one request.

    Args:
        request: what is asked.
        listener: called with what is done, how much of it, and all of it.
        started: when the user started waiting, by ``time.monotonic``; now, when left out.
    """

    def __init__(
        self, request: Request, *, listener: Listener | None = None, started: float | None = None
    ) -> None:
        self._request = request
        self._listen = listener or (lambda *_: None)
        began = time.monotonic() if started is None else started
        self._clock = Clock(began=began)
        if request.time_limit is not None:
            margin = max(_MARGIN_SECONDS, _MARGIN_SHARE * request.time_limit)
            self._clock.deadline = began + request.time_limit - margin
        self._faults: Counter[str] = Counter()
        self._notes: list[str] = []
        self._arrived = 0

    def run(self) -> Summary:
        """Answer all rows that time allows; the submission is valid whatever happens.

        Raises:
            InputError: something given cannot be used.
        """
        request = self._request
        self._rows = read_rows(request.test)
        known = read_triples(request.triples)
        universal = universal_string(request.prompt)
        submission = Submission(request.out, self._rows.ids, universal)
        llm = self._llm(request.test)
        job = self._job(known.triples, universal, llm)
        self._journal = Journal(request.out, job, resume=request.resume)
        self._submission = submission
        self._answers = self._journal.answers() if request.resume else {}
        self._place = {name: row for row, name in enumerate(self._rows.ids)}
        for answer in self._answers.values():
            submission.put(self._place[answer.id], answer.text)
        submission.write()
        self._notes += known.notes
        with stopping(self._clock):
            try:
                self._improve(known.triples, universal, llm)
            except OutOfTimeError:
                pass  # The file holds what there was time for.
            finally:
                submission.save()
        return self._close(llm)

    # -- the work -------------------------------------------------------------------------------

    def _improve(self, triples: Triples, universal: str, llm: Predictor | None) -> None:
        if self._is_done(llm):
            return
        mailbox = PredictionQueue(llm, self._clock) if llm else None
        try:
            if mailbox is not None and not self._asks_first:
                self._ask(mailbox, llm, None)
            self._clock.check()  # loading a model takes seconds, and cannot be interrupted
            self._predictor = self._make(universal)
            self._journal.pin("model found", self._predictor.encoder.identity.key)
            try:
                self._answer_all(triples, llm, mailbox)
            except OutOfTimeError:
                if mailbox is not None:
                    self._keep_unfitted(mailbox.take(mailbox.asked, wait=False))
                raise
        finally:
            if mailbox is not None:
                mailbox.close()

    def _answer_all(
        self, triples: Triples, llm: Predictor | None, mailbox: PredictionQueue | None
    ) -> None:
        ready = self._prepare(triples, llm, mailbox)
        recorded = isinstance(llm, RecordedPredictor)
        if ready and not recorded:
            self._answer_by_index(mailbox)
        if mailbox is not None:
            while arrived := mailbox.take(_BATCH):
                self._answer_predictions(arrived, mailbox, ready=ready)
        if ready and recorded:
            self._answer_by_index(None)

    def _prepare(
        self, triples: Triples, llm: Predictor | None, mailbox: PredictionQueue | None
    ) -> bool:
        """Ask the LLM, fit meanwhile, and tell whether there was time to."""
        examples = self._examples(triples, llm)
        predictions = self._calibrate(triples, llm, examples)
        if mailbox is not None and self._asks_first:
            self._ask(mailbox, llm, examples)
        if not self._fit(triples, predictions):
            self._notes.append("the time limit left no time to fit: predictions stand as they are")
            return False
        self._journal.record_fit(self._predictor.outcome_)
        self._notes += self._predictor.notes_
        return True

    def _fit(self, triples: Triples, predictions: list[tuple[str, ...]] | None) -> bool:
        """Fit on the known rows, or on fewer where there is no time for all."""
        order = np.random.default_rng(self._request.seed).permutation(len(triples))
        for share in _FIT_PARTS:
            part, said = triples, predictions
            if share < 1:
                rows = np.sort(order[: int(share * len(triples))])
                part = triples.take(rows)
                said = predictions and [predictions[row] for row in rows]
                if len(np.unique(part.groups())) < 2:
                    return False
            clock = self._clock.until(_FIT_SHARE)
            try:
                self._predictor.fit(part, said, outcome=self._journal.fit(), clock=clock)
            except OutOfTimeError:
                self._clock.check()
                continue
            if share < 1:
                note = f"the time limit left time for {len(part):,} of {len(triples):,} known rows"
                self._notes.append(note)
            return True
        return False

    def _ask(
        self, mailbox: PredictionQueue, llm: Predictor | None, examples: Examples | None
    ) -> None:
        """Begin to ask about the test rows."""
        # A recording is asked about all rows, since it refuses those of which it knows none.
        every = isinstance(llm, RecordedPredictor)
        rows = list(range(len(self._rows))) if every else self._open(with_llm=True)
        part = self._rows.take(rows)
        mailbox.ask(part, examples.of(part) if examples else None, rows)

    @property
    def _asks_first(self) -> bool:
        """Whether known rows come before test rows: to be shown, or to be asked about."""
        return bool(self._request.shots_used or self._request.calibrate_used)

    def _answer_by_index(self, mailbox: PredictionQueue | None) -> None:
        """Answer the rows that have no answer yet; predictions that arrive meanwhile come first."""
        rows = self._open(with_llm=False)
        for start in range(0, len(rows), _BATCH):
            while mailbox and (arrived := mailbox.take(_BATCH, wait=False)):
                self._answer_predictions(arrived, mailbox, ready=True)
            self._clock.check()
            part = [row for row in rows[start : start + _BATCH] if self._is_open(row)]
            self._keep(self._predictor.predict(self._rows.take(part), clock=self._clock))
            self._listen("rows by the index", min(start + _BATCH, len(rows)), len(rows))

    def _answer_predictions(
        self, arrived: Sequence[Prediction], mailbox: PredictionQueue, *, ready: bool
    ) -> None:
        """Answer rows whose predictions have arrived."""
        if ready:
            said = self._said(arrived)
            rows = self._rows.take([one.row for one in said])
            try:
                answers = self._predictor.predict(
                    rows, [one.texts for one in said], clock=self._clock
                )
            except OutOfTimeError:
                self._keep_unfitted(arrived)
                raise
            self._count_faults(arrived)
            self._keep(answers)
        else:
            self._keep_unfitted(arrived)
        self._arrived += len(arrived)
        self._listen("rows with a prediction", self._arrived, mailbox.asked)

    def _keep_unfitted(self, arrived: Sequence[Prediction]) -> None:
        """Let predictions stand that there is no time to weigh, where a row has no answer."""
        self._count_faults(arrived)
        said = [one for one in self._said(arrived) if self._is_open(one.row)]
        rows = self._rows.take([one.row for one in said])
        answers = self._predictor.first_predictions(rows, [one.texts for one in said])
        self._keep([replace(answer, rule="not fitted") for answer in answers])

    def _said(self, arrived: Sequence[Prediction]) -> list[Prediction]:
        """Return the predictions that hold one, of rows that are to be answered with one still."""
        return [one for one in arrived if one.texts and self._is_open(one.row, with_llm=True)]

    def _count_faults(self, arrived: Sequence[Prediction]) -> None:
        for prediction in arrived:
            if prediction.fault:
                self._faults[prediction.fault.partition(":")[0]] += 1

    def _keep(self, answers: Sequence[Answer]) -> None:
        """Put answers into the submission, and both on disk."""
        if not answers:
            return
        for answer in answers:
            self._answers[answer.id] = answer
            self._submission.put(self._place[answer.id], answer.text)
        self._journal.record(answers)
        self._submission.save()

    def _open(self, *, with_llm: bool) -> list[int]:
        """Return the rows that are to be answered still, with a prediction or at all."""
        return [row for row in range(len(self._rows)) if self._is_open(row, with_llm=with_llm)]

    def _is_open(self, row: int, *, with_llm: bool = False) -> bool:
        answer = self._answers.get(self._rows.ids[row])
        if answer is None:
            return True
        if not with_llm or answer.rule in _FINAL:
            return False
        return not answer.with_llm or answer.rule == "not fitted"

    def _is_done(self, llm: Predictor | None) -> bool:
        return not self._open(with_llm=llm is not None)

    # -- the LLM --------------------------------------------------------------------------------

    def _llm(self, file: Path) -> Predictor | None:
        request = self._request
        return make_predictor(
            request.llm, test=file, options=request.llm_options, trust=request.trust
        )

    def _examples(self, triples: Triples, llm: Predictor | None) -> Examples | None:
        if llm is None or isinstance(llm, RecordedPredictor) or not self._request.shots_used:
            return None
        space = self._predictor.workshop.space
        return Examples(triples, space, self._request.shots_used, self._clock)

    def _calibrate(
        self, triples: Triples, llm: Predictor | None, examples: Examples | None
    ) -> list[tuple[str, ...]] | None:
        """Return predictions for known rows, where there are any or time to ask for some."""
        if llm is None:
            return None
        if isinstance(llm, RecordedPredictor):
            return self._recorded(triples)
        count = min(self._request.calibrate_used, len(triples))
        if count < LEAST_PREDICTED:
            if count:
                self._notes.append(f"fewer than {LEAST_PREDICTED} known rows: the LLM is trusted")
            return None
        rng = np.random.default_rng(self._request.seed)
        drawn = np.sort(rng.permutation(len(triples))[:count])
        part = triples.take(drawn)
        shown = examples.of(part.rows, triples.groups()[drawn]) if examples else None
        clock = self._clock.until(_CALIBRATION_SHARE)
        settled = max(2, self._request.llm_options.concurrency)
        found = ask_known(llm, part.rows, shown, clock, settled=settled)
        if len(found) < LEAST_PREDICTED:
            self._notes.append(
                f"no time to ask the LLM about {LEAST_PREDICTED} known rows: it is trusted as it is"
            )
            return None
        texts: list[tuple[str, ...]] = [()] * len(triples)
        for one in found:
            texts[int(drawn[one.row])] = one.texts
        return texts

    def _recorded(self, triples: Triples) -> list[tuple[str, ...]] | None:
        """Return recorded predictions for known rows, or ``None`` where the file has none."""
        request = self._request
        try:
            source = self._llm(request.triples)
            assert source is not None
            texts: list[tuple[str, ...]] = [()] * len(triples)
            for one in source.predict(triples.rows):
                texts[one.row] = one.texts
            if request.llm.startswith("file:"):
                self._drop_strangers(triples.rows, texts)
        except InputError:
            self._notes.append(
                f"{request.triples} has no such predictions: those for the test rows are trusted "
                "as they are"
            )
            return None
        return texts

    def _drop_strangers(self, rows: Rows, texts: list[tuple[str, ...]]) -> None:
        """Drop predictions of other rows: one file for both, where both number their rows alike."""
        known, asked, dropped = rows, self._rows, 0
        for row, name in enumerate(known.ids):
            other = self._place.get(name)
            if other is None or not texts[row]:
                continue
            if (known.originals[row], known.rewritten[row]) != (
                asked.originals[other],
                asked.rewritten[other],
            ):
                texts[row] = ()
                dropped += 1
        if dropped:
            self._notes.append(
                f"{dropped:,} known rows have the id of another test row: predictions under it are "
                "the test row's"
            )

    # -- begin and end --------------------------------------------------------------------------

    def _make(self, universal: str) -> HybridPredictor:
        request = self._request
        corpus = Corpus.from_files(*request.corpus) if request.corpus else None
        if corpus is not None:
            self._journal.pin("corpus hash", corpus.content_hash)
        return HybridPredictor(
            universal,
            model=request.model,
            trust=request.trust,
            corpus=corpus,
            prefixes=[universal_string(request.prefix, "--prefix")] if request.prefix else [],
            suffixes=[universal_string(request.suffix, "--suffix")] if request.suffix else [],
            max_tokens=request.max_tokens,
            trials=request.trials,
            seed=request.seed,
            index_folder=self._journal.folder / "index",
            progress=self._listen,
        )

    def _job(self, triples: Triples, universal: str, llm: Predictor | None) -> dict[str, Any]:
        """Return what must be the same when the run is resumed."""
        request = self._request
        return {
            "test": self._rows.content_hash,
            "triples": triples.content_hash,
            "universal": universal,
            "llm": llm.identity if llm else None,
            # As given: what stands for None depends on the time limit, which may change.
            "shots": request.shots,
            "calibrate": request.calibrate,
            "model": request.model,
            "corpus": list(request.corpus),
            "prefix": request.prefix and universal_string(request.prefix, "--prefix"),
            "suffix": request.suffix and universal_string(request.suffix, "--suffix"),
            "max_tokens": request.max_tokens,
            "trials": request.trials,
            "seed": request.seed,
        }

    def _close(self, llm: Predictor | None) -> Summary:
        answers = [
            self._answers.get(name)
            or Answer(name, self._submission.fallback, "universal", None, None, "no time", 0, False)
            for name in self._rows.ids
        ]
        self._journal.write_table(answers)
        late = sum(answer.rule == "no time" for answer in answers)
        with_llm = sum(answer.with_llm for answer in answers)
        expected = [answer.expected for answer in answers if answer.expected is not None]
        rules = Counter[str](answer.rule for answer in answers if answer.rule != "blend")
        return Summary(
            rows=len(answers),
            with_llm=with_llm,
            by_index=len(answers) - with_llm - late,
            universal=late,
            kinds=dict(Counter(answer.kind for answer in answers).most_common()),
            rules=dict(rules),
            faults=dict(self._faults),
            expected=float(np.mean(expected)) if expected else None,
            seconds=self.seconds,
            out=self._request.out,
            table=self._journal.table,
            page=None,
            notes=(*self._notes, *(llm.notes() if llm else [])),
        )

    @property
    def seconds(self) -> float:
        """Seconds since the user started waiting."""
        return time.monotonic() - self._clock.began

    def seconds_left(self) -> float:
        """Return the seconds until the time limit, the margin included."""
        limit = self._request.time_limit
        return float("inf") if limit is None else self._clock.began + limit - time.monotonic()
