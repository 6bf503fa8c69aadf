"""The machine's peak: how many multiplications and additions all its CPUs do, with nothing to wait for and no memory.

Native code made with llvmlite: chains of vector multiply-adds that do not depend on each other, enough of them to cover the
latency, all in registers, on as many threads as asked for. ``python -m benchmarks.peak`` prints it.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from .peer import Training
from .workload import WORKLOADS, Workload

CHAINS, UNROLLED = 12, 8
"""12 chains cover four cycles at two (or three) instructions a cycle, and fit into 16 registers beside the factors."""


class Kernel:
    """``rounds`` rounds of ``CHAINS · UNROLLED`` multiply-adds on vectors as wide as the processor's, or narrower."""

    def __init__(self, vector: int | None = None) -> None:
        from llvmlite import binding, ir

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        features = binding.get_host_cpu_features()
        has = {name for name, present in features.items() if present}
        if vector is None:
            vector = 64 if "avx512f" in has else 32 if "avx" in has else 16
        fused = bool(has & {"fma", "avx512f", "neon", "fp-armv8"})
        lanes = vector // 4
        self.flops = 2 * lanes * CHAINS * UNROLLED
        """Multiplications and additions of a round."""
        single, integer = ir.FloatType(), ir.IntType(64)
        kind = ir.VectorType(single, lanes)
        module = ir.Module("peak")
        function = ir.Function(module, ir.FunctionType(single, [integer, single, single]), "peak")
        rounds, a, b = function.args
        entry, body, end = (function.append_basic_block(name) for name in ("entry", "body", "end"))
        build: Any = ir.IRBuilder(entry)

        def spread(x: Any) -> Any:
            place = build.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
            return build.shuffle_vector(place, place, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

        factor, term = spread(a), spread(b)
        first = [build.fmul(term, ir.Constant(kind, [float(n)] * lanes)) for n in range(CHAINS)]
        build.branch(body)
        build.position_at_end(body)
        count = build.phi(integer)
        count.add_incoming(ir.Constant(integer, 0), entry)
        chains = [build.phi(kind) for _ in first]
        for one, start in zip(chains, first, strict=True):
            one.add_incoming(start, entry)
        fma = ir.Function(module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.v{lanes}f32")
        values = list(chains)
        for _ in range(UNROLLED):
            values = [
                build.call(fma, [x, factor, term]) if fused else build.fadd(build.fmul(x, factor), term) for x in values
            ]
        for one, value in zip(chains, values, strict=True):
            one.add_incoming(value, body)
        following = build.add(count, ir.Constant(integer, 1))
        count.add_incoming(following, body)
        build.cbranch(build.icmp_signed("<", following, rounds), body, end)
        build.position_at_end(end)
        total = values[0]
        for value in values[1:]:
            total = build.fadd(total, value)
        build.ret(build.extract_element(total, ir.Constant(ir.IntType(32), 0)))

        parsed = binding.parse_assembly(str(module))
        machine = binding.Target.from_default_triple().create_target_machine(
            cpu=binding.get_host_cpu_name(), features=features.flatten(), opt=2
        )
        self._engine = binding.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()
        signature = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64, ctypes.c_float, ctypes.c_float)
        self._run = signature(self._engine.get_function_address("peak"))

    def __call__(self, rounds: int) -> float:
        """Run so many rounds on this thread; Python's lock is released meanwhile."""
        return float(self._run(rounds, 0.999, 0.001))  # the chains tend to 1: no overflow, nothing denormal


class Peer(Training):
    """The kernel on all threads, in the clothes of a peer, so that it takes its turn among them."""

    ROUNDS = 200_000
    """Some 5 ms: waking the threads does not show."""

    def __init__(self, workload: Workload, threads: int, vector: int | None = None) -> None:
        self.kernel = Kernel(vector)
        self.threads = threads
        self.flops = self.kernel.flops * self.ROUNDS * threads
        self._pool = ThreadPoolExecutor(threads)
        self._barrier = Barrier(threads)

    def start(self) -> None: ...

    def _one(self) -> float:
        self._barrier.wait()
        return self.kernel(self.ROUNDS)

    def call(self) -> Any:
        return [one.result() for one in [self._pool.submit(self._one) for _ in range(self.threads)]]

    def losses(self, result: Any) -> list[float]:
        return []

    def version(self) -> str:
        return "multiply-add peak"


def main() -> None:
    import time

    from .process import usable

    names = {16: "128", 32: "256", 64: "512"}
    widest = Kernel().flops // (2 * CHAINS * UNROLLED) * 4
    for vector in (one for one in names if one <= widest):
        for threads in sorted({1, usable()}):
            peer = Peer(next(iter(WORKLOADS.values())), threads, vector)
            rates = []
            for _ in range(60):
                start = time.perf_counter()
                peer.call()
                rates.append(peer.flops / (time.perf_counter() - start) / 1e9)
            print(f"{names[vector]} bits, {threads} thread{'s'[: threads > 1]}: best {max(rates):7.1f} GFLOP/s")


if __name__ == "__main__":
    main()
