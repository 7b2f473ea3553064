"""Makes the files that onnxruntime is measured with: export.py MODEL_DIRECTORY OUTPUT_DIRECTORY.

The model as PyTorch exports it, and what onnxruntime's own dynamic quantization makes of it (8-bit weights). Needs torch,
transformers, onnx and onnxruntime; run once, apart from any measurement.
"""
import os
import sys

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel

source, target = sys.argv[1:3]
os.makedirs(target, exist_ok=True)


class Encoder(torch.nn.Module):
    """Mean of the last layer's rows, as sentence embeddings are made."""

    def __init__(self):
        super().__init__()
        self.model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask):
        rows = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(rows.dtype)
        return (rows * mask).sum(1) / mask.sum(1)


ids = torch.ones(1, 16, dtype=torch.int64)
axes = {"input_ids": {0: "batch", 1: "length"}, "attention_mask": {0: "batch", 1: "length"}}
with torch.no_grad():
    torch.onnx.export(
        Encoder(), (ids, ids), f"{target}/fp32.onnx", input_names=list(axes), output_names=["embedding"],
        dynamic_axes=axes, opset_version=17, dynamo=False)
for name, kind, reduced in (("int8", QuantType.QInt8, False), ("uint8", QuantType.QUInt8, False),
                            ("int7", QuantType.QInt8, True)):
    quantize_dynamic(
        f"{target}/fp32.onnx", f"{target}/{name}.onnx", weight_type=kind, per_channel=True, reduce_range=reduced)
