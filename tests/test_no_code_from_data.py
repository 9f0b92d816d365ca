"""Nothing in the package turns data into code: looked for in the syntax tree of every module."""

import ast
from pathlib import Path

import pytest

import mean_prompt

PACKAGE = Path(mean_prompt.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

#: Whole packages whose work it is, and the functions of others.
PACKAGES = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
FUNCTIONS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pty.spawn"),
    *("torch.load", "torch.jit.load", "torch.hub.load"),
    *("pandas.read_pickle", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load"),
    *("runpy.run_path", "runpy.run_module", "importlib.util.spec_from_file_location"),
}
#: Names of these that unpickle nothing: what torch raises on a file that is no pickle, and cores.
HARMLESS = {"pickle.UnpicklingError", "joblib.cpu_count"}
#: Modules that may pickle: what they unpickle comes from processes that the driver itself began.
BETWEEN_PROCESSES = ("system/processes.py", "system/ray_placement.py", "system/team.py")
#: Names of options that let a library do so, with the one value that does not.
OPTIONS = {
    "allow_pickle": False,
    "trust_remote_code": False,
    "weights_only": True,
    "shell": False,
    "autoescape": True,
}
#: Where an option is the user's own: whether the model is trusted.
ASKED = {"trust"}


def findings(source):
    """Return what a module does that it must not, a line each."""
    tree = ast.parse(source)
    names = imported(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            dotted = dotted_name(node, names)
            if dotted in FUNCTIONS or (is_forbidden(dotted) and dotted not in HARMLESS):
                found.append(f"line {node.lineno}: {dotted}")
        if isinstance(node, ast.Call):
            # numpy's default has changed, and whoever reads the call should not need to know.
            if dotted_name(node.func, names) == "numpy.load" and not says(node, "allow_pickle"):
                found.append(f"line {node.lineno}: numpy.load without allow_pickle=False")
            found += [
                f"line {node.lineno}: {word.arg}={ast.unparse(word.value)}"
                for word in node.keywords
                if word.arg in OPTIONS and not is_safe(word)
            ]
    return found


def imported(tree):
    """Return what local names stand for: ``np`` for ``numpy``, ``load`` for ``torch.load``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted_name(node, names):
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value, names)}.{node.attr}"
    return ""


def says(call, option):
    return any(word.arg == option for word in call.keywords)


def is_forbidden(dotted):
    package, dot, _ = dotted.partition(".")
    return bool(dot) and package in PACKAGES


def is_safe(word):
    if isinstance(word.value, ast.Constant):
        return word.value.value is OPTIONS[word.arg]
    return isinstance(word.value, ast.Name) and word.value.id in ASKED


@pytest.mark.parametrize("module", MODULES)
def test_no_module_turns_data_into_code(module):
    found = findings((PACKAGE / module).read_text("utf-8"))
    if module in BETWEEN_PROCESSES:
        assert found
        found = [line for line in found if ": pickle." not in line]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(file)",
        "import pickle as p\np.loads(data)",
        "from pickle import Unpickler",
        "from pickle import load as read\nread(file)",
        "import torch\ntorch.load(path, weights_only=True)",
        "from torch import load\nload(path)",
        "import numpy as np\nnp.load(path)",
        "import numpy\nnumpy.load(path, allow_pickle=True)",
        "eval(text)",
        "import joblib\njoblib.load(path)",
        "import yaml\nyaml.load(text)",
        "Model(trust_remote_code=True)",
        "Model(trust_remote_code=whatever)",
        "read(path, allow_pickle=True)",
        "import subprocess\nsubprocess.run(text, shell=True)",
        "Environment(autoescape=False)",
    ],
)
def test_what_is_looked_for_is_found(source):
    used = source + ("\nUnpickler" if "Unpickler" in source else "")
    assert findings(used)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\nexcept_ = pickle.UnpicklingError",
        "from safetensors.torch import load\nload(data)",
        "import json\njson.loads(text)",
        "model.eval()",
        "Model(trust_remote_code=False)",
        "Model(trust_remote_code=trust)",
        "import re\nre.compile(text)",
        "import numpy as np\nnp.load(path, mmap_mode='r', allow_pickle=False)",
    ],
)
def test_what_is_harmless_is_not(source):
    assert findings(source) == []
