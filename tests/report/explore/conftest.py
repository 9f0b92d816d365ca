import json

import pytest

from mean_prompt.api import search
from tests.tiny_models import WORDS

#: Prompts that would do something to a page that took them for anything but text.
HOSTILE = (
    "<script>document.title = 'stolen'</script> rewrite this",
    '"><img src=x onerror="document.title=1"> make it \'formal\'',
    "${document.title = 1} {{document.title}} {% raw %} the story",
    "😀 \u0627\u0643\u062a\u0628 \u202e the poem",
    "the long story " + "x" * 10_000,
    "**bold** [link](http://elsewhere.invalid/) <b>the tone</b><br>",
)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory, tiny_bert_folder):
    """A finished run on a corpus that holds hostile prompts."""
    folder = tmp_path_factory.mktemp("explored")
    prompts = [f"{WORDS[i]} the {WORDS[i + 40]} {WORDS[2 * i]} text" for i in range(40)]
    corpus = folder / "prompts.jsonl"
    lines = [json.dumps({"prompt": text}) for text in [*prompts, *HOSTILE]]
    corpus.write_text("\n".join(lines), "utf-8")
    search(
        corpus,
        max_evaluations=60,
        max_tokens=10,
        model=str(tiny_bert_folder),
        out=folder / "run",
    )
    return folder / "run"
