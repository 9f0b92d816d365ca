"""What is learned from known rows, that is, rows whose true prompt is given."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.training.ladder import Forecast as Forecast, Tried as Tried
    from mean_prompt.training.vector import (
        LEAST_PREDICTED as LEAST_PREDICTED,
        LEAST_PROMPTS as LEAST_PROMPTS,
        FittedViews as FittedViews,
        VectorPredictor as VectorPredictor,
        row_keys as row_keys,
        views_left_out as views_left_out,
    )
    from mean_prompt.training.vector_folder import (
        load_vector as load_vector,
        save_vector as save_vector,
    )
    from mean_prompt.training.views import (
        MOST_PREDICTIONS as MOST_PREDICTIONS,
        VIEWS as VIEWS,
        Row as Row,
        RowView as RowView,
        rows_of as rows_of,
    )
    from mean_prompt.training.wording import Wording as Wording

__getattr__, __all__ = lazy_exports(__name__, __file__)
