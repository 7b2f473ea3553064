"""Runs x86-64 machine code on an emulated CPU (Bochs), for instruction sets that this machine lacks.

    python3 run_kernel.py --check          exit 0 where the emulator can be imported
    python3 run_kernel.py JOBS RESULTS     run all jobs of one file

Needs the PyPI package bochscpu-python, which carries the CPU core of Bochs (https://bochs.sourceforge.io). Each job is a function
`void f(void *argument)` of the System V calling convention. It sees its code (read and execute), a stack of 64 KiB, and its
regions at the addresses the caller chose; every other page faults, so buffers that end at a page are guarded. The result says
what faulted, which callee-saved registers changed, and whether bytes beside a region were written.

This build of Bochs has no AMX: on the model sapphire_rapids it stops at each tile instruction, and the class Tiles does what the
manual says. A kernel that ends with configured tiles is complained about.

The file format, little-endian; a string is a u32 length and its UTF-8 bytes:

    JOBS     "ADQJOBS1", CPU name (string), u32 job count, then per job:
             u64 code size, code; u64 argument; u32 region count, per region: u64 address, u64 size, u8 writable, contents
    RESULTS  "ADQDONE1", u32 job count, then per job:
             complaints (string, one per line, empty if all went well), then the contents of each writable region in order
"""

import ctypes
import math
import mmap
import os
import struct
import sys
import traceback

# The binding may want symbols of a newer C library that are never called: resolve them lazily.
sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_LOCAL)

PAGE = 4096
FIRST_FRAME = 0x1000_0000
CODE = 0x10_0000
SENTINEL = 0x8_0000
STACK_TOP = 0x7_0000
STACK_SIZE = 64 * 1024
FILLER = 0xA5
WRITABLE, NO_EXECUTE = 2, 1 << 63
CALLEE_SAVED = {
    "rbx": 0xB1B1B1B10BADF00D, "rbp": 0xB2B2B2B20BADF00D, "r12": 0xC12C12C10BADF00D,
    "r13": 0xC13C13C10BADF00D, "r14": 0xC14C14C10BADF00D, "r15": 0xC15C15C10BADF00D,
}
# A NaN as float, half and bfloat16.
POISON = 0x7FC17FC17FC17FC1

MODELS = {
    "haswell": "_Z32create_corei7_haswell_4770_cpuidP8BX_CPU_C",
    "skylake_x": "_Z29create_corei7_skylake_x_cpuidP8BX_CPU_C",
    "icelake": "_Z29create_corei7_icelake_u_cpuidP8BX_CPU_C",
    "tigerlake": "_Z22create_tigerlake_cpuidP8BX_CPU_C",
    "sapphire_rapids": "_Z28create_sapphire_rapids_cpuidP8BX_CPU_C",
    "arrow_lake": "_Z23create_arrow_lake_cpuidP8BX_CPU_C",
}
DEFAULT_MODEL = "_Z23create_corei3_cnl_cpuidP8BX_CPU_C"


def choose_model(symbol):
    """Makes the core build another CPU. The binding fixes the model and has no parameter for it, so the constructor of the fixed
    model is overwritten, in this process only, by a jump to the wanted one. Before the first session."""
    with open("/proc/self/maps") as maps:
        path = next(line.split()[-1] for line in maps if "_bochscpu" in line)
    library = ctypes.CDLL(path, mode=os.RTLD_LAZY)

    def address(name):
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value

    source, target = address(DEFAULT_MODEL), address(symbol)
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    page = source & ~(PAGE - 1)
    if mprotect(page, 2 * PAGE, 7) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    distance = (target - source - 5) & 0xFFFFFFFF
    ctypes.memmove(source, b"\xe9" + struct.pack("<I", distance), 5)
    mprotect(page, 2 * PAGE, 5)


class Memory:
    """Guest pages, their frames and the four levels of page tables."""

    # Frames are never used twice in a process: the core caches decoded instructions by physical address.
    next_frame = FIRST_FRAME

    def __init__(self, memory):
        self.memory = memory
        self.frames = []  # (guest physical address, host buffer)
        self.pages = {}  # virtual page -> (host buffer, offset)
        self.tables = {}  # (level, index path) -> (guest physical address, host buffer)
        self.root = self.table(())

    def frame(self):
        buffer = mmap.mmap(-1, PAGE)
        physical = Memory.next_frame
        Memory.next_frame += PAGE
        view = (ctypes.c_char * PAGE).from_buffer(buffer)
        self.memory.page_insert(physical, ctypes.addressof(view))
        self.frames.append((physical, buffer, view))
        return physical, view

    def table(self, path):
        if path not in self.tables:
            physical, view = self.frame()
            self.tables[path] = (physical, view)
            if path:
                _, parent = self.tables[path[:-1]]
                struct.pack_into("<Q", parent, 8 * path[-1], physical | 1 | WRITABLE)
        return self.tables[path]

    def map(self, page, flags):
        indices = tuple((page >> shift) & 511 for shift in (39, 30, 21, 12))
        for depth in range(1, 4):
            self.table(indices[:depth])
        known = self.pages.get(page)
        if known is None:
            physical, view = self.frame()
            ctypes.memset(ctypes.addressof(view), FILLER, PAGE)
            self.pages[page] = [view, physical, flags]
        else:
            view, physical, old = known
            # Shared by two regions: writable if one is.
            flags = old | (flags & WRITABLE)
            known[2] = flags
        struct.pack_into("<Q", self.tables[indices[:3]][1], 8 * indices[3], physical | flags | 1)
        return view

    def write(self, address, data, flags):
        offset = 0
        if not data:
            return
        for page in range(address & ~(PAGE - 1), address + len(data), PAGE):
            view = self.map(page, flags)
            start = address + offset - page
            count = min(PAGE - start, len(data) - offset)
            ctypes.memmove(ctypes.addressof(view) + start, data[offset : offset + count], count)
            offset += count

    def read(self, address, size):
        parts = []
        end = address + size
        while address < end:
            page = address & ~(PAGE - 1)
            start = address - page
            count = min(PAGE - start, end - address)
            parts.append(self.pages[page][0][start : start + count])
            address += count
        return b"".join(parts)

    def stray_writes(self, regions):
        """Addresses on the regions' pages that belong to no region and no longer hold the filler."""
        inside = {}
        for address, data, _ in regions:
            for page in range(address & ~(PAGE - 1), address + len(data), PAGE):
                mask = inside.setdefault(page, bytearray(PAGE))
                start, end = max(address - page, 0), min(address + len(data) - page, PAGE)
                mask[start:end] = b"\1" * (end - start)
        stray = []
        for page, mask in inside.items():
            if all(mask):
                continue
            contents = self.pages[page][0].raw
            stray += [page + i for i in range(PAGE) if not mask[i] and contents[i] != FILLER]
        return stray

    def release(self):
        for physical, _, _ in self.frames:
            self.memory.page_remove(physical)


class TileFault(Exception):
    """What a CPU would refuse."""


class Tiles:
    """The tile instructions, as Intel SDM volume 2 describes them; the bytes that kernels contain, not every encoding."""

    REGISTERS = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()

    def __init__(self, memory):
        self.memory = memory
        self.shapes = None  # (rows, bytes per row) per tile, None before ldtilecfg
        self.data = [None] * 8

    def read(self, address, size):
        if any(page not in self.memory.pages for page in range(address & ~(PAGE - 1), address + size, PAGE)):
            raise TileFault(f"page fault at a tile instruction, address {address:#x}, read")
        return self.memory.read(address, size)

    def write(self, address, data):
        for page in range(address & ~(PAGE - 1), address + len(data), PAGE):
            if page not in self.memory.pages or not self.memory.pages[page][2] & WRITABLE:
                raise TileFault(f"page fault at a tile instruction, address {address:#x}, write")
        self.memory.write(address, data, WRITABLE | NO_EXECUTE)

    @staticmethod
    def size(code):
        """Bytes of the tile instruction at the start of `code`; 0 if there is none."""
        if len(code) < 5 or code[0] != 0xC4 or code[1] & 0x1F != 2 or code[2] & 0x84 or code[3] not in (0x49, 0x4B, 0x5C, 0x5E):
            return 0
        mode, base = code[4] >> 6, code[4] & 7
        size = 5
        if mode != 3 and base == 4:
            size, base = 6, code[5] & 7
        return size + (0, 1, 4, 0)[mode] + (4 if mode == 0 and base == 5 else 0)

    def step(self, code, state):
        """Executes the instruction at the start of `code`; returns whether it is one of these."""
        prefix, opcode, modrm = code[2] & 3, code[3], code[4]
        extended = [code[1] >> bit & 1 ^ 1 for bit in (7, 6, 5)]  # R, X, B
        other = code[2] >> 3 & 15 ^ 15
        register = modrm >> 3 & 7 | extended[0] << 3
        base, index = self.address(code, state, extended) if modrm >> 6 != 3 else (None, None)
        if opcode == 0x49 and prefix == 0 and modrm == 0xC0:
            self.shapes = None
        elif opcode == 0x49 and prefix == 0 and base is not None:
            self.configure(self.read(base + (index or 0), 64))
        elif opcode == 0x49 and prefix == 3 and modrm >> 6 == 3:
            self.data[register] = self.zeros(*self.shape(register))
        elif opcode == 0x4B and base is not None:
            rows, width = self.shape(register)
            if prefix == 2:
                for row in range(rows):
                    self.write(base + row * index, bytes(self.data[register][row]))
            else:
                self.data[register] = [bytearray(self.read(base + row * index, width)) for row in range(rows)]
        elif opcode in (0x5E, 0x5C) and modrm >> 6 == 3:
            self.multiply(register, modrm & 7, other, (opcode, prefix))
        else:
            return False
        return True

    def address(self, code, state, extended):
        """The base with its displacement, and index times scale."""
        modrm, size = code[4], 5
        base, index = modrm & 7, None
        if base == 4:
            sib = code[5]
            size = 6
            base = sib & 7
            number = sib >> 3 & 7 | extended[1] << 3
            if number != 4:
                index = getattr(state, self.REGISTERS[number]) << (sib >> 6)
        mode = modrm >> 6
        if mode == 0 and base == 5:
            if code[4] & 7 == 4:
                raise TileFault("a tile instruction without a base register")
            # The core has stepped over the instruction.
            return state.rip + struct.unpack_from("<i", code, size)[0], index
        value = getattr(state, self.REGISTERS[base | extended[2] << 3])
        if mode == 1:
            return value + struct.unpack_from("<b", code, size)[0], index
        if mode == 2:
            return value + struct.unpack_from("<i", code, size)[0], index
        return value, index

    def configure(self, data):
        widths, rows = struct.unpack_from("<8H", data, 16), data[48:56]
        reserved = data[1:16] + data[32:48] + data[56:64]
        bad = any(w > 64 or r > 16 or (w == 0) != (r == 0) for w, r in zip(widths, rows))
        if data[0] != 1 or any(reserved) or bad:
            raise TileFault("a tile configuration that the CPU refuses")
        self.shapes = list(zip(rows, widths))
        self.data = [self.zeros(*shape) for shape in self.shapes]

    def shape(self, tile):
        if self.shapes is None or self.shapes[tile][0] == 0:
            raise TileFault(f"tmm{tile} is not configured")
        return self.shapes[tile]

    @staticmethod
    def zeros(rows, width):
        return [bytearray(width) for _ in range(rows)]

    def multiply(self, target, first, second, operation):
        (rows, width), (a_rows, a_width), (b_rows, b_width) = map(self.shape, (target, first, second))
        if len({target, first, second}) < 3 or a_rows != rows or b_width != width or a_width != 4 * b_rows:
            raise TileFault(f"shapes of tmm{target}, tmm{first} and tmm{second} do not match")
        columns = width // 4
        b = b"".join(map(bytes, self.data[second]))
        if operation == (0x5E, 2):  # tdpbsud
            column = [
                [b[k * width + 4 * n + i] for k in range(b_rows) for i in range(4)] for n in range(columns)
            ]
            for row in range(rows):
                a = struct.unpack(f"<{a_width}b", self.data[first][row])
                sums = struct.unpack(f"<{columns}i", self.data[target][row])
                result = [(s + sum(map(int.__mul__, a, c))) & 0xFFFFFFFF for s, c in zip(sums, column)]
                struct.pack_into(f"<{columns}I", self.data[target][row], 0, *result)
        elif operation == (0x5C, 2):  # tdpbf16ps
            pairs = struct.unpack(f"<{columns * b_rows}I", b)
            for row in range(rows):
                a = struct.unpack(f"<{b_rows}I", self.data[first][row])
                sums = struct.unpack(f"<{columns}f", self.data[target][row])
                result = []
                for n in range(columns):
                    even = odd = 0.0
                    for k in range(b_rows):
                        even = single(even + upper(a[k] << 16) * upper(pairs[k * columns + n] << 16))
                        odd = single(odd + upper(a[k]) * upper(pairs[k * columns + n]))
                    result.append(single(single(even + odd) + sums[n]))
                struct.pack_into(f"<{columns}f", self.data[target][row], 0, *result)
        else:
            raise TileFault("a tile product that no kernel uses")


def upper(bits):
    """The upper half of 32 bits as a bfloat16 number; subnormal ones are zeros."""
    bits &= 0xFFFF0000
    return 0.0 if bits & 0x7F800000 == 0 else struct.unpack("<f", struct.pack("<I", bits))[0]


def single(value):
    """Rounded to FP32, subnormal results to zero."""
    try:
        rounded = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        rounded = math.copysign(math.inf, value)
    return 0.0 if abs(rounded) < 2.0**-126 else rounded


class Emulator:
    def __init__(self, model):
        import bochscpu
        import bochscpu.cpu
        import bochscpu.memory

        self.bochscpu = bochscpu
        choose_model(MODELS[model])
        self.has_tiles = model == "sapphire_rapids"
        self.undefined = False
        self.session = bochscpu.Session()
        self.session.missing_page_handler = self.missing_page
        self.hook = bochscpu.Hook()
        self.hook.exception = self.exception
        self.hook.hlt = lambda session, cpu: session.stop()
        self.fault = ""

    def missing_page(self, physical):
        self.fault = f"no frame at {physical:#x}"
        self.session.stop()

    def exception(self, session, cpu, vector, error):
        names = {0: "divide error", 6: "invalid opcode", 7: "no vector unit", 13: "general protection", 14: "page fault"}
        state = session.cpu.state
        # The core has already stepped over the instruction.
        where = state.rip - CODE
        self.undefined = vector == 6
        self.fault = f"{names.get(vector, f'exception {vector}')} before code offset {where:#x}"
        if vector == 14:
            self.fault += f", address {state.cr2:#x}, {'write' if error & 2 else 'fetch' if error & 16 else 'read'}"
        session.stop()

    def segment(self, selector, is_code):
        segment = self.bochscpu.Segment()
        segment.base, segment.limit, segment.selector, segment.present = 0, 0xFFFFFFFF, selector, True
        flags = self.bochscpu.cpu.SegmentFlags()
        flags.A = flags.R = flags.W = flags.S = flags.P = flags.G = True
        if is_code:
            flags.E = flags.L = True
        else:
            flags.DB = True
        segment.attr = int(flags)
        return segment

    def state(self, memory, argument):
        cpu = self.bochscpu.cpu
        state = self.bochscpu.State()
        cpu.set_long_mode(state)
        state.cr4 |= 1 << 9 | 1 << 10 | 1 << 18  # OSFXSR, OSXMMEXCPT, OSXSAVE
        state.cr3 = memory.root[0]
        state.mxcsr, state.mxcsr_mask = 0x1F80, 0xFFFF
        data = self.segment(0x18, False)
        state.cs = self.segment(0x10, True)
        state.ds = state.es = state.ss = state.fs = state.gs = data
        zmm = []
        for _ in range(32):
            register = self.bochscpu._bochscpu.Zmm()
            register.q = [POISON] * 8
            zmm.append(register)
        state.zmm = zmm
        for name in ("rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11"):
            setattr(state, name, POISON)
        for name, value in CALLEE_SAVED.items():
            setattr(state, name, value)
        state.rip, state.rdi, state.rflags = CODE, argument, 2
        state.rsp = STACK_TOP - 8  # as after a call: 8 below a multiple of 16
        return state

    def run(self, code, argument, regions):
        """Returns complaints and the memory after the run."""
        memory = Memory(self.bochscpu.memory)
        memory.write(CODE, code, 0)
        memory.write(SENTINEL, b"\xf4", 0)
        stack = struct.pack("<Q", SENTINEL)
        memory.write(STACK_TOP - STACK_SIZE, bytes(STACK_SIZE - 8) + stack, WRITABLE | NO_EXECUTE)
        for address, data, writable in regions:
            memory.write(address, data, (WRITABLE if writable else 0) | NO_EXECUTE)
        state = self.state(memory, argument)
        state.xcr0 = self.xcr0
        tiles = Tiles(memory)
        after = self.run_on(state, tiles, code)
        complaints = []
        if tiles.shapes is not None:
            complaints.append("tiles are not released")
        if self.fault:
            complaints.append(self.fault)
        else:
            if after.rip not in (SENTINEL, SENTINEL + 1):
                complaints.append(f"stopped at {after.rip:#x}")
            if after.rsp != STACK_TOP:
                complaints.append(f"rsp is off by {after.rsp - STACK_TOP}")
            complaints += [f"{name} is not preserved" for name, value in CALLEE_SAVED.items() if getattr(after, name) != value]
            if (after.mxcsr ^ 0x1F80) & 0xFFC0:
                complaints.append("mxcsr is not preserved")
        stray = memory.stray_writes(regions)
        if stray:
            complaints.append(f"{len(stray)} bytes written beside the regions, first at {stray[0]:#x}")
        return complaints, memory

    def run_on(self, state, tiles, code):
        """Runs to the end or to a fault and returns the state there."""
        while True:
            self.fault, self.undefined = "", False
            self.session.cpu.set_state(state)
            self.session.run([self.hook])
            state = self.session.cpu.state
            if not self.undefined or not self.has_tiles:
                return state
            end = state.rip - CODE
            start = next((s for s in range(end - 5, max(end - 11, -1), -1) if Tiles.size(code[s:end]) == end - s), None)
            try:
                if start is None or not tiles.step(code[start:end], state):
                    return state
            except TileFault as fault:
                self.fault = f"{fault}, before code offset {end:#x}"
                return state

    # x87, SSE, AVX, opmask, both halves of ZMM; CPUs without AVX-512 refuse it where CPUID lacks it.
    xcr0 = 0xE7


class Reader:
    def __init__(self, data):
        self.data, self.offset = data, 0

    def take(self, count):
        if self.offset + count > len(self.data):
            raise ValueError(f"job file ends at {len(self.data)}, needs {count} bytes at {self.offset}")
        part = self.data[self.offset : self.offset + count]
        self.offset += count
        return part

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]


def main(jobs_path, results_path):
    with open(jobs_path, "rb") as file:
        reader = Reader(file.read())
    if reader.take(8) != b"ADQJOBS1":
        raise ValueError("not a job file")
    emulator = Emulator(reader.take(reader.number("I")).decode())
    count = reader.number("I")
    with open(results_path, "wb") as results:
        results.write(b"ADQDONE1" + struct.pack("<I", count))
        for _ in range(count):
            code = reader.take(reader.number("Q"))
            argument = reader.number("Q")
            regions = []
            for _ in range(reader.number("I")):
                address, size, writable = reader.number("Q"), reader.number("Q"), reader.number("B")
                regions.append((address, reader.take(size), writable != 0))
            complaints, memory = emulator.run(code, argument, regions)
            text = "\n".join(complaints).encode()
            results.write(struct.pack("<I", len(text)) + text)
            for address, data, writable in regions:
                if writable:
                    results.write(memory.read(address, len(data)))
            memory.release()


if __name__ == "__main__":
    status = 0
    try:
        if sys.argv[1:] == ["--check"]:
            import bochscpu  # noqa: F401
        elif len(sys.argv) == 3:
            main(sys.argv[1], sys.argv[2])
        else:
            print(__doc__)
            status = 2
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # The binding reports leaks of its own at a normal exit.
    os._exit(status)
