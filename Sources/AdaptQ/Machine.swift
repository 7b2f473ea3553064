import Base
import CAdaptQ
import Hardware
import Kernels
import NestedFormat
import Runtime

// What the machine gives, for hosts: the facts of `adaptq probe`.

@c @implementation public func adaptq_runtime_machine(
  _ runtime: OpaquePointer?, _ info: UnsafeMutablePointer<adaptq_machine_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(info, "info"), "adaptq_machine_info")
      let limits = ProcessorLimits()
      let topology = limits.topology
      var value = adaptq_machine_info()
      value.packages = Int32(clamping: topology.packages.count)
      value.numa_nodes = Int32(clamping: topology.nodes.count)
      value.cores = Int32(clamping: topology.cores.count)
      value.performance_cores = Int32(clamping: topology.cores.count { $0.kind == 0 })
      value.hardware_threads = Int32(clamping: topology.online.count)
      value.allowed_threads = Int32(clamping: limits.allowed.count)
      value.recommended_threads = Int32(clamping: limits.recommendedThreads)
      value.isa = isaValue(object.features.highest)
      for set in InstructionSet.allCases where object.features.supports(set) {
        value.isa_mask |= 1 << UInt32(isaValue(set))
      }
      value.l3_count = Int32(clamping: topology.caches(level: 3).count)
      value.l1d_size = UInt64(topology.smallestCacheByteCount(level: 1) ?? 0)
      value.l2_size = UInt64(topology.smallestCacheByteCount(level: 2) ?? 0)
      value.l3_size = UInt64(topology.smallestCacheByteCount(level: 3) ?? 0)
      value.memory_size = UInt64(topology.memoryByteCount ?? 0)
      value.memory_limit = UInt64(limits.limits.memoryByteCount ?? 0)
      value.cpu_quota = limits.limits.cpuQuota ?? 0
      target.write(value)
    }
  }
}

@c @implementation public func adaptq_runtime_thread_cpus(
  _ runtime: OpaquePointer?, _ cpus: UnsafeMutablePointer<Int32>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (_) throws(AdaptQError) in
      let count = try required(count, "count")
      if capacity != 0 && cpus == nil {
        throw .invalidArgument("cpus is NULL, capacity is \(UInt(bitPattern: capacity))")
      }
      let placement = ProcessorLimits().placement
      count.pointee = placement.count
      guard let cpus, UInt(bitPattern: capacity) >= UInt(placement.count) else {
        throw AdaptQError(.bufferTooSmall, "capacity is \(UInt(bitPattern: capacity)), needs \(placement.count)")
      }
      for (index, cpu) in placement.enumerated() { cpus[index] = Int32(clamping: cpu) }
    }
  }
}

@c @implementation public func adaptq_runtime_level_kernels(
  _ runtime: OpaquePointer?, _ level: adaptq_level, _ info: UnsafeMutablePointer<adaptq_level_kernels>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(info, "info"), "adaptq_level_kernels")
      guard let wanted = UInt8(exactly: level).flatMap(Level.init(rawValue:)) else {
        throw .invalidArgument("level is \(level); expected 2, 4, 6, 8, 16 or 32")
      }
      let probe = probe(object)
      guard let found = probe.levels.first(where: { $0.level == wanted }) else {
        throw .internalError("no kernels are known for \(wanted.name)")
      }
      var value = adaptq_level_kernels()
      value.level = level
      value.isa = isaValue(found.instructionSet)
      value.generated_count = Int32(clamping: found.kernels.count)
      value.refused_count = Int32(clamping: found.refused.count)
      target.write(value)
    }
  }
}

@c @implementation public func adaptq_runtime_probe_json(
  _ runtime: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (object) throws(AdaptQError) in
      let length = try required(length, "length")
      if capacity != 0 && buffer == nil {
        throw .invalidArgument("buffer is NULL, capacity is \(UInt(bitPattern: capacity))")
      }
      var bytes: [UInt8] = []
      probe(object).json.write(into: &bytes)
      length.pointee = bytes.count
      guard let buffer, UInt(bitPattern: capacity) > UInt(bytes.count) else {
        throw AdaptQError(.bufferTooSmall, "capacity is \(UInt(bitPattern: capacity)), needs \(bytes.count + 1)")
      }
      bytes.append(0)
      bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(start: buffer, count: bytes.count).copyMemory(from: $0) }
    }
  }
}

private func probe(_ object: RuntimeObject) -> Probe {
  Probe(features: object.cpu, maximum: object.maximum, kernels: object.kernelSet(), limits: ProcessorLimits())
}

private func isaValue(_ set: InstructionSet) -> adaptq_isa {
  switch set {
  case .portable: adaptq_isa(ADAPTQ_ISA_PORTABLE)
  case .avx2: adaptq_isa(ADAPTQ_ISA_AVX2)
  case .avxvnni: adaptq_isa(ADAPTQ_ISA_AVXVNNI)
  case .avx512: adaptq_isa(ADAPTQ_ISA_AVX512)
  case .avx512vnni: adaptq_isa(ADAPTQ_ISA_AVX512VNNI)
  case .avx512bf16: adaptq_isa(ADAPTQ_ISA_AVX512BF16)
  case .avx512fp16: adaptq_isa(ADAPTQ_ISA_AVX512FP16)
  case .amx: adaptq_isa(ADAPTQ_ISA_AMX)
  }
}
