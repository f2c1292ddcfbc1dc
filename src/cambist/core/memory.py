"""The only place that turns a number into a record. Compiled, a row is a pointer; uncompiled, it is a checked view that gives Python integers.

Decides how the kernel reaches its one block of memory and how its functions are compiled; it must not know what any table means. Parameters of kernel
functions are annotated: a NumPy dtype means a row of that layout, `int` a 64-bit register. Every function is compiled in one version only (Numba would
make one per integer literal), lazily, and only when `apply` is not found in the cache.
"""
import contextlib
import dis
import hashlib
import inspect
import mmap
import struct
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

import llvmlite
import numba
import numpy as np
from numba import config, njit, types

COMPILED = not config.DISABLE_JIT
HOT = dict(boundscheck=False, error_model="numpy", nogil=True)
LARGE = 32 << 20                                # bytes of a state from which the processor's table of pages is too short for small ones
LEAN = dict(no_cpython_wrapper=True, no_cfunc_wrapper=True)


class Several(NamedTuple):
    """The annotation of a parameter that is an array, of records or of numbers."""
    dtype: np.dtype


if COMPILED:
    from llvmlite import ir
    from numba.core import cgutils
    from numba.core.codegen import JITCodeLibrary, JITCPUCodegen
    from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
    from numba.extending import intrinsic
    from numba.np import arrayobj
    from numba.np.numpy_support import from_dtype

    def _type_of(annotation) -> types.Type:
        if isinstance(annotation, np.dtype):
            return from_dtype(annotation)
        if isinstance(annotation, Several):
            return types.Array(from_dtype(annotation.dtype), 1, "C")
        if annotation is int:
            return types.int64
        raise TypeError(f"a kernel parameter is annotated with a dtype or int, not {annotation!r}")

    def _signature(function: Callable):
        """Its annotated parameters; what it returns, if anything, is a row (annotated) or a 64-bit register (also a reason, also a truth)."""
        parameters = [_type_of(p.annotation) for p in inspect.signature(function).parameters.values()]
        row = inspect.signature(function).return_annotation
        if isinstance(row, np.dtype):
            return from_dtype(row)(*parameters)
        return types.int64(*parameters) if _gives(function) else types.void(*parameters)

    def _gives(function: Callable) -> bool:
        """Whether any return of it carries a value."""
        before = None
        for step in dis.get_instructions(function):
            if (step.opname == "RETURN_VALUE" and not (before and before.opname == "LOAD_CONST" and before.argval is None)) or (
                    step.opname == "RETURN_CONST" and step.argval is not None):
                return True
            before = step
        return False

    @contextlib.contextmanager
    def _only_linked():
        """A helper is linked into `apply` and never called from Python: it needs no machine code of its own, and the whole is linked and optimized once, in
        `apply`, instead of again in every caller on the way. That is most of the compile time."""
        def finish(library) -> None:
            library._finalized = True

        instead = {(JITCodeLibrary, "finalize"): finish,
                   (JITCodeLibrary, "get_pointer_to_function"): lambda library, name: 0, (JITCPUCodegen, "set_env"): lambda codegen, name, env: None}
        before = {(owner, name): getattr(owner, name) for owner, name in instead}
        try:
            for (owner, name), function in instead.items():
                setattr(owner, name, function)
            yield
        finally:
            for (owner, name), function in before.items():
                setattr(owner, name, function)

    def _declare(function: Callable, **options):
        """One version, of the annotated types, compiled when a caller first asks for its type."""
        dispatcher = njit(**options, **HOT, **LEAN)(function)
        found = dispatcher.get_call_template

        def template(args, kws):
            if not dispatcher.overloads:
                with _only_linked():
                    dispatcher.compile(_signature(function))
                for made in dispatcher.overloads.values():
                    made.library._finalized = True                      # whoever links it first would finish it otherwise
                dispatcher.disable_compile()
            return found(args, kws)

        dispatcher.get_call_template = template
        return dispatcher

    @contextlib.contextmanager
    def _closed(name: str):
        """What is linked into an entry point is called by nothing else: told so, the optimizer inlines what is called once and passes values in registers."""
        optimize, finalize = JITCodeLibrary._optimize_final_module, JITCodeLibrary.finalize

        def whole(library) -> None:
            if library.name == name:
                library._linking_libraries = _all_linked(library)
            finalize(library)

        def closed(library) -> None:
            if library.name == name:
                for function in library._final_module.functions:
                    if not function.is_declaration and name not in function.name:
                        function.linkage = "internal"
                        function.name = f"{function.name}.{name}"           # the linker of the compiler tells local names of two programs not apart
                        if not any(b"alwaysinline" in attribute for attribute in function.attributes):
                            function.add_function_attribute("noinline")
            optimize(library)

        JITCodeLibrary._optimize_final_module, JITCodeLibrary.finalize = closed, whole
        try:
            yield
        finally:
            JITCodeLibrary._optimize_final_module, JITCodeLibrary.finalize = optimize, finalize

    def _all_linked(library) -> list:
        """Every library that this one needs, also through others, each once and after all that call it: what nobody has asked for is not linked."""
        done, seen, left = [], set(), [(library, iter(library._linking_libraries))]
        while left:
            one, needed = left[-1]
            following = next(needed, None)
            if following is None:
                done.append(one)
                left.pop()
            elif following not in seen:
                seen.add(following)
                left.append((following, iter(following._linking_libraries)))
        return done[-2::-1]

    def entry(function: Callable):
        """What Python calls: everything it uses is compiled with it, as one program."""
        dispatcher = njit(**HOT)(function)
        found = dispatcher.compile

        def compile(signature):
            with _closed(function.__name__):
                return found(signature)

        dispatcher.compile = compile
        return dispatcher

    def hot(function: Callable):
        """On the match path: inlined into its caller."""
        return _declare(function, forceinline=True)

    def cold(function: Callable):
        """Called: keeps compile time in line with the size of the source. (Left out, `forceinline` would be inherited from whoever asks for it first.)"""
        return _declare(function, forceinline=False)

    @intrinsic
    def address(typingctx, record):
        """Where a record starts."""
        def codegen(context, builder, signature, args):
            return builder.ptrtoint(args[0], ir.IntType(64))
        return types.int64(record), codegen

    @intrinsic
    def ctz(typingctx, x):
        """Trailing zero bits of a non-zero int64."""
        def codegen(context, builder, signature, args):
            return builder.cttz(args[0], context.get_constant(types.boolean, True))
        return types.int64(types.int64), codegen

    @intrinsic
    def clz(typingctx, x):
        """Leading zero bits of a non-zero int64."""
        def codegen(context, builder, signature, args):
            return builder.ctlz(args[0], context.get_constant(types.boolean, True))
        return types.int64(types.int64), codegen

    @intrinsic
    def prefetch(typingctx, address):
        """Ask for a cache line; reads nothing, decides nothing."""
        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
            i32 = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
            name = "llvm.prefetch.p0"
            function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            builder.call(function, [pointer, i32(0), i32(3), i32(1)])
            return context.get_dummy_value()
        return types.void(types.int64), codegen

    @njit(forceinline=True, **HOT)
    def wrap(x):
        return x

    @intrinsic
    def quotient(typingctx, a, b):
        """a // b of a non-negative and a positive int64, without the questions a signed division asks."""
        def codegen(context, builder, signature, args):
            return builder.udiv(*args)
        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def remainder(typingctx, a, b):
        """a % b of a non-negative and a positive int64."""
        def codegen(context, builder, signature, args):
            return builder.urem(*args)
        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def high_product(typingctx, a, b):
        """The upper 64 bits of a product of two words, read unsigned."""
        def codegen(context, builder, signature, args):
            i128 = ir.IntType(128)
            whole = builder.mul(*(builder.zext(x, i128) for x in args))
            return builder.trunc(builder.lshr(whole, i128(64)), ir.IntType(64))
        return types.int64(types.int64, types.int64), codegen

    @intrinsic
    def inverse(typingctx, d):
        """(2**64 - 1) // d of a positive int64, read unsigned."""
        def codegen(context, builder, signature, args):
            return builder.udiv(ir.IntType(64)(-1), args[0])
        return types.int64(types.int64), codegen

    def any_bits(one: np.dtype, other: np.dtype, words: int):
        """Whether the first `words` words of a row of each layout have a bit in common: asked of all of them at once."""
        @intrinsic
        def common(typingctx, x, y):
            def codegen(context, builder, signature, args):
                several = ir.VectorType(ir.IntType(64), words)
                a, b = (builder.load(builder.bitcast(place, several.as_pointer()), align=1) for place in args)
                both = builder.bitcast(builder.and_(a, b), ir.IntType(64 * words))
                return builder.zext(builder.icmp_unsigned("!=", both, ir.IntType(64 * words)(0)), ir.IntType(64))
            return types.int64(from_dtype(one), from_dtype(other)), codegen
        return common

    def _word_at(builder, state, offset: int):
        """A word of the state that is set once, before anything is compiled against it: it need not be read again after a store."""
        i64, i8 = ir.IntType(64), ir.IntType(8)
        block = builder.bitcast(state, i8.as_pointer())
        word = builder.load(builder.bitcast(builder.gep(block, [i64(offset)]), i64.as_pointer()))
        word.set_metadata("invariant.load", builder.module.add_metadata([]))
        return block, word

    def told_apart(dtype: np.dtype, name: str, whole: bool = False) -> None:
        """Tell the optimizer what only we know: a row of one table is never a row of another, nor one field of it another field (unless `whole`: seen in more
        than one layout). What was read stays known when something else is written."""
        record = from_dtype(dtype)
        if record in _TOLD:
            return
        _TOLD.add(record)

        def mark(builder, access, attr):
            module = builder.module
            root = module.add_metadata([ir.MetaDataString(module, "cambist")])
            kind = module.add_metadata([ir.MetaDataString(module, name if whole else f"{name}.{attr}"), root, ir.IntType(64)(0)])
            access.set_metadata("tbaa", module.add_metadata([kind, kind, ir.IntType(64)(0)]))

        def place(context, builder, value, attr):
            return cgutils.get_record_member(builder, value, record.offset(attr), context.get_data_type(record.typeof(attr)))

        @lower_getattr_generic(record)
        def read(context, builder, typ, value, attr):
            if isinstance(typ.typeof(attr), types.NestedArray):
                return arrayobj.record_getattr(context, builder, typ, value, attr)
            found = builder.load(place(context, builder, value, attr), align=1)
            mark(builder, found, attr)
            return found

        @lower_setattr_generic(record)
        def write(context, builder, signature, args, attr):
            kind = record.typeof(attr)
            value = context.cast(builder, args[1], signature.args[1], kind)
            mark(builder, builder.store(value, place(context, builder, args[0], attr), align=1), attr)

    _TOLD: set = set()

    def table(place: int, dtype: np.dtype, state_dtype: np.dtype, whole: str = ""):
        """The accessor of one table: row(state, i) is record i, unchecked. `whole`: the name of what its rows are seen as in other layouts too."""
        told_apart(dtype, whole or f"table {place}", bool(whole))
        record, state_type, size = from_dtype(dtype), from_dtype(state_dtype), dtype.itemsize
        start_at = state_dtype.fields["at"][1] + 8 * place

        @intrinsic
        def row(typingctx, state, i):
            def codegen(context, builder, signature, args):
                block, start = _word_at(builder, args[0], start_at)
                row_at = builder.gep(block, [builder.add(start, builder.mul(args[1], ir.IntType(64)(size)))])
                return builder.bitcast(row_at, context.get_value_type(record))
            return record(state_type, types.int64), codegen
        return row

    def row_count(place: int, state_dtype: np.dtype):
        """How many rows a table has."""
        state_type, capacity_at = from_dtype(state_dtype), state_dtype.fields["capacity"][1] + 8 * place

        @intrinsic
        def count(typingctx, state):
            def codegen(context, builder, signature, args):
                return _word_at(builder, args[0], capacity_at)[1]
            return types.int64(state_type), codegen
        return count

    def element(dtype: np.dtype):
        """records[i] of an array whose place is known to be inside it."""
        record = from_dtype(dtype)

        @intrinsic
        def take(typingctx, records, i):
            def codegen(context, builder, signature, args):
                data = context.make_array(signature.args[0])(context, builder, args[0]).data
                return builder.gep(data, [args[1]])
            return record(types.Array(record, 1, "C"), types.int64), codegen
        return take

    def reinterpret(dtype: np.dtype, source: np.dtype, whole: str):
        """See a record of one layout as another of the same bytes. `whole`: the name of what is seen."""
        told_apart(dtype, whole, True)
        record, source_type = from_dtype(dtype), from_dtype(source)

        @intrinsic
        def see(typingctx, row):
            def codegen(context, builder, signature, args):
                return builder.bitcast(args[0], context.get_value_type(record))
            return record(source_type), codegen
        return see

else:
    MASK = (1 << 64) - 1

    def hot(function: Callable):
        return function

    cold = entry = hot

    def address(record) -> int:
        return record._offset

    def wrap(x: int) -> int:
        x &= MASK
        return x - (1 << 64) if x >> 63 else x

    def ctz(x: int) -> int:
        return (x & -x).bit_length() - 1

    def clz(x: int) -> int:
        return 64 - (x & MASK).bit_length()

    def prefetch(address: int) -> None:
        return None

    def told_apart(dtype: np.dtype, name: str, whole: bool = False) -> None:
        return None

    def high_product(a: int, b: int) -> int:
        return wrap((a & MASK) * (b & MASK) >> 64)

    def inverse(d: int) -> int:
        return wrap(MASK // d)

    def any_bits(one: np.dtype, other: np.dtype, words: int):
        def common(x, y):
            bits = (int.from_bytes(row._buffer[row._offset:row._offset + 8 * words], "little") for row in (x, y))
            return 1 if next(bits) & next(bits) else 0
        return common

    def quotient(a: int, b: int) -> int:
        return a // b

    def remainder(a: int, b: int) -> int:
        return a % b

    def row_count(place: int, state_dtype: np.dtype):
        return lambda state: state.capacity[place]

    def element(dtype: np.dtype):
        return lambda records, i: records[i]

    def table(place: int, dtype: np.dtype, state_dtype: np.dtype, whole: str = ""):
        layout, size = plan(dtype), dtype.itemsize

        def row(state, i):
            capacity = state.capacity[place]
            if not 0 <= i < capacity:
                raise IndexError(f"row {i} of table {place}, which has {capacity}")
            return Row(state._buffer, state.at[place] + int(i) * size, layout)
        return row

    def reinterpret(dtype: np.dtype, source: np.dtype, whole: str):
        layout = plan(dtype)
        return lambda record: Row(record._buffer, record._offset, layout)


def block(size: int) -> mmap.mmap:
    """Zeroed memory for one state: private, so that a fork is a snapshot, and mapped page by page as it is touched; in large pages where it is large."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= LARGE:
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def fingerprint(parts: Iterable) -> bytes:
    """A hash of the sources of modules (or of the module of a function or class) and of the versions of what compiles them."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(inspect.getsource(inspect.getmodule(part)).encode())
    for text in (numba.__version__, llvmlite.__version__, np.__version__, str(sys.version_info[:2])):
        digest.update(text.encode())
    return digest.digest()


# ------------------------------------------------------------------------------------------------ the uncompiled view
class Cells:
    """A nested array of a row."""
    __slots__ = ("_buffer", "_code", "_count", "_offset")

    def __init__(self, buffer, offset: int, code: struct.Struct, count: int):
        self._buffer, self._offset, self._code, self._count = buffer, offset, code, count

    def __getitem__(self, i: int) -> int:
        if not 0 <= i < self._count:
            raise IndexError(i)
        return self._code.unpack_from(self._buffer, self._offset + i * self._code.size)[0]

    def __setitem__(self, i: int, value: int) -> None:
        if not 0 <= i < self._count:
            raise IndexError(i)
        self._code.pack_into(self._buffer, self._offset + i * self._code.size, _fit(int(value), self._code))


def _fit(value: int, code: struct.Struct) -> int:
    """What a store keeps of a value, as a machine would; a kernel that relies on losing bits is wrong, so it is refused unless it is a 64-bit wrap."""
    bits = 8 * code.size
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if code.format[-1:].islower() else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise OverflowError(f"{value} does not fit {bits} bits")
    return value


_PLANS: dict = {}
_CODES = {"i8": "q", "u8": "Q", "i4": "i", "u4": "I", "i2": "h", "u2": "H", "i1": "b", "u1": "B"}


def plan(dtype: np.dtype) -> dict:
    """Field name -> (offset, codec, count of a nested array or 0)."""
    if dtype not in _PLANS:
        fields = {}
        for name in dtype.names:
            kind, offset = dtype.fields[name][:2]
            base, count = (kind.subdtype[0], kind.subdtype[1][0]) if kind.subdtype else (kind, 0)
            fields[name] = (offset, struct.Struct("<" + _CODES[base.str[1:]]), count)
        _PLANS[dtype] = fields
    return _PLANS[dtype]


class Row:
    """Attribute access as in compiled code; a write that does not fit its field raises instead of losing bits."""
    __slots__ = ("_buffer", "_offset", "_plan")

    def __init__(self, buffer, offset: int, fields: dict):
        object.__setattr__(self, "_buffer", buffer)
        object.__setattr__(self, "_offset", offset)
        object.__setattr__(self, "_plan", fields)

    def __getattr__(self, name: str):
        offset, code, count = self._plan[name]
        if count:
            return Cells(self._buffer, self._offset + offset, code, count)
        return code.unpack_from(self._buffer, self._offset + offset)[0]

    def __setattr__(self, name: str, value: int) -> None:
        offset, code, _ = self._plan[name]
        code.pack_into(self._buffer, self._offset + offset, _fit(int(value), code))


class Rows:
    """A structured array, row by row."""

    def __init__(self, array: np.ndarray):
        self.shape, self._buffer, self._size, self._plan = array.shape, memoryview(array.view(np.uint8).reshape(-1)), array.dtype.itemsize, plan(array.dtype)

    def __getitem__(self, i: int) -> Row:
        if not 0 <= i < self.shape[0]:
            raise IndexError(i)
        return Row(self._buffer, int(i) * self._size, self._plan)
