"""Answer `import InstructorEmbedding` with this package's `INSTRUCTOR`, in this process; nothing installed is touched.

    import instructor_eval.compat.instructor_embedding

LangChain, LlamaIndex, Haystack, Chroma and LanceDB import that package when they make a model: import this before then.
"""

from __future__ import annotations

import sys
import types

from instructor_eval.models.drop_in import INSTRUCTOR

NAME = "InstructorEmbedding"


def install() -> types.ModuleType:
    """Put a module of that name into `sys.modules`, in the place of one that was imported before, and return it."""
    # LangChain and others import the class from the package, some from the file that it stood in.
    inner = types.ModuleType(f"{NAME}.instructor", __doc__)
    vars(inner).update(INSTRUCTOR=INSTRUCTOR)
    module = types.ModuleType(NAME, __doc__)
    vars(module).update(INSTRUCTOR=INSTRUCTOR, instructor=inner, __all__=["INSTRUCTOR"], __path__=[])
    sys.modules[NAME], sys.modules[f"{NAME}.instructor"] = module, inner
    return module


install()
