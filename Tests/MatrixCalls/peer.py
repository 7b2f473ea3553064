"""onnxruntime's calls of one matrix product, one thread: the peer of calls.c.

peer.py N K: prints "ready NAME ..." and then, for every line "SAMPLES CALLS" on standard input, one line per kind of call:
NAME and SAMPLES times, nanoseconds per call. Ends with its input.

Every way onnxruntime has for 8-bit weights and one row, input and output bound beforehand, called through the binding object
itself, which is the shortest way from Python. The loop's own cost, an empty call, is taken off.
"""
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

n, k = int(sys.argv[1]), int(sys.argv[2])
random = np.random.default_rng(1)
weights = random.standard_normal((k, n)).astype(np.float32)


def model(node, constants, element=TensorProto.FLOAT, result=TensorProto.FLOAT):
    graph = helper.make_graph(
        [node], "product", [helper.make_tensor_value_info("x", element, [1, k])],
        [helper.make_tensor_value_info("y", result, [1, n])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def models():
    step = np.float32(np.abs(weights).max() / 127)
    signed = np.clip(np.round(weights / step), -127, 127).astype(np.int8)
    for name, codes, zero in (
            ("dynamic-s8", signed, np.int8(0)),
            ("dynamic-u8", (signed.astype(np.int16) + 128).astype(np.uint8), np.uint8(128))):
        node = helper.make_node(
            "DynamicQuantizeMatMul", ["x", "w", "step", "zero"], ["y"], domain="com.microsoft")
        yield name, model(node, {"w": codes, "step": step, "zero": zero}), np.float32
    # The product alone, out of bytes that someone else has quantized, into integers.
    yield ("integer", model(helper.make_node("MatMulInteger", ["x", "w"], ["y"]), {"w": signed}, TensorProto.UINT8,
                            TensorProto.INT32), np.uint8)
    block = 32
    if k % block == 0:
        parts = weights.T.reshape(n, k // block, block)
        steps = (np.abs(parts).max(-1) / 127).astype(np.float32)
        codes = np.clip(np.round(parts / steps[..., None]) + 128, 0, 255).astype(np.uint8)
        node = helper.make_node(
            "MatMulNBits", ["x", "w", "steps"], ["y"], domain="com.microsoft", K=k, N=n, bits=8, block_size=block,
            accuracy_level=4)
        yield "blocks-of-32", model(node, {"w": codes, "steps": steps.reshape(-1)}), np.float32


def bound_call(proto, element):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = random.standard_normal((1, k)).astype(np.float32) if element == np.float32 else random.integers(
        0, 256, (1, k)).astype(np.uint8)
    result = np.int32 if element == np.uint8 else np.float32
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_numpy(np.zeros((1, n), result)))
    run, raw = session._sess.run_with_iobinding, binding._iobinding

    def loop(calls):
        start = time.perf_counter_ns()
        for _ in range(calls):
            run(raw, None)
        return (time.perf_counter_ns() - start) / calls

    loop.keep = session, binding
    return loop


def nothing(raw, options):
    pass


def empty(calls):
    start = time.perf_counter_ns()
    for _ in range(calls):
        nothing(None, None)
    return (time.perf_counter_ns() - start) / calls


loops = {}
for name, proto, element in models():
    try:
        loops[name] = bound_call(proto, element)
        loops[name](200)
    except Exception as error:  # a build without this operator
        print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)
print("ready", *loops, flush=True)
for line in sys.stdin:
    samples, calls = (int(part) for part in line.split())
    cost = min(empty(calls) for _ in range(5))
    for name, loop in loops.items():
        loop(calls)
        print(name, *(f"{loop(calls) - cost:.1f}" for _ in range(samples)), flush=True)
