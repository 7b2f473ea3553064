"""Whole inferences of the same model by others, one thread: the peers of host.c.

peer.py onnxruntime DIRECTORY LENGTH...   the files of export.py
peer.py openvino DIRECTORY LENGTH...      its fp32.onnx
peer.py torch MODEL_DIRECTORY LENGTH...

Prints "version TEXT" and "ready NAME ...", then answers requests (Tests/Peers/serving.py). A name is CONTESTANT-PRECISION@LENGTH.
"""
import functools
import os
import sys

import numpy as np

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from serving import serve  # noqa: E402

framework, source = sys.argv[1:3]
lengths = [int(text) for text in sys.argv[3:]]


def token_ids(length):
    return np.arange(1000, 1000 + 37 * length, 37, dtype=np.int64)[None]


def onnxruntime_calls():
    import onnxruntime as ort

    yield ort.__version__
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    for file in sorted(os.listdir(source)):
        if not file.endswith(".onnx"):
            continue
        session = ort.InferenceSession(f"{source}/{file}", options, providers=["CPUExecutionProvider"])
        for length in lengths:
            ids = token_ids(length)
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            yield f"{file[:-5]}@{length}", functools.partial(session.run, None, feeds)


def torch_calls():
    import torch
    from transformers import AutoModel

    yield f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = AutoModel.from_pretrained(source).eval()
    half = AutoModel.from_pretrained(source).eval().to(torch.bfloat16)
    quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    for name, net in (("fp32", model), ("bf16", half), ("int8", quantized)):
        for length in lengths:
            ids = torch.from_numpy(token_ids(length))
            mask = torch.ones_like(ids)
            yield (f"{name}@{length}",
                   lambda n=net, i=ids, m=mask: n(input_ids=i, attention_mask=m).last_hidden_state.mean(1))


def with_weights_of_8_bits(model):
    """As nncf compresses weights: codes and a scale per output. The product quantizes its input in groups."""
    from openvino import opset13 as op

    for node in model.get_ops():
        if node.get_type_name() != "MatMul" or node.input_value(1).get_node().get_type_name() != "Constant":
            continue
        weights = node.input_value(1).get_node().get_data()
        if not node.get_attributes().get("transpose_b"):
            weights = weights.T
        scales = np.abs(weights).max(1, keepdims=True).astype(np.float32) / 127
        codes = np.round(weights / scales).clip(-127, 127).astype(np.int8)
        product = op.matmul(node.input_value(0), op.multiply(op.convert(op.constant(codes), "f32"), op.constant(scales)),
                            False, True)
        node.output(0).replace(product.output(0))
    return model


def openvino_calls():
    import openvino

    yield openvino.__version__.split("-")[0]
    core = openvino.Core()
    plain = core.read_model(f"{source}/fp32.onnx")
    small = with_weights_of_8_bits(core.read_model(f"{source}/fp32.onnx"))
    for name, model, precision, group in (("fp32", plain, "f32", 0), ("bf16", plain, "bf16", 0), ("int8", small, "f32", 64)):
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY", "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group)})
        for length in lengths:
            request = compiled.create_infer_request()
            ids = token_ids(length)
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            yield f"{name}@{length}", functools.partial(request.infer, feeds, share_inputs=True, share_outputs=True)


version, *found = {"onnxruntime": onnxruntime_calls, "openvino": openvino_calls, "torch": torch_calls}[framework]()
calls = {f"{framework}-{name}": call for name, call in found}
for call in calls.values():
    for _ in range(5):
        call()
serve(f"{framework} {version}", calls)
