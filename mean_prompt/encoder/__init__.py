"""Sentence encoders: models that turn strings into unit vectors, their files and their cache."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.encoder.cache import (
        Encode as Encode,
        VectorCache as VectorCache,
        cache_folder as cache_folder,
        cached_arrays as cached_arrays,
        need_half as need_half,
    )
    from mean_prompt.encoder.encoder import (
        PARITY_COSINE as PARITY_COSINE,
        PROOF_TOLERANCE as PROOF_TOLERANCE,
        Encoder as Encoder,
    )
    from mean_prompt.encoder.identity import (
        ModelIdentity as ModelIdentity,
        content_hash as content_hash,
    )
    from mean_prompt.encoder.kernels import fast_dtypes as fast_dtypes
    from mean_prompt.encoder.loading import (
        DEFAULT_MODEL as DEFAULT_MODEL,
        LOADING_ERRORS as LOADING_ERRORS,
        PACKAGED_MODEL as PACKAGED_MODEL,
        ModelFolder as ModelFolder,
        choose_device as choose_device,
        find_default as find_default,
        find_model as find_model,
        hub_answers as hub_answers,
        hub_files as hub_files,
        hub_folder as hub_folder,
        is_hub_name as is_hub_name,
        load_encoder as load_encoder,
        quiet_loading as quiet_loading,
        tokenizer_files as tokenizer_files,
    )
    from mean_prompt.encoder.propagation import (
        FrozenString as FrozenString,
        NotPropagable as NotPropagable,
        TokenPropagation as TokenPropagation,
    )
    from mean_prompt.encoder.shipped import write_shipped as write_shipped
    from mean_prompt.encoder.space import EmbeddingSpace as EmbeddingSpace
    from mean_prompt.encoder.tokens import (
        TokenIds as TokenIds,
        special_ids as special_ids,
        token_strings as token_strings,
    )
    from mean_prompt.encoder.trust import (
        check_pickles as check_pickles,
        check_shards as check_shards,
        check_untrusted as check_untrusted,
        shard_names as shard_names,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
