"""Nets of residual blocks (He et al., arXiv 1512.03385)."""

from torch import Tensor, nn

from ranktwo.nets.blueprint import Blueprint, net


class Block(nn.Module):
    """a(x + branch(x)) with the activation a and two 3 x 3 convolutions in the branch.

    Where the block has more channels than its input, its first convolution has stride 2, and x goes through a 1 x 1
    convolution of stride 2; where it has fewer, x goes through one of stride 1.
    """

    def __init__(self, inputs: int, channels: int, plan: Blueprint) -> None:
        super().__init__()
        stride = 2 if channels > inputs else 1
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=plan.inner_bias)
        self.norm1, self.activation1 = plan.normalise(channels), plan.activate()
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=plan.inner_bias)
        self.norm2, self.activation2 = plan.normalise(channels), plan.activate()
        same = channels == inputs
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.norm2(self.conv2(self.activation1(self.norm1(self.conv1(x)))))
        return self.activation2(self.skip(x) + branch)


class PositionMean(nn.Module):
    """The mean over the positions, [N, channels]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((-2, -1)) / x.shape[-2:].numel()  # whose derivative is one number a channel, not one a position


@net("resnet")
def resnet(plan: Blueprint) -> nn.Module:
    """A 3 x 3 convolution of `widths`' first channels, a block for each further one, the mean over the positions, and a
    dense layer."""
    first, *widths = plan.widths
    layers = nn.Sequential()
    layers.add_module("stem", nn.Conv2d(plan.channels, first, 3, 1, 1, bias=plan.inner_bias))
    layers.add_module("norm", plan.normalise(first))
    layers.add_module("activation", plan.activate())
    for number, (inputs, channels) in enumerate(zip([first, *widths], widths, strict=False), start=1):
        layers.add_module(f"block{number}", Block(inputs, channels, plan))
    layers.add_module("mean", PositionMean())
    layers.add_module("dense", nn.Linear(plan.widths[-1], plan.outputs, bias=plan.bias))
    return layers
