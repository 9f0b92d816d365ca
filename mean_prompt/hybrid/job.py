"""A prediction run: reads a test file and writes a submission that is valid at every moment.

The submission is written first with the universal string for every row. Then retrieval answers
all rows, and the LLM's predictions, requested in a thread of their own meanwhile, improve them as
they arrive. Whatever ends the run, the file holds the best answers so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from mean_prompt.corpus import Triples, read_rows, read_triples
from mean_prompt.hybrid.asking import Examples, PredictionQueue
from mean_prompt.hybrid.journal import AnswerSheet, Journal
from mean_prompt.hybrid.known_predictions import ask_known, recorded_known
from mean_prompt.hybrid.predictor import HybridPredictor
from mean_prompt.hybrid.request import Request, Summary, universal_string
from mean_prompt.hybrid.row_search import EVALUATIONS
from mean_prompt.hybrid.submission import Submission
from mean_prompt.llm import Prediction, Predictor, RecordedPredictor, make_predictor
from mean_prompt.runs import TOGETHER
from mean_prompt.system import (
    Deadline,
    Listener,
    OutOfTimeError,
    ProgressEvent,
    ignore,
    stopping,
)

#: Seconds, and share of the limit, kept for writing the last files.
_MARGIN_SECONDS: Final = 3.0
_MARGIN_SHARE: Final = 0.03
#: Share of the time left that a fit may take.
_FIT_SHARE: Final = 0.3
#: Shares of the known rows to fit on, tried in turn until a fit ends within its time.
_FIT_PARTS: Final = (1, 1 / 4, 1 / 16)
#: Rows answered between two writes of the submission.
_BATCH: Final = 64
#: Evaluations a row at least, if they are to fit a time limit: fewer gain nothing.
_LEAST_EVALUATIONS: Final = 100
_KEPT_OPTIONS: Final = ("prefix", "suffix", "max_tokens", "trials", "seed", "row_search")


class PredictionJob:
    """Answers the rows of a test file within a time limit and writes a submission CSV.

    The limit counts from ``started`` (by ``time.monotonic``; now if ``None``). ``deadline`` ends
    the work on answers earlier, so that the last files are written within the limit.
    """

    def __init__(
        self, request: Request, *, listener: Listener = ignore, started: float | None = None
    ) -> None:
        self._request = request
        self._listener = listener
        self.limit = Deadline(request.time_limit, started=started)
        seconds = request.time_limit
        if seconds is not None:
            seconds -= max(_MARGIN_SECONDS, _MARGIN_SHARE * seconds)
        self.deadline = Deadline(seconds, started=self.limit.started)
        self._faults: Counter[str] = Counter()
        self._notes: list[str] = []
        self._arrived = 0

    def run(self) -> Summary:
        """Answer the rows as far as time allows; the submission is valid even if interrupted."""
        request = self._request
        rows = read_rows(request.test)
        known = read_triples(request.triples)
        universal = universal_string(request.prompt)
        submission = Submission(request.out, rows.ids, universal)
        llm = make_predictor(
            request.llm, test=request.test, options=request.llm_options, trust=request.options.trust
        )
        asked = {
            "test": rows.content_hash,
            "triples": known.triples.content_hash,
            "universal": universal,
            "llm": llm.identity if llm else None,
        }
        journal = Journal(request.out, asked | _settings(request), resume=request.resume)
        self._sheet = AnswerSheet(rows, submission, journal)
        self._notes += known.notes
        with stopping(self.deadline):
            try:
                if self._sheet.open_rows(with_llm=llm is not None) or self._unsearched():
                    self._improve(known.triples, universal, llm)
            except OutOfTimeError:
                pass  # The file holds what there was time for.
            finally:
                self._sheet.save()
        return self._summary(llm)

    def _improve(self, triples: Triples, universal: str, llm: Predictor | None) -> None:
        """Query the LLM, fit the hybrid predictor meanwhile, and answer the rows."""
        with PredictionQueue(self.deadline) as queue:
            if llm is not None and not self._asks_known_first:
                self._ask(queue, llm, None)
            self.deadline.check()  # loading a model takes seconds, and cannot be interrupted
            self._predictor = HybridPredictor(
                universal, self._request.options, listener=self._listener
            )
            journal = self._sheet.journal
            journal.pin("model found", self._predictor.space.encoder.identity.key)
            if self._predictor.corpus is not None:
                journal.pin("corpus hash", self._predictor.corpus.content_hash)
            try:
                is_fitted = self._fit(triples, self._known_predictions(triples, llm, queue))
                self._answer(queue, is_fitted=is_fitted, llm=llm)
                if is_fitted and self._unsearched():
                    self._search()
            except OutOfTimeError:
                self._keep_unweighed(queue.take(queue.asked, wait=False))
                raise

    @property
    def _asks_known_first(self) -> bool:
        """Whether the LLM needs known rows, as examples or to calibrate, before test rows."""
        return bool(self._request.shots_used or self._request.calibrate_used)

    def _known_predictions(
        self, triples: Triples, llm: Predictor | None, queue: PredictionQueue
    ) -> list[tuple[str, ...]] | None:
        """Return the LLM's predictions for known rows, or ``None``; then query it for test rows."""
        request, examples = self._request, None
        if llm is None:
            return None
        if isinstance(llm, RecordedPredictor):
            predictions, notes = recorded_known(request, triples, self._sheet.rows)
        else:
            if request.shots_used:
                space = self._predictor.space
                examples = Examples(triples, space, request.shots_used, self.deadline)
            predictions, notes = ask_known(request, triples, llm, examples, self.deadline)
        self._notes += notes
        if self._asks_known_first:
            self._ask(queue, llm, examples)
        return predictions

    def _ask(self, queue: PredictionQueue, llm: Predictor, examples: Examples | None) -> None:
        # Recorded predictions are read for all rows: rows are refused if no id of them is known.
        is_recorded = isinstance(llm, RecordedPredictor)
        every = list(range(len(self._sheet.rows)))
        numbers = every if is_recorded else self._sheet.open_rows(with_llm=True)
        rows = self._sheet.rows.take(numbers)
        queue.ask(llm, rows, examples.of(rows) if examples else None, numbers)

    def _fit(self, triples: Triples, predictions: list[tuple[str, ...]] | None) -> bool:
        """Fit to the known rows, or to fewer if time is short; return whether a fit succeeded."""
        journal = self._sheet.journal
        order = np.random.default_rng(self._request.options.seed).permutation(len(triples))
        for share in _FIT_PARTS:
            rows = np.sort(order[: int(share * len(triples))])
            part = triples.take(rows)
            if share < 1 and len(np.unique(part.groups())) < 2:
                break
            known = predictions and [predictions[row] for row in rows]
            deadline = self.deadline.share(_FIT_SHARE)
            try:
                self._predictor.fit(part, known, outcome=journal.fit(), deadline=deadline)
            except OutOfTimeError:
                self.deadline.check()
                continue
            if share < 1:
                note = f"the time limit left time for {len(part):,} of {len(triples):,} known rows"
                self._notes.append(note)
            journal.record_fit(self._predictor.outcome_)
            self._notes += self._predictor.notes_
            return True
        self._notes.append("the time limit left no time to fit: predictions stand as they are")
        return False

    def _answer(self, queue: PredictionQueue, *, is_fitted: bool, llm: Predictor | None) -> None:
        # Recorded predictions are all there at once, so that retrieval is left with the rows that
        # have none.
        is_recorded = isinstance(llm, RecordedPredictor)
        if is_fitted and not is_recorded:
            self._answer_by_retrieval(queue)
        while arrived := queue.take(_BATCH):
            self._answer_predictions(arrived, queue, is_fitted=is_fitted)
        if is_fitted and is_recorded:
            self._answer_by_retrieval(queue)

    def _answer_by_retrieval(self, queue: PredictionQueue) -> None:
        """Answer unanswered rows by retrieval; LLM predictions that arrive meanwhile go first."""
        sheet = self._sheet
        rows = sheet.open_rows(with_llm=False)
        for start in range(0, len(rows), _BATCH):
            while arrived := queue.take(_BATCH, wait=False):
                self._answer_predictions(arrived, queue, is_fitted=True)
            self.deadline.check()
            part = [row for row in rows[start : start + _BATCH] if sheet.is_open(row)]
            sheet.keep(self._predictor.predict(sheet.rows.take(part), deadline=self.deadline))
            done = min(start + _BATCH, len(rows))
            self._listener(ProgressEvent("rows by the index", done, len(rows), "rows"))

    def _answer_predictions(
        self, arrived: Sequence[Prediction], queue: PredictionQueue, *, is_fitted: bool
    ) -> None:
        """Answer the rows whose LLM predictions have arrived; weigh them if a blend is fitted."""
        if is_fitted:
            given = self._wanted(arrived)
            rows = self._sheet.rows.take([one.row for one in given])
            texts = [one.texts for one in given]
            try:
                answers = self._predictor.predict(rows, texts, deadline=self.deadline)
            except OutOfTimeError:
                self._keep_unweighed(arrived)
                raise
            self._count_faults(arrived)
            self._sheet.keep(answers)
        else:
            self._keep_unweighed(arrived)
        self._arrived += len(arrived)
        event = ProgressEvent("rows with a prediction", self._arrived, queue.asked, "rows")
        self._listener(event)

    def _keep_unweighed(self, arrived: Sequence[Prediction]) -> None:
        """Answer unanswered rows with their first LLM predictions, unweighed for lack of time."""
        self._count_faults(arrived)
        given = [one for one in self._wanted(arrived) if self._sheet.is_open(one.row)]
        rows = self._sheet.rows.take([one.row for one in given])
        answers = self._predictor.first_predictions(rows, [one.texts for one in given])
        self._sheet.keep([replace(answer, rule="not fitted") for answer in answers])

    def _unsearched(self) -> list[int]:
        """Return the rows that a string is still to be searched for."""
        asked = self._request.options.row_search
        if asked == 0 or (asked is None and self.deadline.limit is None):
            return []
        return self._sheet.unsearched()

    def _search(self) -> None:
        """Search strings for rows, those first whose choice fits worst what is expected of them.

        Rows are searched for in groups that depend on the rows alone, so that a resumed run finds
        what an undisturbed one does; a group of which any row is left is searched for again.
        """
        sheet, predictor, options = self._sheet, self._predictor, self._request.options
        every = sheet.weighed()
        said = [sheet.answer(row).predictions for row in every]
        decided = predictor.decide(sheet.rows.take(every), said, deadline=self.deadline)
        targets = {
            row: target
            for row, (_, target) in zip(every, decided, strict=True)
            if target is not None
        }
        order = sorted(targets, key=lambda row: (targets[row].fit, row))
        left = set(sheet.unsearched())
        self._settle(sorted(left - set(order)))
        if not left & set(order):
            return
        groups = [order[start : start + TOGETHER] for start in range(0, len(order), TOGETHER)]
        rows = [row for group in groups if left & set(group) for row in group]
        pairs = {row: (sheet.answer(row), targets[row]) for row in rows}
        with predictor.row_search(listener=self._listener, deadline=self.deadline) as search:
            evaluations = options.row_search or EVALUATIONS
            search.set_evaluations(evaluations)
            self._notes += [search.notice] if search.notice else []
            gains = predictor.gains(search, [answer for answer, _ in pairs.values()], self.deadline)
            self._notes += map(str, gains.values())
            worth = [row for row in rows if gains[pairs[row][0].with_llm].share > 0]
            self._settle(sorted(set(rows) - set(worth)))
            if options.row_search is None and self.deadline.remaining is not None and worth:
                fitting = int(self.deadline.remaining / (len(worth) * search.seconds_each))
                search.set_evaluations(max(_LEAST_EVALUATIONS, min(evaluations, fitting)))
            chosen = [pairs[row] for row in worth]
            for _, answers in search.improve(chosen, gains, self.deadline):
                sheet.keep(answers)

    def _settle(self, rows: Sequence[int]) -> None:
        """Keep the answers of rows that no string is searched for."""
        answers = [self._sheet.answer(row) for row in rows]
        self._sheet.keep(
            [replace(one, choice=one.text, choice_expected=one.expected) for one in answers]
        )

    def _wanted(self, arrived: Sequence[Prediction]) -> list[Prediction]:
        """Return the non-empty LLM predictions of rows whose answers do not weigh any so far."""
        sheet = self._sheet
        return [one for one in arrived if one.texts and sheet.is_open(one.row, with_llm=True)]

    def _count_faults(self, arrived: Sequence[Prediction]) -> None:
        self._faults.update(one.fault.partition(":")[0] for one in arrived if one.fault)

    def _summary(self, llm: Predictor | None) -> Summary:
        answers = self._sheet.close()
        late = sum(answer.rule == "no time" for answer in answers)
        with_llm = sum(answer.with_llm for answer in answers)
        expected = [answer.expected for answer in answers if answer.expected is not None]
        return Summary(
            rows=len(answers),
            with_llm=with_llm,
            by_index=len(answers) - with_llm - late,
            universal=late,
            kinds=dict(Counter(answer.kind for answer in answers).most_common()),
            rules=dict(Counter[str](one.rule for one in answers if one.rule != "blend")),
            faults=dict(self._faults),
            expected=float(np.mean(expected)) if expected else None,
            seconds=self.limit.elapsed,
            out=self._request.out,
            table=self._sheet.journal.table,
            page=None,
            notes=(*self._notes, *(llm.notes() if llm else [])),
        )


def _settings(request: Request) -> dict[str, Any]:
    """Return the options of a prediction run that must be the same when it is resumed."""
    options = request.options
    corpus, model = options.corpus, options.model
    return {
        # As given: what ``None`` resolves to depends on the time limit, which may change.
        "shots": request.shots,
        "calibrate": request.calibrate,
        "model": model if model is None or isinstance(model, str) else model.identity.key,
        "corpus": list(corpus) if isinstance(corpus, tuple) else [corpus.content_hash],
        "vector": None if options.vector is None else str(options.vector),
    } | {name: getattr(options, name) for name in _KEPT_OPTIONS}
