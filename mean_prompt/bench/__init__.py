"""Benchmarks: search methods at equal time, encoder speed, and cost by corpus size."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.bench.arena import Arena as Arena
    from mean_prompt.bench.engine import Engine as Engine
    from mean_prompt.bench.methods import (
        DEFAULT_TOKENS as DEFAULT_TOKENS,
        BenchProgress as BenchProgress,
        bench_methods as bench_methods,
    )
    from mean_prompt.bench.page import (
        HEADINGS as HEADINGS,
        setup_line as setup_line,
        summary_rows as summary_rows,
    )
    from mean_prompt.bench.report import MethodsReport as MethodsReport
    from mean_prompt.bench.scale import ScaleRow as ScaleRow, bench_scale as bench_scale
    from mean_prompt.bench.setup import Machine as Machine
    from mean_prompt.bench.speed import (
        SpeedReport as SpeedReport,
        bench_speed as bench_speed,
        product_line as product_line,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
