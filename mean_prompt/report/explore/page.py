"""The web page on which the user types strings and sees their analyses, built with Gradio."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import gradio as gr

from mean_prompt.report.explore.explorer import BoxKey, Explorer, readable
from mean_prompt.report.explore.views import advice_view, look_view
from mean_prompt.report.page.page import fragment

LETTERS: Final = "ABCD"
#: Seconds without a keystroke before a text is analysed.
_PAUSE: Final = 0.15
_QUIET: Final[dict[str, Any]] = {"show_progress": "hidden", "api_visibility": "private"}


def build_page(explorer: Explorer, text: str) -> gr.Blocks:
    """Return the explorer's Gradio page, with ``text`` in its first column."""
    page = gr.Blocks(title="mean-prompt explorer", analytics_enabled=False, fill_width=True)
    with page:
        gr.HTML(fragment("about.html", **explorer.facts), js_on_load=None, apply_default_css=False)
        shown = gr.State([letter == LETTERS[0] for letter in LETTERS])
        with gr.Row(elem_classes="mp-columns"):
            columns = [
                _Column(explorer, letter, text if letter == LETTERS[0] else "")
                for letter in LETTERS
            ]
        add = gr.Button("Add a string", elem_id="mp-add", size="sm")
        gr.HTML('<div id="mp-map"></div>', js_on_load=None, apply_default_css=False)
        _connect(shown, columns, add)
    return page


def theme() -> gr.themes.Base:
    """Return a Gradio theme with system fonts, so that none is downloaded."""
    return gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


class _Column:
    """A column of the page: a text box, the analysis of its text, and suggested edits."""

    def __init__(self, explorer: Explorer, letter: str, text: str) -> None:
        self._explorer = explorer
        self._letter = letter
        look, advice = self._last(text)
        self.block = gr.Column(
            min_width=300, visible=letter == LETTERS[0], elem_id=f"mp-column-{letter}"
        )
        with self.block:
            self.text = gr.Textbox(
                text, label=f"String {letter}", lines=3, max_lines=12, elem_id=f"mp-text-{letter}"
            )
            self.look = gr.HTML(look, js_on_load=None, apply_default_css=False)
            self.advice = gr.HTML(advice, js_on_load=None, apply_default_css=False)
            self.remove = gr.Button(
                f"Remove string {letter}", size="sm", visible=letter != LETTERS[0]
            )
        self.text.change(
            self._note, self.text, None, queue=False, trigger_mode="multiple", **_QUIET
        )
        self.text.change(
            self._analyse,
            self.text,
            [self.look, self.advice],
            trigger_mode="always_last",
            concurrency_limit=len(LETTERS),
            **_QUIET,
        )

    def cleared(self, *, visible: bool) -> dict[Any, Any]:
        """Return the Gradio updates that show or hide this column and empty its text box."""
        look, advice = self._last("")
        return {
            self.block: gr.Column(visible=visible),
            self.text: "",
            self.look: look,
            self.advice: advice,
        }

    def _note(self, text: str, request: gr.Request) -> None:
        self._explorer.note((str(request.session_hash), self._letter), readable(text))

    def _analyse(self, text: str, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        text, box = readable(text), (str(request.session_hash), self._letter)
        time.sleep(_PAUSE)
        if self._explorer.is_newest(box, text):
            yield from self._views(text, box)

    def _views(self, text: str, box: BoxKey) -> Iterator[tuple[Any, Any]]:
        letter, explorer = self._letter, self._explorer
        if not text.strip():
            blank = fragment("blank.html", column=letter)
            yield blank, advice_view(letter, explorer.starting_prompts())
            return
        for found in explorer.analyse(text, box):
            look = look_view(
                letter, found.look, limit=explorer.limit, fault=found.fault, whole=found.whole
            )
            yield look, advice_view(letter, found.advice)

    def _last(self, text: str) -> tuple[Any, Any]:
        *_, last = self._views(text, ("", self._letter))
        return last


def _connect(shown: gr.State, columns: list[_Column], add: gr.Button) -> None:
    outputs = [shown, add] + [
        part for one in columns for part in (one.block, one.text, one.look, one.advice)
    ]

    def switch(flags: list[bool], number: int, *, on: bool) -> dict[Any, Any]:
        flags = [on if i == number else flag for i, flag in enumerate(flags)]
        button = gr.Button(interactive=not all(flags))
        return {shown: flags, add: button, **columns[number].cleared(visible=on)}

    def show_next(flags: list[bool]) -> dict[Any, Any]:
        return switch(flags, flags.index(False), on=True) if False in flags else {shown: flags}

    add.click(show_next, shown, outputs, queue=False, **_QUIET)
    for number, column in enumerate(columns):

        def hide(flags: list[bool], number: int = number) -> dict[Any, Any]:
            return switch(flags, number, on=False)

        column.remove.click(hide, shown, outputs, queue=False, **_QUIET)
