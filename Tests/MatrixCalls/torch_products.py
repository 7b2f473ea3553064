"""Linear layers of PyTorch: bfloat16, dynamic quantization to 8 bits, weights of 8 and 4 bits below bfloat16, and the bare product
of bytes."""
import copy
import functools
import warnings

import torch

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.set_grad_enabled(False)


def version():
    return f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"


def kinds(n, k):
    linear = torch.nn.Linear(k, n, bias=False).eval()
    weights = linear.weight.detach()

    def linear_call(module, element=torch.float32):
        return lambda rows: functools.partial(module, torch.randn(rows, k).to(element))

    def dynamic():
        module = torch.ao.quantization.quantize_dynamic(
            torch.nn.Sequential(linear), {torch.nn.Linear}, dtype=torch.qint8)
        return linear_call(module)

    def weights_of_8():
        scales = (weights.abs().amax(1) / 127).to(torch.bfloat16)
        codes = torch.round(weights / scales[:, None].float()).clamp(-127, 127).to(torch.int8)
        return lambda rows: functools.partial(
            torch.ops.aten._weight_int8pack_mm, torch.randn(rows, k).to(torch.bfloat16), codes, scales)

    def weights_of_4(block=64):
        codes = torch.randint(0, 16, (n, k), dtype=torch.int32)
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
        scales = torch.full((k // block, n, 2), 0.01, dtype=torch.bfloat16)
        return lambda rows: functools.partial(
            torch.ops.aten._weight_int4pack_mm_for_cpu, torch.randn(rows, k).to(torch.bfloat16), packed, block, scales)

    def bytes_product():
        codes = torch.randint(-127, 127, (n, k), dtype=torch.int8).t()
        return lambda rows: functools.partial(
            torch._int_mm, torch.randint(-127, 127, (rows, k), dtype=torch.int8), codes)

    yield "bf16", n * k * 2, lambda: linear_call(copy.deepcopy(linear).to(torch.bfloat16), torch.bfloat16)
    yield "int8-dynamic", n * k, dynamic
    yield "int8-weights", n * k, weights_of_8
    yield "bytes-int-mm", n * k, bytes_product
    yield "int4-weights", n * k // 2, weights_of_4
