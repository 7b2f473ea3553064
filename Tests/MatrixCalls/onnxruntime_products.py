"""Every way that onnxruntime has to multiply by these weights, input and output bound beforehand, called through the binding
object itself, which is the shortest way from Python."""
import functools

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "com.microsoft"
random = np.random.default_rng(1)


def version():
    return f"onnxruntime {ort.__version__}"


def model(operator, inputs, constants, element=TensorProto.FLOAT, result=TensorProto.FLOAT, domain="", k=0, n=0, **attributes):
    node = helper.make_node(operator, inputs, ["y"], domain=domain, **attributes)
    graph = helper.make_graph(
        [node], "product", [helper.make_tensor_value_info("x", element, ["rows", k])],
        [helper.make_tensor_value_info("y", result, ["rows", n])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def blocks(weights, bits, block):
    """Codes of `bits` in blocks with a scale each; the product quantizes the input (accuracy level 4: to 8 bits)."""
    n, k = weights.shape
    parts = weights.reshape(n, k // block, block)
    middle = 1 << (bits - 1)
    steps = (np.abs(parts).max(-1) / max(middle - 1, 1)).astype(np.float32)
    codes = np.clip(np.round(parts / steps[..., None]) + middle, 0, 2 * middle - 1).astype(np.uint8)
    packed = sum(codes[..., part::8 // bits] << (part * bits) for part in range(8 // bits)).astype(np.uint8)
    return model("MatMulNBits", ["x", "w", "steps"], {"w": packed, "steps": steps.reshape(-1)}, domain=DOMAIN, K=k, N=n,
                 bits=bits, block_size=block, accuracy_level=4, k=k, n=n)


def kinds(n, k):
    weights = random.standard_normal((n, k), dtype=np.float32)
    step = np.float32(np.abs(weights).max() / 127)
    signed = np.ascontiguousarray(np.clip(np.round(weights / step), -127, 127).astype(np.int8).T)
    unsigned = (signed.astype(np.int16) + 128).astype(np.uint8)
    sizes = {"k": k, "n": n}

    def builder(proto, element=np.float32, result=np.float32):
        proto = functools.cache(proto)
        return lambda: bound(proto(), n, k, element, result)

    yield "fp32", n * k * 4, builder(
        lambda: model("MatMul", ["x", "w"], {"w": np.ascontiguousarray(weights.T)}, **sizes))
    for name, codes, zero in (("int8-dynamic-s8", signed, np.int8(0)), ("int8-dynamic-u8", unsigned, np.uint8(128))):
        yield name, n * k, builder(lambda codes=codes, zero=zero: model(
            "DynamicQuantizeMatMul", ["x", "w", "step", "zero"], {"w": codes, "step": step, "zero": zero}, domain=DOMAIN,
            **sizes))
    # The product alone, out of bytes that someone else has quantized, into integers.
    yield "bytes-integer", n * k, builder(
        lambda: model("MatMulInteger", ["x", "w"], {"w": signed}, TensorProto.UINT8, TensorProto.INT32, **sizes), np.uint8,
        np.int32)
    for bits, block in ((8, 32), (8, 128), (4, 32), (4, 128), (2, 64), (2, 128)):
        if k % block == 0:
            yield f"int{bits}-blocks-of-{block}", n * k * bits // 8, builder(
                lambda bits=bits, block=block: blocks(weights, bits, block))


def bound(proto, n, k, element, result):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])

    def bind(rows):
        x = random.standard_normal((rows, k), dtype=np.float32)
        if element != np.float32:
            x = random.integers(0, 256, (rows, k)).astype(element)
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(x))
        binding.bind_ortvalue_output("y", ort.OrtValue.ortvalue_from_numpy(np.zeros((rows, n), result)))
        kept.append(binding)
        return functools.partial(session._sess.run_with_iobinding, binding._iobinding, None)

    kept = [session]
    return bind
