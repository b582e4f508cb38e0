"""Which weights may move: LoRA adapters or the weights themselves, chosen by full module path.

A short name such as `q_proj` would also match the vision tower, and training would leak into it; paths cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, get_args

from unsee.errors import ConfigError, nearest
from unsee.methods.scope import Part, Scope
from unsee.models.quantized import is_quantized, merged_into_plain_weights, refuse_moving

if TYPE_CHECKING:
    from torch import nn

    from unsee.models.model import Model

PARTS: tuple[str, ...] = get_args(Part)
_NUMBERED = re.compile(r"\.(\d+)(?:\.|$)")


def attach(
    model: Model, scope: Scope, *, seed: int = 0, alpha: int | None = None, in_place: bool = False, shared: bool = False
) -> Model:
    """A model of which exactly the weights of `scope` are trainable; the given one stays as it is.

    Args:
        scope: with a rank, LoRA adapters on the linear layers of the scope; with rank None, the scope's own weights.
        seed: of the adapters' random half (the other half is zero, so nothing changes yet).
        alpha: LoRA's scaling is alpha / rank; the rank itself when None, as MLLMU-Bench does.
        in_place: reuse the network's memory; the given model is then no longer usable.
        shared: below new adapters both models have the same weights in memory, for training that moves adapters alone.

    Raises:
        ConfigError: a module path or layer that the model does not have.
    """
    check_scope(model, scope)
    shared = shared and not in_place and scope.rank is not None and not model.has_adapter
    made = _sharing_weights(model) if shared else copied(model, in_place=in_place)
    for weight in made.network.parameters():
        weight.requires_grad_(False)
    if not scope.modules:
        return made
    if scope.rank is None:
        set_trainable(made, scope)
        return made
    import torch
    from peft import LoraConfig, get_peft_model

    paths = linear_paths(made, scope)
    config = LoraConfig(
        r=scope.rank,
        lora_alpha=scope.rank if alpha is None else alpha,
        lora_dropout=0.0,
        target_modules="(" + "|".join(map(re.escape, paths)) + ")",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made.network = get_peft_model(made.network, config)
    return made


def check_scope(model: Model, scope: Scope) -> None:
    """Refuse a scope that cannot be trained; nothing is changed and no values are read.

    Raises:
        ConfigError: a module path or layer that the model does not have, weights that cannot move, or a rank below 1.
    """
    if not scope.modules:
        return
    if scope.rank is None:
        refuse_moving(model, "training the weights themselves")
        _own_weights(model, scope)
    elif scope.rank < 1:
        raise ConfigError(f"LoRA rank {scope.rank} must be at least 1; leave it out to train the weights themselves")
    else:
        linear_paths(model, scope)


def _sharing_weights(model: Model) -> Model:
    """The same model again whose modules are its own and whose weights are those of the given one."""
    from torch import nn

    memo: dict[int, Any] = {id(buffer): buffer for buffer in model.network.buffers()}
    for weight in model.network.parameters():
        # Parameters of their own, so that freezing one model does not freeze the other; quantized ones are frozen already.
        memo[id(weight)] = nn.Parameter(weight.detach(), requires_grad=False) if type(weight) is nn.Parameter else weight
    made = _like(model, deepcopy(model.network, memo))
    made.shares_weights = True
    return made


def copied(model: Model, *, in_place: bool = False) -> Model:
    """The same model in memory of its own, with an adapter it came with merged into its weights.

    Args:
        in_place: reuse the network's memory, unless another model has it, too.
    """
    network = model.network if in_place and not model.shares_weights else deepcopy(model.network)
    if model.has_adapter:
        refuse_moving(model, "merging an adapter")
        network = network.merge_and_unload()
    return _like(model, network)


def merged(model: Model) -> Model:
    """A trained model with plain weights, its adapter merged into them; the given one is no longer usable.

    What was trained above quantized weights is merged into those they were read from, on the CPU, and the given one stays.
    """
    if is_quantized(model):
        return _like(model, merged_into_plain_weights(model))
    return copied(model, in_place=True)


def _like(model: Model, network: Any) -> Model:
    """A model like another around a network."""
    from unsee.models.model import Model

    made = Model(network, model.processor, name=model.name)
    made.prompter = model.prompter
    made.system = model.system
    made.method = model.method
    return made


def set_trainable(model: Model, scope: Scope) -> list[str]:
    """Make the scope's own weights trainable and freeze all others, in place; returns the trainable names."""
    names, weights = _own_weights(model, scope), dict(model.base.named_parameters())
    chosen = {id(weights[name]) for name in names if name in weights}
    for weight in weights.values():
        weight.requires_grad_(id(weight) in chosen)
    return trainable_names(model)


def trainable_names(model: Model) -> list[str]:
    """Names of the weights that training moves."""
    return [name for name, weight in model.network.named_parameters() if weight.requires_grad]


def linear_paths(model: Model, scope: Scope) -> list[str]:
    """Full paths of the linear layers in the scope; the unembedding is never one of them."""
    import torch

    network = model.base
    head, decoder = network.get_output_embeddings(), _path_of(network, network.get_decoder())
    layers, found = chosen_layers(network, scope), []
    for path in _paths(network, scope):
        for name, module in network.get_submodule(path).named_modules(prefix=path):
            if isinstance(module, torch.nn.Linear) and module is not head and _in_layers(decoder, name, layers):
                found.append(name)
    if not found:
        where = "" if scope.layers is None else f" with layers {scope.layers}"
        raise ConfigError(
            f"modules {scope.modules!r}{where} hold no linear layer, so LoRA has nothing to adapt; "
            "choose others, or train the weights themselves (rank none)"
        )
    return list(dict.fromkeys(found))


def _own_weights(model: Model, scope: Scope) -> set[str]:
    """Names of the weights of a scope without a rank."""
    return {name for path in _paths(model.base, scope) for name in _weights(model.base, path, scope)}


def _weights(network: Any, path: str, scope: Scope) -> Iterator[str]:
    """Weights below a path; those of the decoder include embeddings and unembedding unless layers are chosen."""
    import torch

    linear_only, layers = "all-linear" in scope.names, chosen_layers(network, scope)
    head, decoder = network.get_output_embeddings(), _path_of(network, network.get_decoder())
    for name, module in network.get_submodule(path).named_modules(prefix=path):
        if linear_only and (not isinstance(module, torch.nn.Linear) or module is head):
            continue
        if _in_layers(decoder, name, layers):
            for own, _ in module.named_parameters(recurse=False):
                yield f"{name}.{own}" if name else own
    if path == decoder and layers is None and not linear_only:
        for own, _ in head.named_parameters(prefix=_path_of(network, head)):
            yield own


def _paths(network: Any, scope: Scope) -> list[str]:
    """Full paths of the modules a scope names."""
    layers = chosen_layers(network, scope)
    known = dict(network.named_modules())
    paths: list[str] = []
    for name in scope.names:
        if name == "all-linear":
            paths.append("")
        elif name == "language":
            paths.append(_path_of(network, network.get_decoder()))
        elif name == "vision":
            paths += _towers(network)
        elif name == "projector":
            paths += _projectors(network)
        elif name == "mlp-down":
            paths += [path for layer in _layer_paths(network, layers) for path in _mlp_down(network, layer)]
        elif name in known:
            paths.append(name)
        elif inside := [path for layer in _layer_paths(network, layers) if (path := f"{layer}.{name}") in known]:
            paths += inside
        else:
            close = nearest(name, [*PARTS, *(path for path in known if path)])
            raise ConfigError(f"the model has no module {name!r}; {close if len(close) < 200 else 'give a full module path'}")
    return paths


def _vision(network: Any) -> nn.Module:
    tower = network.get_encoder(modality="image")
    if tower is network or tower is network.base_model:
        raise ConfigError("the model's vision tower was not found; give full module paths as the scope")
    return tower


def _towers(network: Any) -> list[str]:
    """The vision tower; where the projector is part of it, its other parts."""
    tower = _vision(network)
    path, mergers = _path_of(network, tower), _mergers(network)
    if _beside(network) or not mergers:
        return [path]
    children = [f"{path}.{name}" for name, child in tower.named_children() if next(child.parameters(), None) is not None]
    return [child for child in children if child not in mergers]


def _mergers(network: Any) -> list[str]:
    """Parts of the vision tower beside its blocks that write what the decoder reads."""
    import torch

    tower, width = _vision(network), int(network.config.get_text_config().hidden_size)
    path, children = _path_of(network, tower), dict(tower.named_children())
    blocks = [name for name, child in children.items() if isinstance(child, torch.nn.ModuleList)]
    if not blocks:
        return []
    largest = max(blocks, key=lambda name: sum(weight.numel() for weight in children[name].parameters()))
    return [
        f"{path}.{name}"
        for name, child in children.items()
        if name != largest and any(isinstance(part, torch.nn.Linear) and part.out_features == width for part in child.modules())
    ]


def _projectors(network: Any) -> list[str]:
    """Modules beside decoder and vision tower, or the end of a tower that projects itself."""
    found = _beside(network) or _mergers(network)
    if not found:
        raise ConfigError("the model's projector was not found; give full module paths as the scope")
    return found


def _beside(network: Any) -> list[str]:
    """Modules with weights beside decoder and vision tower, the unembedding aside."""
    decoder, tower = _path_of(network, network.get_decoder()), _path_of(network, _vision(network))
    head = _path_of(network, network.get_output_embeddings())
    prefix = decoder.rpartition(".")[0]
    parent = network.get_submodule(prefix)
    names = [
        f"{prefix}.{name}" if prefix else name
        for name, child in parent.named_children()
        if next(child.parameters(), None) is not None
    ]
    return [name for name in names if name not in (decoder, tower, head)]


def _path_of(network: Any, module: nn.Module) -> str:
    return next(name for name, other in network.named_modules() if other is module)


def _in_layers(decoder: str, name: str, layers: tuple[int, ...] | None) -> bool:
    """Whether a module belongs to one of the chosen decoder layers; always true when none are chosen."""
    if layers is None:
        return True
    if not name.startswith(decoder):
        return False
    number = _NUMBERED.search(name[len(decoder) :])
    return number is not None and int(number.group(1)) in layers


def chosen_layers(network: Any, scope: Scope) -> tuple[int, ...] | None:
    """Decoder layers of a scope as numbers from 0, depths resolved; None where it names none.

    Raises:
        ConfigError: a layer that the decoder does not have.
    """
    if scope.layers is None:
        return None
    if not scope.layers:
        raise ConfigError("layers is empty, so nothing could be trained; name layers or leave it out for all of them")
    count = int(network.config.get_text_config().num_hidden_layers)
    for layer in scope.layers:
        if not 0 <= layer < (1 if isinstance(layer, float) else count):
            depths = " (with a fraction it is a depth from 0 to below 1)" if isinstance(layer, float) else ""
            raise ConfigError(f"layer {layer} does not exist; the decoder has layers 0 to {count - 1}{depths}")
    found = (min(count - 1, round(layer * count)) if isinstance(layer, float) else layer for layer in scope.layers)
    return tuple(dict.fromkeys(found))


def _layer_paths(network: Any, layers: tuple[int, ...] | None) -> list[str]:
    """Full paths of the chosen decoder layers, of all where none are chosen; [] where the decoder holds no list of layers."""
    blocks = decoder_blocks(network)
    if blocks is None:
        return []
    prefix = _path_of(network, blocks)
    return [f"{prefix}.{layer}" for layer in (range(len(blocks)) if layers is None else layers)]


def decoder_blocks(network: Any) -> nn.ModuleList | None:
    """The decoder's list of as many modules as the config has layers; None where it holds none."""
    import torch

    count = int(network.config.get_text_config().num_hidden_layers)
    lists = (child for child in network.get_decoder().children() if isinstance(child, torch.nn.ModuleList))
    return next((child for child in lists if len(child) == count), None)


def _mlp_down(network: Any, layer: str) -> list[str]:
    """The last linear layer of a decoder layer's MLP, found by its place and shape, whatever the model calls it.

    Linear layers as wide as the residual stream write to it. A decoder layer lets attention write first, so its first child
    with such a layer is left out; of the others the one that reads most is the MLP's. Experts have one each.
    """
    import torch

    width = int(network.config.get_text_config().hidden_size)
    writers = [
        [
            (path, module)
            for path, module in child.named_modules(prefix=f"{layer}.{name}")
            if isinstance(module, torch.nn.Linear) and module.out_features == width
        ]
        for name, child in network.get_submodule(layer).named_children()
    ]
    candidates = [found for child in [child for child in writers if child][1:] for found in child]
    if not candidates:
        raise ConfigError(
            f"{layer} has no MLP made of linear layers, so mlp-down finds nothing; give module paths as the scope"
        )
    widest = max(module.in_features for _, module in candidates)
    found = [path for path, module in candidates if module.in_features == widest]
    return [path for path in found if path.rpartition(".")[2] == found[-1].rpartition(".")[2]]
