"""Any module as a net: its matrices are found, and what has no gradient of its own for each sample is refused."""

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from ranktwo.errors import UserError
from ranktwo.nets.blueprint import Blueprint
from ranktwo.nets.modules import ModuleNet
from ranktwo.nets.products import Product
from ranktwo.training.backends.functional import in_one_order

PLAN = Blueprint(shape=(6,), outputs=2, widths=(5,), activation="tanh", bias=True, normalisation="none")


def of(*parts: nn.Module) -> ModuleNet:
    return ModuleNet("own", PLAN, lambda plan: nn.Sequential(*parts))


class Twice(nn.Module):
    """One matrix that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.tail = nn.Linear(6, 6), nn.Linear(6, 2, bias=False)

    def forward(self, x):
        return self.tail(self.inner(self.inner(x).tanh()).tanh())


class Hidden(nn.Module):
    """A matrix that is used behind the back of its module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.tail = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.tail(x @ self.inner.weight.T)


class Linked(nn.Module):
    """Three matrices, the last two of which act as one over units 1 to 3, as it declares unless told otherwise."""

    def __init__(self, *declared) -> None:
        super().__init__()
        self.a, self.act, self.b, self.c = nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4, bias=False), nn.Linear(4, 2)
        self._declared = Product(*declared) if declared else Product("c", "b", (1, 3))

    def forward(self, x):
        return self.c(self.b(self.act(self.a(x))))

    def products(self):
        return {"CB": self._declared}


def test_matrices_and_vectors_are_named_by_their_modules_and_the_first_and_last_by_the_paper():
    net = of(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4, bias=False), nn.LayerNorm(4), nn.Linear(4, 2))
    assert net.matrices == {"V": (5, 6), "2": (4, 5), "U": (2, 4)}
    assert net.vectors == {"0.bias": 5, "3.weight": 4, "3.bias": 4, "4.bias": 2}
    assert net.places == {"V": 1, "2": 1, "U": 1}


def test_initial_weights_are_the_module_s_own_and_depend_on_the_seed_alone():
    net = of(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2))
    other = ModuleNet("own", PLAN, lambda plan: nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 2)))
    before = torch.get_rng_state()
    one, again, another = other.initial(3), other.initial(3), other.initial(4)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], another[0])
    places = list(net.vectors).index("1.weight") + len(net.matrices)
    assert torch.equal(one[places], torch.ones(1, 5))


def test_a_matrix_that_is_used_twice_has_two_places():
    net = ModuleNet("twice", PLAN, lambda plan: Twice())
    assert net.places == {"V": 2, "U": 1}
    weights = net.initial(0, torch.float64)
    x, y = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    use = net.uses(weights, x, y, "regression")[0][0]
    own = [weight.clone().requires_grad_() for weight in weights]
    loss = (net.call(own, x) - y).square().mean(1).sum()
    [expected] = torch.autograd.grad(loss, own[:1])
    torch.testing.assert_close((use.delta.mT @ use.h).sum(0), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ((nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)), "the net own keeps state from call to call"),
        (
            (nn.Linear(6, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 2)),
            "the net own mixes samples .*use layer normalisation",
        ),
        ((nn.Linear(6, 50), nn.Dropout(0.2), nn.Linear(50, 2)), "the net own draws random numbers"),
        ((nn.Linear(6, 5), nn.Bilinear(5, 5, 2)), "has in 1 a Bilinear, whose matrices are not found"),
        ((nn.Unflatten(1, (3, 2)), nn.MultiheadAttention(2, 1)), "has in 1 a MultiheadAttention"),
        ((nn.Tanh(),), "has no Linear or Conv2d"),
        ((nn.Linear(6, 3),), r"gives \[3, 3\] for 3 samples and 2 outputs"),
        ((nn.Linear(7, 2),), r"cannot run on samples of shape \(6,\): "),
        (
            (nn.Unflatten(1, (6, 1, 1)), nn.Conv2d(6, 6, 1, groups=2), nn.Flatten(), nn.Linear(6, 2)),
            "has in 1 a map that is not W h",
        ),
        ((nn.utils.parametrizations.weight_norm(nn.Linear(6, 2)),), "has in 0 a map that is not W h"),
    ],
)
def test_what_has_no_gradient_of_its_own_for_each_sample_is_refused_in_a_sentence(parts, sentence):
    with pytest.raises(UserError, match=sentence):
        of(*parts)


def test_a_matrix_that_is_hidden_from_its_module_is_refused():
    with pytest.raises(UserError, match="uses inner.weight in another way than by calling its module"):
        ModuleNet("hidden", PLAN, lambda plan: Hidden())


def test_products_are_declared_by_a_module_and_named_by_it_and_the_net_s_matrices():
    assert of(nn.Linear(6, 5), nn.Linear(5, 2)).products == {}
    assert ModuleNet("own", PLAN, lambda plan: Linked()).products == {"CB": Product("U", "b", (1, 3))}
    inner = ModuleNet("own", PLAN, lambda plan: nn.Sequential(Linked(), nn.Linear(2, 2)))
    assert inner.products == {"0.CB": Product("0.c", "0.b", (1, 3))}
    u, b = (torch.arange(8.0).view(2, 4), torch.arange(20.0).view(4, 5))
    [product] = inner.products.values()
    for one, expected in zip(product.factors(u, b), (u[:, 1:3], b[1:3]), strict=True):
        assert torch.equal(one, expected)
    for one, expected in zip(product._replace(turned=True).factors(b, b), (b[1:3].T, b[1:3]), strict=True):
        assert torch.equal(one, expected)


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        (("c", "act", (0, 4)), r"product CB of what are not two of its layers: \('c', 'act'\)"),
        (("c", "d", (0, 4)), "product CB of what are not two"),
        (("c", "a", (0, 5)), r"has no product CB over the units \(0, 5\) of U and V"),
        (("c", "b", (2, 5)), r"has no product CB over the units \(2, 5\) of U and b"),
        (("c", "b", (2, 2)), r"has no product CB over the units \(2, 2\)"),
    ],
)
def test_a_product_that_is_none_is_refused_in_a_sentence(declared, sentence):
    with pytest.raises(UserError, match=sentence):
        ModuleNet("own", PLAN, lambda plan: Linked(*declared))


IMAGES = Blueprint(shape=(2, 8, 8), outputs=4, widths=(8,), activation="relu", bias=True, normalisation="none")
BEHIND = {
    "relu": ([nn.ReLU()], 512),
    "gelu and a convolution": ([nn.GELU(), nn.Conv2d(8, 3, 3)], 108),
    "mean": ([nn.Tanh(), nn.AdaptiveAvgPool2d(1)], 8),
    "means": ([nn.ELU(), nn.AdaptiveAvgPool2d(2)], 32),
    "pool": ([nn.SiLU(), nn.AvgPool2d(2)], 128),
    "greatest": ([nn.LeakyReLU(), nn.MaxPool2d(2)], 128),
    "instances": ([nn.InstanceNorm2d(8), nn.ReLU()], 512),
    "shuffle": ([nn.PixelShuffle(2), nn.Sigmoid()], 512),
    "larger": ([nn.Upsample(scale_factor=2, mode="bilinear")], 2048),
    "patches": ([nn.Unfold(2)], 32 * 49),
}
"""Modules behind a convolution by what they do, and how many numbers they give."""


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", BEHIND)
def test_gradients_of_many_nets_are_those_of_each_in_either_order_of_their_images(kind, channels_last):
    parts, numbers = BEHIND[kind]
    layers = [nn.Conv2d(2, 8, 3, padding=1), *parts, nn.Flatten(), nn.Linear(numbers, 4)]
    net = ModuleNet("own", IMAGES, lambda plan: nn.Sequential(*layers))
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(3, *shape, generator=generator, dtype=torch.float64) for shape in net.shapes]
    x = torch.randn(3, 5, 128, generator=generator, dtype=torch.float64)
    targets = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    arguments = weights, x, targets, torch.full((3,), 0.5, dtype=torch.float64)
    ours = in_one_order(make_fx(net.gradients("regression", channels_last=channels_last))(*arguments))(*arguments)
    for number in range(3):
        own = [weight[number].clone().requires_grad_() for weight in weights]
        loss = 0.5 * (net.call(own, x[number]) - targets[number]).square().mean(1).sum()
        for one, other in zip(ours, torch.autograd.grad(loss, own), strict=True):
            torch.testing.assert_close(one[number], other, rtol=1e-9, atol=1e-9)
