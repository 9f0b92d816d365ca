"""Read corpora of prompts and the competition's rows (text, rewrite, prompt) from files."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.corpus.corpus import Corpus as Corpus, Split as Split
    from mean_prompt.corpus.gather import (
        check_model as check_model,
        corpus_vectors as corpus_vectors,
    )
    from mean_prompt.corpus.readers import (
        read_columns as read_columns,
        read_prompts as read_prompts,
    )
    from mean_prompt.corpus.sources import (
        check_sources as check_sources,
        default_corpus_folder as default_corpus_folder,
    )
    from mean_prompt.corpus.tables import (
        SUFFIXES as SUFFIXES,
        TableFile as TableFile,
        csv_reason as csv_reason,
        decode as decode,
        open_rows as open_rows,
        text_lines as text_lines,
    )
    from mean_prompt.corpus.triples import (
        ID as ID,
        Rows as Rows,
        Triples as Triples,
        read_ids as read_ids,
        read_rows as read_rows,
        read_triples as read_triples,
        same_prompt as same_prompt,
    )
    from mean_prompt.corpus.vector_files import (
        holds_vectors as holds_vectors,
        read_vectors as read_vectors,
        unit_vectors as unit_vectors,
    )
    from mean_prompt.corpus.vectors.folder import VectorFolder as VectorFolder
    from mean_prompt.corpus.vectors.job import (
        SHARD as SHARD,
        Embedding as Embedding,
        embed as embed,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
