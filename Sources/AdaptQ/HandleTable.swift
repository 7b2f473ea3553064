import Base
import CMachine

/// The process-wide table behind all handles. Everything here is lock-free: a lookup is one compare-and-exchange, allocates
/// nothing and makes no system call, so that adaptq_session_run() can use it, and a forked child never inherits a held lock.
///
/// Slots lie in chunks of 1024 that are allocated on demand and never freed: any bit pattern can be looked up safely. Free
/// slots form a stack whose head carries a tag against reuse between load and exchange (Treiber, IBM RJ 5118, 1986). A slot
/// whose generation would wrap is never used again, so that no token is ever handed out twice.
enum HandleTable {
  /// Makes a handle for `object`, which the table keeps until `destroyHandle` and the end of the last call on it.
  static func insert<Object: HandleObject>(_ object: Object) throws(AdaptQError) -> OpaquePointer? {
    let index = try takeSlot()
    guard let slot = slot(index) else { throw .internalError("handle slot \(index) has no memory") }
    let generation = SlotState(bits: cmachine_atomic_load(slot.state)).generation
    slot.object.pointee = UInt64(UInt(bitPattern: Unmanaged.passRetained(object).toOpaque()))
    cmachine_atomic_store(slot.runs, 0)
    let token = HandleToken(generation: generation, kind: Object.handleKind, slot: index)
    cmachine_atomic_store(slot.state, token.identity << 36 | SlotState.live)
    return OpaquePointer(bitPattern: UInt(token.bits))
  }

  /// Finds the slot of a handle and counts the caller as a user until `leave`.
  ///
  /// - Parameter running: also marks the handle as running; ADAPTQ_BUSY if it is.
  @inline(__always)
  static func enter(_ handle: OpaquePointer?, _ kind: HandleKind, running: Bool) throws(AdaptQError) -> HandleSlot {
    let token = HandleToken(bits: UInt64(UInt(bitPattern: handle)))
    guard token.hasMark && token.kind == kind.rawValue, let slot = slot(token.slot) else {
      throw invalidHandle(token, kind)
    }
    var state = cmachine_atomic_load(slot.state)
    while true {
      let now = SlotState(bits: state)
      guard now.isLive && now.identity == token.identity else { throw invalidHandle(token, kind) }
      if running && now.isRunning { throw busy(kind) }
      let next = (running ? state | SlotState.running : state) &+ 1
      if cmachine_atomic_exchange_if(slot.state, &state, next) { break }
    }
    if running { cmachine_atomic_store(slot.runs, cmachine_atomic_load(slot.runs) &+ 1) }
    return slot
  }

  /// Ends what `enter` began. The last one to leave a destroyed handle frees the object.
  @inline(__always)
  static func leave(_ slot: HandleSlot, running: Bool) {
    let left = SlotState(bits: cmachine_atomic_subtract(slot.state, running ? SlotState.running &+ 1 : 1))
    if !left.isLive && !left.hasUsers { free(slot, left) }
  }

  /// Makes the handle invalid at once. ADAPTQ_BUSY, and nothing happens, while it is running.
  static func destroy(_ handle: OpaquePointer?, _ kind: HandleKind) throws(AdaptQError) {
    let slot = try enter(handle, kind, running: false)
    var state = cmachine_atomic_load(slot.state)
    while true {
      let now = SlotState(bits: state)
      // Being a user keeps the generation; another thread may have destroyed the handle or begun a run meanwhile.
      if !now.isLive || now.isRunning {
        leave(slot, running: false)
        if !now.isLive { throw invalidHandle(HandleToken(bits: UInt64(UInt(bitPattern: handle))), kind) }
        throw busy(kind)
      }
      if cmachine_atomic_exchange_if(slot.state, &state, state & ~SlotState.live) { break }
    }
    leave(slot, running: false)
  }

  // MARK: - Slots

  private static let slotsPerChunk = 1024

  @inline(__always)
  private static func slot(_ index: Int) -> HandleSlot? {
    let address = UInt(cmachine_atomic_load(cmachine_handle_chunks() + index / slotsPerChunk))
    guard let chunk = UnsafeMutablePointer<UInt64>(bitPattern: address) else { return nil }
    return HandleSlot(words: chunk + index % slotsPerChunk &* HandleSlot.wordCount, index: index)
  }

  private static func takeSlot() throws(AdaptQError) -> Int {
    let head = cmachine_handle_free_head()
    var top = cmachine_atomic_load(head)
    while top & 0xFFFF_FFFF != 0 {
      let index = Int(truncatingIfNeeded: top & 0xFFFF_FFFF) - 1
      guard let slot = slot(index) else { break }
      // Another thread may take the slot meanwhile and change this word: then the tag differs and the exchange fails.
      let next = cmachine_atomic_load(slot.nextFree)
      if cmachine_atomic_exchange_if(head, &top, (top >> 32 &+ 1) << 32 | next) { return index }
    }
    return try takeNewSlot()
  }

  private static func takeNewSlot() throws(AdaptQError) -> Int {
    var used = cmachine_atomic_load(cmachine_handle_slots_used())
    while true {
      let index = Int(truncatingIfNeeded: used)
      guard index < slotsPerChunk * Int(CMACHINE_HANDLE_CHUNKS) else {
        throw .outOfMemory("no handle is free: \(index) are in use")
      }
      try ensureChunk(index / slotsPerChunk)
      if cmachine_atomic_exchange_if(cmachine_handle_slots_used(), &used, used &+ 1) {
        // Generation 0 never occurs in a token.
        if let slot = slot(index) { cmachine_atomic_store(slot.state, 1 << 40) }
        return index
      }
    }
  }

  private static func ensureChunk(_ number: Int) throws(AdaptQError) {
    let word = cmachine_handle_chunks() + number
    if cmachine_atomic_load(word) != 0 { return }
    let byteCount = slotsPerChunk * HandleSlot.wordCount * MemoryLayout<UInt64>.size
    guard let memory = SystemCalls.live.mapAnonymous(byteCount) else {
      throw .outOfMemory("handle table: no memory for \(byteCount) bytes")
    }
    var expected: UInt64 = 0
    if !cmachine_atomic_exchange_if(word, &expected, UInt64(UInt(bitPattern: memory))) {
      SystemCalls.live.unmap(memory, byteCount)
    }
  }

  @inline(never)
  private static func free(_ slot: HandleSlot, _ state: SlotState) {
    let object = UnsafeRawPointer(bitPattern: UInt(slot.object.pointee))
    slot.object.pointee = 0
    if state.generation < HandleToken.maxGeneration {
      cmachine_atomic_store(slot.state, (state.generation &+ 1) << 40)
      push(slot)
    }
    if let object { Unmanaged<AnyObject>.fromOpaque(object).release() }
  }

  private static func push(_ slot: HandleSlot) {
    let head = cmachine_handle_free_head()
    var top = cmachine_atomic_load(head)
    while true {
      cmachine_atomic_store(slot.nextFree, top & 0xFFFF_FFFF)
      if cmachine_atomic_exchange_if(head, &top, (top >> 32 &+ 1) << 32 | UInt64(slot.index + 1)) { return }
    }
  }

  // MARK: - Errors

  @inline(never)
  private static func invalidHandle(_ token: HandleToken, _ kind: HandleKind) -> AdaptQError {
    let text = token.bits == 0 ? "NULL" : "0x" + String(token.bits, radix: 16)
    return AdaptQError(.invalidHandle, "\(kind.name) \(text) is not a live handle")
  }

  @inline(never)
  static func busy(_ kind: HandleKind) -> AdaptQError {
    AdaptQError(.busy, "\(kind.name): a run or prepare is in progress")
  }
}

/// Four words of the handle table. All but `object` are only touched with atomic operations.
struct HandleSlot {
  static let wordCount = 4
  let words: UnsafeMutablePointer<UInt64>
  let index: Int

  /// A `SlotState`.
  @inline(__always) var state: UnsafeMutablePointer<UInt64> { words }
  /// The object, unmanaged, retained once; valid while the slot is live or has users.
  @inline(__always) var object: UnsafeMutablePointer<UInt64> { words + 1 }
  /// Number of the next free slot plus 1; 0 ends the stack.
  @inline(__always) var nextFree: UnsafeMutablePointer<UInt64> { words + 2 }
  /// How often a run or prepare began here.
  @inline(__always) var runs: UnsafeMutablePointer<UInt64> { words + 3 }
}
