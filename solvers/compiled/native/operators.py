"""What each tensor operation becomes: names moved about, or one expression an element.

Operations arrive in PyTorch's core set, after its own decompositions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .symbols import NotNative, Symbol, constant, expression_of
from .translator import RULES, Translator, aten, rule

_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
_LARGEST_PRODUCT = 1024  # multiplications of one sample
_EACH = (
    *("exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asin", "acos", "atan", "erf", "sqrt", "expm1"),
    *("log1p", "exp2", "log2", "log10", "floor", "ceil", "trunc"),
)


def _pointwise(name: str, template: str) -> None:
    def apply(run: Translator, *operands: Any) -> Symbol:
        if run.dtype == torch.bool and name == "mul":
            return run.each("({0} & {1})", *operands, dtype=torch.bool)
        if run.dtype == torch.bool and not name.startswith(("bitwise", "logical")):
            raise NotNative(f"{name} of masks")
        return run.each(template, *operands, dtype=run.dtype)

    RULES[getattr(aten, name)] = apply


for _name in _EACH:
    _pointwise(_name, f"each_{_name}({{0}})")
for _name, _template in {
    "neg": "(-{0})",
    "reciprocal": "(1 / {0})",
    "rsqrt": "(1 / each_sqrt({0}))",
    "sigmoid": "(1 / (1 + each_exp(-{0})))",
    "abs": "magnitude({0})",
    "maximum": "largest({0}, {1})",
    "minimum": "smallest({0}, {1})",
    "mul": "({0} * {1})",
    "atan2": "each_atan2({0}, {1})",
    "fmod": "each_fmod({0}, {1})",
    "bitwise_and": "({0} & {1})",
    "bitwise_or": "({0} | {1})",
    "bitwise_xor": "({0} ^ {1})",
    "bitwise_not": "(~{0})",
    "bitwise_left_shift": "({0} << {1})",
    "bitwise_right_shift": "({0} >> {1})",
    "__lshift__": "({0} << {1})",
    "__rshift__": "({0} >> {1})",
    "logical_and": "({0} & {1})",
    "logical_or": "({0} | {1})",
    "logical_not": "(~{0})",
}.items():
    _pointwise(_name, _template)
for _name in _COMPARISONS:
    RULES[getattr(aten, _name)] = lambda run, a, b, name=_name: _compare(run, name, a, b)


def _compare(run: Translator, name: str, a: Any, b: Any) -> Symbol:
    if not isinstance(b, Symbol) and a.dtype in (torch.int64, torch.bool) and isinstance(b, float):
        raise NotNative("whole numbers compared with a fraction")
    within = torch.promote_types(a.dtype, b.dtype) if isinstance(b, Symbol) else a.dtype
    if within in (torch.bool, torch.uint8):
        within = torch.int64
    return run.each(f"{name}({{0}}, {{1}})", a, b, dtype=torch.bool, within=within)


@rule("add", "sub")
def _add(run: Translator, a: Any, b: Any, alpha: float = 1) -> Symbol:
    sign = "+" if run.packet is aten.add else "-"
    template = f"({{0}} {sign} {{1}})" if alpha == 1 else f"({{0}} {sign} {{1}} * {{2}})"
    return run.each(template, a, b, alpha, dtype=run.dtype)


@rule("div")
def _div(run: Translator, a: Any, b: Any, rounding_mode: str | None = None) -> Symbol:
    quotient = run.each("({0} / {1})", a, b, dtype=run.dtype)
    if rounding_mode is None:
        return quotient
    if run.dtype not in (torch.float64, torch.float32):
        raise NotNative("rounded division of whole numbers")
    return run.each(f"each_{rounding_mode}({{0}})", quotient, dtype=run.dtype)


@rule("pow")
def _pow(run: Translator, base: Any, exponent: Any) -> Symbol:
    if not isinstance(exponent, Symbol):
        simple = {2: "({0} * {0})", 3: "({0} * {0} * {0})", 0.5: "each_sqrt({0})", 1: "{0}", -1: "(1 / {0})"}
        if exponent in simple:
            return run.each(simple[exponent], base, dtype=run.dtype)
    return run.each("each_pow({0}, {1})", base, exponent, dtype=run.dtype)


@rule("round")
def _round(run: Translator, a: Symbol, decimals: int = 0) -> Symbol:
    scale = float(10 ** abs(decimals))
    if decimals < 0:
        raise NotNative("rounding to tens")
    template = "each_rint({0})" if decimals == 0 else "(each_rint({0} * {1}) / {1})"
    return run.each(template, a, scale, dtype=run.dtype)


@rule("sign")
def _sign(run: Translator, a: Symbol) -> Symbol:
    template = "pick(gt({0}, {1}), {2}, pick(lt({0}, {1}), -{2}, {0}))"
    return run.each(template, a, 0, 1, dtype=run.dtype)


@rule("relu")
def _relu(run: Translator, a: Symbol) -> Symbol:
    return run.each("largest({0}, {1})", a, 0, dtype=run.dtype)


@rule("clamp", "clamp_min", "clamp_max")
def _clamp(run: Translator, a: Symbol, min: Any = None, max: Any = None) -> Symbol:
    if run.packet is aten.clamp_max:
        min, max = None, min
    result: Any = a
    if min is not None:
        result = run.each("pick(lt({0}, {1}), {1}, {0})", result, min, dtype=run.dtype)
    return result if max is None else run.each("pick(gt({0}, {1}), {1}, {0})", result, max, dtype=run.dtype)


@rule("where")
def _where(run: Translator, mask: Symbol, a: Any, b: Any) -> Symbol:
    shape = np.broadcast_shapes(mask.shape, *(x.shape for x in (a, b) if isinstance(x, Symbol)))
    a, b = (run.cast(run.symbol(x, run.dtype), run.dtype) for x in (a, b))
    masks, yes, no = (np.broadcast_to(x.parts, shape) for x in (mask, a, b))
    out = np.empty(shape, dtype=object)
    for place in np.ndindex(shape):
        if not isinstance(masks[place], str):
            out[place] = yes[place] if masks[place] else no[place]
            continue
        parts = (expression_of(x[place], run.dtype) for x in (yes, no))
        out[place] = run.block.define("pick({}, {}, {})".format(masks[place], *parts), run.dtype)
    return Symbol(out, run.dtype)


@rule("isnan")
def _isnan(run: Translator, a: Symbol) -> Symbol:
    return run.each("ne({0}, {0})", a, dtype=torch.bool, within=a.dtype)


@rule("isinf")
def _isinf(run: Translator, a: Symbol) -> Symbol:
    return run.each("eq(magnitude({0}), {1})", a, math.inf, dtype=torch.bool, within=a.dtype)


# Reductions.


@rule("sum")
def _sum(run: Translator, a: Symbol, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Symbol:
    return run.fold("({0} + {1})", run.cast(a, run.dtype), dims, keepdim)


@rule("mean")
def _mean(run: Translator, a: Symbol, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Symbol:
    total = run.fold("({0} + {1})", run.cast(a, run.dtype), dims, keepdim)
    return run.each("({0} / {1})", total, a.parts.size / max(total.parts.size, 1), dtype=run.dtype)


@rule("var_mean")
def _var_mean(
    run: Translator, a: Symbol, dims: Any = None, *, correction: float = 1, keepdim: bool = False
) -> tuple[Symbol, Symbol]:
    kept = run.fold("({0} + {1})", a, dims, True)
    count = a.parts.size // max(kept.parts.size, 1)
    mean = run.each("({0} / {1})", kept, count, dtype=a.dtype)
    squares = run.each("(({0} - {1}) * ({0} - {1}))", a, mean, dtype=a.dtype)
    total = run.fold("({0} + {1})", squares, dims, keepdim)
    spread = run.each("({0} / {1})", total, max(count - correction, 0), dtype=a.dtype)
    return spread, mean.moved(mean.parts.reshape(spread.shape))


@rule("var")
def _var(run: Translator, a: Symbol, dims: Any = None, *, correction: float = 1, keepdim: bool = False) -> Symbol:
    return _var_mean(run, a, dims, correction=correction, keepdim=keepdim)[0]


@rule("prod")
def _prod(run: Translator, a: Symbol, dims: Any = None, keepdim: bool = False, dtype: Any = None) -> Symbol:
    return run.fold("({0} * {1})", run.cast(a, run.dtype), dims, keepdim)


@rule("amax")
def _amax(run: Translator, a: Symbol, dims: Any = None, keepdim: bool = False) -> Symbol:
    return run.fold("largest({0}, {1})", a, dims, keepdim)


@rule("amin")
def _amin(run: Translator, a: Symbol, dims: Any = None, keepdim: bool = False) -> Symbol:
    return run.fold("smallest({0}, {1})", a, dims, keepdim)


@rule("any")
def _any(run: Translator, a: Symbol, dims: Any = None, keepdim: bool = False) -> Symbol:
    return run.fold("({0} | {1})", run.cast(a, torch.bool), dims, keepdim)


@rule("all")
def _all(run: Translator, a: Symbol, dims: Any = None, keepdim: bool = False) -> Symbol:
    return run.fold("({0} & {1})", run.cast(a, torch.bool), dims, keepdim)


@rule("linalg_vector_norm")
def _norm(
    run: Translator, a: Symbol, ord: float = 2, dims: Any = None, keepdim: bool = False, dtype: Any = None
) -> Symbol:
    if ord == 2:
        total = run.fold("({0} + {1})", run.each("({0} * {0})", a, dtype=run.dtype), dims, keepdim)
        return run.each("each_sqrt({0})", total, dtype=run.dtype)
    sizes = run.each("magnitude({0})", a, dtype=run.dtype)
    if ord == 1:
        return run.fold("({0} + {1})", sizes, dims, keepdim)
    if ord == math.inf:
        return run.fold("largest({0}, {1})", sizes, dims, keepdim)
    raise NotNative(f"a norm of order {ord}")


@rule("mm", "bmm", "mv", "dot")
def _product(run: Translator, a: Symbol, b: Symbol) -> Symbol:
    if a.parts.ndim == 3:
        pairs = [_matrix_product(run, a.parts[i], b.parts[i]) for i in range(len(a.parts))]
        return Symbol(np.stack(pairs), run.dtype)
    left = a.parts.reshape(-1, a.shape[-1])
    right = b.parts.reshape(b.shape[0], -1)
    return Symbol(_matrix_product(run, left, right).reshape(run.shape), run.dtype)


def _matrix_product(run: Translator, left: Any, right: Any) -> Any:
    if left.size * right.shape[1] > _LARGEST_PRODUCT:
        raise NotNative("a matrix product of a size that libraries are better at")
    out = np.empty((left.shape[0], right.shape[1]), dtype=object)
    for i, j in np.ndindex(out.shape):
        terms = run.each("({0} * {1})", Symbol(left[i], run.dtype), Symbol(right[:, j], run.dtype), dtype=run.dtype)
        out[i, j] = run.fold("({0} + {1})", terms, None, False).parts[()]
    return out


@rule("addmm")
def _addmm(run: Translator, bias: Symbol, a: Symbol, b: Symbol, beta: float = 1, alpha: float = 1) -> Symbol:
    if (beta, alpha) != (1, 1):
        raise NotNative("addmm with factors")
    product = Symbol(_matrix_product(run, a.parts, b.parts), run.dtype)
    return run.each("({0} + {1})", product, bias, dtype=run.dtype)


# Elements moved about.


@rule("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze")
def _reshaped(run: Translator, a: Symbol, *_: Any) -> Symbol:
    return a.moved(a.parts.reshape(run.shape))


@rule("expand")
def _expand(run: Translator, a: Symbol, *_: Any, **__: Any) -> Symbol:
    return a.moved(np.broadcast_to(a.parts, run.shape))


@rule("permute")
def _permute(run: Translator, a: Symbol, dims: Sequence[int]) -> Symbol:
    return a.moved(np.transpose(a.parts, dims))


@rule("select")
def _select(run: Translator, a: Symbol, dim: int, index: int) -> Symbol:
    return a.moved(np.take(a.parts, index, axis=dim))


@rule("slice")
def _slice(
    run: Translator, a: Symbol, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Symbol:
    places = [slice(None)] * a.parts.ndim
    places[dim] = slice(start, end, step)
    return a.moved(a.parts[tuple(places)])


@rule("cat")
def _cat(run: Translator, parts: Sequence[Symbol], dim: int = 0) -> Symbol:
    arrays = [run.cast(part, run.dtype).parts for part in parts]
    return Symbol(np.concatenate([a for a in arrays if a.shape != (0,)], axis=dim), run.dtype)


@rule("flip")
def _flip(run: Translator, a: Symbol, dims: Sequence[int]) -> Symbol:
    return a.moved(np.flip(a.parts, tuple(dims)))


@rule("split_with_sizes")
def _split(run: Translator, a: Symbol, sizes: Sequence[int], dim: int = 0) -> list[Symbol]:
    return [a.moved(part) for part in np.split(a.parts, np.cumsum(sizes)[:-1], axis=dim)]


@rule("index_select")
def _index_select(run: Translator, a: Symbol, dim: int, index: Symbol) -> Symbol:
    return a.moved(np.take(a.parts, _numbers(index), axis=dim))


@rule("index")
def _index(run: Translator, a: Symbol, indices: Sequence[Symbol | None]) -> Symbol:
    return a.moved(a.parts[tuple(slice(None) if i is None else _numbers(i) for i in indices)])


def _numbers(index: Symbol) -> Any:
    if any(isinstance(part, str) for part in index.parts.flat):
        raise NotNative("an index that is computed")
    return index.parts.astype(np.int64)


@rule("clone", "detach", "alias", "lift_fresh_copy")
def _same(run: Translator, a: Symbol, **_: Any) -> Symbol:
    return a


@rule("_to_copy")
def _to_copy(run: Translator, a: Symbol, **_: Any) -> Symbol:
    return run.cast(a, run.dtype)


@rule("copy")
def _copy(run: Translator, a: Symbol, source: Symbol, **_: Any) -> Symbol:
    value = run.cast(source, run.dtype)
    return value.moved(np.broadcast_to(value.parts, run.shape))


@rule("full", "full_like", "scalar_tensor")
def _full(run: Translator, first: Any, value: Any = None, **_: Any) -> Symbol:
    return constant(first if value is None else value, run.shape, run.dtype)


@rule("_new_zeros_with_same_feature_meta")
def _zero_tangent(run: Translator, *_: Any, **__: Any) -> Symbol:
    return constant(0, run.shape, run.dtype)


@rule("arange")
def _arange(run: Translator, start: int, end: int, step: int = 1, **_: Any) -> Symbol:
    return Symbol(np.array(list(range(start, end, step)), dtype=object), run.dtype)
