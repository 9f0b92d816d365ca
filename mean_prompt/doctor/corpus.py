"""Check of the default corpus, which a search uses if none is named."""

from __future__ import annotations

from collections.abc import Iterator

from mean_prompt.doctor.diagnosis import Diagnosis
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.system import InputError


def check_corpus(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the default corpus can be read, as a search does first."""
    from mean_prompt.corpus import Corpus, default_corpus_folder

    folder = default_corpus_folder()
    origin = "the packaged one" if folder.is_absolute() else "that of the working directory"
    try:
        prompts = len(Corpus.from_files(folder))
    except InputError as error:
        # No fault, since a run that names its corpus works.
        remedy = "fix it, or name a corpus with every search"
        yield Diagnosis("corpus", "warning", f"{origin}, {folder}: {error}", remedy)
    else:
        found = f"{prompts:,} prompts by default: {origin}, {folder}"
        yield Diagnosis("corpus", "good", found)
