"""The user's own module: it is asked without a trace, and what cannot be asked is told for what it is."""

from __future__ import annotations

import warnings
from collections import namedtuple
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from backquery import Scaling, back_query, evaluate, from_torch, network_from_torch
from backquery.datasets import load
from backquery.errors import AssumptionWarning, ModelError
from backquery.evidence import measure_evidence
from backquery.inversion import fit_statistics
from backquery.model import SIGMOID, SOFTMAX, UNREAD
from tests.needs import needs

needs("torch")

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

SHAPE = {"input_shape": (6, 8)}
X = np.random.default_rng(0).uniform(0, 1, (20, 48))


class Head(nn.Module):
    """What people write: layers, and then something in code."""

    def __init__(self, body, last=lambda scores: scores):
        super().__init__()
        self.body, self.last = body, last

    def forward(self, x):
        return self.last(self.body(x))


def chain(outputs=5, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 9), nn.ReLU(), nn.Linear(9, outputs))


def own(module):
    """The module's own outputs in evaluation mode, and the module as before."""
    copy = deepcopy(module).eval() if not any(part._forward_pre_hooks for part in module.modules()) else module
    before = {part: part.training for part in copy.modules()}
    with torch.no_grad():
        said = copy.eval()(torch.tensor(X, dtype=torch.float32).reshape(-1, 1, 6, 8)).double().numpy()
    for part, mode in before.items():
        part.training = mode
    return said


def in_training(module):
    """The module after two steps of training, so that nothing in it is as it was made."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        module(torch.rand(30, 1, 6, 8)).square().sum().backward()
        optimizer.step()
    return module


def old(normalise):
    """A module with normalisation by hooks, which PyTorch still has, and calls old."""

    def make():
        module = chain()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            normalise(module[1])
        return module

    return make


def made(change):
    def make():
        module = chain()
        change(module)
        return module

    return make


NORMALISED = {
    "weight_norm by hook": old(nn.utils.weight_norm),
    "spectral_norm by hook": old(nn.utils.spectral_norm),
    "weight_norm": made(lambda m: parametrizations.weight_norm(m[1])),
    "spectral_norm": made(lambda m: parametrizations.spectral_norm(m[1])),
    "orthogonal": made(lambda m: parametrizations.orthogonal(m[3])),
    "pruning": made(lambda m: prune.l1_unstructured(m[1], "weight", amount=0.5)),
    "both": made(lambda m: (prune.random_unstructured(m[3], "weight", 0.3), parametrizations.spectral_norm(m[1]))),
}

CONVERT = [
    pytest.param(
        network_from_torch,
        marks=pytest.mark.reads(
            "model",
            "PyTorch's weight_norm, spectral_norm, other parametrizations and pruning, by hooks too",
            "the weights of the next pass in evaluation mode",
        ),
    ),
    from_torch,
]


@pytest.mark.parametrize("convert", CONVERT)
@pytest.mark.parametrize("kind", NORMALISED)
def test_weights_are_those_of_the_next_pass(kind, convert):
    module = in_training(NORMALISED[kind]())
    model = convert(module, **SHAPE)
    np.testing.assert_allclose(model.query(X), SOFTMAX.function(own(module)), atol=1e-5)


class Tracing(Head):
    """Leaves traces wherever it can."""

    def __init__(self, in_place):
        super().__init__(chain())
        self.register_buffer("calls", torch.zeros(()))
        self.in_place, self.kept, self.last_sum, self.sums = in_place, [], None, {}

    def forward(self, x):
        if self.in_place:
            self.calls += 1
        self.calls = self.calls + 1
        self.kept.append(x)
        self.last_sum = self.sums["x"] = x.sum()
        self.new = x
        return super().forward(x + 0 * torch.rand(x.shape))


def everything(module):
    """All that a module is: modes, numbers, and what its attributes hold, by identity."""
    parts = [
        {name: list(map(id, value.values() if isinstance(value, dict) else value))
         if isinstance(value, dict | list) else id(value) for name, value in vars(part).items()}
        for part in module.modules()
    ]  # fmt: skip
    return parts, [tensor.detach().clone() for tensor in (*module.parameters(), *module.buffers())]


class Breaking(nn.Module):
    def forward(self, x):
        raise ValueError("no such thing")


UNTOUCHED = {
    **NORMALISED,
    "batch norm": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(48, 9), nn.BatchNorm1d(9), nn.Dropout(), nn.Linear(9, 5)
    ),
    "traces": lambda: Tracing(in_place=False),
    "traces in place": lambda: Tracing(in_place=True),
    "refused": lambda: nn.Sequential(*chain(), Breaking()),
    "hooked": made(lambda m: m[2].register_forward_hook(lambda part, given, said: said * 0.1)),
}


@pytest.mark.parametrize("convert", [network_from_torch, from_torch])
@pytest.mark.parametrize("kind", UNTOUCHED)
def test_the_users_module_and_the_random_numbers_are_as_before(kind, convert):
    module = UNTOUCHED[kind]()
    if kind != "refused":
        in_training(module)
    list(module.modules())[2].eval()
    parts, numbers = everything(module)
    modes = [part.training for part in module.modules()]
    chance = torch.get_rng_state()
    # PyTorch itself cannot differentiate what writes into buffers.
    refused = (
        kind in {network_from_torch: ("refused", "hooked"), from_torch: ("refused", "traces in place")}[convert]
    )
    with pytest.raises(ModelError) if refused else nullcontext():
        convert(module, **SHAPE)
    assert torch.equal(torch.get_rng_state(), chance)
    assert [part.training for part in module.modules()] == modes and any(modes) and not all(modes)
    after, numbers_after = everything(module)
    assert after == parts
    assert all(torch.equal(*pair) for pair in zip(numbers, numbers_after, strict=True))


def test_a_backward_pass_that_waits_is_not_spoilt():
    module = NORMALISED["spectral_norm"]()
    loss = module.train()(torch.rand(4, 1, 6, 8)).square().sum()
    network_from_torch(module, **SHAPE)
    from_torch(module, **SHAPE)
    loss.backward()
    assert module[3].weight.grad.abs().sum() > 0


def test_a_module_that_merges_its_weights_in_evaluation_is_as_before():
    class Merging(nn.Linear):
        def train(self, mode=True):
            with torch.no_grad():
                self.weight += 0.25 if mode is False and self.training else 0
            return super().train(mode)

    module = nn.Sequential(nn.Flatten(), Merging(48, 3)).train()
    before = module[1].weight.detach().clone()
    model = from_torch(module, **SHAPE)
    assert module.training and torch.equal(module[1].weight, before)
    merged = X @ (before.double().numpy() + 0.25).T + module[1].bias.detach().double().numpy()
    np.testing.assert_allclose(model.query(X), SOFTMAX.function(merged), atol=1e-6)


@pytest.mark.reads(
    "model", "a forward hook on a PyTorch `Linear` that scales or shifts", "folded into its weights"
)
def test_hooks_on_linear_layers_are_honoured():
    module = chain()
    module[3].register_forward_hook(lambda part, given, said: said * 0.1 - 1)
    module[1].register_forward_pre_hook(lambda part, given: (given[0] * 2,))
    np.testing.assert_allclose(
        network_from_torch(module).query(X), SOFTMAX.function(own_of_hooked(module)), atol=1e-5
    )
    np.testing.assert_allclose(
        from_torch(module, **SHAPE).query(X), SOFTMAX.function(own_of_hooked(module)), atol=1e-5
    )


def own_of_hooked(module):
    with torch.no_grad():
        return module(torch.tensor(X, dtype=torch.float32)).double().numpy()


@pytest.mark.reads(
    "model", "any other forward hook in a chain of dense layers", "refused by name: `from_torch` takes it"
)
def test_other_hooks_are_refused_by_name():
    def louder(part, given, said):
        return said * 3 + 0.5

    module = chain()
    module[2].register_forward_hook(louder)
    with pytest.raises(ModelError, match=r"differ by up to .* the forward hook louder \(2\); use from_torch"):
        network_from_torch(module)
    assert from_torch(module, **SHAPE).outputs == 5


def test_code_of_its_own_is_refused_by_name():
    with pytest.raises(ModelError, match=r"code of its own in Head \(the module\); use from_torch"):
        network_from_torch(Head(chain(), lambda scores: scores * 2))


def test_a_copy_that_answers_otherwise_is_refused():
    class Coarse(nn.Module):
        def forward(self, x):
            x = x.flatten(1)
            return x[:, :4] * (2 if x.dtype == torch.float64 else 1)

    with pytest.raises(ModelError, match=r"code of its own in Coarse .* Try dtype='float32'"):
        from_torch(Coarse(), **SHAPE)
    assert from_torch(Coarse(), **SHAPE, dtype="float32").outputs == 4


Pair = namedtuple("Pair", "logits, aux")


def compiled(module):
    return torch.compile(module, backend="eager")


WRAPPED = {
    "DataParallel": (
        nn.DataParallel,
        "`DataParallel`, `DistributedDataParallel`, `torch.compile` around a module",
    ),
    "torch.compile": (compiled, None),
    "both": (lambda module: compiled(nn.DataParallel(module)), None),
    "a part of another": (
        lambda module: nn.Sequential(compiled(module), nn.DataParallel(nn.Identity())),
        None,
    ),
    "a module of one's own": (Head, "a module of one's own around one `Sequential`, as Lightning has it"),
    "a tuple": (lambda module: Head(module, lambda scores: (scores,)), "one tensor in a tuple or dict (PyTorch)"),
    "a named tuple": (lambda module: Head(module, lambda scores: Pair(scores, None)), None),
    "a dict": (lambda module: Head(module, lambda scores: {"logits": scores, "loss": None}), None),
}


@pytest.mark.parametrize("convert", [network_from_torch, from_torch])
@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(wrap, id=name, marks=pytest.mark.reads("model", row, "looked through") if row else ())
        for name, (wrap, row) in WRAPPED.items()
    ],
)
def test_what_is_around_a_module_is_looked_through(wrap, convert):
    module = chain()
    np.testing.assert_allclose(convert(wrap(module), **SHAPE).query(X), SOFTMAX.function(own(module)), atol=1e-5)


def test_a_module_compiled_in_place_is_not_compiled_for_the_trial():
    module = chain()
    module.compile(backend="eager")
    compiled = module._compiled_call_impl
    expected = SOFTMAX.function(own(chain()))
    for convert in (from_torch, network_from_torch):
        np.testing.assert_allclose(convert(module, **SHAPE).query(X), expected, atol=1e-5)
    assert module._compiled_call_impl is compiled is not None


@pytest.mark.reads("model", "what `torch.export` makes, with a batch of any size", "`from_torch`")
def test_an_exported_program_is_taken():
    example = (torch.rand(3, 1, 6, 8),)
    module = chain()
    # PyTorch's own exporter warns about PyTorch's own pytree.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, example, dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
        fixed = torch.export.export(module, example)
        model = from_torch(program, **SHAPE)
        with pytest.raises(ModelError, match="any number of images"):
            from_torch(fixed, **SHAPE)
    np.testing.assert_allclose(model.query(X), SOFTMAX.function(own(module)), atol=1e-5)


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(chain())


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(chain(), torch.rand(2, 1, 6, 8))


@pytest.mark.parametrize("convert", [network_from_torch, from_torch])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            scripted, "TorchScript, .*load_state_dict",
            marks=pytest.mark.reads(
                "model", "TorchScript, scripted or traced", "refused: give the module it was made of"
            ),
        ),
        (traced, "TorchScript"),
        (lambda: nn.Sequential(nn.Flatten(), scripted()), "TorchScript"),
        pytest.param(
            lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), r"LazyLinear \(1\) has no weights yet.* batch",
            marks=pytest.mark.reads(
                "model", "lazy PyTorch layers", "refused until a batch, or a state dict, gave them sizes"
            ),
        ),
        (lambda: nn.Linear(48, 3, device="meta"), "'meta', without numbers"),
        (lambda: nn.Linear, "the class Linear itself: call it"),
        (lambda: torch.zeros(3), "takes a torch.nn.Module; received Tensor"),
        (
            lambda: Head(chain(), lambda s: {"logits": s, "more": s[:, :2]}),
            r"a dict with several: \['logits'\] \(\d+, 5\)",
        ),
        (lambda: Head(chain(), lambda s: (s, [s])), r"a tuple with several: \[0\] .*, \[1\]\[0\]"),
        (lambda: Head(chain(), lambda s: None), "it returned a NoneType"),
        (lambda: Head(chain(), lambda s: s.argmax(1)), r"torch.int64, as labels are"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told_for_what_it_is(make, message, convert):
    with pytest.raises(ModelError, match=message):
        convert(make(), **SHAPE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_coarse_modules_may_differ_by_their_rounding(dtype):
    module = chain().to(dtype)
    fine = deepcopy(module).float()
    for convert in (from_torch, network_from_torch):
        np.testing.assert_allclose(convert(module, **SHAPE).query(X), SOFTMAX.function(own(fine)), atol=1e-5)


# Outputs: scores, probabilities, independent answers


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def learned(digits, module, loss, targets):
    pixels = torch.tensor(digits.train.images / 16, dtype=torch.float32)[:, None]
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss(module(pixels), targets).backward()
        optimizer.step()
    return module


def dense(outputs):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, outputs))


def said_by(module, digits):
    with torch.no_grad():
        return module(torch.tensor(digits.test.images / 16, dtype=torch.float32)[:, None]).numpy()


READ = {"input_shape": (8, 8), "scaling": Scaling.unit(16)}


@pytest.mark.reads(
    "model", "a PyTorch module that ends in one sigmoid, without saying so", "two labels; one line says it"
)
def test_one_sigmoid_gives_exactly_the_modules_accuracy(digits):
    three = torch.tensor(digits.train.labels == 3, dtype=torch.float32)[:, None]
    module = learned(digits, Head(dense(1), torch.sigmoid), nn.BCELoss(), three)
    with pytest.warns(AssumptionWarning, match="outputs='probabilities'"):
        model = from_torch(module, **READ, classes=("other", "three"))
    expected = said_by(module, digits)[:, 0]
    truth = (digits.test.labels == 3).astype(int)
    assert (
        evaluate(model, replace(digits.test, labels=truth)).performance
        == np.mean((expected > 0.5) == truth)
        > 0.95
    )
    answers = model.query_images(digits.test.images)
    np.testing.assert_allclose(answers[:, 1], expected, atol=1e-5)
    assert answers[:, 1].min() < 1e-3


ENDS = {
    "in code": lambda: Head(dense(10), torch.sigmoid),
    "in a layer": lambda: nn.Sequential(*dense(10), nn.Sigmoid()),
}


@pytest.mark.reads(
    "model", "a PyTorch module of several independent sigmoids", "its own answers; one line says it"
)
@pytest.mark.parametrize("end", ENDS)
def test_ten_sigmoids_are_asked_backwards_as_they_are(digits, end):
    targets = nn.functional.one_hot(torch.tensor(digits.train.labels), 10).float()
    module = learned(digits, ENDS[end](), nn.BCELoss(), targets)
    with pytest.warns(AssumptionWarning, match="outputs='sigmoids'"):
        model = from_torch(module, **READ)
    expected = said_by(module, digits)
    np.testing.assert_allclose(model.query_images(digits.test.images), expected, atol=1e-5)
    assert model.output_activation is SIGMOID
    np.testing.assert_allclose(SIGMOID.function(model.logits(X64)), model.query(X64), atol=1e-12)
    assert evaluate(model, digits.test).performance == np.mean(expected.argmax(1) == digits.test.labels) > 0.85

    model = replace(model, statistics=fit_statistics(model, digits.train))
    typical = back_query(model, range(10))
    assert typical.read_as_asked.all() and typical.logit_error.max() < 2e-3
    sure = back_query(model, range(10), confidence=0.9, method="gauss-newton")
    reached = np.flatnonzero(sure.converged)
    assert sure.read_as_asked.all() and len(reached) >= 5
    np.testing.assert_allclose(module_answers(module, sure.images)[reached, reached], 0.9, atol=1e-3)
    body = module.body if end == "in code" else module[:-1]
    network = replace(network_from_torch(nn.Sequential(*body, nn.Sigmoid()), **READ), statistics=model.statistics)
    climbed, same = (back_query(one, [3, 4], method="ascent") for one in (model, network))
    np.testing.assert_allclose(climbed.answers, same.answers, atol=1e-3)
    (evidence,) = measure_evidence(model, digits.train, [3], held_out=digits.test)
    assert evidence.labels == (3,)


X64 = np.random.default_rng(1).uniform(0, 1, (9, 64))


def module_answers(module, inputs):
    with torch.no_grad():
        return module(torch.tensor(inputs, dtype=torch.float32).reshape(-1, 1, 8, 8)).numpy()


def test_logits_and_slopes_of_sigmoids_are_those_before_them():
    scores = chain()
    for module in (nn.Sequential(scores, nn.Sigmoid()), Head(scores, torch.sigmoid)):
        model = from_torch(module, **SHAPE, outputs="sigmoids")
        raw = own(scores)
        np.testing.assert_allclose(model.logits(X), raw, atol=1e-5)
        values, slopes = model.logits_and_jacobian(X)
        plain = from_torch(scores, **SHAPE)
        expected = plain.logits_and_jacobian(X)[1]
        np.testing.assert_allclose(slopes - slopes.mean(axis=1, keepdims=True), expected, atol=1e-9)
        np.testing.assert_allclose(values, raw, atol=1e-5)


@pytest.mark.parametrize(
    ("last", "outputs"),
    [(nn.Softmax(dim=1), "probabilities"), (nn.Sigmoid(), "sigmoids"), (nn.Softmax(-1), "probabilities")],
)
def test_a_last_layer_is_taken_off_so_that_nothing_saturates(last, outputs):
    body = chain()
    with torch.no_grad():
        body[3].weight *= 1e4
    sure = from_torch(nn.Sequential(body, nn.Sequential(nn.Identity(), last)), **SHAPE, outputs=outputs)
    in_code = from_torch(Head(body, last), **SHAPE, outputs=outputs)
    scores = own(body)
    centred = scores - scores.mean(axis=1, keepdims=True) if outputs == "probabilities" else scores
    np.testing.assert_allclose(sure.logits(X), centred, rtol=1e-4, atol=1e-2)
    assert np.abs(in_code.logits(X) - centred).max() > 100
    np.testing.assert_allclose(sure.query(X), in_code.query(X), atol=1e-9)


def test_a_binary_sigmoid_layer_keeps_its_logit():
    body = chain(1)
    with torch.no_grad():
        body[3].weight *= 1e4
    model = from_torch(nn.Sequential(*body, nn.Sigmoid()), **SHAPE, outputs="probabilities")
    np.testing.assert_allclose(np.diff(model.logits(X)), own(body), rtol=1e-4, atol=1e-2)


def test_scores_that_stay_small_in_images_are_still_scores():
    """Within 0 and 1 wherever an image can be, and far outside elsewhere."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    with torch.no_grad():
        module[1].weight.copy_(torch.rand(3, 48) / 100)
        module[1].bias.fill_(0.2)
    assert from_torch(module, **SHAPE).given == "logits"


def test_a_contradiction_is_refused():
    for said, module in {
        "logits": nn.Softmax(1),
        "sigmoids": nn.Softmax(1),
        "probabilities": nn.Sigmoid(),
    }.items():
        with pytest.raises(ModelError, match=f"outputs='{said}' cannot be"):
            from_torch(nn.Sequential(chain(), module), **SHAPE, outputs=said)


# Answers that are not numbers


class PerImage(nn.Module):
    """Divides each image by its strongest pixel, and so blank paper by zero."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(48, 3)

    def forward(self, x):
        x = x.flatten(1)
        return self.linear(x / x.amax(dim=1, keepdim=True))


@pytest.mark.reads(
    "model", "answers that are not finite", "such an image is unread and counts as wrong; one line says how many"
)
def test_blank_pictures_without_an_answer_are_not_the_first_label():
    with pytest.warns(AssumptionWarning, match="1 of 36 trial images"):
        model = from_torch(PerImage(), **SHAPE)
    inputs = np.concatenate([np.zeros((20, 48)), X])
    truth = np.concatenate([np.zeros(20, int), model.query(X).argmax(axis=1)])
    with pytest.warns(AssumptionWarning, match="20 of 40 images count as wrong"):
        found = evaluate(model, (inputs, truth))
    assert (found.performance, found.unread) == (0.5, 20)
    assert found.read[:20].tolist() == [UNREAD] * 20
    with pytest.raises(ModelError, match="not finite"):
        model.query(np.zeros(48))
    statistics = fit_statistics(model, (inputs, truth))
    assert np.isfinite(statistics.typical).all()


class Squeezing(nn.Module):
    """Drops every axis of length one, that of a batch of one image too."""

    def __init__(self, outputs):
        super().__init__()
        self.inside = chain(outputs)

    def forward(self, x):
        return self.inside(x).squeeze()


@pytest.mark.reads("model", "a PyTorch module that squeezes, one image alone to a bare number", "its own answers")
@pytest.mark.parametrize("outputs", [1, 5])
def test_a_module_may_squeeze(outputs):
    module = Squeezing(outputs).eval()
    model = from_torch(module, input_shape=(6, 8))
    inputs = np.random.default_rng(0).uniform(size=(9, 48))
    scores = module.inside(torch.tensor(inputs, dtype=torch.float32)).detach().double().numpy()
    second = 1 / (1 + np.exp(-scores))
    right = np.concatenate([1 - second, second], axis=1) if outputs == 1 else SOFTMAX.function(scores)
    assert np.abs(model.query(inputs) - right).max() < 1e-6
    assert np.abs(np.stack([model.query(one) for one in inputs]) - right).max() < 1e-6
    assert model.logits_and_jacobian(inputs[:1])[1].shape == (1, max(outputs, 2), 48)


def test_answers_of_tanh_are_told_to_be_never_sure():
    with pytest.warns(AssumptionWarning, match="whatever is asked, as those of tanh do: taken for scores"):
        from_torch(nn.Sequential(chain(), nn.Tanh()), input_shape=(6, 8))


def test_batch_norm_that_needs_other_images_is_named():
    module = nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.BatchNorm1d(4, track_running_stats=False))
    with pytest.raises(ModelError, match="not about one alone; look for batch norm without running statistics"):
        from_torch(module, input_shape=(6, 8))


@pytest.mark.parametrize("convert", [network_from_torch, from_torch])
def test_a_module_without_any_finite_answer_is_refused(convert):
    module = chain()
    with torch.no_grad():
        for weights in module.parameters():
            weights.mul_(1e38)
    with pytest.raises(ModelError, match="finite"):
        convert(module, input_shape=(6, 8))


def switches():
    """What PyTorch says of how the products of float32 are rounded on a processor."""
    backends = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return (torch.get_float32_matmul_precision(),)
    return tuple(part.fp32_precision for part in (backends.mkldnn.conv, backends.mkldnn.matmul))


@pytest.mark.parametrize("before", ["highest", "high", "medium"])
def test_the_products_of_float32_are_rounded_to_float32_wherever_the_module_runs(before):
    """At "medium" a processor rounds to seven bits; a graphics card's convolutions to ten, by default."""
    seen = []

    class Rounding(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = chain()

        def forward(self, x):
            seen.append(switches())
            return self.body(x)

    kept = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(before)
        as_set = switches()
        model = from_torch(Rounding(), **SHAPE)
        model.query(X)
        model.logits_and_jacobian(X)
        assert seen and set(sum(seen, ())) <= {"none", "ieee", "highest"}
        assert switches() == as_set
    finally:
        torch.set_float32_matmul_precision(kept)


def test_threads_are_the_modules_own_only_where_it_lies_on_a_processor():
    assert from_torch(chain(), **SHAPE).threaded
