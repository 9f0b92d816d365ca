"""The cache of vectors: computes what is missing, keeps what was done, refuses what is broken."""

import hashlib
import sqlite3

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mean_prompt.encoder import cache as vectors_module
from mean_prompt.encoder.cache import VectorCache, cache_folder
from mean_prompt.system.errors import InputError


class Counting:
    """Four numbers of a string's hash as its vector; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += [list(texts)]
        return np.stack([vector_of(text) for text in texts])

    @property
    def computed(self):
        return [text for batch in self.asked for text in batch]


def vector_of(text):
    digest = hashlib.md5(text.encode("utf-8", "surrogatepass")).digest()
    return np.frombuffer(digest, np.uint8)[:4].astype(np.float32)


@pytest.fixture
def encode():
    return Counting()


@pytest.fixture
def cache(tmp_path):
    return VectorCache("key", tmp_path)


def test_vectors_come_in_the_order_asked(cache, encode):
    texts = ["a long string", "b", "a longer string still", ""]
    found = cache.encode(texts, encode)
    assert (found.shape, found.dtype) == ((4, 4), np.float32)
    np.testing.assert_array_equal(found, [vector_of(text) for text in texts])
    found[0] = 0  # a copy, not the cache's bytes


def test_only_the_missing_are_computed(cache, encode):
    cache.encode(["a", "b"], encode)
    found = cache.encode(["b", "c", "a", "d"], encode)
    assert encode.asked == [["a", "b"], ["c", "d"]]
    np.testing.assert_array_equal(found, [vector_of(text) for text in "bcad"])
    cache.encode(["d", "a"], encode)
    assert len(encode.asked) == 2


def test_another_object_on_the_same_file_finds_them(tmp_path, encode):
    VectorCache("key", tmp_path).encode(["a"], encode)
    VectorCache("key", tmp_path).encode(["a"], encode)
    assert encode.computed == ["a"]


def test_a_cache_of_the_earlier_layout_goes_on(tmp_path, encode):
    path = tmp_path / "vectors" / "key.sqlite"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE vectors (text_hash BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
        )
        row = (hashlib.sha256(b"a").digest(), vector_of("a").tobytes())
        connection.execute("INSERT INTO vectors VALUES (?, ?)", row)
    connection.close()
    for _ in range(2):
        found = VectorCache("key", tmp_path).encode(["a", "b"], encode)
        np.testing.assert_array_equal(found, [vector_of("a"), vector_of("b")])
    assert encode.computed == ["b"]


def test_two_at_once_share_one_file(tmp_path, encode):
    one, other = VectorCache("key", tmp_path), VectorCache("key", tmp_path)

    def interleaved(texts):
        other.encode(["x", *texts], encode)
        return encode(texts)

    np.testing.assert_array_equal(one.encode(["a"], interleaved), [vector_of("a")])
    assert one.encode(["x"], encode) == pytest.approx(vector_of("x")[None])
    assert encode.computed == ["x", "a", "a"]


def test_models_do_not_share_vectors(tmp_path, encode):
    VectorCache("one", tmp_path).encode(["a"], encode)
    found = VectorCache("other", tmp_path).encode(["a"], lambda _texts: np.ones((1, 4), np.float32))
    assert found.tolist() == [[1, 1, 1, 1]]
    assert {path.name for path in (tmp_path / "vectors").glob("*.sqlite")} == {
        "one.sqlite",
        "other.sqlite",
    }


def test_duplicates_are_computed_once(cache, encode):
    found = cache.encode(["a", "b", "a", "a"], encode)
    assert encode.computed == ["a", "b"]
    np.testing.assert_array_equal(found, [vector_of(text) for text in "abaa"])


def test_text_is_told_apart_byte_for_byte(cache, encode):
    texts = ["a", "A", "a ", " a", "a\n", "\u00e9", "e\u0301", "a\x00", ""]
    cache.encode(texts, encode)
    assert sorted(encode.computed) == sorted(texts)


@given(st.lists(st.text(st.characters(), max_size=8), min_size=1, max_size=20))
def test_any_text_keeps_its_vector(tmp_path_factory, texts):
    # Every character, lone surrogates among them: they come out of files read with errors.
    encode, cache = Counting(), VectorCache("any", tmp_path_factory.mktemp("cache"))
    for _ in range(2):
        np.testing.assert_array_equal(
            cache.encode(texts, encode), [vector_of(text) for text in texts]
        )
    assert sorted(encode.computed) == sorted(set(texts))


def test_lone_surrogates_are_told_apart(cache, encode):
    texts = ["\ud800", "\udfff", "a\udc80"]
    np.testing.assert_array_equal(cache.encode(texts, encode), [vector_of(text) for text in texts])


def test_many_strings_go_in_chunks_short_ones_first(cache, encode, monkeypatch):
    monkeypatch.setattr(vectors_module, "_CHUNK", 3)
    monkeypatch.setattr(vectors_module, "_LOOKUP", 2)
    texts = ["x" * length for length in (7, 1, 5, 3, 2, 6, 4)]
    heard = []
    cache.encode(texts, encode, progress=lambda done, total: heard.append((done, total)))
    assert [[len(text) for text in batch] for batch in encode.asked] == [[1, 2, 3], [4, 5, 6], [7]]
    assert heard == [(0, 7), (3, 7), (6, 7), (7, 7)]
    cache.encode(texts, encode)
    assert len(encode.asked) == 3


def test_more_strings_than_one_statement_takes(cache, encode):
    texts = [str(number) for number in range(2_500)]
    cache.encode(texts, encode)
    np.testing.assert_array_equal(cache.encode(texts, encode), [vector_of(text) for text in texts])
    assert len(encode.computed) == 2_500


def test_progress_counts_what_the_cache_had(cache, encode):
    cache.encode(["a", "b"], encode)
    heard = []
    texts = ["a", "b", "c", "d"]
    cache.encode(texts, encode, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(2, 4), (4, 4)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, TimeoutError, BrokenPipeError])
def test_what_was_done_before_an_interruption_stays(tmp_path, encode, monkeypatch, error):
    monkeypatch.setattr(vectors_module, "_CHUNK", 2)

    def stop_at_four(done, _total):
        if done >= 4:
            raise error("enough")

    texts = list("abcdef")
    with pytest.raises(error, match="enough"):
        VectorCache("key", tmp_path).encode(texts, encode, progress=stop_at_four)
    assert encode.computed == list("abcd")
    VectorCache("key", tmp_path).encode(texts, encode)
    assert encode.computed == list("abcdef")


def test_an_encoder_that_fails_is_not_taken_for_a_broken_cache(cache, encode):
    def fails(_texts):
        raise OSError("the model's own trouble")

    with pytest.raises(OSError, match="the model's own trouble"):
        cache.encode(["a"], fails)
    cache.encode(["a"], encode)
    assert encode.computed == ["a"]


def test_an_encoder_that_loses_rows_is_noticed(cache):
    with pytest.raises(ValueError, match="shorter"):
        cache.encode(["a", "b"], lambda _texts: np.ones((1, 4), np.float32))


def test_a_broken_file_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "key.sqlite").write_bytes(b"not a database, by any means" * 100)
    with pytest.raises(InputError, match=r"a whole file: .*key\.sqlite.*not a database; delete it"):
        VectorCache("key", tmp_path)


def test_a_file_broken_later_is_refused_too(cache, encode, tmp_path):
    cache.encode(["a"], encode)
    for path in (tmp_path / "vectors").iterdir():
        path.write_bytes(b"overwritten" * 1_000)
    with pytest.raises(InputError, match=r"delete it, or set MEAN_PROMPT_CACHE to another folder$"):
        cache.encode(["a"], encode)


def test_a_database_of_something_else_is_refused(tmp_path, encode):
    (tmp_path / "vectors").mkdir()
    with sqlite3.connect(tmp_path / "vectors" / "key.sqlite") as connection:
        connection.execute("CREATE TABLE vectors (other TEXT)")
    connection.close()
    with pytest.raises(InputError, match="no such column"):
        VectorCache("key", tmp_path).encode(["a"], encode)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"must be readable and writable: .*Not a directory; set"):
        VectorCache("key", tmp_path / "file")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    def refuses(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuses)
    with pytest.raises(InputError, match="Permission denied; set MEAN_PROMPT_CACHE to a folder"):
        VectorCache("key", tmp_path / "new")


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mounts").write_text(f"1 1 0:1 / {tmp_path} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr("mean_prompt.system.filesystems._MOUNTS", tmp_path / "mounts")
    with pytest.raises(
        InputError, match=r"vectors must be on a local .* on nfs4; set MEAN_PROMPT_C"
    ):
        VectorCache("key", tmp_path)


def test_a_full_disk_is_refused_in_one_line(cache, encode):
    with sqlite3.connect(cache.path) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON vectors BEGIN "
                           "SELECT RAISE(FAIL, 'database or disk is full'); END")  # fmt: skip
    connection.close()
    with pytest.raises(InputError, match="database or disk is full"):
        cache.encode(["a"], encode)


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert VectorCache("key").path == tmp_path / "vectors" / "key.sqlite"
    monkeypatch.setenv("MEAN_PROMPT_CACHE", "")
    assert cache_folder().name == "mean-prompt"


def test_a_real_encoder_s_vectors_come_back_exactly(tiny_t5, tmp_path):
    texts = ["rewrite the text", "a poem", "rewrite the text"]
    cache = VectorCache(tiny_t5.identity.key, tmp_path)
    computed = cache.encode(texts, tiny_t5.encode)
    np.testing.assert_array_equal(cache.encode(texts, tiny_t5.encode), computed)
    np.testing.assert_allclose(computed, tiny_t5.encode(texts), atol=1e-6)
    assert tiny_t5.identity.key in cache.path.name


def test_half_precision_is_asked_for_and_never_stored(tmp_path):
    cache = VectorCache("model", tmp_path)
    texts = ["one", "two", "one", "three"]
    rng = np.random.default_rng(0)
    table = {text: rng.standard_normal(8).astype(np.float32) for text in texts}

    def encode(missing):
        return np.stack([table[text] for text in missing])

    half = cache.encode(texts, encode, half=True)
    full = cache.encode(texts, encode)
    assert (half.dtype, full.dtype) == (np.float16, np.float32)
    assert np.array_equal(full, np.stack([table[text] for text in texts]))
    assert np.array_equal(half, full.astype(np.float16))
