"""ggml's products, out of the libraries that the package libggml-python brings: Q8_0, Q6_K, Q4_0, Q2_K, and bfloat16. Weights lie
in the buffer type that repacks them for this CPU where the build has one for their type."""
import ctypes
import functools
import glob
import importlib.util
import os

import numpy as np

TYPES = {"bf16": (30, 1, 2), "int8-q8_0": (8, 32, 34), "int6-q6_K": (14, 256, 210), "int4-q4_0": (2, 32, 18),
         "int4-q4_K": (12, 256, 144), "int2-q2_K": (10, 256, 84)}  # number, weights of a block, bytes of a block
F32 = 0

# ADAPTQ_PEER_GGML: a folder with another build of the libraries.
folder = os.environ.get("ADAPTQ_PEER_GGML") or f"{importlib.util.find_spec('libggml').submodule_search_locations[0]}/lib64"
base = ctypes.CDLL(f"{folder}/libggml-base.so.0", mode=ctypes.RTLD_GLOBAL)
cpu = ctypes.CDLL(glob.glob(f"{folder}/libggml-cpu.so.0")[0], mode=ctypes.RTLD_GLOBAL)


class InitParameters(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


def function(library, name, result, *arguments):
    f = getattr(library, name)
    f.restype, f.argtypes = result, arguments
    return f


pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
init = function(base, "ggml_init", pointer, InitParameters)
new_tensor = function(base, "ggml_new_tensor_2d", pointer, pointer, ctypes.c_int, number, number)
mul_mat = function(base, "ggml_mul_mat", pointer, pointer, pointer, pointer)
new_graph = function(base, "ggml_new_graph", pointer, pointer)
expand = function(base, "ggml_build_forward_expand", None, pointer, pointer)
alloc = function(base, "ggml_backend_alloc_ctx_tensors", pointer, pointer, pointer)
alloc_from = function(base, "ggml_backend_alloc_ctx_tensors_from_buft", pointer, pointer, pointer)
set_tensor = function(base, "ggml_backend_tensor_set", None, pointer, pointer, size, size)
quantize = function(base, "ggml_quantize_chunk", size, ctypes.c_int, pointer, pointer, number, number, number, pointer)
compute = function(base, "ggml_backend_graph_compute", ctypes.c_int, pointer, pointer)
supports = function(base, "ggml_backend_supports_op", ctypes.c_bool, pointer, pointer)
device_of = function(base, "ggml_backend_get_device", pointer, pointer)
registry_of = function(base, "ggml_backend_dev_backend_reg", pointer, pointer)
address_of = function(base, "ggml_backend_reg_get_proc_address", pointer, pointer, ctypes.c_char_p)
text_version = function(base, "ggml_version", ctypes.c_char_p)

LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, pointer)
silent = LOG(lambda level, text, context: None)
function(base, "ggml_log_set", None, LOG, pointer)(silent, None)
backend = function(cpu, "ggml_backend_cpu_init", pointer)()
function(cpu, "ggml_backend_cpu_set_n_threads", None, pointer, ctypes.c_int)(backend, 1)


def version():
    sets = [name for name in ("avx2", "avx512", "avx512_vnni", "avx512_bf16")
            if function(cpu, f"ggml_cpu_has_{name}", ctypes.c_int)()]
    return f"ggml {text_version().decode()} built for {', '.join(sets) or 'no vectors'}"


def context():
    overhead = 1 << 20
    return init(InitParameters(overhead, None, True))


def repacking_types():
    device = device_of(backend)
    address = address_of(registry_of(device), b"ggml_backend_dev_get_extra_bufts")
    if not address:
        return []
    types = ctypes.CFUNCTYPE(ctypes.POINTER(pointer), pointer)(address)(device)
    result = []
    while types and types[len(result)]:
        result.append(types[len(result)])
    return result


def build(n, k, kind, codes):
    """The weights in the first buffer type with which this product can be computed."""
    for buffer_type in [*repacking_types(), None]:
        weights_context = context()
        weights = new_tensor(weights_context, kind, k, n)
        buffer = alloc_from(weights_context, buffer_type) if buffer_type else alloc(weights_context, backend)
        probe = context()
        if buffer and supports(backend, mul_mat(probe, weights, new_tensor(probe, F32, k, 1))):
            break
    set_tensor(weights, codes.ctypes.data, 0, codes.nbytes)

    def bind(rows):
        c = context()
        x = new_tensor(c, F32, k, rows)
        y = mul_mat(c, weights, x)
        graph = new_graph(c)
        expand(graph, y)
        alloc(c, backend)
        values = np.random.default_rng(1).standard_normal((rows, k), dtype=np.float32)
        set_tensor(x, values.ctypes.data, 0, values.nbytes)
        return functools.partial(compute, backend, graph)

    return bind


def kinds(n, k):
    weights = np.random.default_rng(1).standard_normal((n, k), dtype=np.float32)
    for name, (kind, block, block_bytes) in TYPES.items():
        if k % block:
            continue
        byte_count = n * (k // block) * block_bytes

        @functools.cache
        def codes(kind=kind, byte_count=byte_count):
            result = np.zeros(byte_count, np.uint8)
            quantize(kind, weights.ctypes.data, result.ctypes.data, 0, n, k, None)
            return result

        yield name, byte_count, lambda kind=kind, codes=codes: build(n, k, kind, codes())
