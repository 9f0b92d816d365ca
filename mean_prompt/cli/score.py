"""``mean-prompt score``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import Model, Trust, option
from mean_prompt.system import InputError


def score(
    strings: Annotated[
        list[str],
        typer.Argument(
            metavar="STRING|FILE...",
            help="Strings, or files of strings (a line or a row each); - reads lines from "
            "standard input.",
        ),
    ],
    corpus: Annotated[
        list[str] | None,
        option(
            help="File or folder of prompts: PATH, or NAME=PATH:WEIGHT; repeat for several. "
            "Default: as for search."
        ),
    ] = None,
    model: Model = None,
    trust_model: Trust = False,
    column: Annotated[
        str | None, option(help="The prompts' column in the corpus. Default: guessed.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, in the order given.")
    ] = False,
) -> None:
    """Score strings against a corpus: expected SCS over every prompt, in float32."""
    from dataclasses import asdict

    from mean_prompt.corpus import check_sources

    check_sources(corpus or ())

    from mean_prompt import api
    from mean_prompt.cli.display import print_scores

    texts = texts_of(strings)
    rows = api.score(texts, corpus or None, model=model, column=column, trust=trust_model)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], ensure_ascii=False, indent=2))
    else:
        print_scores(rows)


def texts_of(strings: list[str]) -> list[str]:
    """Return the strings that arguments stand for, as :func:`score` takes them.

    Raises:
        InputError: there is none that is not blank.
    """
    texts = [text for given in strings for text in _texts(given)]
    if not texts:
        raise InputError("there must be at least one string: found none that is not blank")
    return texts


def _texts(given: str) -> list[str]:
    """Return the strings that one argument stands for; blank lines of files are left out."""
    from mean_prompt.corpus import SUFFIXES, read_prompts, text_lines

    if given == "-":
        return [line for line in text_lines(_standard_input()) if line.strip()]
    looks_like_file = Path(given).suffix.lower() in SUFFIXES and not any(map(str.isspace, given))
    if looks_like_file or _is_file(given):
        return [text for text in read_prompts(Path(given)) if text.strip()]
    if not given.strip():
        raise InputError("a string to score must not be blank")
    return [given]


def _standard_input() -> str:
    """Return what is piped in, read as files are: UTF-8, whatever the terminal's encoding."""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input must be UTF-8: found byte 0x{error.object[error.start]:02x}"
        ) from error


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # a long string is no path
        return False
