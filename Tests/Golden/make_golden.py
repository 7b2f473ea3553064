"""Makes the golden files of this folder from PyTorch. Run by hand, never by the tests:

    python -m venv v && v/bin/pip install torch transformers
    v/bin/python Tests/Golden/make_golden.py ~/.cache/adaptq/models/all-MiniLM-L6-v2

Writes next to itself, all little-endian:
  sentences.tokens    per sentence one line of token ids (special tokens included)
  embeddings.f32      100 x 384 float32: mean over the tokens, scaled to length 1; FP32, one sentence at a time
  first.f32           for sentence 1 (n tokens): n x 384 after the embedding layer, n x 384 after layer 0
  operators.bin       inputs and outputs of single operators, see `operators`
and prints, for the record, what torch's own dynamic INT8 gives on the same sentences.
"""
import json
import pathlib
import struct
import sys

import numpy
import torch
import torch.nn.functional as F
from transformers import AutoModel, AutoTokenizer

HERE = pathlib.Path(__file__).parent


def embed(model, encoded):
    hidden = model(**encoded).last_hidden_state
    mask = encoded["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    return F.normalize(mean, p=2, dim=1)


def operators():
    """A list of cases: name, attributes, and tensors in order (inputs first, outputs last).

    File: the bytes "ADQGOLD1", uint32 length of a JSON text, the JSON text padded with spaces to a multiple of 4, then all
    tensors as float32. JSON: [{"name", "attributes", "tensors": [{"name", "sizes", "offset"}]}], offset in float32 elements.
    """
    random = torch.Generator().manual_seed(20250101)

    def normal(*sizes, scale=1.0):
        return torch.randn(*sizes, generator=random) * scale

    cases = []
    x = torch.cat([normal(180, scale=3.0), torch.tensor([0.0, -0.0, 1e-6, -1e-6, 1e-30, 6.0, -6.0, 20.0, -20.0, 1e4, -1e4])])
    cases.append(("gelu", {"approximate": "none"}, {"x": x, "y": F.gelu(x)}))

    for rows, width, eps, scale in [(3, 384, 1e-12, 1.0), (5, 17, 1e-5, 10.0), (2, 64, 1e-12, 1e-3)]:
        x, w, b = normal(rows, width, scale=scale), normal(width), normal(width)
        y = F.layer_norm(x, (width,), w, b, eps)
        cases.append(("layer_norm", {"epsilon": eps}, {"x": x, "weight": w, "bias": b, "y": y}))

    for rows, width, scale in [(4, 37, 1.0), (3, 128, 30.0), (2, 1, 1.0)]:
        x = normal(rows, width, scale=scale)
        cases.append(("softmax", {"axis": -1}, {"x": x, "y": F.softmax(x, dim=-1)}))

    # mask: 1 where a key counts, 0 where it is padding, one row per batch entry.
    for batch, heads, length, width, kept in [(2, 3, 7, 32, [7, 4]), (1, 2, 19, 32, [19]), (2, 1, 5, 8, [1, 5])]:
        q, k, v = (normal(batch, heads, length, width) for _ in range(3))
        mask = torch.zeros(batch, length)
        for index, count in enumerate(kept):
            mask[index, :count] = 1
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=(mask[:, None, None, :] > 0))
        cases.append(("scaled_dot_product_attention", {"scale": width**-0.5},
                      {"q": q, "k": k, "v": v, "mask": mask, "y": y}))

    x, w, b = normal(5, 48), normal(24, 48, scale=0.1), normal(24)
    cases.append(("linear", {}, {"x": x, "weight": w, "bias": b, "y": F.linear(x, w, b)}))
    x = normal(3, 384)
    cases.append(("l2_normalize", {"epsilon": 1e-12}, {"x": x, "y": F.normalize(x, p=2, dim=1)}))
    return cases


def write_operators(path):
    index, data, offset = [], [], 0
    for name, attributes, tensors in operators():
        entries = []
        for tensor_name, tensor in tensors.items():
            values = tensor.contiguous().numpy().astype("<f4")
            entries.append({"name": tensor_name, "sizes": list(values.shape), "offset": offset})
            data.append(values.tobytes())
            offset += values.size
        index.append({"name": name, "attributes": attributes, "tensors": entries})
    text = json.dumps(index).encode()
    text += b" " * (-len(text) % 4)
    path.write_bytes(b"ADQGOLD1" + struct.pack("<I", len(text)) + text + b"".join(data))


def main():
    folder = sys.argv[1]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    sentences = (HERE / "sentences.txt").read_text(encoding="utf-8").splitlines()
    assert len(sentences) == 100

    with torch.no_grad():
        encoded = [tokenizer(text, return_tensors="pt") for text in sentences]
        ids = [e["input_ids"][0].tolist() for e in encoded]
        assert min(map(len, ids)) >= 4 and max(map(len, ids)) <= 128
        golden = torch.cat([embed(model, e) for e in encoded])
        first = model(**encoded[0], output_hidden_states=True).hidden_states
        # Padding must not matter: the same in one batch.
        batch = tokenizer(sentences, return_tensors="pt", padding=True)
        batched = embed(model, batch)
        print(f"sentences: {len(sentences)}, tokens: {min(map(len, ids))} to {max(map(len, ids))}")
        print(f"one padded batch against single sentences: largest difference {(batched - golden).abs().max():.2e}")

        for engine in torch.backends.quantized.supported_engines:
            if engine in ("none", "qnnpack"):
                continue
            torch.backends.quantized.engine = engine
            for name, config in (("per tensor", torch.ao.quantization.default_dynamic_qconfig),
                                 ("per channel", torch.ao.quantization.per_channel_dynamic_qconfig)):
                int8 = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear: config}, dtype=torch.qint8)
                cosine = (torch.cat([embed(int8, e) for e in encoded]) * golden).sum(1)
                print(f"torch dynamic INT8 ({engine}, {name}) against FP32: "
                      f"cosine mean {cosine.mean():.6f}, min {cosine.min():.6f}")

    (HERE / "sentences.tokens").write_text("".join(" ".join(map(str, line)) + "\n" for line in ids))
    (HERE / "embeddings.f32").write_bytes(golden.numpy().astype("<f4").tobytes())
    (HERE / "first.f32").write_bytes(numpy.concatenate([first[0][0].numpy(), first[1][0].numpy()]).astype("<f4").tobytes())
    write_operators(HERE / "operators.bin")
    print(f"torch {torch.__version__}")


main()
