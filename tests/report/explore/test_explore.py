"""The explorer in a headless browser, as a person uses it."""

import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from mean_prompt.report.analysis.opened_run import open_run
from mean_prompt.report.analysis.suggestions import Suggester
from mean_prompt.report.explore.explorer import Explorer, readable
from tests.browser import DESKTOP, PHONE, page_of, serious_faults
from tests.report.explore.conftest import HOSTILE

#: Milliseconds that an answer may take on a busy machine.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def found(run_folder):
    return open_run(run_folder)


@pytest.fixture(scope="module")
def explorer(found):
    return Explorer.of_run(found)


@pytest.fixture(scope="module")
def server(run_folder):
    """The command, which loads while the model and the browser of the tests do."""
    command = [sys.executable, "-m", "mean_prompt", "explore", str(run_folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        yield server
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
        assert server.stderr.read() == ""


@pytest.fixture(scope="module")
def url(server, explorer, browser):  # noqa: ARG001 - loaded meanwhile
    """The address of the command, which Ctrl-C ends with exit code 0."""
    said = server.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/", said)
    if address is None:
        server.kill()
        pytest.fail(f"no address: {said}{server.stderr.read()}")
    return address[0]


@pytest.fixture(scope="module")
def page(browser, url):
    """The page with whatever was typed last; loading one takes longer than most of the tests."""
    with page_of(browser, url) as page:
        page.set_default_timeout(PATIENCE)
        page.wait_for_selector("#mp-plot[data-ready]")
        yield page


def box(page, letter="A"):
    return page.locator(f"#mp-text-{letter} textarea")


def part(page, name, letter="A"):
    return page.locator(f".mp-look[data-column={letter}] [data-part={name}]")


def wait_for_score(page, space, text, letter="A"):
    """Wait until the headline is a text's, and return what a look says of it."""
    look = space.analyse_string(text)
    page.wait_for_function(
        """([letter, score]) => document.querySelector(
            `.mp-look[data-column=${letter}] [data-part=score]`)?.textContent === score""",
        arg=[letter, f"{look.score:.5f}"],
    )
    return look


def wait_for_advice(page, letter="A"):
    page.wait_for_selector(f".mp-advice[data-column={letter}] .mp-apply")


def marks(page):
    """Return the strings' markers on the map: letter -> place."""
    return page.evaluate(
        """() => Object.fromEntries(document.getElementById("mp-plot").data
            .filter((row) => row.name.startsWith("string "))
            .map((row) => [row.name.slice(7), [row.x[0], row.y[0]]]))"""
    )


def test_the_page_begins_with_the_runs_best_string(page, found):
    look = found.space.analyse_string(found.best)
    assert box(page).input_value() == found.best
    assert part(page, "score").inner_text() == f"{look.score:.5f}"
    assert part(page, "tokens").inner_text() == str(look.tokens)
    assert marks(page)["A"] == pytest.approx(look.place, abs=1e-3)


def test_the_map_shows_the_corpus(page, found, explorer):
    drawn = page.evaluate(
        """() => document.getElementById("mp-plot").data.map((row) => [row.name, row.x.length])"""
    )
    places = dict(drawn)
    assert sum(places.values()) == len(found.problem.prompts) + 3
    assert places["mean of the corpus"] == places["direction of the ceiling"] == 1
    assert [row[0] for row in drawn] == [
        *(trace["name"] for trace in explorer.figure["traces"]),
        *explorer.figure["landmarks"], "string A",
    ]  # fmt: skip
    assert page.locator("#mp-plot .legend").is_visible()
    shown = page.evaluate(
        """() => document.getElementById("mp-plot").data.flatMap((row) => row.text).join(" ")"""
    )
    assert "&lt;script&gt;" in shown
    assert "&lt;b&gt;the tone" in shown
    assert not re.search("<(script|b>bold)", shown)


def test_what_is_typed_is_seen_at_once(page, found):
    box(page).fill("")
    box(page).press_sequentially("make the poem formally")
    for _ in "ly":
        box(page).press("Backspace")
    look = wait_for_score(page, found.space, "make the poem formal")
    assert part(page, "fraction").inner_text() == f"{look.fraction:.3f}"
    assert part(page, "tokens").inner_text() == "4"
    nearest = page.locator("[data-part=nearest] tbody tr").first
    assert nearest.inner_text().startswith(f"{look.nearest[0].cosine:.3f}")
    page.wait_for_function("() => document.querySelectorAll('.mp-tokens bdi').length === 4")
    titles = [token.get_attribute("title") for token in page.locator(".mp-tokens bdi").all()]
    assert titles == [f"{worth.worth:+.5f}" for worth in look.worths]
    assert marks(page)["A"] == pytest.approx(look.place, abs=1e-3)


def test_a_suggestion_keeps_its_promise(page, found):
    box(page).fill("make the poem formal")
    wait_for_score(page, found.space, "make the poem formal")
    wait_for_advice(page)
    button = page.locator(".mp-advice[data-column=A] .mp-apply").first
    promised = page.locator("[data-part=promised]").first.inner_text()
    text = Suggester.of_run(found).suggest("make the poem formal").suggestions[0].text
    assert button.get_attribute("data-text") == text
    button.click()
    assert box(page).input_value() == text
    wait_for_score(page, found.space, text)
    assert float(part(page, "score").inner_text()) == pytest.approx(float(promised), abs=1.1e-5)


def test_strings_are_compared_side_by_side(page, found):
    first = box(page).input_value()
    page.locator("#mp-add").click()
    wait_for_advice(page, "B")
    begin = page.locator(".mp-advice[data-column=B] .mp-apply").first
    text = begin.get_attribute("data-text")
    begin.click()
    wait_for_score(page, found.space, text, "B")
    assert box(page, "B").input_value() == text
    assert box(page, "A").input_value() == first
    boxes = [box(page, letter).bounding_box() for letter in "AB"]
    assert boxes[1]["x"] > boxes[0]["x"] + boxes[0]["width"]
    page.wait_for_function(
        """() => document.getElementById("mp-plot").data.some((row) => row.name === "string B")"""
    )
    for letter in "CD":
        page.locator("#mp-add").click()
        box(page, letter).wait_for()
    assert page.locator("#mp-add").is_disabled()
    page.get_by_role("button", name="Remove string B").click()
    box(page, "B").wait_for(state="detached")
    page.wait_for_function(
        """() => document.getElementById("mp-plot").data.every((row) => row.name !== "string B")"""
    )
    assert page.locator("#mp-add").is_enabled()
    for letter in "CD":
        page.get_by_role("button", name=f"Remove string {letter}").click()
        box(page, letter).wait_for(state="detached")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_shown(page, found, text):
    title = page.title()
    before = page.locator("a, img, script, iframe, b, br").count()
    box(page).fill(text)
    wait_for_score(page, found.space, text)
    page.wait_for_selector(".mp-advice[data-column=A] :is(.mp-apply, p:not(.mp-wait))")
    assert page.title() == title
    assert box(page).input_value() == text
    first = page.locator("[data-part=nearest] tbody tr bdi").first.inner_text()
    assert first.rstrip("…") in text
    assert page.locator("a, img, script, iframe, b, br").count() == before
    assert page.evaluate("() => document.body.scrollWidth <= window.innerWidth")


def test_a_broken_rule_is_named_and_repaired(page, found):
    text = "the " * 10 + "text"
    box(page).fill(text)
    wait_for_score(page, found.space, text)
    fault = page.locator(".mp-fault")
    assert fault.inner_text() == (
        "The run would not accept this string: it has 11 tokens, over 10."
    )
    wait_for_advice(page)
    page.locator(".mp-apply").first.click()
    fault.wait_for(state="detached")


def test_an_open_table_stays_open(page, found):
    page.locator("summary", has_text="As a table").click()
    box(page).fill("make the text")
    wait_for_score(page, found.space, "make the text")
    page.wait_for_function(
        "() => document.querySelectorAll('details[data-key=A-tokens] tbody tr').length === 3"
    )
    row = page.locator("details[data-key=A-tokens] tbody tr").nth(1)
    assert row.is_visible()
    assert row.inner_text().split()[:2] == ["2", "the"]


def test_it_works_by_the_keyboard(page, found):
    box(page).fill("make the poem formal")
    wait_for_score(page, found.space, "make the poem formal")
    wait_for_advice(page)
    button = page.locator(".mp-apply").nth(1)
    text = button.get_attribute("data-text")
    button.focus()
    page.keyboard.press("Enter")
    assert box(page).input_value() == text
    wait_for_score(page, found.space, text)


def test_everybody_can_use_it(page):
    page.locator("#mp-add").click()
    wait_for_advice(page, "B")
    box(page, "B").fill("the text of a 😀 king")
    page.wait_for_selector(".mp-look[data-column=B] .mp-fault")
    page.wait_for_selector(".mp-look[data-column=B] .mp-tokens")
    wait_for_advice(page, "B")
    for summary in page.locator("summary").all():
        if not summary.evaluate("(element) => element.parentElement.open"):
            summary.click()
    for scheme, viewport in (("light", DESKTOP), ("dark", PHONE)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(viewport)
        page.wait_for_function(
            "(is_dark) => document.body.classList.contains('dark') === is_dark",
            arg=scheme == "dark",
        )
        assert serious_faults(page) == []
        assert page.evaluate("() => document.body.scrollWidth <= window.innerWidth")


def asked(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_only_its_own_page_is_answered(url):
    port = url.rsplit(":", 1)[1].strip("/")
    assert asked(url, Host=f"rebound.example:{port}")[0] == 403
    assert asked(url, Origin="http://elsewhere.example")[0] == 403
    assert asked(url, Origin="null")[0] == 403
    assert asked(url, Host=f"localhost:{port}")[0] == 200
    status, headers, body = asked(url, Origin=url.rstrip("/"))
    assert status == 200
    # The page names no other host.
    assert "default-src 'self'" in headers["content-security-policy"]
    assert re.findall(rb'(?:src|href|content)="(https?:)?//[^"]*"', body) == []


def test_a_newer_text_ends_the_work_on_an_older_one(explorer):
    place = ("page", "A")
    explorer.note(place, "the text")
    seeing = explorer.analyse("the text", place)
    assert not next(seeing).whole
    explorer.note(place, "the text of")
    assert list(seeing) == []
    assert len(list(explorer.analyse("the text of", place))) == 3
    [*_, last] = explorer.analyse(readable("the \ud83d text"))
    assert last.look.text == "the \ufffd text"


def test_several_threads_see_the_same(explorer):
    texts = ["make the text", "the story tone", "a poem of the sea", "rewrite it"]

    def see(text):
        return list(explorer.analyse(text, ("page", text)))[-1]

    with ThreadPoolExecutor(len(texts)) as threads:
        assert list(threads.map(see, texts)) == [see(text) for text in texts]


def test_without_gradio_the_install_command_is_told(program, run_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, out, said = program("explore", run_folder)
    assert (code, out) == (2, "")
    assert said.count("\n") == 1
    assert "pip install 'mean-prompt[web]'" in said


def test_a_taken_port_and_no_run_are_refused(program, run_folder, url, tmp_path):
    port = url.rsplit(":", 1)[1].strip("/")
    code, _, said = program("explore", run_folder, "--port", port)
    assert code == 2
    assert f"--host and --port must be an address that is free here: 127.0.0.1, port {port}" in said
    assert "is taken; give another port" in said
    code, _, said = program("explore", tmp_path)
    assert code == 2
    assert "must hold its recipe.toml" in said
