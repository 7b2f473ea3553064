"""Runs x86-64 machine code on an emulated CPU (Bochs), for instruction sets that this machine lacks.

    python3 run_kernel.py --check          exit 0 where the emulator can be imported
    python3 run_kernel.py JOBS RESULTS     run all jobs of one file

Needs the PyPI package bochscpu-python, which carries the CPU core of Bochs (https://bochs.sourceforge.io). Each job is a function
`void f(void *argument)` of the System V calling convention. It sees its code (read and execute), a stack of 64 KiB, and its
regions at the addresses the caller chose; every other page faults, so buffers that end at a page are guarded. The result says
what faulted, which callee-saved registers changed, and whether bytes beside a region were written.

The file format, little-endian; a string is a u32 length and its UTF-8 bytes:

    JOBS     "ADQJOBS1", CPU name (string), u32 job count, then per job:
             u64 code size, code; u64 argument; u32 region count, per region: u64 address, u64 size, u8 writable, contents
    RESULTS  "ADQDONE1", u32 job count, then per job:
             complaints (string, one per line, empty if all went well), then the contents of each writable region in order
"""

import ctypes
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


class Emulator:
    def __init__(self, model):
        import bochscpu
        import bochscpu.cpu
        import bochscpu.memory

        self.bochscpu = bochscpu
        choose_model(MODELS[model])
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
        self.fault = ""
        self.session.cpu.set_state(state)
        self.session.run([self.hook])
        after = self.session.cpu.state
        complaints = []
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
