"""The wheel that is built installs and runs in an empty environment."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, cwd, **env):
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = ("-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    run(sys.executable, *command, cwd=out)
    [built] = out.glob("*.whl")
    return built


def test_it_holds_the_package_its_data_and_nothing_of_the_developers(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mean_prompt"}
    assert "mean_prompt/_shipped/search/quick.toml" in names
    assert "mean_prompt/_shipped/corpora/handwritten.jsonl" in names
    assert not [name for name in names if "test" in name or "pictures" in name]


def test_it_runs_where_only_its_dependencies_are(wheel, tmp_path, tiny_bert_folder):
    """The environment has no package but the wheel; dependencies come from the one around it."""
    home = tmp_path / "venv"
    venv.create(home, symlinks=True, with_pip=False)
    python = home / "bin" / "python"
    pip = ("-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, *pip, cwd=tmp_path)
    (tmp_path / "prompts.csv").write_text("prompt\nMake it a poem\nMake it formal\n")
    # Path entries of this environment are not followed: an editable install is not seen.
    packages = sysconfig.get_path("purelib")
    command = ("score", "Make it rhyme", "--corpus", "prompts.csv", "--model", tiny_bert_folder)
    out = run(home / "bin" / "mean-prompt", *command, "--json", cwd=tmp_path, PYTHONPATH=packages)
    [found] = json.loads(out)
    assert 0 < found["score"] < 1
    where = "import mean_prompt; print(mean_prompt.__file__)"
    assert str(home) in run(python, "-c", where, cwd=tmp_path, PYTHONPATH=packages)
