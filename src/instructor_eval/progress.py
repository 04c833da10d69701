"""How far a long encoding is: a bar on a terminal, a quiet line every half minute elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

_QUIET_SECONDS = 30.0


class Progress:
    """Counts texts and tokens of one encoding; small ones show nothing."""

    enabled = True
    """Switched off by `--quiet`, and for library use."""

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label = total, label
        self.done = self.tokens = 0
        self.started = self.last = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self.enabled and sys.stderr.isatty() and self.total > 1:
            from tqdm import tqdm  # not needed by reading commands

            self._bar = tqdm(total=self.total, desc=self.label, unit="text", leave=False, dynamic_ncols=True)
        return self

    def advance(self, texts: int, tokens: int) -> None:
        """`texts` more are encoded, of `tokens` tokens together."""
        self.done += texts
        self.tokens += tokens
        if self._bar is not None:
            self._bar.update(texts)
            self._bar.set_postfix_str(f"{self.tokens / max(1e-9, time.monotonic() - self.started):,.0f} tokens/s")
        elif self.enabled and time.monotonic() - self.last > _QUIET_SECONDS and self.done < self.total:
            self.last = time.monotonic()
            rate = self.done / (self.last - self.started)
            left = (self.total - self.done) / rate
            sys.stderr.write(
                f"  {self.label}: {self.done:,} of {self.total:,} texts, {rate:,.1f} a second, {left:,.0f} s left\n"
            )
            sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
