import Glibc
import Testing

@testable import Base

/// Reading files and descriptors when the system does not do what one hopes for.
@Suite struct MemoryBlockTests {
  /// Counts what is mapped; `readAt` gives what the test says.
  private struct Fake {
    /// Of its own, so that the calls may outlive whoever made them.
    final class Counter: @unchecked Sendable { var mapped = 0 }
    private let counter = Counter()
    var calls = SystemCalls.live
    var mapped: Int { counter.mapped }

    init(readAt: @escaping @Sendable (Int, Int) -> Int) {
      calls.readAt = { _, target, count, offset in
        let done = readAt(count, offset)
        if done > 0 && done <= count { memset(target, 7, done) }
        return done
      }
      let live = SystemCalls.live
      let counter = counter
      calls.mapAnonymous = { count in
        counter.mapped += 1
        return live.mapAnonymous(count)
      }
      calls.unmap = { base, count in
        counter.mapped -= 1
        live.unmap(base, count)
      }
    }
  }

  @Test func shortReadsAreContinued() throws {
    let fake = Fake { count, offset in min(count, offset % 3 + 1) }
    do {
      let block = try MemoryBlock.read(descriptor: 0, offset: 5, byteCount: 1000, calls: fake.calls)
      block.withBytesForTest { #expect($0.count == 1000 && $0.allSatisfy { $0 == 7 }) }
      #expect(fake.mapped == 1)
    }
    #expect(fake.mapped == 0)
  }

  @Test(arguments: [(0, "ended after 10"), (-EIO, "nput/output"), (Int32.max, "asked for"), (Int32.min, "")])
  func failures(_ answer: Int32, _ text: String) throws {
    let fake = Fake { _, offset in offset < 10 ? 10 : Int(answer) }
    let error = #expect(throws: AdaptQError.self) {
      try MemoryBlock.read(descriptor: 0, offset: 0, byteCount: 20, calls: fake.calls)
    }
    #expect(error?.status == .ioError && (text.isEmpty || error?.message.contains(text) == true), "\(error as Any)")
    #expect(fake.mapped == 0)
  }

  @Test func memoryFromElsewhere() throws {
    final class Counter: @unchecked Sendable { var live = 0 }
    let counter = Counter()
    let calls = SystemCalls.live.withMemory(
      allocate: { count in
        counter.live += 1
        let base = aligned_alloc(64, count)
        if let base { memset(base, 0xA5, count) }
        return base
      },
      release: { base, _ in
        counter.live -= 1
        free(base)
      })
    do {
      let block = try MemoryBlock.allocate(byteCount: 5000, purpose: "test", calls: calls)
      block.withBytesForTest { #expect($0.allSatisfy { $0 == 0 }) }
      #expect(counter.live == 1)
    }
    #expect(counter.live == 0)
    let shifted = SystemCalls.live.withMemory(
      allocate: { aligned_alloc(64, $0 + 64).map { $0 + 8 } }, release: { base, _ in free(base - 8) })
    let error = #expect(throws: AdaptQError.self) {
      try MemoryBlock.allocate(byteCount: 10, purpose: "test", calls: shifted)
    }
    #expect(error?.status == .invalidArgument)
  }
}

extension MemoryBlock {
  fileprivate func withBytesForTest(_ body: (UnsafeRawBufferPointer) -> Void) {
    body(bytes)
    withExtendedLifetime(self) {}
  }
}
