"""Every edit starts from the same weights, and it is proven that they are back after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from unsee.errors import TrainingError
from unsee.models.bases import tensor_digest

if TYPE_CHECKING:
    from torch import Tensor

    from unsee.models.model import Model


class StartWeights:
    """The weights that every edit starts from.

    Args:
        model: before the first edit. Weights that may be trained are kept as copies; of all others, buffers included, only the
            SHA-256 is.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        trainable = ((name, weight) for name, weight in model.network.named_parameters() if weight.requires_grad)
        self._start = {name: weight.detach().clone() for name, weight in trainable}
        self._digests = {name: tensor_digest(tensor) for name, tensor in model.network.state_dict().items()}

    def restore(self, fact: str) -> None:
        """Put the weights that may be trained back after the edit of a fact.

        Raises:
            TrainingError: a weight is gone or did not take its value; names fact and weight.
        """
        import torch

        weights = dict(self._model.network.named_parameters())
        with torch.no_grad():
            for name, start in self._start.items():
                if name in weights and weights[name].shape == start.shape:
                    weights[name].copy_(start)
                    weights[name].grad = None
        self._compare(self._start, weights, fact)

    def check(self, fact: str) -> None:
        """Compare every weight and buffer of the network with its start; raises as `restore` does.

        Args:
            fact: the last one that was edited.
        """
        self._compare(self._digests, self._model.network.state_dict(), fact)

    def _compare(self, names: Iterable[str], there: Mapping[str, Tensor], fact: str) -> None:
        for name in names:
            if name not in there:
                raise TrainingError(
                    f"after the edit of fact {fact} the network has no tensor {name}; leave the modules of edited models alone"
                )
            if tensor_digest(there[name]) != self._digests[name]:
                raise TrainingError(
                    f"after the edit of fact {fact} tensor {name} is not what it was before the first edit, so edits are not "
                    "independent; change copies of edited models only (unsee.models.lora.copied)"
                )
