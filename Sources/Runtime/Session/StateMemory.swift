import Base
import Graph

/// The content of a graph's state values: memory that a session owns between runs, zeros at first. Preparing again keeps it.
///
/// A run reads what was there when it began and writes beside it; what it wrote becomes the content when it has succeeded.
final class StateMemory: @unchecked Sendable {
  let slots: UnsafeMutablePointer<StateSlot>
  let count: Int
  /// Bytes that ``save(into:)`` writes.
  let savedByteCount: Int
  /// Of the states' names and types: what was saved by another model is refused.
  private let fingerprint: UInt64
  private let memory: MemoryBlock
  var byteCount: Int { memory.byteCount }

  private static let headerByteCount = 32
  private static let magic: UInt64 = 0x3130_5453_5141_4441  // "ADAQST01"

  init(_ graph: Graph, calls: SystemCalls = .live) throws(AdaptQError) {
    var layout = BlockLayout()
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    var byteCounts: [Int] = []
    var offsets: [(current: Int, pending: Int)] = []
    var saved = StateMemory.headerByteCount
    let slotsAt = try layout.reserve(StateSlot.self, graph.states.count)
    for state in graph.states {
      var sizes: [Int] = []
      for dimension in state.type.shape { if case .fixed(let size) = dimension { sizes.append(size) } }
      let what = "state \"\(state.name)\""
      let byteCount = try checkedProduct(
        try checkedElementCount(sizes, what), state.type.element.byteCount, what)
      byteCounts.append(byteCount)
      offsets.append((try layout.reserve(UInt8.self, byteCount), try layout.reserve(UInt8.self, byteCount)))
      saved = try checkedSum(saved, byteCount, "states")
      for byte in "\(state.name)|\(state.type.element.name)|\(sizes)|".utf8 {
        // FNV-1a (Fowler, Noll, Vo).
        hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
      }
    }
    memory = try MemoryBlock.allocate(byteCount: layout.byteCount, purpose: "states", calls: calls)
    slots = (memory.base + slotsAt).assumingMemoryBound(to: StateSlot.self)
    count = graph.states.count
    savedByteCount = saved
    fingerprint = hash
    for index in 0..<count {
      slots[index] = StateSlot(
        current: memory.base + offsets[index].current, pending: memory.base + offsets[index].pending,
        byteCount: byteCounts[index])
    }
  }

  /// All states to zeros.
  func reset() {
    for index in 0..<count {
      slots[index].current.initializeMemory(as: UInt8.self, repeating: 0, count: slots[index].byteCount)
    }
  }

  /// - Parameter output: ``savedByteCount`` bytes at any alignment.
  func save(into output: UnsafeMutableRawPointer) {
    output.storeBytes(of: StateMemory.magic.littleEndian, as: UInt64.self)
    output.storeBytes(of: fingerprint.littleEndian, toByteOffset: 8, as: UInt64.self)
    output.storeBytes(of: UInt64(savedByteCount).littleEndian, toByteOffset: 16, as: UInt64.self)
    output.storeBytes(of: checksum { slots[$0].current }.littleEndian, toByteOffset: 24, as: UInt64.self)
    var offset = StateMemory.headerByteCount
    for index in 0..<count {
      (output + offset).copyMemory(from: slots[index].current, byteCount: slots[index].byteCount)
      offset += slots[index].byteCount
    }
  }

  /// Nothing changes if this throws.
  func restore(from bytes: UnsafeRawBufferPointer) throws(AdaptQError) {
    if bytes.count != savedByteCount {
      throw .invalidArgument("size is \(bytes.count); states of this model are saved in \(savedByteCount) bytes")
    }
    var reader = ByteReader(bytes)
    if try reader.readUInt64("data") != StateMemory.magic { throw .invalidArgument("data is not a saved state") }
    if try reader.readUInt64("data") != fingerprint {
      throw .invalidArgument("data was saved from a model with other states")
    }
    let size = try reader.readUInt64("data")
    let sum = try reader.readUInt64("data")
    var places: [UnsafeRawPointer] = []
    for index in 0..<count {
      guard let base = try reader.take(slots[index].byteCount, "data").baseAddress else {
        throw .invalidArgument("data: a state is empty")
      }
      places.append(base)
    }
    if size != UInt64(savedByteCount) || sum != checksum({ places[$0] }) {
      throw .invalidArgument("data: the saved state is damaged")
    }
    for index in 0..<count { slots[index].current.copyMemory(from: places[index], byteCount: slots[index].byteCount) }
  }

  private func checksum(_ place: (Int) -> UnsafeRawPointer) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in 0..<count {
      let base = place(index)
      for offset in 0..<slots[index].byteCount {
        hash = (hash ^ UInt64(base.load(fromByteOffset: offset, as: UInt8.self))) &* 0x100_0000_01B3
      }
    }
    return hash
  }

  private func checksum(_ place: (Int) -> UnsafeMutableRawPointer) -> UInt64 {
    checksum { UnsafeRawPointer(place($0)) }
  }
}

extension Session {
  /// Bytes of a saved state; at least 32, also for a model without states.
  public var savedStateByteCount: Int { states.savedByteCount }

  /// Sets all states to zeros. Not during a run, like the following two.
  public func resetState() { states.reset() }

  /// Writes ``savedStateByteCount`` bytes; any alignment.
  public func saveState(into output: UnsafeMutableRawPointer) { states.save(into: output) }

  /// Takes what ``saveState(into:)`` of a session of the same model wrote.
  ///
  /// - Throws: `.invalidArgument`, and no state changes, for anything else.
  public func restoreState(from bytes: UnsafeRawBufferPointer) throws(AdaptQError) { try states.restore(from: bytes) }
}
