#!/usr/bin/env python3
"""Writes a small `.adaptq` file that has everything the C interface can ask for: an encoder (embedding, attention, two
linear sites stored at every level, pooling), a WordPiece tokenizer, plans that mix levels, texts of the user's own.

Weights are seeded random bits, not encodings of one another, and the plans' quality is made up: for tests of the contract, not
of numbers.
Format: docs/adaptq-file.md. Usage: make_small.py OUTPUT
"""
import json
import random
import struct
import sys

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "small", "model", "##s", "##er"]
WIDTH, INNER = 32, 48
numbers = random.Random("adaptq small model")


def floats(count, scale):
    return struct.pack(f"<{count}f", *(numbers.gauss(0, 1) * scale for _ in range(count)))


def halves(count, scale):
    return struct.pack(f"<{count}e", *(numbers.gauss(0, 1) * scale for _ in range(count)))


def padded(count, step):
    return (count + step - 1) // step * step


tensors = {}  # name: (dtype, bytes)
sites, stored = [], []


def linear(name, n, k, bias):
    at = f"site.{len(sites)}."
    tiles = padded(n, 16) // 16 * (padded(k, 64) // 64)
    for plane in range(4):
        tensors[f"{at}plane{plane}"] = ("U8", numbers.randbytes(tiles * 256))
    tensors[f"{at}scales"] = ("F16", struct.pack("<e", 0.0625) * (tiles * 32))
    tensors[f"{at}fp16"] = ("F16", halves(padded(n, 16) * k, 0.2))
    tensors[f"{at}fp32"] = ("F32", floats(padded(n, 16) * k, 0.2))
    site = {"name": name, "kind": "linear", "n": n, "k": k, "group": 64}
    if bias is not None:
        site["bias"] = bias
    sites.append(site)
    stored.append({"factor": 956301312, "snr": {"INT8": 45.0}})


def table(name, n, k):
    at = f"site.{len(sites)}."
    tensors[f"{at}codes"] = ("U8", numbers.randbytes(n * k))
    tensors[f"{at}scales"] = ("F16", struct.pack("<e", 0.0625) * (n * (padded(k, 64) // 64) * 2))
    sites.append({"name": name, "kind": "embedding", "n": n, "k": k, "group": 64})
    stored.append({"factor": 956301312})


table("words", len(WORDS), WIDTH)
linear("up", INNER, WIDTH, 0)
linear("down", WIDTH, INNER, None)
tensors["constant.0"] = ("F32", floats(INNER, 0.1))
tensors["constant.1"] = ("F32", floats(WIDTH, 1))
tensors["constant.2"] = ("F32", floats(WIDTH, 1))

values, nodes = [], []


def value(name, element, *shape, constant=None):
    sizes = [size if isinstance(size, int) else {"symbol": "bs".index(size)} for size in shape]
    values.append({"name": name, "type": {"element": element, "shape": sizes}})
    if constant is not None:
        values[-1]["constant"] = constant
    return len(values) - 1


def node(op, inputs, name, *shape, **attributes):
    output = value(name, "float32", *shape)
    nodes.append({"op": op, "attributes": attributes, "inputs": inputs, "outputs": [output]})
    return output


ids = value("input_ids", "int64", "b", "s")
mask = value("attention_mask", "int64", "b", "s")
gamma = value("gamma", "float32", WIDTH, constant=1)
beta = value("beta", "float32", WIDTH, constant=2)
x = node("embedding", [ids], "x", "b", "s", WIDTH, site=0)
mixed = node("attention", [x, x, x, mask], "mixed", "b", "s", WIDTH, heads=2, scale=0.25)
wide = node("linear", [mixed], "wide", "b", "s", INNER, site=1)
bent = node("gelu", [wide], "bent", "b", "s", INNER)
narrow = node("linear", [bent], "narrow", "b", "s", WIDTH, site=2)
total = node("add", [narrow, x], "total", "b", "s", WIDTH)
normal = node("layerNorm", [total, gamma, beta], "normal", "b", "s", WIDTH, epsilon=1e-5)
mean = node("maskedMean", [normal, mask], "mean", "b", WIDTH)
result = node("l2Normalize", [mean], "embedding", "b", WIDTH, epsilon=1e-12)

texts = [word.encode() for word in WORDS]
vocabulary = b"AQTV" + struct.pack("<III", 1, len(texts), sum(map(len, texts)))
vocabulary += struct.pack(f"<{len(texts)}H", *map(len, texts)) + b"".join(texts)
tensors["tokenizer.vocabulary"] = ("U8", vocabulary)

special = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
           {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
flags = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
tokenizer = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [{"id": id, "content": WORDS[id], **flags} for id in range(4)],
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                   "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing", "single": special,
                       "pair": special + [{"Sequence": {"id": "B", "type_id": 1}},
                                          {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
                       "special_tokens": {name: {"id": name, "ids": [WORDS.index(name)], "tokens": [name]}
                                          for name in ("[CLS]", "[SEP]")}},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100},
}
model = {
    "graph": {"symbols": ["batch", "sequence"], "values": values, "sites": sites, "states": [],
              "regions": [{"parameters": [ids, mask], "nodes": nodes, "results": [result]}]},
    "constants": [[INNER], [WIDTH], [WIDTH]],
    "stored": stored,
    "vocabulary": len(vocabulary),
}
plans = [([32, 32], 1, 1), ([16, 16], 0.999999, 0.999998), ([16, 8], 0.9998, 0.9995), ([8, 8], 0.9995, 0.9985),
         ([8, 6], 0.999, 0.9986), ([6, 6], 0.998, 0.99), ([8, 2], 0.97, 0.9), ([4, 4], 0.96, 0.94), ([2, 4], 0.75, 0.5),
         ([2, 2], 0.5, -0.25)]
plans = {"reference": 32, "rows": 10,
         "plans": [{"levels": levels, "mean": mean, "p5": p5} for levels, mean, p5 in plans]}
header = {"__metadata__": {"adaptq.version": "1", "adaptq.model": json.dumps(model),
                           "adaptq.tokenizer": json.dumps(tokenizer), "adaptq.plans": json.dumps(plans), "author": "tests", "purpose": "wrong use"}}
data = b""
item = {"U8": 1, "F16": 2, "F32": 4}
for name, (dtype, content) in tensors.items():
    begin = len(data)
    data += content + bytes(padded(len(content), 64) - len(content))
    header[name] = {"dtype": dtype, "shape": [(len(data) - begin) // item[dtype]], "data_offsets": [begin, len(data)]}
text = json.dumps(header).encode()
text += b" " * (padded(8 + len(text), 64) - 8 - len(text))
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
