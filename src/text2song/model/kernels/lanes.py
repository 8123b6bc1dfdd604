"""A small language for loops over vectors of float32, on top of LLVM's intermediate representation.

A kernel is written once and reads like the loop that it is; LLVM cuts the vectors into the registers that
the processor has. Nothing here lets LLVM change the order of a sum, so a kernel has the same bits on every
processor that multiplies and adds in one rounding (IEEE 754-2008, fusedMultiplyAdd), but for `add_pairs`.

Every argument is a 64-bit number: a count, or an address. Kernels believe them: the functions around a kernel
see to it that tensors are what it takes them for (`machine.address_of`) and live until it is done.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from llvmlite import ir

Value = Any
"""An LLVM value; llvmlite has no types of its own."""

INT: Final = ir.IntType(64)
FLOAT: Final = ir.FloatType()
FLOAT_BYTES: Final = 4
BFLOAT16_BYTES: Final = 2
LINE_BYTES: Final = 64
"""What memory brings at once."""
_LEAST_EXPONENT: Final = -87.0
"""Below it e**x is no normal float32."""
_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 in two parts, the first of which times a small whole number is exact."""
_EXPONENTIAL: Final = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
"""Taylor's coefficients; within half of ln 2 of zero the eighth term is below half a last bit."""


class Loop:
    """One loop in the making."""

    def __init__(self, index: Value, carried: Sequence[Value]) -> None:
        self.index = index
        self.carried = list(carried)
        """What the last round left, inside the loop; after it, the results."""
        self.next: Sequence[Value] = ()
        """What this round leaves to the next one; set it before the end of the `with` block."""


class Kernel:
    """One function in the making, without a result."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name = name
        self.arguments = arguments
        self.module = ir.Module(name=name)
        kind = ir.FunctionType(ir.VoidType(), [INT] * len(arguments))
        function = ir.Function(self.module, kind, name=name)
        self._builder = ir.IRBuilder(function.append_basic_block("entry"))
        self._function = function

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The arguments' values, in their order."""
        return tuple(self._function.args)

    def finished(self) -> str:
        """The module's text, once everything is written."""
        self._builder.ret_void()
        return str(self.module)

    # --- Counting -------------------------------------------------------------------------------

    @contextmanager
    def loop(self, first: Value, end: Value, carried: Sequence[Value] = ()) -> Iterator[Loop]:
        """Rounds from `first` to before `end`; none where there are none."""
        builder, before = self._builder, self._builder.block
        head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
        first, end = self.whole(first), self.whole(end)
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(INT)
        index.add_incoming(first, before)
        states = [builder.phi(value.type) for value in carried]
        for state, value in zip(states, carried, strict=True):
            state.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", index, end), body, after)
        builder.position_at_end(body)
        loop = Loop(index, states)
        yield loop
        index.add_incoming(self.plus(index, 1), builder.block)
        for state, value in zip(states, loop.next, strict=True):
            state.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)

    def whole(self, number: Value | int) -> Value:
        """A constant, or what is a value already."""
        return INT(number) if isinstance(number, int) else number

    def plus(self, *numbers: Value | int) -> Value:
        """The sum of whole numbers or addresses."""
        total = self.whole(numbers[0])
        for number in numbers[1:]:
            total = self._builder.add(total, self.whole(number))
        return total

    def times(self, left: Value | int, right: Value | int) -> Value:
        """The product of whole numbers."""
        return self._builder.mul(self.whole(left), self.whole(right))

    def divided(self, left: Value, right: Value) -> tuple[Value, Value]:
        """The quotient of whole numbers that are not negative, and its remainder."""
        return self._builder.udiv(left, right), self._builder.urem(left, right)

    def fewer(self, left: Value, right: Value | int) -> Value:
        """The smaller of two whole numbers."""
        is_less = self._builder.icmp_signed("<", left, self.whole(right))
        return self._builder.select(is_less, left, self.whole(right))

    def number_at(self, address: Value) -> Value:
        """A whole number from memory."""
        return self._load(address, INT)

    # --- Vectors ---------------------------------------------------------------------------------

    def constant(self, number: float, lanes: int) -> Value:
        """A vector of one number."""
        kind = ir.VectorType(FLOAT, lanes)
        return ir.Constant(kind, [number] * lanes)

    def floats(self, address: Value, lanes: int) -> Value:
        """A vector of float32 from memory."""
        return self._load(address, ir.VectorType(FLOAT, lanes))

    def signed_bytes(self, address: Value, lanes: int) -> Value:
        """A vector of 8-bit whole numbers from memory, as float32."""
        narrow = self._load(address, ir.VectorType(ir.IntType(8), lanes))
        wide = self._builder.sext(narrow, ir.VectorType(ir.IntType(32), lanes))
        return self._builder.sitofp(wide, ir.VectorType(FLOAT, lanes))

    def bfloat16s(self, address: Value, lanes: int) -> Value:
        """A vector of bfloat16 from memory, as float32: its upper half."""
        narrow = self._load(address, ir.VectorType(ir.IntType(16), lanes))
        return self._upper_half(self._builder.zext(narrow, ir.VectorType(ir.IntType(32), lanes)))

    def bits(self, address: Value, lanes: int) -> Value:
        """A vector of 32 bits a lane from memory."""
        return self._load(address, ir.VectorType(ir.IntType(32), lanes))

    def bfloat16_pairs(self, pairs: Value) -> tuple[Value, Value]:
        """Two vectors of float32 from one whose lanes hold two bfloat16 each, the first in the lower half."""
        kind = ir.VectorType(FLOAT, pairs.type.count)
        mask = ir.Constant(pairs.type, [0xFFFF0000] * pairs.type.count)
        return self._upper_half(pairs), self._builder.bitcast(self._builder.and_(pairs, mask), kind)

    def everywhere(self, address: Value, lanes: int) -> Value:
        """One float32 from memory, in every lane."""
        return self.splat(self._load(address, FLOAT), lanes)

    def bits_everywhere(self, address: Value, lanes: int) -> Value:
        """32 bits from memory, in every lane."""
        return self.splat(self._load(address, ir.IntType(32)), lanes)

    def splat(self, number: Value, lanes: int) -> Value:
        """One number in every lane."""
        kind = ir.VectorType(number.type, lanes)
        nothing = ir.Constant(kind, ir.Undefined)
        first = self._builder.insert_element(nothing, number, ir.IntType(32)(0))
        places = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        return self._builder.shuffle_vector(first, nothing, places)

    def store(self, vector: Value, address: Value) -> None:
        """A vector to memory, as it is."""
        place = self._builder.inttoptr(address, ir.PointerType(vector.type))
        self._builder.store(vector, place).align = 1

    def store_bfloat16(self, vector: Value, address: Value) -> None:
        """A vector of float32 to memory as bfloat16, to the nearest, of two as near to the even one.

        NaN stays NaN if its upper half says so, as that of every operation here does.
        """
        lanes = vector.type.count
        wide, narrow = (ir.VectorType(ir.IntType(size), lanes) for size in (32, 16))
        bits = self._builder.bitcast(vector, wide)
        sixteen, half, one = (ir.Constant(wide, [number] * lanes) for number in (16, 0x7FFF, 1))
        is_odd = self._builder.and_(self._builder.lshr(bits, sixteen), one)
        rounded = self._builder.add(bits, self._builder.add(is_odd, half))
        self.store(self._builder.trunc(self._builder.lshr(rounded, sixteen), narrow), address)

    def fetch(self, address: Value) -> None:
        """Have memory bring a line that is read soon; an address that is nobody's does no harm."""
        place = self._builder.inttoptr(address, ir.PointerType())
        to_read, soon, data = (ir.IntType(32)(number) for number in (0, 2, 1))
        self._call("llvm.prefetch.p0", ir.VoidType(), place, to_read, soon, data)

    # --- Arithmetic -------------------------------------------------------------------------------

    def fma(self, left: Value, right: Value, added: Value) -> Value:
        """Left * right + added, rounded once."""
        return self._of_floats("llvm.fma", left, right, added)

    def add(self, left: Value, right: Value) -> Value:
        """The sum of vectors."""
        return self._builder.fadd(left, right)

    def multiply(self, left: Value, right: Value) -> Value:
        """The product of vectors, lane by lane."""
        return self._builder.fmul(left, right)

    def divide(self, left: Value, right: Value) -> Value:
        """The quotient of vectors."""
        return self._builder.fdiv(left, right)

    def subtract(self, left: Value, right: Value) -> Value:
        """The difference of vectors."""
        return self._builder.fsub(left, right)

    def larger(self, left: Value, right: Value) -> Value:
        """The larger of each lane; that of `right` where either is no number."""
        return self._builder.select(self._builder.fcmp_ordered(">", left, right), left, right)

    def exponential(self, vector: Value) -> Value:
        """The exponential of each lane, none of which is above zero; within two last bits. NaN of NaN."""
        lanes = vector.type.count

        def constant(number: float) -> Value:
            return self.constant(number, lanes)

        x = self.larger(constant(_LEAST_EXPONENT), vector)
        twos = self._of_floats("llvm.rint", self.multiply(x, constant(_LOG2_E)))
        rest = self.fma(twos, constant(-_LN2_HIGH), x)
        rest = self.fma(twos, constant(-_LN2_LOW), rest)
        power = constant(_EXPONENTIAL[0])
        for coefficient in _EXPONENTIAL[1:]:
            power = self.fma(power, rest, constant(coefficient))
        whole = ir.VectorType(ir.IntType(32), lanes)
        bias, shift = (ir.Constant(whole, [number] * lanes) for number in (127, 23))
        saturated = self._call(
            f"llvm.fptosi.sat.v{lanes}i32.v{lanes}f32", whole, twos
        )  # defined for NaN, too
        exponent = self._builder.add(saturated, bias)
        scale = self._builder.bitcast(self._builder.shl(exponent, shift), x.type)
        return self.multiply(power, scale)

    def total(self, vector: Value) -> Value:
        """The sum of all lanes, by halves: a number."""
        return self._folded(vector, self.add)

    def largest(self, vector: Value) -> Value:
        """The largest of all lanes: a number."""
        return self._folded(vector, self.larger)

    def add_pairs(self, left: Value, right: Value, added: Value) -> Value:
        """Left * right + added, where each of 16 lanes holds two bfloat16 that are multiplied and added up.

        An instruction of processors with AVX512-BF16 (`machine.multiplies_bfloat16_pairs`).
        """
        kind = ir.VectorType(_BFloat16(), 2 * added.type.count)
        pairs = [self._builder.bitcast(value, kind) for value in (left, right)]
        return self._call("llvm.x86.avx512bf16.dpbf16ps.512", added.type, added, *pairs)

    def _of_floats(self, name: str, *values: Value) -> Value:
        """One of LLVM's functions from vectors of float32 to a vector of float32."""
        kind = values[0].type
        return self._call(f"{name}.v{kind.count}f32", kind, *values)

    def _call(self, name: str, result: ir.Type, *values: Value) -> Value:
        found = self.module.globals.get(name)
        if found is None:
            kind = ir.FunctionType(result, [value.type for value in values])
            found = ir.Function(self.module, kind, name=name)
        return self._builder.call(found, values)

    def _folded(self, vector: Value, join: Any) -> Value:  # noqa: ANN401  # a method of this class
        width = vector.type.count
        nothing = ir.Constant(vector.type, ir.Undefined)
        places = ir.VectorType(ir.IntType(32), vector.type.count)
        while width > 1:
            width //= 2
            upper = [(lane + width) % vector.type.count for lane in range(vector.type.count)]
            other = self._builder.shuffle_vector(vector, nothing, ir.Constant(places, upper))
            vector = join(vector, other)
        return self._builder.extract_element(vector, ir.IntType(32)(0))

    def _upper_half(self, bits: Value) -> Value:
        shift = ir.Constant(bits.type, [16] * bits.type.count)
        return self._builder.bitcast(self._builder.shl(bits, shift), ir.VectorType(FLOAT, bits.type.count))

    def _load(self, address: Value, kind: ir.Type) -> Value:
        found = self._builder.load(self._builder.inttoptr(address, ir.PointerType(kind)))
        found.align = 1
        return found


class _BFloat16(ir.Type):  # type: ignore[misc]  # llvmlite has no types
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash(_BFloat16)
