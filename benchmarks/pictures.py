"""Draw the README's pictures from a real search: the terminal as SVG, the report as PNG.

Run as ``python -m benchmarks.pictures RUN FOLDER``. The report is drawn by a Chromium, which
must be on the machine, driven by Playwright, which comes with the development packages. The files
of the run that the pictures show are put beside them.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import typer
from rich.console import Console
from rich.text import Text

from mean_prompt.cli.display import print_result
from mean_prompt.report import highlight_edit, search_panel, write_report
from mean_prompt.runs import BEST, RECIPE, RESULT, SearchProgress, SearchResult

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_WIDTH: Final = 100
#: The report's first screens: from the string to how the search went.
_SCREEN: Final = {"width": 1120, "height": 1500}
_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


def draw(run: Path, folder: Path) -> None:
    """Draw the README's pictures of a finished search into a folder.

    Raises:
        InputError: the folder ``run`` holds no finished search.
        FileNotFoundError: there is no Chromium.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw_terminal(run, folder / "search.svg")
    draw_report(write_report(run), folder)
    for name in (BEST, RECIPE, RESULT):
        shutil.copyfile(run / name, folder / name)


def draw_terminal(run: Path, target: Path) -> None:
    """Draw a search's last terminal display and its final table as an SVG file."""
    result = SearchResult.load(run)
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), highlight=False)
    console.print(Text("$ make search", style="bold"))
    console.print(search_panel(_last_progress(result), highlight_edit("", result.string)))
    print_result(result, console)
    console.save_svg(str(target), title="mean-prompt")


def draw_report(page: Path, folder: Path) -> None:
    """Draw the top of an HTML report as ``report-light.png`` and ``report-dark.png``."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("pictures need a Chromium: install Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in _SCHEMES:
            _shoot(browser, page, scheme, folder / f"report-{scheme}.png")
        browser.close()


def _shoot(browser: Browser, page: Path, scheme: Literal["light", "dark"], target: Path) -> None:
    context = browser.new_context(
        viewport={"width": _SCREEN["width"], "height": _SCREEN["height"]}, color_scheme=scheme
    )
    tab = context.new_page()
    tab.goto(page.resolve().as_uri())
    tab.locator("#plot-time .main-svg").first.wait_for()
    tab.screenshot(path=str(target))
    context.close()


def _last_progress(result: SearchResult) -> SearchProgress:
    return SearchProgress(
        "searching",
        result.evaluations,
        None,
        seconds=result.seconds,
        remaining=0.0,
        rate=result.evaluations_per_second,
        score=result.train_score,
        fraction=result.fraction,
        holdout=result.holdout_score,
        text=result.string,
    )


if __name__ == "__main__":
    typer.run(draw)
