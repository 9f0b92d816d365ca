"""Memory that is left, on the machine or in its container."""

import pytest

from mean_prompt.system import memory


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Return a function that writes the files in which Linux describes the machine."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


MEMINFO = {"meminfo": "MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n"}
SECOND = {"memory.current": "900", "memory.stat": "anon 500\ninactive_file 50\n"}
FIRST = {"memory/memory.limit_in_bytes": "700", "memory/memory.usage_in_bytes": "100"}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        (MEMINFO, 1_024_000 * 1024),
        (MEMINFO | SECOND | {"memory.max": "max\n"}, 1_024_000 * 1024),
        (MEMINFO | SECOND | {"memory.max": "1000\n"}, 150),
        (FIRST, 600),
    ],
)
def test_a_container_leaves_what_its_limit_leaves(system, files, free):
    system(files)
    assert memory.available_memory() == free
