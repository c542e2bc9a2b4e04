"""The transformer: its tokens, its blocks against PyTorch's own, and what decay does to the products of its heads."""

import numpy as np
import pytest
import torch
from support import a_cell
from torch import nn

from ranktwo.errors import UserError
from ranktwo.nets import net as nets
from ranktwo.nets.architectures.transformer import Patches
from ranktwo.nets.modules import ModuleNet


def of(shape: tuple[int, ...] = (8, 8, 1), outputs: int = 3, **axes) -> ModuleNet:
    axes = {"widths": (32, 32), "activation": "gelu", "normalisation": "layer", **axes}
    return nets.of(vars(a_cell(net="transformer", **axes)), shape, outputs)


@pytest.mark.parametrize(
    ("shape", "tokens", "patch"),
    [
        ((8, 8, 1), 16, (2, 2)),
        ((28, 28, 1), 16, (7, 7)),
        ((32, 32, 3), 16, (8, 8)),
        ((5, 3, 2), 9, (2, 1)),
        ((1, 2, 7), 2, (1, 1)),
        ((13,), 4, (1, 4)),
        ((3,), 3, (1, 1)),
    ],
)
def test_tokens_are_the_patches_of_an_image_row_by_row_and_the_pieces_of_a_vector(shape, tokens, patch):
    height, width, channels = shape if len(shape) == 3 else (1, *shape, 1)
    image = np.arange(1.0, 1 + height * width * channels).reshape(height, width, channels)
    down, right = -(-height // patch[0]), -(-width // patch[1])
    filled = np.zeros((down * patch[0], right * patch[1], channels))
    filled[:height, :width] = image
    cut = [
        filled[row : row + patch[0], column : column + patch[1]].transpose(2, 0, 1).ravel()
        for row in range(0, len(filled), patch[0])
        for column in range(0, filled.shape[1], patch[1])
    ]
    net = of(shape, widths=(6,))
    assert set(net.places.values()) == {tokens, 1} and len(cut) == tokens
    assert net.matrices["V"] == (6, channels * patch[0] * patch[1])
    found = Patches(net._plan)(torch.from_numpy(image.transpose(2, 0, 1))[None].reshape(1, *net._plan.shape))
    np.testing.assert_array_equal(found[0].numpy(), cut)
    x = torch.from_numpy(image).reshape(1, -1)
    weights = net.initial(0, torch.float64)
    use = net.uses(weights, x, torch.zeros(1, 3, dtype=torch.float64), "regression")[0][0]
    np.testing.assert_array_equal(use.h[0].numpy(), cut)


def test_the_net_is_pytorch_s_own_encoder_between_the_embedding_and_the_last_layer():
    net = of(activation="gelu")
    weights = net.initial(1, torch.float64)
    own = dict(zip([*net.matrices, *net.vectors], weights, strict=True))
    for name in net.vectors:
        own[name].add_(0.1 * torch.randn(own[name].shape, dtype=torch.float64))  # gains that are not 1
    layer = nn.TransformerEncoderLayer(
        32, 2, 128, 0.0, "gelu", batch_first=True, norm_first=True, bias=False, dtype=torch.float64
    )
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(32, bias=False, dtype=torch.float64), False)
    state = {"norm.weight": own["norm.weight"][0]}
    for number in range(2):
        block, layer = f"block{number + 1}.", f"layers.{number}."
        state |= {
            f"{layer}self_attn.in_proj_weight": torch.cat([own[block + name] for name in ("query", "key", "value")]),
            f"{layer}self_attn.out_proj.weight": own[f"{block}out"],
            f"{layer}linear1.weight": own[f"{block}up"],
            f"{layer}linear2.weight": own[f"{block}down"],
            f"{layer}norm1.weight": own[f"{block}norm1.weight"][0],
            f"{layer}norm2.weight": own[f"{block}norm2.weight"][0],
        }
    encoder.load_state_dict(state)
    x = torch.randn(5, 64, dtype=torch.float64)
    tokens = Patches(net._plan)(x.view(5, 1, 8, 8)) @ own["V"].T
    places, units = np.arange(16)[:, None], np.arange(0, 32, 2)
    waves = places / 10_000 ** (units / 32)
    tokens[..., 0::2] += torch.from_numpy(np.sin(waves))
    tokens[..., 1::2] += torch.from_numpy(np.cos(waves))
    expected = encoder(tokens).mean(1) @ own["U"].T
    torch.testing.assert_close(net.call(weights, x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("widths", [(32, 16), (50,), (33, 33)])
def test_blocks_of_several_widths_and_widths_that_heads_do_not_divide_are_refused(widths):
    with pytest.raises(UserError, match=r"blocks of one width, a multiple of 16 or less than 32, not \["):
        of(widths=widths)


def test_matrices_have_short_names_and_every_head_has_its_products():
    net = of(widths=(32,), bias=True)
    blocks = ["query", "key", "value", "out", "up", "down"]
    assert list(net.matrices) == ["V", *(f"block1.{name}" for name in blocks), "U"]
    assert list(net.products) == ["block1.head1.QK", "block1.head1.OV", "block1.head2.QK", "block1.head2.OV"]
    assert not any(name.startswith(("block1.query", "block1.out")) for name in net.vectors)
    own = dict(zip(net.matrices, net.initial(0, torch.float64), strict=False))
    for kind, whole in (
        ("QK", own["block1.query"].T @ own["block1.key"]),
        ("OV", own["block1.out"] @ own["block1.value"]),
    ):
        products = [product for name, product in net.products.items() if name.endswith(kind)]
        factors = [product.factors(own[product.left], own[product.right]) for product in products]
        torch.testing.assert_close(sum(a @ b for a, b in factors), whole)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_the_balance_of_a_product_s_factors_is_bounded_by_the_gradients_at_any_weights(task, bias):
    """With G the gradients with decay, mu (A^T A - B B^T) = A^T G_A - G_B B^T, and so the bound."""
    net = of(outputs=1 if task == "regression" else 3, bias=bias)
    generator = torch.Generator().manual_seed(2)
    weights = [w + 0.1 * torch.randn(w.shape, generator=generator) for w in net.initial(0, torch.float64)]
    weights = [weight.requires_grad_() for weight in weights]
    x = torch.randn(9, 64, generator=generator, dtype=torch.float64)
    f = net.call(weights, x)
    y = torch.randint(3, (9,), generator=generator)
    loss = f.square().mean() if task == "regression" else nn.functional.cross_entropy(f, y)
    gradients = torch.autograd.grad(loss, weights)
    names = list(net.matrices)
    assert len(net.products) == 8
    for name, product in net.products.items():
        for mu in (1e-3, 0.1):
            places = [names.index(matrix) for matrix in (product.left, product.right)]
            a, b = product.factors(*(weights[place].detach() for place in places))
            g_a, g_b = product.factors(*(gradients[place] + mu * weights[place].detach() for place in places))
            apart = a.T @ a - b @ b.T
            assert apart.norm() > 0.1, name
            torch.testing.assert_close(mu * apart, a.T @ g_a - g_b @ b.T, rtol=1e-9, atol=1e-11)
            assert apart.norm() <= ((a.T @ g_a).norm() + (g_b @ b.T).norm()) / mu
