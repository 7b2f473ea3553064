import Glibc

/// Runs kernels on an emulated CPU (Bochs), for instruction sets that this machine lacks.
///
/// The guest sees memory at the same addresses as the test, so a kernel's argument block with real pointers works unchanged:
/// contents are copied in, the kernel runs, contents are copied back. Pages that no region touches fault, so `GuardedBuffer`
/// guards here too. Known to be wrong in Bochs: `vdpbf16ps` with a memory operand at a small displacement (all other EVEX memory
/// forms that kernels use were compared with their displacement-free forms); kernels load that operand first. Also wrong: the
/// upper half of what `vcvtne2ps2bf16` makes. It has no AMX: on `sapphireRapids` the script does tile instructions itself, by the
/// manual. Needs the PyPI package `bochscpu-python`;
/// `ADAPTQ_EMULATOR_PYTHON` names the interpreter that has it.
public enum EmulatedCPU {
  /// The CPUs that matter here, by what they have.
  public enum Model: String, CaseIterable, Sendable {
    /// AVX2, FMA, F16C.
    case haswell
    /// AVX-512 F, CD, BW, DQ, VL.
    case skylakeX = "skylake_x"
    /// Also VNNI, VBMI, GFNI.
    case icelake
    /// Also BF16, FP16, AVX-VNNI, and AMX-INT8 and AMX-BF16 as far as kernels use them.
    case sapphireRapids = "sapphire_rapids"
    /// AVX2 with AVX-VNNI and GFNI, no AVX-512.
    case arrowLake = "arrow_lake"
  }

  /// Memory that the kernel may use; the caller keeps it alive.
  public struct Region {
    public var memory: UnsafeMutableRawBufferPointer
    public var isWritable: Bool
    public init(_ memory: UnsafeMutableRawBufferPointer, isWritable: Bool = true) {
      self.memory = memory
      self.isWritable = isWritable
    }
    public init<T>(_ buffer: GuardedBuffer<T>, isWritable: Bool = true) {
      let bytes = buffer.count * MemoryLayout<T>.stride
      self.init(UnsafeMutableRawBufferPointer(start: buffer.base, count: bytes), isWritable: isWritable)
    }
    public init<T>(_ value: UnsafeMutablePointer<T>, isWritable: Bool = true) {
      self.init(
        UnsafeMutableRawBufferPointer(start: value, count: MemoryLayout<T>.stride), isWritable: isWritable)
    }
  }

  /// One call of `void kernel(void *argument)`.
  public struct Job {
    public var code: [UInt8]
    public var regions: [Region]
    public var argument: UnsafeMutableRawPointer?
    public init(code: [UInt8], regions: [Region], argument: UnsafeMutableRawPointer?) {
      self.code = code
      self.regions = regions
      self.argument = argument
    }
  }

  /// Something outside the kernel went wrong.
  public struct Failure: Error, CustomStringConvertible {
    public var description: String
  }

  /// nil where the emulator can be used, else what is missing; for `.enabled(if:)`.
  public static let missing: String? = {
    if run("\(python) '\(script)' --check").status == 0 { return nil }
    return "needs bochscpu-python for \(python) (ADAPTQ_EMULATOR_PYTHON)"
  }()

  private static var python: String { getenv("ADAPTQ_EMULATOR_PYTHON").map { String(cString: $0) } ?? "python3" }
  private static var script: String {
    "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Emulator/run_kernel.py"
  }

  /// Runs one job; see `run(_:cpu:)`.
  public static func run(
    code: [UInt8], regions: [Region], argument: UnsafeMutableRawPointer?, cpu: Model, timeoutSeconds: Int = 60
  ) throws -> [String] {
    try run([Job(code: code, regions: regions, argument: argument)], cpu: cpu, timeoutSeconds: timeoutSeconds)[0]
  }

  /// Runs all jobs, in order, in one process. Writable regions get their new contents.
  ///
  /// A job's memory is read when the call starts: a job does not see what an earlier one wrote.
  ///
  /// - Returns: per job what the kernel did wrong: faults, callee-saved registers not preserved, writes beside the regions.
  ///   Empty if nothing.
  public static func run(_ jobs: [Job], cpu: Model, timeoutSeconds: Int = 60) throws -> [[String]] {
    var template = Array("/tmp/adaptq-emulator-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure(description: "no temporary folder") }
    let folder = String(cString: made)
    defer { _ = run("rm -rf '\(folder)'") }
    try write(encode(jobs, cpu), to: "\(folder)/jobs")
    let process = run("timeout \(timeoutSeconds) \(python) '\(script)' '\(folder)/jobs' '\(folder)/results'")
    if process.status != 0 {
      throw Failure(description: "the emulator ended with status \(process.status): \(process.output)")
    }
    return try decode(read("\(folder)/results"), jobs)
  }

  private static func encode(_ jobs: [Job], _ cpu: Model) -> [UInt8] {
    var out = Array("ADQJOBS1".utf8)
    func append<T: FixedWidthInteger>(_ value: T) {
      withUnsafeBytes(of: value.littleEndian) { out.append(contentsOf: $0) }
    }
    append(UInt32(cpu.rawValue.utf8.count))
    out += Array(cpu.rawValue.utf8)
    append(UInt32(jobs.count))
    for job in jobs {
      append(UInt64(job.code.count))
      out += job.code
      append(UInt64(UInt(bitPattern: job.argument)))
      append(UInt32(job.regions.count))
      for region in job.regions {
        append(UInt64(UInt(bitPattern: region.memory.baseAddress)))
        append(UInt64(region.memory.count))
        out.append(region.isWritable ? 1 : 0)
        out.append(contentsOf: region.memory)
      }
    }
    return out
  }

  private static func decode(_ bytes: [UInt8], _ jobs: [Job]) throws -> [[String]] {
    var offset = 0
    func take(_ count: Int) throws -> ArraySlice<UInt8> {
      if offset + count > bytes.count { throw Failure(description: "the emulator's results are cut off") }
      offset += count
      return bytes[(offset - count)..<offset]
    }
    func count32() throws -> Int { try take(4).reversed().reduce(0) { $0 << 8 | Int($1) } }
    let magic = String(decoding: try take(8), as: UTF8.self)
    let count = try count32()
    if magic != "ADQDONE1" || count != jobs.count { throw Failure(description: "not the emulator's results") }
    return try jobs.map { job in
      let text = String(decoding: try take(try count32()), as: UTF8.self)
      for region in job.regions where region.isWritable {
        region.memory.copyBytes(from: try take(region.memory.count))
      }
      return text.split(separator: "\n").map(String.init)
    }
  }

  private static func write(_ bytes: [UInt8], to path: String) throws {
    guard let file = fopen(path, "w") else { throw Failure(description: "cannot write \(path)") }
    let written = fwrite(bytes, 1, bytes.count, file)
    fclose(file)
    if written != bytes.count { throw Failure(description: "cannot write \(path)") }
  }

  private static func read(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "r") else { throw Failure(description: "cannot read \(path)") }
    defer { fclose(file) }
    return drain(file)
  }

  private static func drain(_ file: UnsafeMutablePointer<FILE>) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { return bytes }
      bytes += buffer[0..<count]
    }
  }

  private static func run(_ command: String) -> (status: Int32, output: String) {
    guard let pipe = popen("\(command) 2>&1", "r") else { return (-1, "") }
    let output = String(decoding: drain(pipe), as: UTF8.self)
    return (pclose(pipe), output)
  }
}
