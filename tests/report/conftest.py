"""A run whose corpus and string are as hostile as text can be."""

import json

import pytest

from mean_prompt import Corpus, Recipe, search
from mean_prompt.report.write import write_report

HOSTILE = (
    "<script>window.hacked = 1</script> rewrite the text",
    "\"quotes\" and 'quotes' & &amp; </style><img src=x onerror='window.hacked = 2'>",
    "make the story 😀🎉 a poem",
    "\u202eright to left \u202c اجعل النص رسميا",
    "{{ 7 * 7 }} {% raw %} ${window.hacked = 3} <!-- ]]> a formal email",
    "long " * 2_000,
    "<a href='https://example.com'>turn it into a song</a>",
    "two\nlines\r\nof text \u2028 and more",
)
PREFIX = "<script>window.hacked = 4</script>\r\n\"'& \u202e مرحبا 😀 <b>"


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory, tiny_bert):
    """The folder of a finished run, and the content of its result.

    A search makes it. Its model cannot spell what would harm, so that goes in front of the strings
    afterwards, in every file that holds them.
    """
    out = tmp_path_factory.mktemp("runs") / "hostile <b>run"
    prompts = [
        *HOSTILE,
        *(f"{text[:60]} for a {who}" for text in HOSTILE for who in ("cat", "dog")),
    ]
    recipe = Recipe().override(study={"climb_evaluations": 250}, constraints={"max_tokens": 12})
    search(
        Corpus.from_prompts(prompts), model=tiny_bert, recipe=recipe, max_evaluations=900, out=out
    )
    events = [json.loads(line) for line in (out / "events.jsonl").read_text("utf-8").splitlines()]
    for event in events:
        event["text"] = PREFIX + event["text"]
    (out / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    result = json.loads((out / "result.json").read_text("utf-8"))
    result["string"] = PREFIX + result["string"]
    (out / "result.json").write_text(json.dumps(result))
    (out / "best.txt").write_bytes(result["string"].encode())
    analysis = json.loads((out / "analysis.json").read_text("utf-8"))
    analysis["look"]["text"] = result["string"]
    analysis["look"]["worths"].append({"piece": PREFIX, "worth": -0.001})
    (out / "analysis.json").write_text(json.dumps(analysis))
    write_report(out)
    return out, result
