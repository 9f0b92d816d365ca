"""The cache of vectors: computes what is missing, keeps what was done, refuses what is broken."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mean_prompt.encoder import cache as vectors_module
from mean_prompt.encoder.cache import VectorCache, cache_folder, cached_arrays
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.system.errors import InputError
from mean_prompt.system.progress import ProgressEvent


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
    texts = [
        "a long string",
        "b",
        "a longer string still",
        "",
        "b",
        "a\n",
        "a ",
        "e\u0301",
        "\u00e9",
    ]
    found = cache.encode(texts, encode)
    assert (found.shape, found.dtype) == ((9, 4), np.float32)
    np.testing.assert_array_equal(found, [vector_of(text) for text in texts])
    assert sorted(encode.computed) == sorted(set(texts))
    found[0] = 0  # a copy, not the cache's bytes


def test_only_the_missing_are_computed(cache, encode):
    cache.encode(["a", "b"], encode)
    found = cache.encode(["b", "c", "a", "d"], encode)
    assert encode.asked == [["a", "b"], ["c", "d"]]
    np.testing.assert_array_equal(found, [vector_of(text) for text in "bcad"])
    cache.encode(["d", "a"], encode)
    assert len(encode.asked) == 2


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


@settings(deadline=None, max_examples=12)
@given(st.lists(st.text(st.characters(), max_size=8), min_size=1, max_size=20))
def test_any_text_keeps_its_vector(tmp_path_factory, texts):
    # Every character, lone surrogates among them: they come out of files read with errors.
    encode, cache = Counting(), VectorCache("any", tmp_path_factory.mktemp("cache"))
    for _ in range(2):
        np.testing.assert_array_equal(
            cache.encode(texts, encode), [vector_of(text) for text in texts]
        )
    assert sorted(encode.computed) == sorted(set(texts))


def test_many_strings_are_computed_in_chunks_short_ones_first(cache, encode, monkeypatch):
    monkeypatch.setattr(vectors_module, "_CHUNK", 3)
    texts = ["x" * length for length in (7, 1, 5, 3, 2, 6, 4)]
    events = []
    cache.encode(texts, encode, listener=events.append)
    assert [[len(text) for text in batch] for batch in encode.asked] == [[1, 2, 3], [4, 5, 6], [7]]
    assert [(event.done, event.total) for event in events] == [(0, 7), (3, 7), (6, 7), (7, 7)]
    assert {(event.phase, event.unit) for event in events} == {("embedding", "strings")}
    cache.encode(texts, encode)
    assert len(encode.asked) == 3


def test_progress_counts_what_the_cache_had(cache, encode):
    cache.encode(["a", "b"], encode)
    events = []
    texts = ["a", "b", "c", "d"]
    cache.encode(texts, encode, listener=events.append, phase="vocabulary", unit="tokens")
    assert events == [ProgressEvent("vocabulary", done, 4, "tokens") for done in (2, 4)]


def test_long_strings_make_small_chunks(cache, encode, monkeypatch):
    monkeypatch.setattr(vectors_module, "_CHARACTERS", 40)
    texts = ["the", "poem", "x" * 90, *(f"style {n:030}" for n in range(3))]
    cache.encode(texts, encode)
    assert encode.asked == [["the", "poem", texts[3]], texts[4:], [texts[2]]]


def test_a_deadline_and_an_interruption_keep_what_was_done(tmp_path, encode, monkeypatch):
    monkeypatch.setattr(vectors_module, "_CHUNK", 2)
    deadline = Deadline()

    def stop_at_four(event):
        if event.done >= 4:
            deadline.stop()

    def interrupted(_texts):
        raise KeyboardInterrupt

    texts, cache = list("abcdef"), VectorCache("key", tmp_path)
    with pytest.raises(OutOfTimeError):
        cache.encode(texts, encode, listener=stop_at_four, deadline=deadline)
    assert encode.computed == list("abcd")
    np.testing.assert_array_equal(
        cache.encode(list("abcd"), encode, deadline=deadline), [vector_of(text) for text in "abcd"]
    )
    with pytest.raises(KeyboardInterrupt):
        cache.encode(texts, interrupted)
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


def test_a_file_broken_later_is_refused_too(cache, encode, tmp_path):
    cache.encode(["a"], encode)
    for path in (tmp_path / "vectors").iterdir():
        path.write_bytes(b"overwritten" * 1_000)
    with pytest.raises(InputError, match=r"delete it, or set MEAN_PROMPT_CACHE to another folder$"):
        cache.encode(["a"], encode)


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert VectorCache("key").path == tmp_path / "vectors" / "key.sqlite"
    monkeypatch.setenv("MEAN_PROMPT_CACHE", "")
    assert cache_folder().name == "mean-prompt"


def test_half_precision_is_asked_for_and_never_stored(tiny_t5, tmp_path):
    texts = ["rewrite the text", "a poem", "rewrite the text"]
    cache = VectorCache(tiny_t5.identity.key, tmp_path)
    half = cache.encode(texts, tiny_t5.encode, half=True)
    full = cache.encode(texts, tiny_t5.encode)
    assert (half.dtype, full.dtype) == (np.float16, np.float32)
    assert np.array_equal(half, full.astype(np.float16))
    np.testing.assert_allclose(full, tiny_t5.encode(texts), atol=1e-6)


# Arrays

#: Twelve of them, and views: names that sort as text must keep the order of numbers.
MADE = [np.full((number + 1, 2), number, np.float32).T for number in range(12)]


@pytest.fixture
def arrays_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    return tmp_path / "arrays"


def same(arrays):
    return len(arrays) == len(MADE) and all(map(np.array_equal, arrays, MADE))


def never():
    raise AssertionError("computed again")


@pytest.mark.usefixtures("arrays_folder")
def test_arrays_are_computed_once_and_keep_their_order():
    assert same(cached_arrays("some", lambda: MADE))
    assert same(cached_arrays("some", never))
    with pytest.raises(AssertionError, match="computed again"):
        cached_arrays("other", never)


@pytest.mark.parametrize("left", [0, 200])
def test_a_torn_file_is_replaced(arrays_folder, left):
    cached_arrays("some", lambda: MADE)
    [file] = arrays_folder.iterdir()
    file.write_bytes(file.read_bytes()[:left])
    assert same(cached_arrays("some", lambda: MADE))
    assert same(cached_arrays("some", never))


def test_arrays_that_cannot_be_written_are_refused(arrays_folder):
    arrays_folder.write_text("no folder")
    with pytest.raises(
        InputError, match=r"must be readable and writable: .*/some.*CACHE to a fold"
    ):
        cached_arrays("some", lambda: MADE)


def test_arrays_that_cannot_be_read_are_refused(arrays_folder):
    (arrays_folder / "some.safetensors").mkdir(parents=True)
    with pytest.raises(InputError, match=r"readable and writable: .*/some.*: Is a directory; set"):
        cached_arrays("some", lambda: MADE)
