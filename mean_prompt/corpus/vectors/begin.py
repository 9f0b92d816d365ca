"""How an embedding begins: what may be embedded, and into which folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mean_prompt.corpus.corpus import default_corpus_folder
from mean_prompt.corpus.sources import Source, parse_source
from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.corpus.vectors.manifest import MANIFEST, Manifest
from mean_prompt.system import LOCK, FolderLock, InputError, path_exists, user_path


def corpus_sources(corpus: str | Path | Sequence[str | Path] | None) -> tuple[Source, ...]:
    """Return the parts of a corpus, as for a search but without weights."""
    specs = [corpus] if isinstance(corpus, (str, Path)) else list(corpus or ())
    sources = tuple(parse_source(str(spec)) for spec in specs or [default_corpus_folder()])
    for source in sources:
        if source.weight is not None:
            raise InputError(
                f"a corpus is weighted when it is searched: found {source.path}:{source.weight:g}; "
                "embed each corpus into a folder of its own, and give a search NAME=FOLDER:WEIGHT"
            )
    return sources


def check_places(sources: Sequence[Source], out: Path) -> None:
    """Refuse to embed what is embedded, and to write where it would be read the next time."""
    for source in sources:
        path = user_path(source.path)
        if VectorFolder.open(path):
            raise InputError(f"a corpus to embed must be of prompts: {path} is a folder of vectors")
        if path_exists(path) and out.resolve().is_relative_to(path.resolve()):
            raise InputError(
                f"--out must be outside of the corpus: {out} is in {path}, and would be read as a "
                "part of it; choose another"
            )
    if VectorFolder.open(out) is None and path_exists(out) and not _is_empty(out):
        raise InputError(
            f"--out must be a new folder, an empty one, or one that was begun: {out} holds "
            "something else; choose another"
        )


def _is_empty(path: Path) -> bool:
    try:
        # A kill may have come while the very first file was written.
        return path.is_dir() and all(
            inside.name.startswith((f".{MANIFEST}.", LOCK)) for inside in path.iterdir()
        )
    except OSError as error:
        raise _closed(path, error) from error


@contextmanager
def begun(path: Path, asked: Manifest) -> Iterator[VectorFolder]:
    """Hold a folder for this process: as it was begun, or new.

    Raises:
        InputError: it cannot be written, another process has it, or its work is another.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FolderLock(path))
        except BlockingIOError as error:
            raise InputError(
                f"--out must be written by one process at a time: another one embeds into {path}; "
                "wait for it, or choose another folder"
            ) from error
        except OSError as error:
            raise _closed(path, error) from error
        yield _as_begun(path, asked)


def _as_begun(path: Path, asked: Manifest) -> VectorFolder:
    folder = VectorFolder.open(path)
    if folder is None:
        folder = VectorFolder(path, asked)
        folder.write_manifest(asked)
    elif difference := folder.manifest.difference(asked):
        raise InputError(
            f"--out must be a folder of the same work: {path} is not: {difference}; choose "
            "another, or delete it"
        )
    folder.sweep()
    return folder


def _closed(path: Path, error: OSError) -> InputError:
    return InputError(
        f"--out must be a folder that can be written: {path}: {error.strerror or error}; choose "
        "another"
    )
