"""Predict prompts with an LLM on a server: vLLM, llama.cpp, ``transformers serve``, or hosted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, cast

from mean_prompt.corpus import Rows
from mean_prompt.llm.address import KEY_VARIABLE, ServerAddress, masked_logs
from mean_prompt.llm.base import Counts, Examples, Prediction, short_reason
from mean_prompt.llm.instruction import TEXT_LIMIT, Question, asking_identity, questions_of
from mean_prompt.llm.options import LLMOptions
from mean_prompt.system import Deadline, InputError

if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

#: Characters of an answer for each token it may have. Words of one token have up to 15; an answer
#: that is longer comes from a server that ignores the limit, and is not read further.
_CHARS_PER_TOKEN: Final = 16
#: Seconds to connect: an address that swallows requests must not pass for a slow answer.
_CONNECT: Final = 5.0
#: Seconds between two looks at the deadline while no prediction arrives.
_PATIENCE: Final = 0.1
#: Seconds for connections to be closed when answers are no longer wanted.
_WIND_DOWN: Final = 0.5

Put = Callable[[Prediction], None]


class ServerPredictor:
    """Predicts prompts with a model on a server that has OpenAI's chat completions API.

    The ``openai`` client repeats a request if the server is busy (429) or broken (5xx), does not
    begin to answer in time, or cannot be connected to.

    Args:
        url: the URL of the API, such as ``http://localhost:8000/v1``.

    Raises:
        InputError: the openai package is missing, the URL is invalid, or the key cannot be sent.
    """

    def __init__(self, model: str, url: str, options: LLMOptions | None = None) -> None:
        if find_spec("openai") is None:
            raise InputError(
                "--llm server:MODEL@URL needs the openai package, which is not installed; run: "
                "pip install 'mean-prompt[openai]'"
            )
        self._model = model
        self._address = ServerAddress(url)
        self._options = options or LLMOptions()
        self._counts = Counts()
        asked = asking_identity(self._options.sampling)
        self.identity = f"server {model} at {self._address.shown} {asked}"
        self._reached = False  # whether the server ever responded
        self._too_slow = f"time-out: no whole answer within {self._options.timeout:g} s"

    def predict(
        self, rows: Rows, examples: Examples | None = None, *, deadline: Deadline | None = None
    ) -> Iterator[Prediction]:
        """Request answers for several rows concurrently, and yield predictions as they arrive.

        Raises:
            InputError: no server answers at the address, or its first response says that the
                model or the key is not known there.
        """
        questions = questions_of(rows, examples)
        deadline = deadline or Deadline()
        if questions and not deadline.expired:
            yield from _in_background(lambda put: self._ask_all(questions, put), deadline)

    def notes(self) -> list[str]:
        """Return lines on the model, the server's address, and the counts of answers."""
        return [f"server: {self._model} at {self._address.shown}", *self._counts.notes()]

    async def _ask_all(self, questions: list[Question], put: Put) -> None:
        from openai import AsyncOpenAI

        todo, address = iter(enumerate(questions)), self._address
        async with AsyncOpenAI(
            api_key=address.key(),
            base_url=address.shown,
            default_headers=address.headers(),
            default_query=address.query(),
            max_retries=self._options.retries,
        ) as client:

            async def work() -> None:
                for row, question in todo:
                    put(await self._ask(client, row, question))

            with masked_logs():
                workers = min(self._options.concurrency, len(questions))
                await asyncio.gather(*(work() for _ in range(workers)))

    async def _ask(self, client: AsyncOpenAI, row: int, question: Question) -> Prediction:
        """Request the samples for one row; those received before a fault are used."""
        from openai import APIConnectionError, APIError, APIStatusError

        short = question.shortened(TEXT_LIMIT)
        answers: list[str] = []
        fault = "empty answer"
        try:
            for sample in range(self._options.samples):
                seed = question.seed(self._options.seed, sample)
                answers.append(await self._request(client, short, seed))
        except TimeoutError:
            fault = self._too_slow
        except APIStatusError as error:
            fault = self._refusal(error)
        except APIConnectionError as error:
            fault = self._lost(error)
        except (APIError, ValueError) as error:  # in an answer that had begun well
            fault = f"broken answer: {self._scrubbed(error)}"
        self._counts.truncated += short != question
        return self._counts.prediction(row, answers, blank_fault=fault)

    async def _request(self, client: AsyncOpenAI, question: Question, seed: int) -> str:
        """Request one answer, streamed in chunks so that an endless one can be abandoned."""
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
        self._reached = True
        answer, ended = "", True
        # The client's own time-out is between two bytes, which an endless answer never reaches.
        async with asyncio.timeout(seconds), stream:
            async for chunk in stream:
                for choice in chunk.choices[:1]:
                    answer += choice.delta.content or ""
                    ended = choice.finish_reason != "length"
                if len(answer) > limit:
                    ended = False
                    break
        self._counts.cut += not ended
        return answer[:limit]

    def _refusal(self, error: APIStatusError) -> str:
        """Return the fault for an HTTP error; raise if the first response rejects key or model."""
        status, reason = error.status_code, self._scrubbed(error.message)
        first, self._reached = not self._reached, True
        if status in {401, 403} and first:
            raise InputError(
                f"the server must accept the key: {self._address.shown} answered {status}; set "
                f"{KEY_VARIABLE}"
            ) from None  # whose words may hold the key
        if status == 404 and first:
            raise InputError(
                f"--llm server:MODEL@URL must name what the server has: {self._address.shown} "
                f"answered 404 for the model {self._model!r} ({reason}); fix the name or the URL"
            ) from None
        if status == 429:
            return f"server busy: 429 {reason}"
        return f"{'server error' if status >= 500 else 'refused'}: {status} {reason}"

    def _lost(self, error: APIConnectionError) -> str:
        """Return the fault for a connection error; raise if the server was never reached."""
        from openai import APITimeoutError

        connecting = "Connect" in type(error.__cause__).__name__
        if isinstance(error, APITimeoutError) and not connecting:
            return self._too_slow
        fault = f"no connection: {self._scrubbed(error.__cause__ or error)}"
        if not self._reached:
            raise InputError(
                "--llm server:MODEL@URL must be a server that can be reached: "
                f"{self._address.shown} gave {fault}; start it, or fix the address"
            ) from None
        return fault

    def _scrubbed(self, words: object) -> str:
        """Return a server's or library's message on one line, with credentials in it masked."""
        return short_reason(self._address.scrub(str(words)))


def _in_background(
    work: Callable[[Put], Awaitable[None]], deadline: Deadline
) -> Iterator[Prediction]:
    """Run a coroutine in a thread, and yield the predictions that it puts as they arrive.

    A thread, since a notebook already runs an event loop. At the deadline, or if the caller stops
    early, the coroutine is cancelled and its connections are closed.
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
        while not deadline.expired:
            try:
                prediction = results.get(timeout=min(_PATIENCE, deadline.remaining))
            except Empty:
                continue
            if prediction is None:
                done.result()
                return
            yield prediction
    finally:
        if not done.done():
            loop, task = running.result()
            with suppress(RuntimeError):  # it ended, and closed its loop, a moment ago
                loop.call_soon_threadsafe(task.cancel)
            wait([done], _WIND_DOWN)
        pool.shutdown(wait=False)
