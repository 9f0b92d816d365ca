"""The live page in a real browser: it follows a real search to its end, a kill and a resume."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from benchmarks.grammar import generate
from mean_prompt.report.live.place import running_server
from mean_prompt.report.page.run_report import run_parts
from tests.browser import page_of
from tests.report.live.conftest import best

#: Milliseconds that a page has to show something: a model has to load on a busy machine.
PATIENCE = 120_000
SHOWN = "document.querySelector('#string .text')?.textContent"
DRAWN = "document.getElementById('plot-progress')?.data?.at(-1)?.y ?? []"


@pytest.fixture
def searching(tmp_path, tiny_bert_folder):
    """A process of ``search --live``: itself, its arguments, and the page's address."""
    (tmp_path / "prompts.txt").write_text(
        "\n".join(row["prompt"] for row in generate(60, seed=5)), "utf-8"
    )
    places = [tmp_path / "prompts.txt", "--out", tmp_path / "run", "--model", tiny_bert_folder]
    asked = ["search", "--live", *places, "--max-tokens", 8, "--budget", "1h"]
    with subprocess.Popen(
        [sys.executable, "-m", "mean_prompt", *map(str, asked)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        lines = iter(process.stderr.readline, "")
        yield process, asked, next(line[11:-1] for line in lines if line.startswith("live page: "))
        process.kill()
        process.communicate()
    if server := running_server(tmp_path / "run"):
        os.kill(server.pid, signal.SIGKILL)


def wait_for(page, expression, *arguments):
    page.wait_for_function(expression, arg=arguments or None, timeout=PATIENCE)


def status(page):
    return page.locator("#status").inner_text()


def test_it_follows_a_search_to_its_end_through_a_kill(browser, searching, program, tmp_path):
    run = tmp_path / "run"
    process, asked, url = searching
    with page_of(browser, url) as page:
        # While it runs, the string changes.
        wait_for(page, f"() => {SHOWN}")
        first = page.evaluate(SHOWN)
        wait_for(page, f"([first]) => {SHOWN} !== first && ({DRAWN}).length > 3", first)
        assert status(page).startswith("Running: ")

        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(page, "() => document.querySelector('#status .interrupted')")
        kept = (run / "best.txt").read_text("utf-8")
        wait_for(page, f"([kept]) => {SHOWN} === kept", kept)
        assert "Running" not in status(page)
        assert page.locator("#score").inner_text().count("score so far") == 1

        *_, last = (run / "events.jsonl").read_text("utf-8").splitlines()
        most = json.loads(last)["evaluations"] + 300
        code, _, err = program(*asked, "--resume", "--max-evaluations", most, "--quiet")
        assert code == 0
        assert f"live page: {url}\n" in err
        assert err.endswith(f"live page: {url} stays until it was not open for 5m\n")

        # The same page follows on, and ends with the result.
        wait_for(page, "() => document.querySelector('#status .finished')")
        result = json.loads((run / "result.json").read_text("utf-8"))
        assert page.evaluate(SHOWN) == result["string"]
        scores = page.locator("#score").inner_text()
        shown = [result["score"], result["train_score"], result["holdout_score"], result["ceiling"]]
        assert all(f"{score:.5f}" in scores for score in shown)
        assert f"{100 * result['fraction']:.1f} %" in scores
        assert f"{result['evaluations']:,} strings encoded" in status(page)
        drawn = page.evaluate(DRAWN)
        assert max(drawn) == pytest.approx(result["train_score"] / result["ceiling"], rel=0.05)
        # What the search found out at its end is there too.
        wait_for(page, "() => document.getElementById('plot-map')?.data?.length > 0")
        assert page.locator("#away").is_hidden()


@contextmanager
def served(folder):
    """Serve a run by ``mean-prompt live``, which Ctrl-C ends with exit code 0; its address."""
    command = [sys.executable, "-m", "mean_prompt", "live", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().removeprefix("live page: ").rstrip("\n")
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_an_open_page_comes_back_with_its_server(browser, folder):
    with browser.new_page() as page:
        with served(folder) as url:
            page.goto(url)
            wait_for(page, f"() => {SHOWN} === 'a first string'")
        page.locator("#away").wait_for(state="visible", timeout=PATIENCE)
        assert "does not answer" in page.locator("#away").inner_text()
        assert page.evaluate(SHOWN) == "a first string"

        with (folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(best("a second string")) + "\n")
        with served(folder) as again:
            assert again == url
            page.locator("#away").wait_for(state="hidden", timeout=PATIENCE)
            wait_for(page, f"() => {SHOWN} === 'a second string'")


def test_what_is_new_is_only_shown_and_the_chosen_axis_stays(browser, folder, serve):
    hostile = "<script>document.title = 'x'</script><img src=x onerror=alert(1)> \u202e' \" & 😀"
    with page_of(browser, serve(read=run_parts).address.url) as page:
        title = page.title()
        wait_for(page, f"() => ({DRAWN}).length")
        page.get_by_label("seconds").check()
        with (folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(best(hostile) | {"time": 3.5}) + "\n")
        wait_for(page, f"([hostile]) => {SHOWN} === hostile", hostile)
        assert page.title() == title
        assert page.locator("main img, main script").count() == 0
        assert page.get_by_label("seconds").is_checked()
        x = page.evaluate("document.getElementById('plot-progress').data.at(-1).x")
        assert x == [1.5, 3.5, 3.5]
