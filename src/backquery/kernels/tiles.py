"""Tiles: short vectors that stay in the processor's registers, for Numba.

Numba vectorises loops, but it reloads an accumulator from memory in every pass of a loop that gathers. A tile
is an LLVM vector value of `count` cache lines (64 bytes each): 16 float32 or 8 float64 numbers a line. LLVM
maps it to whatever registers the machine has. Addresses are element positions in a flat, contiguous array;
nothing is checked, and negative positions are not wrapped.
"""

from __future__ import annotations

from math import factorial
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

LINE = 64
"""Bytes of one line, the unit that rows are padded to."""

_INTEGER = ir.IntType(64)


class Tile(types.Type):
    """`lanes` numbers of one floating type."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        super().__init__(name=f"Tile({dtype}, {lanes})")


@register_model(Tile)
class _TileModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, tile: Tile) -> None:
        super().__init__(manager, tile, ir.VectorType(_element(tile.dtype), tile.lanes))


def _element(dtype: Any) -> Any:
    return ir.FloatType() if dtype == types.float32 else ir.DoubleType()


def _tile(array: Any, count: Any) -> Tile | None:
    if not isinstance(count, types.IntegerLiteral):
        return None
    return Tile(array.dtype, count.literal_value * LINE * 8 // array.dtype.bitwidth)


def _address(context: Any, builder: Any, array_type: Any, array: Any, position: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [position])


def _splat(builder: Any, vector: Any, scalar: Any) -> Any:
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), lanes)


def _function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


@intrinsic(prefer_literal=True)
def load(typing: Any, array: Any, position: Any, count: Any) -> Any:
    """The tile of `count` lines at `position`."""
    tile = _tile(array, count)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(tile)
        address = _address(context, builder, array, values[0], values[1])
        loaded = builder.load(builder.bitcast(address, ir.PointerType(vector)))
        loaded.align = array.dtype.bitwidth // 8
        return loaded

    return None if tile is None else (tile(array, types.int64, count), generate)


@intrinsic(prefer_literal=True)
def store(typing: Any, array: Any, position: Any, tile: Any) -> Any:
    """Put a tile at `position`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = _address(context, builder, array, values[0], values[1])
        pointer = builder.bitcast(address, ir.PointerType(context.get_value_type(tile)))
        builder.store(values[2], pointer).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.int64, tile), generate


@intrinsic(prefer_literal=True)
def zeros(typing: Any, array: Any, count: Any) -> Any:
    """A tile of zeros of the array's type."""
    tile = _tile(array, count)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return None if tile is None else (tile(array, count), generate)


@intrinsic
def add_scaled(typing: Any, total: Any, scalar: Any, tile: Any) -> Any:
    """Total + scalar * tile, fused where the machine can."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(total)
        name = f"llvm.fmuladd.v{vector.count}f{total.dtype.bitwidth}"
        fused = _function(builder, name, vector, [vector] * 3)
        return builder.call(fused, [_splat(builder, vector, values[1]), values[2], values[0]])

    return total(total, total.dtype, tile), generate


@intrinsic
def add_product(typing: Any, total: Any, left: Any, right: Any) -> Any:
    """Total + left * right, lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(total)
        name = f"llvm.fmuladd.v{vector.count}f{total.dtype.bitwidth}"
        fused = _function(builder, name, vector, [vector] * 3)
        return builder.call(fused, [values[1], values[2], values[0]])

    return total(total, left, right), generate


@intrinsic
def total_of(typing: Any, tile: Any) -> Any:
    """The sum over the lanes (in an order of the machine's choice)."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(tile)
        name = f"llvm.vector.reduce.fadd.v{vector.count}f{tile.dtype.bitwidth}"
        reduce = _function(builder, name, vector.element, [vector.element, vector])
        zero = ir.Constant(vector.element, 0.0)
        return builder.call(reduce, [zero, values[0]], fastmath=("reassoc",))

    return tile.dtype(tile), generate


@intrinsic
def at(typing: Any, array: Any, position: Any) -> Any:
    """The number at `position`; integers of any width come as int64."""
    integer = isinstance(array.dtype, types.Integer)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value = builder.load(_address(context, builder, array, values[0], values[1]))
        if integer and array.dtype.bitwidth < 64:
            extend = builder.sext if array.dtype.signed else builder.zext
            value = extend(value, _INTEGER)
        return value

    return (types.int64 if integer else array.dtype)(array, types.int64), generate


@intrinsic
def put(typing: Any, array: Any, position: Any, value: Any) -> Any:
    """Set the number at `position`; the value must already be of the array's type."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _address(context, builder, array, values[0], values[1]))
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), generate


@intrinsic
def exponential(typing: Any, tile: Any) -> Any:
    """e^x lane by lane, within about one unit in the last place.

    x = n ln 2 + r with n whole and \\|r\\| <= ln(2) / 2; e^r by its Taylor polynomial, 2^n by writing n into the
    exponent's bits (Cody & Waite 1980). x is clamped so that the result stays a normal number.
    """
    double = tile.dtype == types.float64
    bits, fraction, bias = (64, 52, 1023) if double else (32, 23, 127)
    bound, degree = (708.0, 13) if double else (87.0, 7)
    # ln 2 in two parts: the first has so few digits that n times it is exact.
    high, low = (0.693145751953125, 1.4286068203094173e-06) if double else (0.693359375, -2.12194440e-4)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(tile)
        suffix = f"v{vector.count}f{bits}"

        def constant(number: float) -> Any:
            return ir.Constant(vector, [number] * vector.count)

        def call(name: str, *arguments: Any) -> Any:
            function = _function(builder, f"llvm.{name}.{suffix}", vector, [vector] * len(arguments))
            return builder.call(function, list(arguments))

        x = call("minnum", call("maxnum", values[0], constant(-bound)), constant(bound))
        n = call("rint", builder.fmul(x, constant(1.4426950408889634)))
        r = call("fmuladd", n, constant(-high), x)
        r = call("fmuladd", n, constant(-low), r)
        power = constant(1.0 / factorial(degree))
        for k in range(degree - 1, -1, -1):
            power = call("fmuladd", power, r, constant(1.0 / factorial(k)))
        whole = ir.VectorType(ir.IntType(bits), vector.count)
        exponent = builder.fptosi(n, whole)
        exponent = builder.add(exponent, ir.Constant(whole, [bias] * vector.count))
        exponent = builder.shl(exponent, ir.Constant(whole, [fraction] * vector.count))
        return builder.fmul(power, builder.bitcast(exponent, vector))

    return tile(tile), generate


@intrinsic
def logistic(typing: Any, powers: Any) -> Any:
    """1 / (1 + t) lane by lane: the sigmoid of x where t = e^-x."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(powers)
        one = ir.Constant(vector, [1.0] * vector.count)
        return builder.fdiv(one, builder.fadd(one, values[0]))

    return powers(powers), generate


@intrinsic
def scaled(typing: Any, scalar: Any, tile: Any) -> Any:
    """Scalar * tile."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector = context.get_value_type(tile)
        return builder.fmul(_splat(builder, vector, values[0]), values[1])

    return tile(tile.dtype, tile), generate
