"""Folders of vector predictors: the same forecasts again, and one line for what cannot be read."""

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from mean_prompt.encoder.space import EmbeddingSpace
from mean_prompt.system.errors import InputError
from mean_prompt.training.vector import VectorPredictor
from mean_prompt.training.vector_folder import MANIFEST, VECTORS, load_vector, save_vector
from mean_prompt.training.views import VIEWS, RowView
from tests.hybrid.synthetic import encoder, tongue

TONGUE = tongue()
KNOWN, NEW = TONGUE.halves()
TRIPLES = TONGUE.triples.take(KNOWN)
ENDING = RowView("ending", lambda row: row.rewritten.rpartition(" ")[2])


def fitted(predictions=None, **options):
    predictor = VectorPredictor(space=EmbeddingSpace(encoder()), **options)
    return predictor.fit(TRIPLES, predictions)


@pytest.fixture(scope="module")
def trained():
    return fitted(TONGUE.said(KNOWN))


@pytest.fixture
def space():
    return EmbeddingSpace(encoder())


@pytest.fixture
def folder(trained, tmp_path):
    save_vector(trained, tmp_path / "new" / "predictor")
    return tmp_path / "new" / "predictor"


def change(folder, **parts):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | parts))


class TestReading:
    @pytest.mark.parametrize("numbers", [NEW, KNOWN], ids=["new rows", "known rows"])
    @pytest.mark.parametrize("with_llm", [False, True])
    def test_forecasts_are_the_same(self, trained, folder, space, numbers, with_llm):
        rows = TONGUE.triples.take(numbers).rows
        said = TONGUE.said(numbers) if with_llm else None
        again = load_vector(folder, space)
        for known in (True, False):
            first = trained.forecast(rows, said, known=known)
            second = again.forecast(rows, said, known=known)
            np.testing.assert_allclose(second.vectors, first.vectors, atol=2e-3)
            np.testing.assert_allclose(second.expected, first.expected, atol=5e-3)
            np.testing.assert_allclose(second.familiar, first.familiar, atol=2e-2)

    def test_all_that_is_reported_of_it_is_the_same(self, trained, folder, space):
        again = load_vector(folder, space)
        assert again.data_hash_ == trained.data_hash_ == TRIPLES.content_hash
        assert again.wording_.state() == trained.wording_.state()
        for first, second in ((trained.text_, again.text_), (trained.llm_, again.llm_)):
            assert second.views == first.views
            assert second.ladder.tried == first.ladder.tried
            assert second.keys == first.keys
            np.testing.assert_array_equal(second.rows, first.rows)

    def test_a_predictor_without_predictions_stays_one(self, tmp_path, space):
        save_vector(fitted(), tmp_path)
        assert load_vector(tmp_path, space).llm_ is None

    def test_an_older_predictor_is_replaced(self, folder, space):
        save_vector(fitted(seed=5), folder)
        again = load_vector(folder, space)
        assert (again.seed, again.llm_) == (5, None)
        assert sorted(path.name for path in folder.iterdir()) == [MANIFEST, VECTORS]

    def test_views_of_a_users_own_are_given_again(self, tmp_path, space):
        predictor = fitted(views=(*VIEWS, ENDING))
        save_vector(predictor, tmp_path)
        with pytest.raises(InputError, match="trained with ending; load it in Python with views"):
            load_vector(tmp_path, space)
        again = load_vector(tmp_path, space, views=(ENDING, *VIEWS))
        rows = TONGUE.triples.take(NEW).rows
        np.testing.assert_allclose(again.predict(rows), predictor.predict(rows), atol=2e-3)


class TestRefusals:
    def refused(self, folder, space, match):
        with pytest.raises(InputError, match=match) as error:
            load_vector(folder, space)
        assert "\n" not in str(error.value)
        assert str(folder) in str(error.value)

    @pytest.mark.parametrize("changes", [{"seed": 1}, {"dimension": 12}])
    def test_another_encoder(self, folder, changes):
        space = EmbeddingSpace(encoder(**changes))
        self.refused(folder, space, "of the same encoder: .* trained with fake, and fake is used")

    def test_no_folder_or_no_manifest(self, folder, space, tmp_path):
        self.refused(tmp_path / "gone", space, "has no manifest.json; train it again")
        (folder / MANIFEST).unlink()
        self.refused(folder, space, "has no manifest.json; train it again")

    def test_no_vectors(self, folder, space):
        (folder / VECTORS).unlink()
        self.refused(folder, space, "must be whole: .*No such file or directory; train it again")

    @pytest.mark.parametrize("name", [MANIFEST, VECTORS])
    @pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
    def test_cut_files(self, folder, space, name, share):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(share * len(data))])
        self.refused(folder, space, "must be whole: .* cannot be read; train it again")

    @pytest.mark.parametrize(
        "parts", [{"format": "mean-prompt vector 2"}, {"extra": 1}, {"wording": {"openers": 1}},
                  {"sides": {"other": {}}}],
    )  # fmt: skip
    def test_manifests_of_another_form(self, folder, space, parts):
        change(folder, **parts)
        self.refused(folder, space, "cannot be read; train it again with mean-prompt train vector")

    def test_a_side_that_is_missing(self, folder, space):
        change(folder, sides={})
        self.refused(folder, space, "lacks 'text'; train it again")

    def test_arrays_that_are_missing(self, folder, space):
        arrays = load((folder / VECTORS).read_bytes())
        del arrays["llm.best.weights"]
        (folder / VECTORS).write_bytes(save(arrays))
        self.refused(folder, space, "lacks 'llm.best.weights'; train it again")

    def test_a_wording_that_is_not_whole(self, folder, space):
        change(folder, wording={"openers": [], "heads": []})
        self.refused(folder, space, "lacks 'predicted'; train it again")

    def test_a_folder_that_cannot_be_made(self, trained, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=r"folder must be writable: .*/new: Not a directory"):
            save_vector(trained, tmp_path / "file" / "new")
