"""Utilities that every subpackage uses: files, locks, deadlines, durations, text, signals."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.system.address import LOOPBACK as LOOPBACK, Address as Address
    from mean_prompt.system.checkpoint import (
        State as State,
        dump as dump,
        load as load,
        ragged as ragged,
        ragged_rows as ragged_rows,
    )
    from mean_prompt.system.cluster import Cluster as Cluster
    from mean_prompt.system.data import shipped_folder as shipped_folder
    from mean_prompt.system.deadline import (
        Deadline as Deadline,
        OutOfTimeError as OutOfTimeError,
    )
    from mean_prompt.system.durations import (
        format_duration as format_duration,
        parse_duration as parse_duration,
    )
    from mean_prompt.system.errors import (
        InputError as InputError,
        MeanPromptError as MeanPromptError,
        RunError as RunError,
        os_errors as os_errors,
        unwritable as unwritable,
    )
    from mean_prompt.system.files import (
        check_target as check_target,
        write_atomically as write_atomically,
        write_together as write_together,
    )
    from mean_prompt.system.filesystems import check_local as check_local
    from mean_prompt.system.html import (
        Cell as Cell,
        Table as Table,
        View as View,
        render as render,
        shortened as shortened,
        view_html as view_html,
    )
    from mean_prompt.system.locks import LOCK as LOCK, FolderLock as FolderLock, is_held as is_held
    from mean_prompt.system.memory import (
        available_memory as available_memory,
        read_system_file as read_system_file,
    )
    from mean_prompt.system.paths import path_exists as path_exists, user_path as user_path
    from mean_prompt.system.processes import (
        Processes as Processes,
        start_method as start_method,
    )
    from mean_prompt.system.progress import (
        Listener as Listener,
        ProgressEvent as ProgressEvent,
        ignore as ignore,
    )
    from mean_prompt.system.ray_placement import RayPlacement as RayPlacement
    from mean_prompt.system.secrets import (
        is_secret_name as is_secret_name,
        masked_urls as masked_urls,
        scrubbed as scrubbed,
    )
    from mean_prompt.system.signals import stopping as stopping
    from mean_prompt.system.store import KeyedStore as KeyedStore, cache_fault as cache_fault
    from mean_prompt.system.team import (
        Here as Here,
        Member as Member,
        Placement as Placement,
        Team as Team,
    )
    from mean_prompt.system.text import (
        one_line as one_line,
        preview as preview,
        preview_name as preview_name,
    )
    from mean_prompt.system.toml import check_plain as check_plain, read_toml as read_toml

__getattr__, __all__ = lazy_exports(__name__, __file__)
