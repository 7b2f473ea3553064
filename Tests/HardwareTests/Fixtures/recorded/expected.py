#!/usr/bin/env python3
"""What must be read from each recorded machine: one JSON file per machine, derived from the .xml or .console that hwloc's
authors keep beside the recording. Never from adaptq's own output.

    expected.py TOPOLOGY_FOLDER     writes linux/NAME.json and x86/NAME.json beside this script

Sets are in Linux's list format, sorted as text; caches are "L<level> <bytes> <CPUs>", data and unified ones; kinds of
cores are fastest first (of the same forced efficiency: one kind), and empty where the record names no two. x86 recordings hold CPUID leaves: no memory nodes.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as tree

CACHES = {"L1Cache": 1, "L2Cache": 2, "L3Cache": 3, "L4Cache": 4, "L1dCache": 1}


def cpus_of_mask(mask):
    """hwloc writes 32-bit words, the highest first; an empty word is zero."""
    cpus = set()
    for index, word in enumerate(reversed(mask.split(","))):
        value = int(word or "0", 16)
        cpus |= {index * 32 + bit for bit in range(32) if value >> bit & 1}
    return cpus


def text(cpus):
    parts, run = [], []
    for cpu in sorted(cpus) + [None]:
        if run and (cpu is None or cpu != run[-1] + 1):
            parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
            run = []
        run.append(cpu)
    return ",".join(parts)


def kinds_of(pairs):
    merged = {}
    for efficiency, cpus in pairs:
        merged.setdefault(efficiency, set()).update(cpus)
    return [text(merged[efficiency]) for efficiency in sorted(merged, reverse=True)] if len(merged) > 1 else []


def from_xml(path):
    root = tree.parse(path).getroot()
    found = {"packages": [], "nodes": [], "cores": [], "caches": []}
    online = set()
    for item in root.iter("object"):
        kind, cpus = item.get("type"), cpus_of_mask(item.get("cpuset") or "0x0")
        if kind == "PU":
            online |= cpus
        elif kind == "Package":
            found["packages"].append(text(cpus))
        elif kind == "Core":
            found["cores"].append(text(cpus))
        elif kind == "NUMANode" and cpus:
            found["nodes"].append(text(cpus))
        elif kind in CACHES:
            found["caches"].append(f"L{CACHES[kind]} {item.get('cache_size')} {text(cpus)}")
    found["kinds"] = kinds_of(
        [(int(kind.get("forced_efficiency", "0")), cpus_of_mask(kind.get("cpuset"))) for kind in root.iter("cpukind")])
    found["cpus"] = text(online)
    names = {"CPUVendor": "vendor", "CPUFamilyNumber": "family", "CPUModelNumber": "model", "CPUStepping": "stepping",
             "CPUModel": "brand"}
    for info in root.iter("info"):
        if info.get("name") in names:
            found.setdefault(names[info.get("name")], info.get("value").strip())
    return found


def from_console(path):
    """lstopo's text: children are indented by two; memory belongs to the object above it."""
    objects, stack = [], []
    kinds = []
    for line in path.read_text().splitlines():
        kind = re.match(r"CPU kind #\d+ efficiency (-?\d+) cpuset (\S+)", line)
        if kind:
            kinds.append((int(kind[1]), cpus_of_mask(kind[2])))
        match = re.match(r"( *)(\w+)(?:\(\w+\))? (?:L#\d+ )?\((.*)\)$", line)
        if not match or (stack and not match[1]):
            continue
        depth = len(match[1]) // 2
        item = {"type": match[2], "text": match[3], "cpus": set(), "parent": None}
        del stack[depth:]
        if stack:
            item["parent"] = stack[-1]
        stack.append(item)
        objects.append(item)
        if item["type"] == "PU":
            cpu = int(re.search(r"P#(\d+)", match[3])[1])
            for holder in stack:
                holder["cpus"].add(cpu)
    found = {"packages": [], "nodes": [], "cores": [], "caches": []}
    for item in objects:
        if item["type"] == "Package":
            found["packages"].append(text(item["cpus"]))
        elif item["type"] == "Core":
            found["cores"].append(text(item["cpus"]))
        elif item["type"] == "NUMANode" and item["parent"]["cpus"]:
            found["nodes"].append(text(item["parent"]["cpus"]))
        elif item["type"] in CACHES:
            size = re.search(r"size=(\d+)(KiB|MiB)", item["text"])
            count = int(size[1]) * (1024 if size[2] == "KiB" else 1 << 20)
            found["caches"].append(f"L{CACHES[item['type']]} {count} {text(item['cpus'])}")
    found["kinds"] = kinds_of(kinds)
    found["cpus"] = text(set().union(*(item["cpus"] for item in objects)))
    return found


def main():
    source, target = pathlib.Path(sys.argv[1]), pathlib.Path(__file__).parent
    for folder in ("linux", "x86"):
        (target / folder).mkdir(exist_ok=True)
        for archive in sorted((source / folder).glob("*.tar.bz2")):
            name = archive.name.removesuffix(".tar.bz2")
            beside = source / folder / (name + ".xml")
            found = from_xml(beside) if beside.exists() else from_console(source / folder / (name + ".console"))
            if folder == "x86":
                del found["nodes"]
            for key in ("packages", "nodes", "cores", "caches"):
                if key in found:
                    found[key] = sorted(item for item in found[key] if item and not item.endswith(" "))
            (target / folder / (name + ".json")).write_text(json.dumps(found, sort_keys=True, indent=1) + "\n")


if __name__ == "__main__":
    main()
