"""Whole inferences of the same model by others, one thread: the peers of host.c.

peer.py onnxruntime DIRECTORY LENGTH...   the files of export.py
peer.py torch MODEL_DIRECTORY LENGTH...

Prints "ready NAME ..." and then, for every line "SAMPLES" on standard input, one line per name: NAME and SAMPLES times,
nanoseconds per inference. Ends with its input. A name is CONTESTANT@LENGTH.
"""
import os
import sys
import time

import numpy as np

framework, source = sys.argv[1:3]
lengths = [int(text) for text in sys.argv[3:]]


def onnxruntime_calls():
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    for file in sorted(os.listdir(source)):
        if not file.endswith(".onnx"):
            continue
        session = ort.InferenceSession(f"{source}/{file}", options, providers=["CPUExecutionProvider"])
        for length in lengths:
            ids = np.arange(1000, 1000 + 37 * length, 37, dtype=np.int64)[None]
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            yield f"onnxruntime-{file[:-5]}@{length}", lambda s=session, f=feeds: s.run(None, f)


def torch_calls():
    import torch
    from transformers import AutoModel

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = AutoModel.from_pretrained(source).eval()
    quantized = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    for name, net in (("fp32", model), ("int8", quantized)):
        for length in lengths:
            ids = torch.arange(1000, 1000 + 37 * length, 37)[None]
            mask = torch.ones_like(ids)
            yield (f"torch-{name}@{length}",
                   lambda n=net, i=ids, m=mask: n(input_ids=i, attention_mask=m).last_hidden_state.mean(1))


calls = dict(onnxruntime_calls() if framework == "onnxruntime" else torch_calls())
for call in calls.values():
    for _ in range(5):
        call()
print("ready", *calls, flush=True)
for line in sys.stdin:
    for name, call in calls.items():
        call()
        times = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - start)
        print(name, *times, flush=True)
