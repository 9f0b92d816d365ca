"""The command reference: a section for each command, written from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from mean_prompt.cli.app import app as program

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TARGET = Path("_generated") / "commands.md"
_TITLE = "mean-prompt"
#: What stands for a value of each type.
_KINDS = {"str": "TEXT", "int": "N", "float": "NUMBER", "path": "PATH"}


Command = TyperCommand | TyperGroup
Parameter = TyperArgument | TyperOption


def walk(command: Command | None = None, name: str = _TITLE) -> Iterator[tuple[str, Command]]:
    """Yield every command by its whole name; a group such as ``bench`` by its commands."""
    command = command or typer.main.get_command(program)
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    for child, inner in command.commands.items():
        if not inner.hidden:
            yield from walk(inner, f"{name} {child}")


def reference() -> str:
    """Return the reference as MyST Markdown."""
    return "\n".join(_section(name, command) for name, command in walk())


def label(name: str) -> str:
    """Return the label by which a page refers to a command's section."""
    return "command-" + name.removeprefix(f"{_TITLE} ").replace(" ", "-")


def _section(name: str, command: Command) -> str:
    shown = [one for one in command.params if not one.hidden and one.name != "help"]
    arguments = [one for one in shown if isinstance(one, TyperArgument)]
    options = [one for one in shown if isinstance(one, TyperOption)]
    usage = " ".join([name, *map(_placeholder, arguments), "[OPTIONS]"])
    context = typer.Context(command)
    parts = [f"({label(name)})=\n## `{name}`\n", _prose(command.help), f"```text\n{usage}\n```\n"]
    parts += [_entry(_placeholder(one), one) for one in arguments]
    parts += [_entry(_spelling(one, context), one) for one in options]
    return "\n".join(parts)


def _placeholder(argument: TyperArgument) -> str:
    name = (argument.metavar or argument.name).upper().rstrip(".")
    many = f"{name} ..." if argument.nargs == -1 else name
    return many if argument.required else f"[{many}]"


def _spelling(option: TyperOption, context: typer.Context) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {_value(option, context)}"


def _value(option: TyperOption, context: typer.Context) -> str:
    """Return what stands for an option's value: its own word, its choices or its type."""
    if option.metavar:
        return option.metavar
    kind = option.display_type(context).strip("<>").removesuffix(" range")
    kind = kind.removeprefix("list[").removesuffix("]")
    return kind if "|" in kind else _KINDS.get(kind, kind.upper())


def _entry(term: str, parameter: Parameter) -> str:
    facts = [_prose(parameter.help).strip(), _bounds(parameter)]
    if isinstance(parameter, TyperOption):
        facts.append("Required." if parameter.required else "")
        facts.append("May be repeated." if parameter.multiple else "")
        if parameter.show_default and parameter.default is not None and not parameter.is_flag:
            facts.append(f"Default: `{parameter.default}`.")
    if parameter.envvar:
        facts.append(f"Environment variable: `{parameter.envvar}`.")
    return f"`{term}`\n: {' '.join(filter(None, facts))}\n"


def _bounds(parameter: Parameter) -> str:
    least, most = parameter.min, parameter.max
    if least is None:
        return "" if most is None else f"At most {most}."
    return f"At least {least}." if most is None else f"From {least} to {most}."


def _prose(text: str | None) -> str:
    """Return help text as Markdown: what would be markup is escaped, options are set as code."""
    paragraphs = [" ".join(part.split()) for part in (text or "").split("\n\n")]
    escaped = [re.sub(r"([\\`*_\[\]<>#|$~{}])", r"\\\1", part) for part in paragraphs]
    coded = [re.sub(r"(?<![\w-])(--[a-z][a-z-]*)", r"`\1`", part) for part in escaped]
    return "\n\n".join(coded) + "\n"


def write(app: Sphinx) -> None:
    """Write the reference where ``commands.md`` includes it."""
    target = Path(app.srcdir) / TARGET
    target.parent.mkdir(exist_ok=True)
    target.write_text(reference(), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the reference before pages are read."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
