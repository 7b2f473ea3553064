import Base
import CAdaptQ
import Hardware
import Runtime

// The part of adaptq_runtime_options that is about threads.

@c @implementation public func adaptq_runtime_threads(
  _ runtime: OpaquePointer?, _ out: UnsafeMutablePointer<Int32>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let out = try required(out, "out")
    let count = try withHandle(runtime, as: RuntimeObject.self) { (runtime) in runtime.threads.count }
    out.pointee = Int32(clamping: count)
  }
}

func makeThreads(_ options: adaptq_runtime_options) throws(AdaptQError) -> Threads {
  try requireOption(Int64(options.threads), .threads)
  try requireOption(Int64(options.parallel_for_threads), .parallelForThreads)
  var result = ThreadOptions(count: options.threads == 0 ? nil : Int(options.threads))
  result.cpus = try readCPUs(options)
  if let parallelFor = options.parallel_for {
    if options.threads != 0 {
      throw .invalidArgument(
        "adaptq_runtime_options.threads is \(options.threads), but parallel_for is set: its width is "
          + "parallel_for_threads")
    }
    if !result.cpus.isEmpty {
      throw .invalidArgument(
        "adaptq_runtime_options.n_cpus is \(result.cpus.count), but parallel_for is set: its threads are the host's")
    }
    result.count = options.parallel_for_threads == 0 ? nil : Int(options.parallel_for_threads)
    result.host = HostThreads(parallelFor: parallelFor, context: options.parallel_for_context)
  } else if options.parallel_for_threads != 0 {
    throw .invalidArgument(
      "adaptq_runtime_options.parallel_for_threads is \(options.parallel_for_threads), but parallel_for is NULL")
  }
  if !result.cpus.isEmpty {
    if let count = result.count, count > result.cpus.count {
      throw .invalidArgument(
        "adaptq_runtime_options.threads is \(count), but cpu_set has \(result.cpus.count) CPUs")
    }
    result.count = result.count ?? min(result.cpus.count, Threads.maximumCount)
  }
  let limits = ProcessorLimits.init
  return Threads(result) { limits(.live).recommendedThreads }
}

private func readCPUs(_ options: adaptq_runtime_options) throws(AdaptQError) -> [Int] {
  if options.n_cpus == 0 { return [] }
  // By hand, so that the text has the number the caller gave: as Int64 the largest ones are another.
  guard options.n_cpus > 0 && options.n_cpus <= Threads.maximumCPUs else {
    throw .invalidArgument(
      "adaptq_runtime_options.n_cpus is \(UInt(bitPattern: options.n_cpus)); at most \(Threads.maximumCPUs)")
  }
  let cpus = try required(options.cpu_set, "adaptq_runtime_options.cpu_set")
  let allowed = Threads.allowedCPUs()
  var seen = [UInt64](repeating: 0, count: Threads.maximumCPUs / 64)
  var result: [Int] = []
  for index in 0..<options.n_cpus {
    let cpu = Int(UnsafeRawPointer(cpus).loadUnaligned(fromByteOffset: index * 4, as: Int32.self))
    let (word, bit) = (cpu / 64, UInt64(1) << UInt64(cpu & 63))
    if cpu < 0 || word >= allowed.count || allowed[word] & bit == 0 {
      throw .invalidArgument("adaptq_runtime_options.cpu_set[\(index)] is \(cpu), a CPU this thread may not use")
    }
    if seen[word] & bit != 0 {
      throw .invalidArgument("adaptq_runtime_options.cpu_set[\(index)] is \(cpu) for the second time")
    }
    seen[word] |= bit
    result.append(cpu)
  }
  return result
}
