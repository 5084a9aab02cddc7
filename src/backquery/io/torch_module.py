"""The user's own module: what it is, how it is asked without a trace, and how a copy of it is taken."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from backquery.errors import MissingExtraError, ModelError
from backquery.model import Array
from backquery.model.threads import sized

if TYPE_CHECKING:
    import torch


def import_torch(purpose: str = "A PyTorch model") -> Any:
    """The package, or a `MissingExtraError` that says what needs it and how to install it."""
    try:
        import torch
    except ImportError:
        raise MissingExtraError(purpose, "PyTorch", "torch") from None
    return torch


NAMED = 4
"""Peculiar parts that a message names at most."""

SCRIPT = (
    "TorchScript, scripted or traced, cannot be looked into or differentiated here; give the module that it was "
    "made of, with its weights: module.load_state_dict(script.state_dict()), or that module through torch.export "
    "with a batch of any size"
)


def eager(torch: Any, value: Any) -> torch.nn.Module:
    """The module that can be copied and looked into: without DataParallel and torch.compile around it.

    `ModelError` says what the value is instead, and what to give.
    """
    if type(value).__name__ == "ExportedProgram":  # by name, as importing torch.export takes a while
        value = value.module()
    if isinstance(value, torch.jit.ScriptFunction):
        raise ModelError(SCRIPT)
    if not isinstance(value, torch.nn.Module):
        what = f"the class {value.__name__} itself: call it" if isinstance(value, type) else type(value).__name__
        raise ModelError(f"backquery takes a torch.nn.Module; received {what}")
    module = unwrapped(torch, value)
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise ModelError(SCRIPT)
        for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
            _check_numbers(torch, tensor, f"{type(part).__name__} ({name or 'the module'})")
    return module


def unwrapped(torch: Any, module: torch.nn.Module) -> torch.nn.Module:
    """What DataParallel, DistributedDataParallel and torch.compile were put around."""
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(module, parallel):
            module = module.module
        elif type(module).__name__ == "OptimizedModule" and "_orig_mod" in module._modules:
            module = module._orig_mod
        else:
            return module


def _check_numbers(torch: Any, tensor: torch.Tensor, where: str) -> None:
    if torch.nn.parameter.is_lazy(tensor):
        raise ModelError(
            f"{where} has no weights yet, being lazy; run one batch of images through the module first"
        )
    if tensor.is_meta:
        raise ModelError(f"{where} lies on the device 'meta', without numbers; load its weights first")


@contextmanager
def exactly(torch: Any, module: torch.nn.Module) -> Iterator[None]:
    """Leave inference mode, in which nothing can be differentiated, and round products as their dtype does.

    PyTorch lets the convolutions of an NVIDIA GPU round float32 to ten bits (TF32), and a user may let matrices
    be rounded so too, or to seven (bfloat16): far more than a copy may differ by, and than a search asks for.
    Afterwards all is as before.
    """
    switches = [(read(), write, exact) for read, write, exact in _switches(torch, module)]
    coarse = [switch for switch in switches if switch[0] not in ("none", switch[2])]
    with torch.inference_mode(False), sized(torch):
        try:
            for _, write, exact in coarse:
                write(exact)
            yield
        finally:
            for given, write, _ in coarse:
                write(given)


def _switches(torch: Any, module: torch.nn.Module) -> list[tuple[Callable[[], Any], Callable[[Any], None], Any]]:
    """What says how float32 is rounded where a module lies: how it is read, how set, and to what for exactness."""
    cards, matrices = torch.backends.cudnn, torch.backends.cuda.matmul
    if not hasattr(matrices, "fp32_precision"):  # before PyTorch 2.9
        convolutions = partial(getattr, cards, "allow_tf32"), partial(setattr, cards, "allow_tf32"), False
        return [convolutions, (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest")]
    on_card, processor = device_of(torch, module).type == "cuda", torch.backends.mkldnn
    parts = (cards.conv, cards.rnn, matrices) if on_card else (processor.conv, processor.rnn, processor.matmul)
    name = "fp32_precision"
    return [(partial(getattr, part, name), partial(setattr, part, name), "ieee") for part in parts]


@contextmanager
def at_rest(torch: Any, module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode, without gradients; it and the random numbers are as before afterwards.

    What running a module can leave behind is undone: modes, numbers, attributes, and entries of dicts and lists
    that are attributes.
    """
    devices = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
    graphics = [device.index or 0 for device in devices if device.type == "cuda"]
    with exactly(torch, module), torch.no_grad(), torch.random.fork_rng(graphics):
        kept = [(part, _attributes(part)) for part in module.modules()]
        numbers = [(tensor, tensor.detach().clone()) for tensor in (*module.parameters(), *module.buffers())]
        try:
            _evaluate(module)
            yield
        finally:
            for part, attributes in kept:
                _restore(part, attributes)
            for tensor, before in numbers:
                # Only where it must: writing into a tensor spoils a backward pass that waits for it.
                if not torch.equal(tensor, before):
                    tensor.copy_(before)


def _evaluate(module: torch.nn.Module) -> None:
    try:
        module.eval()
    except NotImplementedError:  # an exported program, which has one mode only
        for part in module.modules():
            part.training = False
    for part in module.modules():
        part._compiled_call_impl = None  # what module.compile() made would be compiled anew for the trial


def _attributes(part: torch.nn.Module) -> dict[str, tuple[Any, Any]]:
    """Every attribute of a module, with a copy of what is in it where it is a plain dict or list."""
    plain = (dict, OrderedDict, list)
    return {name: (value, value.copy() if type(value) in plain else None) for name, value in vars(part).items()}


def _restore(part: torch.nn.Module, attributes: dict[str, tuple[Any, Any]]) -> None:
    for value, content in attributes.values():
        if isinstance(content, list):
            value[:] = content
        elif content is not None:
            value.clear()
            value.update(content)
    vars(part).clear()
    vars(part).update({name: value for name, (value, _) in attributes.items()})


def copied(torch: Any, module: torch.nn.Module, dtype: str) -> torch.nn.Module:
    """A copy of a module at rest, in this dtype, without gradients and without what only training needs."""
    try:
        # A tensor with a history, such as the weight that a hook has just worked out, cannot be copied with it.
        held = [tensor for part in module.modules() for tensor in tensors_in(torch, vars(part)).values()]
        memo = {id(tensor): tensor.detach().clone() for tensor in held if tensor.grad_fn is not None}
        copy: torch.nn.Module = deepcopy(module, memo)
    except Exception as error:
        raise ModelError(
            f"the module cannot be copied ({first_line(error)}); give one whose tensors are all parameters or "
            "buffers, after remove_weight_norm or remove_spectral_norm where there is such a thing"
        ) from error
    for part in copy.modules():
        part._backward_hooks.clear()
        part._backward_pre_hooks.clear()
        vars(part)["_modules"] = {name: child and unwrapped(torch, child) for name, child in part._modules.items()}
    copy.zero_grad(set_to_none=True)
    return copy.to(getattr(torch, dtype)).requires_grad_(False)


def tensors_in(torch: Any, value: Any, place: str = "") -> dict[str, torch.Tensor]:
    """The tensors in a value, or in the dicts, lists and tuples that it is made of, by their places."""
    if isinstance(value, torch.Tensor):
        return {place: value}
    inside = (
        value.items()
        if isinstance(value, Mapping)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    found: dict[str, torch.Tensor] = {}
    for key, part in inside:
        found |= tensors_in(torch, part, f"{place}[{key!r}]")
    return found


def the_scores(torch: Any, answer: Any) -> torch.Tensor:
    """The one tensor that a module returned, alone or in a dict or tuple; `ModelError` where there are several."""
    found = tensors_in(torch, answer)
    if len(found) == 1:
        return _checked_scores(*found.values())
    what = f"a {type(answer).__name__}"
    several = ", ".join(f"{place} {tuple(tensor.shape)}" for place, tensor in found.items())
    raise ModelError(
        f"the module must return one tensor of scores; it returned {what}"
        + (f" with several: {several}" if found else "")
        + ". Give a module whose forward() returns the scores alone"
    )


def _checked_scores(scores: torch.Tensor) -> torch.Tensor:
    if not scores.is_floating_point():
        raise ModelError(
            f"the module must return scores; it returned {scores.dtype}, as labels are: leave out the argmax"
        )
    return scores


def own_dtype(torch: Any, module: torch.nn.Module) -> torch.dtype:
    """The dtype that a module computes in: that of its first weights, or float32."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32


def precision(dtype: torch.dtype) -> str:
    """The dtype's name, as the tables of tolerances have it."""
    return str(dtype).removeprefix("torch.")


def asked(torch: Any, module: torch.nn.Module, inputs: Array, shape: tuple[int, ...]) -> Array:
    """What a module at rest says, (n, outputs) in float64, to inputs (n, inputs), each as an image of `shape`."""
    images = torch.tensor(inputs, dtype=own_dtype(torch, module), device=device_of(torch, module))
    try:
        answer = module(images.reshape(len(inputs), *shape))
    except Exception as error:
        raise ModelError(
            f"the module does not run on images of shape {(len(inputs), *shape)}: {first_line(error)}"
        ) from error
    scores: Array = the_scores(torch, answer).detach().cpu().double().numpy()
    return scores.reshape(len(inputs), -1)


def device_of(torch: Any, module: torch.nn.Module) -> torch.device:
    """Where a module lies."""
    # The first tensor is enough: to list them all takes a good part of a small network's own time.
    for tensor in chain(module.parameters(), module.buffers()):
        return tensor.device
    return torch.device("cpu")


def peculiarities(torch: Any, module: torch.nn.Module) -> str:
    """What of a module can make it answer otherwise than its layers alone do, as words to end a message with."""
    parts = module.named_modules()
    found = [f"{what} ({name or 'the module'})" for name, part in parts for what in _own(torch, part)]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"; it has {', '.join(found[:NAMED])}{more}" if found else ""


def _own(torch: Any, part: torch.nn.Module) -> Iterator[str]:
    if torch.nn.utils.parametrize.is_parametrized(part):
        lists = part.parametrizations.values()
        yield from (f"the parametrization {type(one).__name__}" for several in lists for one in several)
    for kind, hooks in (("forward hook", part._forward_hooks), ("forward pre-hook", part._forward_pre_hooks)):
        yield from (f"the {kind} {_name(hook)}" for hook in hooks.values())
    if "forward" in vars(part):
        yield "a forward of its own"
    if not type(part).__module__.startswith("torch."):
        yield f"code of its own in {type(part).__name__}"


def _name(hook: Any) -> str:
    return getattr(hook, "__name__", type(hook).__name__)


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says, as PyTorch's go on for pages."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
