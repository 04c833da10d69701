"""The engine of a model of texts and pictures: pictures are opened and resized in threads, ahead of the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from instructor_eval.cache.vectors import Cache
from instructor_eval.core.errors import OutOfMemory, UserError
from instructor_eval.core.machine import usable_cores
from instructor_eval.core.pictures import Item, Picture
from instructor_eval.core.progress import Progress
from instructor_eval.core.sample_texts import FIRST
from instructor_eval.core.values import Vectors
from instructor_eval.models.device import pick_device
from instructor_eval.models.engine import BaseEngine
from instructor_eval.models.images.model import ImageModel
from instructor_eval.models.missing import Missing

if TYPE_CHECKING:
    from instructor_eval.models.forms.base import Sizes
    from instructor_eval.models.images.model import Towers

BATCH = 32
"""Items of a batch on the CPU."""
_GPU_BATCH = 256
QUERIES = 10
"""How often a query is timed."""
_WARM_UP = 2
_AHEAD = 2
"""Batches of pictures that are opened ahead: memory does not grow with their number."""


class ImageEngine(BaseEngine):
    """An engine of a model of texts and pictures; it loads the network when the first item needs it.

    Args:
        model: The model, in its numeric form.
        device: auto, cpu, cuda, cuda:1.
        cache: The cache that vectors are read from and written to; None computes everything.
    """

    def __init__(self, model: ImageModel, *, device: str = "auto", cache: Cache | None = None) -> None:
        model.check_form()
        super().__init__(model, cache)
        self.checkpoint = model
        self.libraries = model.libraries
        self._wanted_device = device
        self._loaded: _Network | None = None
        self._batch: int | None = None
        self._said = False

    @property
    def network(self) -> _Network:
        """The loaded network."""
        if self._loaded is None:
            started = time.perf_counter()
            self._loaded = _Network(self.checkpoint, pick_device(self._wanted_device))
            self.totals.load += time.perf_counter() - started
        return self._loaded

    @property
    def device(self) -> str:
        """The device in use, or the one that would be."""
        return str(self._loaded.device) if self._loaded else pick_device(self._wanted_device)

    def environment(self) -> dict[str, Any]:
        """Return where and with what products vectors are computed, for the score file."""
        computed = {"computed": self._loaded.proof()} if self._loaded else {}
        return super().environment() | computed

    def options(self) -> dict[str, Any]:
        """Return settings of the computation that are not in the fingerprint."""
        return {}

    def input_lengths(self, texts: Sequence[str], instruction: str) -> list[int]:
        """Return the number of tokens of each input; open_clip's are truncated."""
        return self.network.towers.lengths([self.checkpoint.input_string(instruction, t) for t in texts])

    def token_vectors(self, text: str, instruction: str) -> Vectors:
        """Raise an error: the towers give one vector a text.

        Raises:
            UserError: always.
        """
        raise UserError(f"{self.checkpoint.name} gives one vector a text, and no token_embeddings")

    def _compute(self, missing: Missing) -> None:
        items, progress, network = missing.items, missing.progress, self.network
        if network.note and not self._said:
            self._said = True
            progress.note(network.note)
        progress.resume()  # the network is loaded now
        size = min(missing.most or 2**31, self._batch or network.batch)
        done = time.perf_counter()
        for at, found, tokens in self._computed(network, items, missing.instruction, size, progress):
            self._store(missing, at, self._take(missing, at, found, tokens))
            before, done = done, time.perf_counter()
            if isinstance(items[at[0]], Picture):
                self.totals.pictures += len(at)
                self.totals.picturing += done - before
            else:
                self.totals.computed += len(at)
                self.totals.computing += done - before

    @cached_property
    def query_seconds(self) -> tuple[float, ...]:
        """The seconds of one short text, a batch of one, time by time."""
        alone, seconds = self.uncached(), []
        for _ in range(_WARM_UP + QUERIES):
            started = time.perf_counter()
            alone.encode([FIRST], "")
            seconds.append(time.perf_counter() - started)
        return tuple(seconds[_WARM_UP:])

    def _computed(
        self, network: _Network, items: list[Item], instruction: str, size: int, progress: Progress
    ) -> Iterator[tuple[list[int], Vectors, int]]:
        """Yield numbers of items, their vectors and their tokens: the texts first, the longest first among them."""
        texts = [i for i, item in enumerate(items) if not isinstance(item, Picture)]
        texts.sort(key=lambda i: -len(items[i]))
        for at in _parts(texts, size):
            strings = [self.checkpoint.input_string(instruction, str(items[i])) for i in at]
            tokens = network.towers.tokens(strings)
            yield at, network.texts(tokens), int(next(iter(tokens.values())).numel())
        pictures = [i for i, item in enumerate(items) if isinstance(item, Picture)]
        parts = deque(_parts(pictures, size))
        prepare = self.checkpoint.preprocessing.pixels
        cores = max(1, min(usable_cores(), size, 16))
        with ThreadPoolExecutor(cores, thread_name_prefix="pictures") as pool:
            ahead: deque[tuple[list[int], list[Future[Vectors]]]] = deque()
            try:
                while parts or ahead:
                    while parts and len(ahead) < _AHEAD:
                        at = parts.popleft()
                        ahead.append((at, [pool.submit(prepare, items[i]) for i in at]))  # type: ignore[arg-type] # all are pictures
                    at, opened = ahead.popleft()
                    pixels = np.stack([future.result() for future in opened])
                    yield at, self._of_pictures(network, pixels, progress), 0
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _of_pictures(self, network: _Network, pixels: Vectors, progress: Progress) -> Vectors:
        """Return the vectors of pictures, in halves if memory is full."""
        try:
            return network.pictures(pixels)
        except OutOfMemory as e:
            half = len(pixels) // 2
            error = str(e)[:100]
        if not half:
            raise UserError(f"{network.device} has too little memory for one picture ({error}): use another --device")
        network.free()
        self._batch = half
        progress.note(f"memory of {network.device} is full at {2 * half} pictures a batch: on with {half}")
        halves = [self._of_pictures(network, part, progress) for part in (pixels[:half], pixels[half:])]
        return np.concatenate(halves)


def _parts(numbers: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


class _Network:
    """The towers on a device, in a numeric form."""

    def __init__(self, model: ImageModel, device: str) -> None:
        import torch

        from instructor_eval.models.forms.float import DTYPES
        from instructor_eval.models.images.forms import bring_into_form
        from instructor_eval.models.pending import use_cores

        self.device = torch.device(device)
        if self.device.type == "cpu":
            use_cores()
        self.towers: Towers = model.load()
        self._name = model.name
        self.dtype = torch.float32
        made = bring_into_form(self.towers.network, model.form, self.device, lambda: self._try(model))
        self.towers.network = made.network
        self.dtype = DTYPES.get(model.form, torch.float32)
        self.batch = 1 if made.alone else BATCH if self.device.type == "cpu" else _GPU_BATCH
        self.note = made.note
        self._made, self._proof = made, f"{model.libraries[0]}: {made.proof}"
        self._try(model)

    def _try(self, model: ImageModel) -> None:
        """Compute a text and a picture, to see early that the files do not fit each other."""
        size = (1, 3, model.preprocessing.height, model.preprocessing.width)
        for found in (self.texts(self.towers.tokens(["a picture"])), self.pictures(np.zeros(size, dtype=np.float32))):
            if found.shape != (1, model.dim):
                raise UserError(
                    f"model {model.name}: it gives vectors {found.shape[1:]} and its configuration names {model.dim} "
                    "values: copy or download the checkpoint again"
                )

    def proof(self) -> str:
        """Return one line about what runs, read off the loaded network."""
        return self._proof

    def sizes(self) -> Sizes:
        """Return the bytes of the weights of both towers."""
        return self._made.sizes

    def texts(self, tokens: Any) -> Vectors:
        """Return the vectors of tokenised texts."""
        return self._run(lambda: self.towers.of_texts({key: value.to(self.device) for key, value in tokens.items()}))

    def pictures(self, pixels: Vectors) -> Vectors:
        """Return the vectors of prepared pictures."""
        import torch

        return self._run(lambda: self.towers.of_pictures(torch.from_numpy(pixels).to(self.device, self.dtype)))

    def _run(self, compute: Any) -> Vectors:
        import torch

        from instructor_eval.models.library_model import errors_in_one_line
        from instructor_eval.models.pending import memory_errors

        with torch.inference_mode(), memory_errors(), errors_in_one_line(self._name, "cannot be computed"):
            found: Vectors = compute().float().cpu().numpy()
            return found

    def free(self) -> None:
        """Give memory back to the device."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.empty_cache()
