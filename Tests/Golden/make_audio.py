"""Makes audio.bin and audio.chunks from PyTorch: a small causal speech model run over chunks. Run by hand, never by the tests:

    python -m venv v && v/bin/pip install torch
    v/bin/python Tests/Golden/make_audio.py

x [2, steps, 6] -> conv1d (6 -> 24, 5 taps, stride 2, padding 2), GELU
                -> depthwise conv1d (24, 3 taps, padding 2, dilation 2), ReLU
                -> conv1d in 2 groups (24 -> 32, 3 taps, padding 1), tanh
                -> GRU (32 -> 40), its state carried from chunk to chunk
                -> flag != 0: linear (40 -> 10), softmax; else: linear (40 -> 16), ReLU, linear (16 -> 10), sigmoid
Outputs: y [2, outputSteps, 10] and the GRU's state [2, 40] behind the chunk.

Both files are little-endian.
audio.bin     the weights: the bytes "ADQAUDI1", uint32 length of a JSON text, the JSON text padded with spaces to a multiple
              of 4, then all tensors as float32, in PyTorch's order. JSON: [{"name", "sizes", "offset"}], offset in elements.
audio.chunks  the runs, one after the other: the bytes "ADQCHUNK", uint32 number of chunks, then per chunk int32 steps, flag,
              reset (the state was set to zeros before), outputSteps, and float32 x [2][steps][6], y [2][outputSteps][10],
              state [2][40].
"""
import json
import pathlib
import struct

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


class Audio(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(6, 24, 5, stride=2, padding=2)
        self.depthwise = nn.Conv1d(24, 24, 3, padding=2, dilation=2, groups=24)
        self.grouped = nn.Conv1d(24, 32, 3, padding=1, groups=2)
        self.gru = nn.GRU(32, 40, batch_first=True)
        self.classes = nn.Linear(40, 10)
        self.inner = nn.Linear(40, 16)
        self.scores = nn.Linear(16, 10)

    def forward(self, x, state, flag):
        x = x.transpose(1, 2)
        x = nn.functional.gelu(self.first(x))
        x = torch.relu(self.depthwise(x))
        x = torch.tanh(self.grouped(x))
        x, state = self.gru(x.transpose(1, 2), state.unsqueeze(0))
        if flag != 0:
            y = torch.softmax(self.classes(x), dim=-1)
        else:
            y = torch.sigmoid(self.scores(torch.relu(self.inner(x))))
        return y, state.squeeze(0)


def main():
    torch.manual_seed(20250102)
    model = Audio().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    floats = []

    def tensor(name, value):
        value = value.detach().to(torch.float32).contiguous()
        entry = {"name": name, "sizes": list(value.shape), "offset": sum(len(v) for v in floats)}
        floats.append(value.flatten().tolist())
        return entry

    index = [tensor(name, value) for name, value in model.named_parameters()]
    text = json.dumps(index).encode()
    text += b" " * (-len(text) % 4)
    data = b"".join(struct.pack(f"<{len(v)}f", *v) for v in floats)
    (HERE / "audio.bin").write_bytes(b"ADQAUDI1" + struct.pack("<I", len(text)) + text + data)

    state = torch.zeros(2, 40)
    # Both branches with short and long chunks; resets in the middle.
    chunks = [(16, 1, 1), (16, 0, 0), (5, 1, 0), (1, 0, 0), (24, 1, 0), (7, 0, 1), (16, 0, 0), (2, 1, 1), (16, 1, 0)]
    data = b"ADQCHUNK" + struct.pack("<I", len(chunks))
    for steps, flag, reset in chunks:
        if reset:
            state = torch.zeros(2, 40)
        x = torch.randn(2, steps, 6)
        with torch.no_grad():
            y, state = model(x, state, flag)
        data += struct.pack("<4i", steps, flag, reset, y.shape[1])
        for value in (x, y, state):
            data += struct.pack(f"<{value.numel()}f", *value.flatten().tolist())
    (HERE / "audio.chunks").write_bytes(data)


main()
