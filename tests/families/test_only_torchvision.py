"""Makes torchvision importable beside CPU torch, for processors of videos; a real torchvision is used as it is.

There is no wheel of torchvision for CPU torch in the usual index. The one for CUDA computes in Python what processors need, but
its compiled operators cannot be loaded, so their names are declared empty. `make` puts the wheel into a folder of its own,
because outside of tests nothing could import it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch

FOLDER = Path(sys.prefix) / "tests-only"
_OPERATORS = (
    "nms",
    "qnms",
    "roi_align",
    "qroi_align",
    "roi_pool",
    "ps_roi_align",
    "ps_roi_pool",
    "deform_conv2d",
    "_roi_align_backward",
    "_roi_pool_backward",
    "_ps_roi_align_backward",
    "_ps_roi_pool_backward",
    "_deform_conv2d_backward",
)
_declared = []


def install() -> bool:
    """Whether torchvision can be imported from here on; must run before transformers is asked whether it can."""
    if find_spec("torchvision") is not None:
        return True
    if not (FOLDER / "torchvision").is_dir():
        return False
    sys.path.append(str(FOLDER))
    try:
        import_module("torchvision")
    except RuntimeError:  # operators that its compiled part would have brought
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            library.define(f"{name}() -> ()")
        _declared.append(library)
        import_module("torchvision")
    return True
