"""An embedding function for LanceDB, so that what was evaluated is what is served.

Importing this module registers it as `instructor-eval`. Its vectors equal those of `load_encoder`: the same files, the
same numeric form, the same rule of instructions. LanceDB stores a function's settings in the table and makes a new
function from them for every search; so all settings are stored, defaults included, with the model's fingerprint, and
loaded models stay in this module.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlparse
from urllib.request import url2pathname

from instructor_eval.core.errors import UserError, did_you_mean
from instructor_eval.core.hub import offline_asked
from instructor_eval.core.pictures import Picture, as_item
from instructor_eval.core.values import FAMILIES, Template
from instructor_eval.models.find import ModelSpec, is_folder
from instructor_eval.models.images.find import absolute, is_image_model
from instructor_eval.models.variant import Variant

try:
    from lancedb.embeddings import TextEmbeddingFunction, register
    from lancedb.embeddings.utils import retry_with_exponential_backoff
    from pydantic import ConfigDict, Field, ValidationError, field_validator
except ImportError as e:
    raise UserError(
        f"the LanceDB embedding function needs lancedb ({e}): pip install 'instructor-eval[lancedb]'"
    ) from None

if TYPE_CHECKING:
    from instructor_eval.models.library import LibraryEncoder

ALIAS = "instructor-eval"
"""The name in LanceDB's registry."""
DEFAULT_MODEL = "hkunlp/instructor-base"
"""LanceDB's own default, so that its examples mean the same model here."""
_FORMS = {"false": "fp32", "true": "int8"}
"""Numeric forms for LanceDB's own `quantize=False` and `quantize=True`."""
_MOST_LOADED = 4
"""Models in memory at once, the last used ones."""
_IDENTITY = ("name", "quantize", "normalize_embeddings", "family")
"""Settings that change a vector: stored in the table even if they have their defaults."""
_VARIABLE = "$var:"
_FLOATS = ("float", "double", "halffloat")  # Arrow's names
_WORDING = Template(roles={"source": ("document", "retrieval"), "query": ("query", "retrieving supporting documents")})
"""Default instructions of an INSTRUCTOR, as of `evaluate --instructions template`."""


@dataclass
class _Loaded:
    """A loaded model that several functions and threads share."""

    encoder: LibraryEncoder
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while it encodes: an engine serves one call at a time."""


_loaded: OrderedDict[tuple[str, ...], _Loaded] = OrderedDict()
_loading = threading.Lock()


@register(ALIAS)
class InstructorEvalEmbeddings(TextEmbeddingFunction):  # type: ignore[misc] # lancedb is not typed here
    """The models of `evaluate`, for tables of LanceDB.

    Raises:
        UserError: a setting is unknown or cannot be used. When LanceDB calls this function: the model cannot be had or
            did not make the table, or a text is missing.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = DEFAULT_MODEL
    """A model as for `evaluate --model`: a hub id with or without `@revision`, a folder, `minilm`, or one of texts and
    pictures: `hf-clip:FOLDER`, `open-clip:...`."""
    source: Literal["text", "image"] = "text"
    """The contents of the source column: texts, or pictures as bytes of files, paths and `file:` addresses."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, or auto."""
    batch_size: int | None = Field(default=None, ge=1)
    """Texts in a batch at most; not needed, batches are made by tokens."""
    normalize_embeddings: bool = True
    """Scale every vector to length 1 in any model: then LanceDB's distance ranks like the cosine."""
    quantize: bool | str = Field(default=False, validate_default=True)
    """A variant, `FORM[+EMBEDDING][@DIM]`. False is fp32, True is int8."""
    source_instruction: str | None = None
    """Put before every text of the table, exactly. None: the default of the model's family for documents."""
    query_instruction: str | None = None
    """The same for queries."""
    show_progress_bar: bool = True
    """Show a bar while texts of the table are embedded, on a terminal."""
    max_retries: int = Field(default=0, ge=0)
    """Attempts after an unexpected error; none after a `UserError`, which would only come again."""
    family: str | None = None
    """instructor, prefix or plain, where the checkpoint's files do not show it."""
    fingerprint: str | None = None
    """The fingerprint that the model must have. Filled in when a table is made."""

    def __init__(self, **given: Any) -> None:
        fields = type(self).model_fields
        for key in given:
            if key not in fields:
                hint = did_you_mean(key, fields) or f": known are {', '.join(fields)}"
                raise UserError(f"{ALIAS}: unknown setting '{key}'{hint}")
        try:
            super().__init__(**given)
        except ValidationError as e:
            first = e.errors()[0]
            raise UserError(f"{ALIAS}: {first['loc'][0]}: {first['msg']} (found {first['input']!r:.80})") from None
        self._original_args = given

    @field_validator("name")
    @classmethod
    def _check_name(cls, text: str) -> str:
        if not is_image_model(text):
            ModelSpec.parse(text)
        return text

    @field_validator("quantize", mode="before")
    @classmethod
    def _canonical(cls, value: Any) -> str:
        if not isinstance(value, bool | str):
            raise UserError(f"{ALIAS}: quantize: expected True, False or a variant such as 'int8', found {value!r:.80}")
        text = str(value)
        variant = Variant.parse(_FORMS.get(text.lower(), text))
        if variant.embedding in ("int8", "uint8"):
            raise UserError(
                f"{ALIAS}: quantize '{variant}': {variant.embedding} needs ranges of a whole corpus, which a table's "
                f"settings cannot hold: give {variant.form}+float16, or let a LanceDB index quantize"
            )
        if variant.embedding in ("ubinary", "binary-rescore"):
            raise UserError(
                f"{ALIAS}: quantize '{variant}': a column of floats holds no packed bits, and nothing rescores them "
                f"there: give {variant.form}+binary, whose values are plus and minus one"
            )
        return str(variant)

    @field_validator("family")
    @classmethod
    def _check_family(cls, text: str | None) -> str | None:
        if text is not None and text not in FAMILIES:
            raise UserError(f"{ALIAS}: unknown family '{text}': give one of {', '.join(FAMILIES)}")
        return text

    def VectorField(self, **kwargs: Any) -> Any:
        """Return LanceDB's field, with a check that the column can hold the vectors."""
        declared = super().VectorField(**kwargs)
        declared.metadata.append(_ColumnCheck(self))
        return declared

    def ndims(self) -> int:
        """Return the length of the vectors, without loading the network."""
        return self._model().encoder.dim

    def safe_model_dump(self) -> dict[str, Any]:
        """Return the settings that LanceDB stores in the table: enough for the same vectors again, or for an error.

        Settings written as `$var:NAME` stay so; LanceDB looks them up when the table is opened.
        """
        given: dict[str, Any] = self._original_args
        encoder = self._model().encoder
        stored = {key: getattr(self, key) for key in {*_IDENTITY, *given}}
        if is_folder(self.name):
            stored["name"] = str(Path(self.name).resolve())  # the table may be opened from elsewhere
        elif is_image_model(self.name):
            stored["name"] = absolute(self.name)
        stored |= {
            "source_instruction": self._instruction("source"),
            "query_instruction": self._instruction("query"),
            "fingerprint": encoder.fingerprint,
        }
        stored |= {k: v for k, v in given.items() if isinstance(v, str) and v.startswith(_VARIABLE)}
        return dict(sorted(stored.items()))

    def compute_source_embeddings(self, texts: Any, *_args: Any, **_kwargs: Any) -> list[Any]:
        """Return one vector for each text: ndims() numbers each."""
        return self.generate_embeddings([texts] if isinstance(texts, bytes) else self.sanitize_input(texts))

    def compute_query_embeddings(self, query: Any, *_args: Any, **_kwargs: Any) -> list[Any]:
        """Return a list with one item, the query's vector."""
        return self._embed([query], "query", bar=False)

    def generate_embeddings(self, texts: Sequence[Any], *_args: Any, **_kwargs: Any) -> list[Any]:
        """Return the vectors of texts of the table."""
        return self._embed(list(texts), "source", bar=self.show_progress_bar)

    def compute_source_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Call `compute_source_embeddings`, again after an unexpected error."""
        return self._retry(lambda: self.compute_source_embeddings(*args, **kwargs))

    def compute_query_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Call `compute_query_embeddings`, again after an unexpected error."""
        return self._retry(lambda: self.compute_query_embeddings(*args, **kwargs))

    def _retry(self, compute: Callable[[], list[Any]]) -> list[Any]:
        """Use LanceDB's retries, which repeat after every error, but never repeat after a `UserError`."""
        if self.max_retries == 0:
            return compute()
        errors: list[UserError] = []

        def attempt() -> list[Any]:
            try:
                return compute()
            except UserError as e:
                errors.append(e)
                return []

        vectors: list[Any] = retry_with_exponential_backoff(attempt, max_retries=self.max_retries)()
        if errors:
            raise errors[0]
        return vectors

    def _embed(self, given: list[Any], role: str, *, bar: bool) -> list[Any]:
        texts = []
        for i, value in enumerate(given):
            if role == "query":
                texts.append(as_item(value, "the query"))
                _check_text(texts[-1], "the query", "give a text")
            elif self.source == "image":
                texts.append(_picture(value, f"picture {i + 1} of {len(given)}"))
            else:
                texts.append(value)
                _check_text(value, f"text {i + 1} of {len(given)}", "give the row a text, or leave it out")
        if not texts:
            return []
        model = self._model()
        with model.lock:
            vectors = model.encoder.encode(
                texts,
                self._instruction(role),
                batch_size=self.batch_size,
                show_progress_bar=bar,
                normalize_embeddings=self.normalize_embeddings,
            )
        return vectors.tolist()  # type: ignore[no-any-return] # lists of floats fit columns of any float type

    def _instruction(self, role: str) -> str:
        given: str | None = self.source_instruction if role == "source" else self.query_instruction
        if given is not None:
            return given
        checkpoint = self._model().encoder.engine.checkpoint
        if checkpoint.family == "instructor":
            return _WORDING.instruction(role)
        prompts = checkpoint.prompts if checkpoint.family == "prefix" else {}
        return prompts.get("document" if role == "source" else "query", prompts.get("*", ""))

    def _model(self) -> _Loaded:
        """Return the model, from memory if another function has loaded it.

        Raises:
            UserError: it cannot be had, or its fingerprint is not the table's.
        """
        model = _load((self.name, self.device, str(self.quantize), self.family or ""))
        found = model.encoder.fingerprint
        if self.fingerprint not in (None, found):
            raise UserError(
                f"{ALIAS}: model {self.name} ({self.quantize}) has fingerprint {found} here, and the table was made "
                f"with {self.fingerprint}: their vectors do not go together; name the model or revision that made it, "
                "or make the table again"
            )
        return model


class _ColumnCheck:
    """A check of a vector column's type, made when pydantic makes the schema's class."""

    def __init__(self, function: InstructorEvalEmbeddings) -> None:
        self._function = function

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """Check the column's type and leave it as it is.

        Raises:
            UserError: the vectors have another length than the column, or its values are not floats.
        """
        function = self._function
        for column in (source, *get_args(source)):  # an optional vector's type stands among the arguments
            if hasattr(column, "dim") and column.dim() != function.ndims():
                raise UserError(
                    f"{ALIAS}: the vector column has {column.dim()} values, and model {function.name} "
                    f"({function.quantize}) gives {function.ndims()}: write Vector(function.ndims())"
                )
            if hasattr(column, "value_arrow_type") and str(column.value_arrow_type()) not in _FLOATS:
                raise UserError(
                    f"{ALIAS}: the vector column has values of type {column.value_arrow_type()}, and the vectors are "
                    "floats: leave value_type out"
                )
        return handler(source)


def _load(key: tuple[str, str, str, str]) -> _Loaded:
    from instructor_eval.models.library import load_encoder

    name, device, variant, family = key
    with _loading:
        if key not in _loaded:
            encoder = load_encoder(name, device=device, variant=variant, family=family or None, offline=offline_asked())
            _loaded[key] = _Loaded(encoder)
        _loaded.move_to_end(key)
        while len(_loaded) > _MOST_LOADED:
            _loaded.popitem(last=False)
        return _loaded[key]


def _picture(value: Any, which: str) -> Picture:
    """Return the picture of a row: bytes of a file, a path, or a `file:` address.

    Raises:
        UserError: it is something else, or an address of another machine.
    """
    if isinstance(value, str):
        parsed = urlparse(value)
        if parsed.scheme not in ("", "file") or parsed.netloc not in ("", "localhost"):
            raise UserError(
                f"{ALIAS}: {which} is at {value[:100]!r}, not on this machine: download it, and give its path"
            )
        value = Path(url2pathname(parsed.path) if parsed.scheme else value)
        which = f"{which} ({value})"
    found = as_item(value, f"{ALIAS}: {which}")
    if not isinstance(found, Picture):
        kind = "missing (null)" if value is None else f"of type {type(value).__name__}"
        raise UserError(f"{ALIAS}: {which} is {kind}: give bytes of a file, or its path")
    return found


def _check_text(text: Any, which: str, remedy: str) -> None:
    if isinstance(text, Picture):
        return
    if text is None or text != text:  # noqa: PLR0124 - NaN, which stands for a missing text in pandas
        raise UserError(f"{ALIAS}: {which} is missing (null or NaN): {remedy}")
    if not isinstance(text, str):
        raise UserError(f"{ALIAS}: {which} is of type {type(text).__name__}, not a text: {remedy}")
    if not text.strip():
        raise UserError(f"{ALIAS}: {which} is empty: {remedy}")
