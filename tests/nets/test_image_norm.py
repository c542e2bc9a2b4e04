"""Normalisation of images: that of torch for one net, and the same for many nets in any order of their numbers."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from ranktwo.nets.norms import ImageNorm

NETS, SAMPLES, CHANNELS = 3, 4, 6


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (1, 0, 2, 3, 4), (1, 3, 4, 0, 2)], ids=str)
def test_many_nets_at_once_are_normalised_as_each_by_torch(groups, biased, order):
    generator = torch.Generator().manual_seed(0)
    z, weigh = torch.randn(2, NETS, SAMPLES, CHANNELS, 5, 4, generator=generator, dtype=torch.float64)
    back = torch.tensor(order).argsort().tolist()
    z = z.permute(order).contiguous().permute(back)
    module = ImageNorm(groups, CHANNELS, dtype=torch.float64)
    theirs = nn.GroupNorm(groups, CHANNELS, dtype=torch.float64)
    state = {"weight": torch.randn(NETS, CHANNELS, generator=generator, dtype=torch.float64)}
    if biased:
        state["bias"] = torch.randn(NETS, CHANNELS, generator=generator, dtype=torch.float64)
    else:
        module.bias = theirs.bias = None

    def loss(state, z, weigh):
        return (functional_call(module, state, (z,)) * weigh).sin().sum()

    outputs = vmap(lambda state, z: functional_call(module, state, (z,)))(state, z)
    gradients = vmap(grad(loss, argnums=(0, 1)))(state, z, weigh)
    for number in range(NETS):
        own = {name: one[number].clone().requires_grad_() for name, one in state.items()}
        images = z[number].clone().requires_grad_()
        wanted = functional_call(theirs, own, (images,))
        torch.testing.assert_close(outputs[number], wanted, rtol=1e-12, atol=1e-12)
        by = torch.autograd.grad((wanted * weigh[number]).sin().sum(), [*own.values(), images])
        for one, other in zip([*gradients[0].values(), gradients[1]], by, strict=True):
            torch.testing.assert_close(one[number], other, rtol=1e-10, atol=1e-12)


def test_nets_that_share_their_images_or_their_gain_are_normalised_too():
    z, gains = torch.randn(SAMPLES, CHANNELS, 5, 4), torch.randn(NETS, CHANNELS)
    module = ImageNorm(1, CHANNELS)
    outputs = vmap(lambda gain: functional_call(module, {"weight": gain, "bias": torch.zeros(CHANNELS)}, (z,)))(gains)
    plain = nn.functional.group_norm(z, 1)
    for gain, output in zip(gains, outputs, strict=True):
        torch.testing.assert_close(output, gain[:, None, None] * plain)
