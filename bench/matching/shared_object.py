"""The adapter as a file: the compiled entries of exports.py under the names of the harness' C interface, with an image of the cell, linked to a shared library.

    python -m bench.matching.shared_object OUT.so [--engine book|whole] [--linker cc]

There is no Python in it when it runs: the machine code is Numba's, the few lines that give it C names and memory are LLVM's. `cc` is only asked to link.
"""
import argparse
import subprocess
import tempfile
from pathlib import Path

import llvmlite.binding as llvm

from bench.matching.command_engine import NOTES_BYTES
from bench.matching.contract import MESSAGE
from bench.matching.exports import ENTRIES, compiled
from bench.matching.matching_house import image, matching_cell
from bench.matching.ring import CONTROL, LINE, ROWS, SLIP
from cambist.core.cell import PAGE_BYTES

READ_WRITE, PRIVATE_ANONYMOUS, LARGE_PAGES = 3, 0x22, 14        # Linux: PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, MADV_HUGEPAGE
QUEUE_BYTES = -(-CONTROL.itemsize // LINE) * LINE
ENGINES = {"book": "match_book", "whole": "match_whole"}
QUERIES = ("drain_reports", "best_bid", "best_ask", "depth_at")
UNTIL = CONTROL.fields["until"][1]

GLUE = """
target triple = "{triple}"
@state = internal global ptr null
@queue = internal global ptr null
@places = internal constant [{pages} x i64] {places}
@pages = internal constant [{bytes} x i8] c"{data}"
@transport = internal constant [5 x ptr] [ptr @create, ptr @push, ptr @drain, ptr @flush, ptr @destroy]
declare ptr @mmap(ptr, i64, i32, i32, i32, i64)
declare i32 @munmap(ptr, i64)
declare i32 @madvise(ptr, i64, i32)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
{declared}

; Memory that is there before the clock starts: large pages, every one touched.
define internal ptr @block(i64 %size) {{
  %at = call ptr @mmap(ptr null, i64 %size, i32 {rw}, i32 {anonymous}, i32 -1, i64 0)
  %huge = call i32 @madvise(ptr %at, i64 %size, i32 {large})
  call void @llvm.memset.p0.i64(ptr %at, i8 0, i64 %size, i1 false)
  ret ptr %at
}}

define internal ptr @create(i32 %capacity) {{
  %fits = icmp ule i32 %capacity, {capacity}
  br i1 %fits, label %made, label %refused
made:
  %at = call ptr @block(i64 {queue_size})
  %until = getelementptr i8, ptr %at, i64 {until}
  store i64 {rows}, ptr %until
  store ptr %at, ptr @queue
  ret ptr %at
refused:
  ret ptr null
}}
define internal i32 @push(ptr %handle, ptr %report) {{
  ret i32 0
}}
define internal i32 @drain(ptr %handle, ptr %out, i32 %most) {{
  %q = ptrtoint ptr %handle to i64
  %r = add i64 %q, {queue_bytes}
  %o = ptrtoint ptr %out to i64
  %m = zext i32 %most to i64
  {drain}
  %got = trunc i64 %drained to i32
  ret i32 %got
}}
define internal void @flush(ptr %handle) {{
  ret void
}}
define internal void @destroy(ptr %handle) {{
  %gone = call i32 @munmap(ptr %handle, i64 {queue_size})
  ret void
}}
define ptr @engine_get_transport() {{
  ret ptr @transport
}}

define void @engine_init(i64 %seed, ptr %transport, ptr %sink) {{
entry:
  %at = call ptr @block(i64 {memory_size})
  store ptr %at, ptr @state
  br label %next
next:
  %i = phi i64 [0, %entry], [%more, %next]
  %place = getelementptr i64, ptr @places, i64 %i
  %page = load i64, ptr %place
  %there = mul i64 %page, {page}
  %to = getelementptr i8, ptr %at, i64 %there
  %here = mul i64 %i, {page}
  %from = getelementptr i8, ptr @pages, i64 %here
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 {page}, i1 false)
  %more = add i64 %i, 1
  %last = icmp eq i64 %more, {pages}
  br i1 %last, label %done, label %next
done:
  ret void
}}
define void @engine_shutdown() {{
  %at = load ptr, ptr @state
  %gone = call i32 @munmap(ptr %at, i64 {memory_size})
  ret void
}}

define void @engine_on_batch(ptr %messages, i32 %n) {{
  %count = zext i32 %n to i64
  %m = ptrtoint ptr %messages to i64
  %sp = load ptr, ptr @state
  %s = ptrtoint ptr %sp to i64
  %qp = load ptr, ptr @queue
  %q = ptrtoint ptr %qp to i64
  %r = add i64 %q, {queue_bytes}
  %k = add i64 %s, {state_size}
  {batch}
  ret void
}}
define internal void @one(i8 %type, ptr %what, i64 %size) {{
  %m = alloca [{message} x i8], align 8
  call void @llvm.memset.p0.i64(ptr %m, i8 0, i64 {message}, i1 false)
  store i8 %type, ptr %m
  %to = getelementptr i8, ptr %m, i64 8
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %what, i64 %size, i1 false)
  call void @engine_on_batch(ptr %m, i32 1)
  ret void
}}
define void @engine_on_new_order(ptr %m) {{
  call void @one(i8 0, ptr %m, i64 32)
  ret void
}}
define void @engine_on_cancel(ptr %m) {{
  call void @one(i8 1, ptr %m, i64 16)
  ret void
}}
define void @engine_on_modify(ptr %m) {{
  call void @one(i8 2, ptr %m, i64 32)
  ret void
}}
define void @engine_flush() {{
  ret void
}}

define i64 @engine_query_best_bid() {{
  %sp = load ptr, ptr @state
  %s = ptrtoint ptr %sp to i64
  {bid}
  ret i64 %bid
}}
define i64 @engine_query_best_ask() {{
  %sp = load ptr, ptr @state
  %s = ptrtoint ptr %sp to i64
  {ask}
  ret i64 %ask
}}
define i64 @engine_query_depth_at(i64 %price, i8 zeroext %side) {{
  %sp = load ptr, ptr @state
  %s = ptrtoint ptr %sp to i64
  %of = zext i8 %side to i64
  {depth}
  ret i64 %depth
}}
"""


def _call(symbol: str, result: str, *arguments: str) -> str:
    """A call of a compiled entry: Numba's own convention has a place for the result and one for an exception, of which there are none."""
    given = ", ".join(f"i64 {a}" for a in arguments)
    return (f"%{result}.at = alloca i64\n  %{result}.error = alloca ptr\n"
            f"  %{result}.status = call i32 @\"{symbol}\"(ptr %{result}.at, ptr %{result}.error, {given})\n  %{result} = load i64, ptr %{result}.at")


def _glue(symbols: dict[str, str], cell, engine: str) -> str:
    places, pages = image(cell)
    calls = {"drain": _call(symbols["drain_reports"], "drained", "%q", "%r", "%o", "%m"), "bid": _call(symbols["best_bid"], "bid", "%s"),
             "batch": _call(symbols[ENGINES[engine]], "done", "%s", "%q", "%r", "%k", "%m", "%count"), "ask": _call(symbols["best_ask"], "ask", "%s"),
             "depth": _call(symbols["depth_at"], "depth", "%s", "%price", "%of")}
    declared = "\n".join(f"declare i32 @\"{symbol}\"(ptr, ptr{', i64' * ENTRIES[name][1]})" for name, symbol in symbols.items())
    sizes = {"capacity": ROWS // 2, "queue_size": QUEUE_BYTES + ROWS * SLIP.itemsize, "queue_bytes": QUEUE_BYTES, "until": UNTIL, "rows": ROWS,
             "state_size": len(cell.block), "memory_size": len(cell.block) + NOTES_BYTES, "page": PAGE_BYTES, "message": MESSAGE.itemsize,
             "pages": len(places), "bytes": pages.nbytes, "rw": READ_WRITE, "anonymous": PRIVATE_ANONYMOUS, "large": LARGE_PAGES}
    return GLUE.format(triple=llvm.get_process_triple(), places="[" + ", ".join(f"i64 {place}" for place in places) + "]",
                       data="".join(f"\\{byte:02x}" for byte in pages.tobytes()), declared=declared, **sizes, **calls)


def machine_code(engine: str) -> bytes:
    """The object file: the entries and the glue as one module; nothing but the C names can be seen from outside."""
    symbols, parts = {}, []
    for name in (ENGINES[engine], *QUERIES):
        dispatcher = compiled(name)
        found = dispatcher.overloads[dispatcher.signatures[0]]
        symbols[name] = found.fndesc.llvm_func_name
        parts.append(str(found.library._final_module))
    module = llvm.parse_assembly(_glue(symbols, matching_cell(), engine))
    for part in parts:
        module.link_in(llvm.parse_assembly(part))
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and not item.name.startswith("engine_"):
            item.linkage = "internal"
    target = llvm.Target.from_default_triple().create_target_machine(cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3,
                                                                     reloc="pic", codemodel="small")
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(target, llvm.create_pipeline_tuning_options(3)))
    module.verify()
    return target.emit_object(module)


def build(out: Path, engine: str, linker: str = "cc") -> None:
    """Write the shared library."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "cambist.o"
        made.write_bytes(machine_code(engine))
        subprocess.run([linker, "-shared", "-o", str(out), str(made)], check=True)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description="Compile cambist's matching to a shared library with the harness' C interface.")
    words.add_argument("out", type=Path)
    words.add_argument("--engine", choices=ENGINES, default="book", help="the book alone, as the harness' other engines are, or the whole kernel")
    words.add_argument("--linker", default="cc")
    chosen = words.parse_args()
    build(chosen.out, chosen.engine, chosen.linker)
    print(f"{chosen.out}: {chosen.out.stat().st_size:,} bytes")
