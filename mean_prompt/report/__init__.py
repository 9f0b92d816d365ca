"""Reports: HTML pages of searches and submissions, live page, string explorer, progress bars."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.report.analysis.affix import analyse_affix as analyse_affix
    from mean_prompt.report.analysis.opened_run import open_run as open_run
    from mean_prompt.report.analysis.space import CorpusSpace as CorpusSpace
    from mean_prompt.report.explore.explorer import Explorer as Explorer
    from mean_prompt.report.explore.server import explorer_app as explorer_app, serve as serve
    from mean_prompt.report.last_page import write_last_page as write_last_page
    from mean_prompt.report.live.place import (
        last_server as last_server,
        log_of as log_of,
        running_server as running_server,
    )
    from mean_prompt.report.live.server import live_server as live_server
    from mean_prompt.report.page.files import RunFiles as RunFiles
    from mean_prompt.report.page.submission_files import SubmissionFiles as SubmissionFiles
    from mean_prompt.report.page.truth import (
        find_truth as find_truth,
        joined_triples as joined_triples,
    )
    from mean_prompt.report.progress.choose import progress_display as progress_display
    from mean_prompt.report.progress.terminal import (
        Display as Display,
        highlight_edit as highlight_edit,
        search_panel as search_panel,
    )
    from mean_prompt.report.write import (
        check_page as check_page,
        write_affix_analysis as write_affix_analysis,
        write_analysis as write_analysis,
        write_evaluation_report as write_evaluation_report,
        write_report as write_report,
        write_submission_report as write_submission_report,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
