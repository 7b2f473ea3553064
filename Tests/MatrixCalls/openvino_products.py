"""OpenVINO's products: fp32, bfloat16, and weights of 8 and 4 bits with the input quantized in groups of 64 in the call."""
import functools

import numpy as np
import openvino
from openvino import opset13 as op

GROUP = 64
random = np.random.default_rng(1)
core = openvino.Core()


def version():
    return f"openvino {openvino.__version__.split('-')[0]}"


def constant(n, k, bits):
    if bits == 32:
        return op.constant(random.standard_normal((n, k), dtype=np.float32))
    if bits == 8:
        codes = op.constant(random.integers(-127, 128, (n, k)).astype(np.int8))
        return op.multiply(op.convert(codes, "f32"), op.constant(np.full((n, 1), 0.01, np.float32)))
    # Two codes per byte, the lower half first; the middle of the range is zero.
    codes = openvino.Tensor(
        random.integers(0, 256, (n, k // GROUP, GROUP // 2)).astype(np.uint8), [n, k // GROUP, GROUP], openvino.Type.u4)
    zero = op.convert(op.constant(np.full((1, 1, 1), 8, np.uint8)), "f32")
    scales = op.constant(np.full((n, k // GROUP, 1), 0.01, np.float32))
    centered = op.subtract(op.convert(op.constant(codes, shared_memory=False), "f32"), zero)
    return op.reshape(op.multiply(centered, scales), np.array([n, k]), False)


# Models that take turns would hand over from thread to thread: one model has all products.
TOGETHER = True


def build(n, k, bits, precision, group, count=1):
    x = op.parameter(openvino.PartialShape([-1, k]), openvino.Type.f32, name="x")
    model = openvino.Model([op.matmul(x, constant(n, k, bits), False, True) for _ in range(count)], [x], "product")
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group)})

    def bind(rows):
        request = compiled.create_infer_request()
        x = openvino.Tensor(random.standard_normal((rows, k), dtype=np.float32))
        return functools.partial(infer, request, x, True, False)

    return bind


# That of the library itself: the wrapper around it looks at the inputs at each call.
infer = openvino._pyopenvino.InferRequest.infer


def kinds(n, k):
    for name, bits, precision, group in (("fp32", 32, "f32", 0), ("bf16", 32, "bf16", 0),
                                         ("int8-dynamic", 8, "f32", GROUP), ("int4-dynamic", 4, "f32", GROUP)):
        if bits == 4 and k % GROUP:
            continue
        # bfloat16 weights are converted when the model is compiled.
        stored = 2 if precision == "bf16" else bits / 8
        yield name, int(n * k * stored), functools.partial(build, n, k, bits, precision, group)
