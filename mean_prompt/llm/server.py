"""A server as a predictor: vLLM, llama.cpp, ``transformers serve``, or a hosted model."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, cast

from mean_prompt.corpus import Rows
from mean_prompt.llm.address import KEY_VARIABLE, Address, masked_logs
from mean_prompt.llm.base import Counts, Example, Prediction, one_line
from mean_prompt.llm.cleaning import RULES_VERSION
from mean_prompt.llm.instruction import (
    TEXT_LIMIT,
    Question,
    instruction_hash,
    questions_of,
)
from mean_prompt.llm.options import LLMOptions
from mean_prompt.system import InputError

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

#: Characters of an answer for each token it may have. Words of one token have up to 15; a server
#: that ignores the limit is left there.
_CHARS_PER_TOKEN: Final = 16
#: Seconds before the first repetition; each further one waits twice as long.
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 8.0
#: Seconds to connect: an address that swallows requests must not pass for a slow answer.
_CONNECT: Final = 5.0
#: A server that wants a longer pause than this is not waited for.
_LONGEST_ASKED_WAIT: Final = 120.0
#: Time-outs and conflicts of the server's own, and too many requests, besides every 5xx.
_WORTH_REPEATING: Final = frozenset({408, 409, 425, 429})
#: Seconds for connections to be closed once nobody waits for answers any more.
_WIND_DOWN: Final = 0.5

Put = Callable[[Prediction], None]


class ServerPredictor:
    """Asks a model behind the chat completions of an OpenAI-compatible server.

    Requests run beside each other in a thread of their own, so that answers are written while
    the caller does something else. A busy server (429), a broken one (5xx) and a lost connection
    are tried again, later and later, or when the server says; an answer that takes too long is a
    fault of its row.

    Args:
        model: as the server calls it.
        url: of its API, such as ``http://localhost:8000/v1``.
        options: how it is asked.

    Raises:
        InputError: the openai package is missing, the URL is none, or the key cannot be sent.
    """

    def __init__(self, model: str, url: str, options: LLMOptions | None = None) -> None:
        if find_spec("openai") is None:
            raise InputError(
                "--llm server:MODEL@URL needs the openai package, which is not installed; run: "
                "pip install 'mean-prompt[openai]'"
            )
        self._model = model
        self._address = Address(url)
        self._options = options or LLMOptions()
        self._counts = Counts()
        self._heard = False  # whether the server ever said anything
        self._served = False  # whether it ever gave an answer

    @property
    def identity(self) -> str:
        """Model, address without credentials, sampling, instruction and cleaning."""
        return (
            f"server {self._model} at {self._address.shown} {self._options.sampling} "
            f"instruction={instruction_hash()} cleaning={RULES_VERSION}"
        )

    def predict(
        self,
        rows: Rows,
        examples: Sequence[Sequence[Example]] | None = None,
        *,
        deadline: float | None = None,
    ) -> Iterator[Prediction]:
        """Ask about several rows at once; see :class:`~mean_prompt.llm.base.Predictor`.

        Raises:
            InputError: nothing answers at the address, or the first answer says that the model or
                the key is not known there.
        """
        questions = questions_of(rows.originals, rows.rewritten, examples)
        if not questions or _seconds_to(deadline) == 0:
            return

        async def ask(put: Put) -> None:
            await self._ask_all(questions, put, deadline)

        yield from _in_background(ask)

    def notes(self) -> list[str]:
        """Return the model and the address, and the counts."""
        return [f"server: {self._model} at {self._address.shown}", *self._counts.notes()]

    async def _ask_all(self, questions: list[Question], put: Put, deadline: float | None) -> None:
        """Put a prediction for each question, until the deadline; what is then open is dropped."""
        from openai import AsyncOpenAI

        todo = iter(enumerate(questions))
        address = self._address
        # Repetitions are our own: the package's cannot be told from a first request, and a
        # time-out of its own is between two bytes, which an endless answer never reaches.
        async with AsyncOpenAI(
            api_key=address.key(),
            base_url=address.shown,
            default_headers=address.headers(),
            default_query=address.query(),
            max_retries=0,
        ) as client:

            async def work() -> None:
                for row, question in todo:
                    put(await self._ask(client, row, question))

            workers = min(self._options.concurrency, len(questions))
            # The deadline ends it; a request's own time-out is a fault of its row.
            with masked_logs(), suppress(TimeoutError):
                async with asyncio.timeout(_seconds_to(deadline)):
                    await asyncio.gather(*(work() for _ in range(workers)))

    async def _ask(self, client: AsyncOpenAI, row: int, question: Question) -> Prediction:
        """Return the prediction for one row: what was answered before a fault counts."""
        short, was_long = question.shortened(TEXT_LIMIT)
        answers: list[str] = []
        fault = "empty answer"
        try:
            for sample in range(self._options.samples):
                seed = question.seed(self._options.seed, sample)
                answers.append(await self._persist(client, short, seed))
        except _FaultError as error:
            fault = str(error)
        self._counts.truncated += was_long
        return self._counts.prediction(row, answers, blank_fault=fault)

    async def _persist(self, client: AsyncOpenAI, question: Question, seed: int) -> str:
        """Make one request, again and again where that is worth it; return the answer."""
        from openai import APIConnectionError, APIError, APIStatusError

        for attempt in range(self._options.retries + 1):
            asked_wait: float | None = None
            try:
                async with asyncio.timeout(self._options.timeout):
                    return await self._request(client, question, seed)
            except TimeoutError as error:
                seconds = f"{self._options.timeout:g} s"
                raise _FaultError(f"time-out: no whole answer within {seconds}") from error
            except APIStatusError as error:
                fault = self._judge(error)
                asked_wait = _retry_after(error.response.headers.get("retry-after"))
            except APIConnectionError as error:
                fault = f"no connection: {self._scrubbed(str(error.__cause__ or error))}"
            except (APIError, ValueError) as error:  # in an answer that had begun well
                fault = f"broken answer: {self._scrubbed(str(error))}"
            pause = _pause(attempt) if asked_wait is None else asked_wait
            if attempt == self._options.retries or pause > _LONGEST_ASKED_WAIT:
                break
            await asyncio.sleep(pause)
        if not self._heard:
            raise InputError(
                "--llm server:MODEL@URL must be a server that can be reached: "
                f"{self._address.shown} gave {fault}; start it, or mend the address"
            )
        raise _FaultError(fault)

    async def _request(self, client: AsyncOpenAI, question: Question, seed: int) -> str:
        """Return one answer, read piece by piece, so that an endless one can be left."""
        from openai import Timeout, omit

        seconds = self._options.timeout
        limit = self._options.max_new_tokens * _CHARS_PER_TOKEN
        stream = await client.chat.completions.create(
            model=self._model,
            messages=cast("list[ChatCompletionMessageParam]", question.messages()),
            max_tokens=self._options.max_new_tokens,
            temperature=self._options.temperature,
            seed=seed if self._options.temperature > 0 else omit,
            stream=True,
            timeout=Timeout(seconds, connect=min(_CONNECT, seconds / 2)),
        )
        self._heard = self._served = True
        answer, ended = "", True
        async with stream:
            async for chunk in stream:
                for choice in chunk.choices[:1]:
                    answer += choice.delta.content or ""
                    ended = choice.finish_reason != "length"
                if len(answer) > limit:
                    ended = False
                    break
        self._counts.cut += not ended
        return answer[:limit]

    def _judge(self, error: APIStatusError) -> str:
        """Return the fault in a refusal, or raise where a repetition cannot help."""
        self._heard = True
        status = error.status_code
        if status in {401, 403} and not self._served:
            raise InputError(
                f"the server must accept the key: {self._address.shown} answered {status}; set "
                f"{KEY_VARIABLE}"
            ) from None  # whose words may hold the key
        reason = self._scrubbed(error.message)
        if status == 404 and not self._served:
            raise InputError(
                f"--llm server:MODEL@URL must name what the server has: {self._address.shown} "
                f"answered 404 for the model {self._model!r} ({reason}); mend the name or the URL"
            ) from None
        if status == 429:
            return f"server busy: 429 {reason}"
        if status >= 500:
            return f"server error: {status} {reason}"
        if status in _WORTH_REPEATING:
            return f"server conflict: {status} {reason}"
        raise _FaultError(f"refused: {status} {reason}") from error

    def _scrubbed(self, text: str) -> str:
        """Return a server's words as one line, without the secrets, which some repeat."""
        return one_line(self._address.scrub(text))


class _FaultError(Exception):
    """Why a row has no answer."""


def _in_background(work: Callable[[Put], Awaitable[None]]) -> Iterator[Prediction]:
    """Run a coroutine in a thread and yield what it puts, as it comes.

    A thread, since a notebook has an event loop of its own running already. When the caller stops
    early the coroutine is cancelled, and its connections are closed.
    """
    results: SimpleQueue[Prediction | None] = SimpleQueue()
    running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.set_result((asyncio.get_running_loop(), task))
        await work(results.put)

    pool = ThreadPoolExecutor(1)
    done = pool.submit(lambda: asyncio.run(main()))
    done.add_done_callback(lambda _: results.put(None))
    try:
        while (prediction := results.get()) is not None:
            yield prediction
        done.result()
    finally:
        if not done.done():
            loop, task = running.result()
            with suppress(RuntimeError):  # it ended, and closed its loop, a moment ago
                loop.call_soon_threadsafe(task.cancel)
            wait([done], _WIND_DOWN)
        pool.shutdown(wait=False)


def _seconds_to(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _pause(attempt: int) -> float:
    """Return the seconds before a repetition: doubled each time, less up to a quarter by chance.

    The chance keeps requests that failed together from coming back together.
    """
    return float(min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt) * random.uniform(0.75, 1))


def _retry_after(header: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for, as a number or as a date."""
    if header is None:
        return None
    with suppress(ValueError):
        seconds = float(header)
        return None if math.isnan(seconds) else max(0.0, seconds)
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    return None
