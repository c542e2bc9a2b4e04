"""Any net whose samples do not mix, from the torch.nn.Module that its builder returns.

Its weight matrices are those of its torch.nn.Linear and torch.nn.Conv2d, a kernel being the matrix [out, in * height *
width]. A matrix W is used at P places of a sample: P = 1 in a dense layer, the positions of a convolution, the tokens
of a transformer; and at all places of every layer that shares it. There z_p = W h_p, and the gradient of the loss of
sample i is

    g_i = sum_p delta_p h_p^T = Delta_i^T H_i,   H_i [P, in], Delta_i [P, out],   of rank R <= min(P, out, in).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from ranktwo.errors import UserError
from ranktwo.nets import losses
from ranktwo.nets.blueprint import Blueprint, Build
from ranktwo.nets.losses import Task
from ranktwo.nets.net import Net
from ranktwo.nets.products import Product
from ranktwo.nets.streams import stream


class Use(NamedTuple):
    """What a matrix is given and what is wanted of it, at its P places in each of N samples."""

    h: Tensor
    """Inputs, [N, P, in]."""
    delta: Tensor
    """Derivatives of each sample's loss by W h, [N, P, out]."""


class ModuleNet(Net):
    """A net that is a module; UserError where its samples mix, or its outputs depend on anything but them."""

    def __init__(self, name: str, plan: Blueprint, build: Build) -> None:
        self.name, self._plan, self._build = name, plan, build
        self._module = self._built(0)
        self._maps = self._find()
        """By the name of its parameter, the modules that use a matrix."""
        own = dict(self._module.named_parameters())
        self._shapes = {key: own[key].shape for key in [*self._maps, *(key for key in own if key not in self._maps)]}
        """Of every parameter, the matrices first."""
        paths = [key.removesuffix(".weight") for key in self._maps]
        inner = paths[1:-1] if len(paths) > 1 else []
        names = ["V", *inner, "U"][: len(paths)]
        if len(set(names)) < len(names):
            self._refuse("calls a matrix between the first and the last V or U; give that module another name")
        sizes = list(self._shapes.values())
        self.matrices = {key: (size[0], size[1:].numel()) for key, size in zip(names, sizes, strict=False)}
        self.vectors = {key: size.numel() for key, size in list(self._shapes.items())[len(names) :]}
        self.products = self._find_products()
        self._check()

    def _built(self, seed: int) -> nn.Module:
        """The module as its builder makes it when torch's random numbers begin at this seed's."""
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(stream(seed, "init").get_state())
            return self._build(self._plan)

    def _refuse(self, why: str) -> NoReturn:
        raise UserError(f"the net {self.name} {why}")

    def _find(self) -> dict[str, list[nn.Module]]:
        names = {id(parameter): key for key, parameter in self._module.named_parameters()}
        found: dict[str, list[nn.Module]] = {}
        for path, part in self._module.named_modules():
            own = dict(part.named_parameters(recurse=False))
            if isinstance(part, nn.Linear | nn.Conv2d):
                plain = type(part).forward in (nn.Linear.forward, nn.Conv2d.forward) and "weight" in own
                if isinstance(part, nn.Conv2d):
                    plain = plain and part.groups == 1 and part.padding_mode == "zeros"
                if not plain:
                    self._refuse(f"has in {path} a map that is not W h + b with one matrix W; write it as such")
                found.setdefault(names[id(own["weight"])], []).append(part)
            elif type(part).__module__.startswith("torch.nn.") and any(one.dim() > 1 for one in own.values()):
                kind = type(part).__name__
                self._refuse(f"has in {path} a {kind}, whose matrices are not found; build it of Linear and Conv2d")
        if not found:
            self._refuse("has no Linear or Conv2d, and so no weight matrix")
        return found

    def _find_products(self) -> dict[str, Product]:
        """What its modules declare by a method `products`, with the names of the net's matrices."""
        names = {id(self._module.get_parameter(key)): name for key, name in zip(self._maps, self.matrices, strict=True)}
        found: dict[str, Product] = {}
        for path, part in self._module.named_modules():
            declared = part.products() if hasattr(part, "products") else {}
            for key, product in declared.items():
                name = f"{path}.{key}" if path else key
                try:
                    left, right = (names[id(part.get_submodule(side).weight)] for side in product[:2])
                except (AttributeError, KeyError):
                    self._refuse(f"declares the product {name} of what are not two of its layers: {product[:2]}")
                found[name] = product._replace(left=left, right=right)
                first, end = product.inner
                a, b = product.factors(*(torch.empty(self.matrices[one], device="meta") for one in (left, right)))
                if name in self.matrices or not 0 < a.shape[1] == b.shape[0] == end - first:
                    self._refuse(f"has no product {name} over the units {product.inner} of {left} and {right}")
        return found

    def initial(self, seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        own = dict(self._built(seed).named_parameters())
        drawn = [own[key].detach() for key in self._shapes]
        return [one.to(dtype).reshape(shape) for one, shape in zip(drawn, self.shapes, strict=True)]

    def outputs(self, weights: list[Tensor], x: Tensor) -> Tensor:
        shared = x.dim() == 2
        one_by_one = [self.call([w[k] for w in weights], x if shared else x[k]) for k in range(len(weights[0]))]
        return torch.stack(one_by_one)

    def call(self, weights: list[Tensor], x: Tensor) -> Tensor:
        """f, [N, c], of one net: weights [rows, columns] each, x [N, n]."""
        return self._run(self._state(weights), self._samples(x))

    def _run(self, state: dict[str, Tensor], samples: Tensor) -> Tensor:
        return functional_call(self._module, state, (samples,))

    def _samples(self, x: Tensor) -> Tensor:
        """Rows x [..., n] as the module is given them, [..., *shape]."""
        channels, *size = self._plan.shape
        return x.unflatten(-1, (*size, channels)).movedim(-1, -1 - len(size)) if size else x

    def _state(self, weights: list[Tensor]) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        state = {key: buffer for key, buffer in self._module.named_buffers()}
        state = {key: one.to(weights[0]) if one.is_floating_point() else one for key, one in state.items()}
        shaped = zip(self._shapes.items(), weights, strict=True)
        return state | {key: weight.reshape(shape) for (key, shape), weight in shaped}

    def gradients(self, task: Task, *, channels_last: bool = False) -> Callable[..., list[Tensor]]:
        """(weights, x, targets, scale) -> gradients of scale times the sum of a batch's losses, for K nets at once.

        weights [K, rows, columns] each, x [K, B, n], targets [K, B, c], scale [K]. channels_last: whether images lie in
        memory so that all channels of a pixel, net by net, are side by side. Convolutions keep that order, and a CPU
        takes half the time for them. torch.func cannot run every module so: it raises RuntimeError.
        """

        def loss(weights: list[Tensor], samples: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
            outputs = self._run(self._state(weights), samples)
            return losses.sample_losses(outputs[None], targets[None], task).sum() * scale

        def gradients(weights: list[Tensor], x: Tensor, targets: Tensor, scale: Tensor) -> list[Tensor]:
            samples = self._samples(x)
            if channels_last:
                samples = samples.permute(1, 3, 4, 0, 2).contiguous().permute(3, 0, 4, 1, 2)
            return vmap(grad(loss))(weights, samples, targets, scale)

        return gradients

    @property
    def convolves(self) -> bool:
        """Whether a matrix is that of a convolution."""
        return any(isinstance(part, nn.Conv2d) for parts in self._maps.values() for part in parts)

    def uses(self, weights: list[Tensor], x: Tensor, targets: Tensor, task: Task) -> tuple[list[Use], Tensor]:
        """What each matrix of one net is given and what is wanted of it, and the outputs f [N, c].

        Delta is the gradient by an e = 0 that is added to z, so that only what follows the matrix counts.
        weights [rows, columns] each; x [N, n]; targets [N, c].
        """
        calls: dict[str, list[tuple[Tensor, Tensor]]] = {key: [] for key in self._maps}
        with torch.enable_grad(), self._watched(calls):
            outputs = self.call([weight.detach() for weight in weights], x)
            if unused := [key for key, found in calls.items() if not found]:
                self._refuse(f"uses {unused[0]} in another way than by calling its module, which hides it")
            total = losses.sample_losses(outputs[None], targets[None], task).sum()
        added = [e for found in calls.values() for _, e in found]
        derivatives = iter(torch.autograd.grad(total, added, materialize_grads=True))
        result = []
        for key, found in calls.items():
            part = self._maps[key][0]
            pairs = [(_rows(part, h), _places(part, next(derivatives))) for h, _ in found]
            result.append(Use(*(torch.cat(parts, 1) for parts in zip(*pairs, strict=True))))
        return result, outputs.detach()

    def uses_by_part(
        self, weights: list[Tensor], x: Tensor, targets: Tensor, task: Task, numbers: int = 2**24
    ) -> Iterator[list[Use]]:
        """`uses` of some samples after the others, so that their passes hold about so many numbers at once."""
        size = max(1, numbers // self.activations)
        for rows, labels in zip(x.split(size), targets.split(size), strict=True):
            yield self.uses(weights, rows, labels, task)[0]

    @contextlib.contextmanager
    def _watched(self, calls: dict[str, list[tuple[Tensor, Tensor]]]) -> Iterator[None]:
        """Within it, each call of a matrix leaves its inputs and the e = 0 that is added to its outputs."""

        def watch(found: list[tuple[Tensor, Tensor]]) -> Callable[..., Tensor]:
            def hook(part: nn.Module, inputs: tuple[Tensor], z: Tensor) -> Tensor:
                e = torch.zeros_like(z, requires_grad=True)
                found.append((inputs[0].detach(), e))
                return z + e

            return hook

        handles = [part.register_forward_hook(watch(calls[key])) for key, parts in self._maps.items() for part in parts]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _check(self) -> None:
        """Refuse what mixes samples, keeps state, draws random numbers, or has other outputs than asked for."""
        generator = torch.Generator().manual_seed(0)
        weights = self.initial(0, torch.float64)
        count = torch.Size(self._plan.shape).numel()
        x, other = (torch.randn(3, count, generator=generator, dtype=torch.float64) for _ in range(2))
        other[0] = x[0]
        y = torch.zeros(3, self._plan.outputs, dtype=torch.float64)
        try:
            state = self._state(weights)
            before = {key: one.clone() for key, one in state.items()}
            outputs = self._run(state, self._samples(x))
            if outputs.shape != y.shape:
                self._refuse(f"gives {list(outputs.shape)} for 3 samples and {y.shape[1]} outputs; return [N, c]")
            changed = any(not torch.equal(one, before[key]) for key, one in state.items())
            found, again = self.uses(weights, x, y, "regression")
            random = not torch.equal(again, outputs)
            beside, mixed = self.uses(weights, other, y, "regression")
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            self._refuse(f"cannot run on samples of shape {self._plan.shape}: {str(error).partition(chr(10))[0]}")
        alone = [(outputs[0], mixed[0]), *((use.h[0], also.h[0]) for use, also in zip(found, beside, strict=True))]
        mixes = not all(torch.allclose(one, two, rtol=1e-9, atol=1e-12) for one, two in alone)
        for wrong, what in ((changed, "keeps state"), (random, "draws random numbers"), (mixes, "mixes samples")):
            if wrong:
                self._refuse(
                    f"{what} from call to call or sample to sample, as batch normalisation and dropout do; "
                    "a sample then has no gradient of its own: use layer normalisation, or none"
                )
        self.places = {key: use.h.shape[1] for key, use in zip(self.matrices, found, strict=True)}
        """P of each matrix, by name."""
        numbers = [use.h[0].numel() + use.delta[0].numel() for use in found]
        self.activations, self.widest = 2 * sum(numbers), max(numbers)


def _rows(part: nn.Module, h: Tensor) -> Tensor:
    """The inputs of a map as rows, [N, P, in]: those of a convolution are the patches under its kernel."""
    if not isinstance(part, nn.Conv2d):
        return h.reshape(len(h), -1, h.shape[-1])
    padding: Any = part.padding
    if padding == "same":
        spans = [d * (k - 1) for d, k in zip(part.dilation, part.kernel_size, strict=True)]
        edges = [edge for span in reversed(spans) for edge in (span // 2, span - span // 2)]
        h, padding = functional.pad(h, edges), 0
    padding = 0 if isinstance(padding, str) else padding
    return functional.unfold(h, part.kernel_size, part.dilation, padding, part.stride).mT


def _places(part: nn.Module, delta: Tensor) -> Tensor:
    """Derivatives by a map's outputs as rows, [N, P, out]."""
    return delta.flatten(2).mT if isinstance(part, nn.Conv2d) else delta.reshape(len(delta), -1, delta.shape[-1])
