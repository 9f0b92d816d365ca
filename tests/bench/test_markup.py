"""Reports as Markdown and HTML: names and texts are shown, and do nothing."""

import re

import pytest

from mean_prompt.bench.markup import code_span, escaped
from mean_prompt.bench.page import methods_markdown, methods_page
from mean_prompt.bench.report import MethodRun, MethodsReport, MethodsSetup, TracePoint
from mean_prompt.bench.setup import Machine
from mean_prompt.bench.speed import ModelSpeed, PathSpeed, ProductSpeed, SpeedReport, speed_markdown

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>&lt;"
BARE = re.compile(r"<(?:script>alert|img src=x)")


def filled(model, **known):
    """Return a model of a report with every field that is not given filled in by its type."""
    made = {str: EVIL, int: 1, float: 0.5, bool: False}
    fields = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name in known:
            fields[name] = known[name]
        elif kind in made:
            fields[name] = made[kind]
        elif str(kind).startswith("dict"):
            fields[name] = {}
        elif str(kind).startswith("tuple"):
            fields[name] = (EVIL,) if "str" in str(kind) else (1,) if "int" in str(kind) else ()
        else:
            fields[name] = None if "None" in str(kind) else kind
    return model(**fields)


@pytest.fixture
def machine():
    return filled(Machine)


@pytest.fixture
def report(machine):
    points = (filled(TracePoint), filled(TracePoint, seconds=0.7))
    setup = filled(MethodsSetup, machine=machine, budget=1.0)
    runs = [filled(MethodRun, trace=points), filled(MethodRun, trace=points, method="mean-prompt")]
    return MethodsReport.of(setup, runs)


def test_the_page_runs_nothing_of_what_it_shows(report):
    page = methods_page(report)
    assert not BARE.search(page)
    assert page.count("&lt;/script&gt;&lt;script&gt;alert") >= 3
    # Plotly reads entities in labels, so that there it stands escaped twice: as JSON and as HTML.
    assert "\\u003cscript" not in page


def test_markdown_keeps_them_from_being_html(report, machine):
    texts = [methods_markdown(report)]
    speed = filled(
        ModelSpeed,
        screening="float32",
        paths=(filled(PathSpeed, path="p"),),
        products=(filled(ProductSpeed),),
    )
    texts.append(speed_markdown(filled(SpeedReport, machine=machine, models=(speed,))))
    for text in texts:
        for line in text.splitlines():
            is_code = line.startswith(("`", "    ", "| <"))
            assert is_code or not BARE.search(line), line


def test_code_and_text_are_one_line_without_tags():
    assert code_span("a\nb") == "`a b`"
    assert code_span("`` ` <b>") == "``` `` ` <b> ```"
    assert escaped("a<b>\n\"c\" & 'd'") == "a&lt;b&gt; &quot;c&quot; &amp; &#x27;d&#x27;"
