"""The intermediate representation: kernels, loop nests, scalar expressions, affine indices, memory plans. No LLVM."""
