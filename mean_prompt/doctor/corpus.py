"""The corpus that a search without one takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mean_prompt.doctor.finding import Finding
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.sizes import bytes_shown
from mean_prompt.system import InputError

#: Bytes of files above which reading them takes longer than anybody waits here.
_LARGE: Final = 50 * 10**6
_REMEDY: Final = "mend it, or name a corpus with every search"


def check_corpus(_patient: RunSettings) -> Iterator[Finding]:
    """Read the prompts of the corpus that is taken where none is named, as a search does first."""
    from mean_prompt.corpus import Corpus, default_corpus_folder

    folder = default_corpus_folder()
    whose = "the packaged one" if folder.is_absolute() else "that of the working directory"
    try:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > _LARGE:
            found = f"{bytes_shown(size)} of files, not read here"
        else:
            found = f"{len(Corpus.from_files(folder)):,} prompts"
    except InputError as error:
        # No fault: a run that names its corpus works.
        yield Finding("corpus", "warning", f"{whose}, {folder}: {error}", _REMEDY)
    except OSError as error:
        found = f"{whose}, {folder}: {error.strerror or error}"
        yield Finding("corpus", "warning", found, _REMEDY)
    else:
        yield Finding("corpus", "good", f"{found} where none is named: {whose}, {folder}")
