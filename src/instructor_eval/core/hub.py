"""Files from the model and data hub, or from a local mirror of it, and one clear line when they cannot be had.

Everything is fetched as a snapshot of one exact commit. `datasets.load_dataset(id, revision=...)` is avoided: once any
revision is cached it may silently serve that one, and it takes minutes to see that the hub is down.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instructor_eval.core.errors import UnknownNameError, UserError, one_line
from instructor_eval.core.outside import check_regular, is_folder, walk, why
from instructor_eval.core.packed_files import check_packed
from instructor_eval.core.paths import folder_sha256
from instructor_eval.core.redaction import environment_secrets, without_secrets

_TIMEOUT = 10.0
_DEPTH = 8
"""Folders in folders of a mirrored data set."""


def offline_asked() -> bool:
    """Return whether the hub's own variable says never to use the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def check_mirror(hub: Path | None) -> None:
    """Check that a mirror of data sets is one; None is no mirror, and right.

    Raises:
        UserError: there is no such folder, or no `datasets` in it.
    """
    if hub is None:
        return
    if not is_folder(hub):
        raise UserError(f"--hub {hub}: there is no such folder: name a mirror of data sets, or leave it out")
    if not is_folder(hub / "datasets"):
        raise UserError(f"--hub {hub}: no folder 'datasets' in it: a mirror holds DIR/datasets/<org>/<name>/...")


def mirror_folder(hub: Path | None, data_id: str) -> Path | None:
    """The folder `<hub>/datasets/<data id>`, if the mirror has it. An id never leads out of the mirror.

    Raises:
        UserError: the mirror itself does not exist, or the id is no id.
    """
    if hub is None:
        return None
    check_mirror(hub)
    root = hub / "datasets"
    if ".." in Path(data_id).parts or Path(data_id).is_absolute():
        raise UserError(f"data id '{data_id}' is no id of the form org/name")
    folder = root / data_id
    if not is_folder(folder) or not any(folder.iterdir()):
        return None
    path = folder
    try:
        for file in walk(folder, depth=_DEPTH):
            path = file
            check_regular(file)
            check_packed(file)
    except (OSError, ValueError) as e:
        where = getattr(e, "filename", None) or path
        raise UserError(f"data set {data_id}: {os.fsdecode(where)}: {why(e)}: copy it again") from e
    return folder


def files_key(folder: Path) -> str:
    """The data key of a local folder: a hash of its files."""
    return f"files:sha256:{folder_sha256(folder)[:32]}"


@dataclass(frozen=True)
class Access:
    """A cache folder and a token of one's own; None: the environment's (`HF_HOME`, `HF_TOKEN`)."""

    cache_folder: str | Path | None = None
    token: str | bool | None = field(default=None, repr=False)


def snapshot(
    kind: str,
    repo: str,
    revision: str | None,
    *,
    offline: bool,
    hint: str = "",
    wanted: Sequence[str] | None = None,
    unwanted: Sequence[str] | None = None,
    access: Access | None = None,
) -> Path:
    """The folder of a repository's files at one commit; its last part is the commit's hash.

    A commit that is cached whole is used without asking the network. A branch is looked up; where the hub does not
    answer, the cached commit of that branch serves.

    Args:
        kind: "model" or "dataset".
        repo: Id of the form org/name.
        revision: A commit hash, a branch or a tag; None means the main branch.
        offline: Never use the network.
        hint: A suggestion to print should the repository not exist.
        wanted: Patterns of the files to fetch; all by default.
        unwanted: Patterns of files to leave out.
        access: The cache folder and token, where they are not the environment's.

    Raises:
        UserError: it is not there, not accessible, not reachable and not cached, or the download broke.
    """
    from huggingface_hub import HfApi, snapshot_download  # only needed when something is fetched
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import disable_progress_bars

    what = f"{'data set' if kind == 'dataset' else kind} {repo}"
    access = access or Access()
    files: dict[str, Any] = {"repo_type": kind, "allow_patterns": wanted, "ignore_patterns": unwanted}
    files |= {"cache_dir": access.cache_folder, "token": access.token}
    cached: Path | None = None
    try:
        cached = Path(snapshot_download(repo, revision=revision, local_files_only=True, **files))
    except (LocalEntryNotFoundError, OSError, ValueError):
        cached = None
    if cached is not None and (offline or cached.name == revision):
        return cached
    if offline:
        raise UserError(_not_cached(what, revision, kind, hint))
    api = HfApi()
    with _hub_errors(what, revision, kind, hint):
        look_up = api.dataset_info if kind == "dataset" else api.model_info
        try:
            # A look-up with a time limit and no retries first: the download itself waits minutes for a silent hub.
            look_up(repo, revision=revision, timeout=_TIMEOUT, token=access.token)
        except (_transport_error(), HfHubHTTPError) as e:
            status = getattr(getattr(e, "response", None), "status_code", 500)
            if cached is not None and status >= 500:
                return cached
            raise
        if not sys.stderr.isatty():
            disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
        return Path(snapshot_download(repo, revision=revision, **files))


def list_files(repo: str, revision: str) -> list[str]:
    """The names of all files of a model repository at a commit; none where the hub does not say."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return list(HfApi().list_repo_files(repo, revision=revision))
    except (_transport_error(), HfHubHTTPError, OSError):
        return []


def _transport_error() -> type[Exception]:
    """The base class of connection errors, which are no OSError in huggingface_hub 2."""
    import huggingface_hub.utils as hf_utils

    found = getattr(getattr(hf_utils, "httpx", None), "HTTPError", OSError)
    return found if isinstance(found, type) and issubclass(found, Exception) else OSError


def _not_cached(what: str, revision: str | None, kind: str, hint: str) -> str:
    at = f" at revision {revision}" if revision else ""
    return (
        f"{what}{at} is not in the local cache and --offline is set: run once without it{_other_way(what, kind, hint)}"
    )


def _other_way(what: str, kind: str, hint: str) -> str:
    """The second way to provide it, or the name it might have been meant to be."""
    if kind != "dataset":
        return f" ({hint.removeprefix(': ')})" if hint else ", or give a local folder"
    return f", or give a folder in hub layout with --hub DIR (DIR/datasets/{what.removeprefix('data set ')}/)"


@contextmanager
def _hub_errors(what: str, revision: str | None, kind: str, hint: str) -> Iterator[None]:
    """Turn what `huggingface_hub` raises into one line that says what to do."""
    from huggingface_hub import errors as hf

    at = f" at revision {revision}" if revision else ""
    try:
        yield
    except hf.GatedRepoError as e:
        page = "accept its terms on its hub page, then log in with `hf auth login` or set HF_TOKEN"
        raise UserError(f"{what} is gated: {page}") from e
    except hf.RevisionNotFoundError as e:
        raise UnknownNameError(
            f"{what} has no revision '{revision}': check what stands after @, or leave it out"
        ) from e
    except hf.RepositoryNotFoundError as e:
        way = hint or ": check the name, or log in with `hf auth login`"
        raise UnknownNameError(f"{what} is not on the hub, or is private{way}") from e
    except hf.LocalEntryNotFoundError as e:
        raise UserError(f"{what}{at}: the hub does not answer: check the network{_other_way(what, kind, hint)}") from e
    except hf.HfHubHTTPError as e:
        status = getattr(e.response, "status_code", "an error")
        if status in (401, 403):
            raise UserError(
                f"{what}: the hub refuses access ({status}): log in with `hf auth login` or set HF_TOKEN"
            ) from e
        raise UserError(f"{what}{at}: the hub answered {status}: try again later{_other_way(what, kind, hint)}") from e
    except _transport_error() as e:
        text = one_line(without_secrets(str(e), _tokens()))[:160] or type(e).__name__
        if any(word in text for word in ("peer closed", "incomplete", "received")):
            raise UserError(f"{what}: the download was cut short ({text}): run the same command again") from e
        raise UserError(
            f"{what}{at}: the hub does not answer ({text}): check the network{_other_way(what, kind, hint)}"
        ) from e
    except OSError as e:
        said = one_line(without_secrets(str(e), _tokens()))[:200]
        raise UserError(f"{what}{at} cannot be downloaded ({said}): run the same command again") from e


def _tokens() -> list[str]:
    """Return the hub's token, of the environment or of `hf auth login`: it must not be seen."""
    from huggingface_hub import get_token

    return [*environment_secrets(), get_token() or ""]


def tables_folder(key: str) -> Path:
    """Return the folder in which `datasets` keeps its tables of this data, without importing it."""
    if "datasets" in sys.modules:
        root = Path(sys.modules["datasets"].config.HF_DATASETS_CACHE)
    else:
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        home = os.environ.get("HF_HOME", os.path.join(cache, "huggingface"))  # noqa: PTH118 # as `datasets` joins them
        root = Path(os.environ.get("HF_DATASETS_CACHE", os.path.join(home, "datasets"))).expanduser()  # noqa: PTH118 # the same
    return root / "instructor-eval" / key.rpartition(":")[2].replace("/", "__")


@contextmanager
def datasets_cache(key: str) -> Iterator[None]:
    """Give `datasets` a cache folder of this data's own.

    It keys its tables by a folder's base name, not by contents: two mirrors, or a file that changed in place, would
    otherwise be served each other's rows.
    """
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tables_folder(key)
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before
