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
  private let lengthOf: [Int?]

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
      saved = try checkedSum(try checkedSum(saved, byteCount, "states"), state.growingAxis == nil ? 0 : 8, "states")
      for byte in "\(state.name)|\(state.type.element.name)|\(sizes)|\(state.growingAxis ?? -1)|".utf8 {
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
      guard let axis = graph.states[index].growingAxis else { continue }
      slots[index].isGrowing = true
      slots[index].maximum = graph.states[index].maximumLength
      for dimension in graph.states[index].type.shape[..<axis] {
        if case .fixed(let size) = dimension { slots[index].outer *= size }
      }
      slots[index].rowByteCount = byteCounts[index] / (slots[index].outer * slots[index].maximum)
    }
    lengthOf = graph.states.map(\.lengthOf)
  }

  var byteCount: Int { memory.byteCount }

  /// All states to zeros.
  func reset() {
    for index in 0..<count {
      slots[index].current.initializeMemory(as: UInt8.self, repeating: 0, count: slots[index].byteCount)
      slots[index].length = 0
    }
  }

  /// - Parameter output: ``savedByteCount`` bytes at any alignment.
  func save(into output: UnsafeMutableRawPointer) {
    output.storeBytes(of: StateMemory.magic.littleEndian, as: UInt64.self)
    output.storeBytes(of: fingerprint.littleEndian, toByteOffset: 8, as: UInt64.self)
    output.storeBytes(of: UInt64(savedByteCount).littleEndian, toByteOffset: 16, as: UInt64.self)
    var offset = StateMemory.headerByteCount
    for index in 0..<count {
      if slots[index].isGrowing {
        output.storeBytes(of: UInt64(slots[index].length).littleEndian, toByteOffset: offset, as: UInt64.self)
        offset += 8
      }
      (output + offset).copyMemory(from: slots[index].current, byteCount: slots[index].byteCount)
      offset += slots[index].byteCount
    }
    let sum = checksum(UnsafeRawPointer(output) + StateMemory.headerByteCount)
    output.storeBytes(of: sum.littleEndian, toByteOffset: 24, as: UInt64.self)
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
    guard let base = bytes.baseAddress, size == UInt64(savedByteCount),
      sum == checksum(base + StateMemory.headerByteCount)
    else { throw .invalidArgument("data: the saved state is damaged") }
    var lengths: [Int] = []
    var places: [UnsafeRawPointer] = []
    for index in 0..<count {
      // The checksum stops accidents, not forgers.
      let length = slots[index].isGrowing ? try reader.readUInt64("data") : 0
      let other = lengthOf[index].map { lengths[$0] } ?? Int(clamping: length)
      if length > UInt64(slots[index].maximum) || length != UInt64(other) {
        throw .invalidArgument("data: a state of length \(length)")
      }
      lengths.append(Int(clamping: length))
      guard let place = try reader.take(slots[index].byteCount, "data").baseAddress else {
        throw .invalidArgument("data: a state is empty")
      }
      places.append(place)
    }
    for index in 0..<count {
      slots[index].current.copyMemory(from: places[index], byteCount: slots[index].byteCount)
      slots[index].length = lengths[index]
    }
  }

  /// Of everything behind the header.
  private func checksum(_ base: UnsafeRawPointer) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for offset in 0..<(savedByteCount - StateMemory.headerByteCount) {
      hash = (hash ^ UInt64(base.load(fromByteOffset: offset, as: UInt8.self))) &* 0x100_0000_01B3
    }
    return hash
  }
}

extension Session {
  /// Bytes of a saved state; at least 32, also for a model without states.
  public var savedStateByteCount: Int { states.savedByteCount }

  /// Length of a growing state, 0 for others; `index` as in the graph.
  public func stateLength(_ index: Int) -> Int { (0..<states.count).contains(index) ? states.slots[index].length : 0 }

  /// Sets all states to zeros, growing ones to length 0. Not during a run, like the following two.
  public func resetState() { states.reset() }

  /// Writes ``savedStateByteCount`` bytes; any alignment.
  public func saveState(into output: UnsafeMutableRawPointer) { states.save(into: output) }

  /// Takes what ``saveState(into:)`` of a session of the same model wrote.
  ///
  /// - Throws: `.invalidArgument`, and no state changes, for anything else.
  public func restoreState(from bytes: UnsafeRawBufferPointer) throws(AdaptQError) { try states.restore(from: bytes) }
}
