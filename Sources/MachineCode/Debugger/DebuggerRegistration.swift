import Base
import CMachine

/// Tells gdb the names of a region of generated code, as long as this object lives. Whoever keeps it keeps the code.
///
/// Method: "JIT Compilation Interface" in the manual of gdb. Registering calls nothing but a function that does nothing, at which an
/// attached debugger stops; without one it costs memory only.
final class DebuggerRegistration: @unchecked Sendable {
  // The list is the process's. A child of fork() has its own copy, and its debugger another view of it.
  private static let lock = ForkSafeLock()
  private let memory: MemoryBlock
  private let entry: UnsafeMutablePointer<cmachine_gdb_entry>

  /// - Throws: `outOfMemory`.
  init(_ region: ExecutableMemory, _ code: [InstalledCode]) throws(AdaptQError) {
    let image = DebuggerImage(
      base: UInt(bitPattern: region.base), byteCount: region.byteCount,
      code: code.map { ($0.name, $0.address - region.base, $0.byteCount) })
    let header = MemoryLayout<cmachine_gdb_entry>.stride
    memory = try MemoryBlock.allocate(byteCount: header + image.bytes.count, purpose: "names for the debugger")
    let target = memory.base + header
    image.bytes.withUnsafeBytes { source in
      if let base = source.baseAddress { target.copyMemory(from: base, byteCount: source.count) }
    }
    entry = memory.base.bindMemory(to: cmachine_gdb_entry.self, capacity: 1)
    entry.initialize(
      to: cmachine_gdb_entry(
        next: nil, previous: nil, image: UnsafeRawPointer(target), byte_count: UInt64(image.bytes.count)))
    DebuggerRegistration.lock.withLock { cmachine_gdb_register(entry) }
  }

  deinit { DebuggerRegistration.lock.withLock { cmachine_gdb_unregister(entry) } }
}
