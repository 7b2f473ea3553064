import Base
import Graph
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// Attention over everything that was ever seen: keys and values are appended to states run by run.
@Suite struct GrowingStateTests {
  static let room = 20

  /// x [2, steps, 12] → [2, steps, 6], keys and values of all runs.
  private func builder(_ random: inout SeededRandom) throws -> GraphBuilder {
    var builder = GraphBuilder()
    let steps = builder.symbol("steps")
    let x = builder.input("x", .float32, [.fixed(2), steps, .fixed(12)])
    func project(_ name: String, _ n: Int) throws -> ValueID {
      let site = try builder.linearSite(name, try .random([n, 12], scale: 0.3, &random), bias: nil)
      return try builder.add(.linear(site), x)
    }
    let (q, k, v) = (try project("q", 8), try project("k", 8), try project("v", 6))
    let room = Dimension.fixed(GrowingStateTests.room)
    let keys = builder.growingState("keys", ValueType(.float32, [.fixed(2), room, .fixed(8)]), axis: 1)
    let values = builder.growingState(
      "values", ValueType(.float32, [.fixed(2), room, .fixed(6)]), axis: 1, lengthOf: keys)
    let (allKeys, allValues) = (
      try builder.add(.appendState(keys), k), try builder.add(.appendState(values), v)
    )
    builder.output("y", try builder.add(.attention(heads: 2, scale: 0.5), q, allKeys, allValues))
    builder.output("keys", try builder.add(.activation(.tanh), allKeys))
    return builder
  }

  private func input(_ steps: Int, _ random: inout SeededRandom) -> Tensor {
    .floats([2, steps, 12], (0..<(2 * steps * 12)).map { _ in random.normal() })
  }

  private func save(_ session: Session) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: session.savedStateByteCount)
    bytes.withUnsafeMutableBytes { session.saveState(into: $0.baseAddress!) }
    return bytes
  }

  private func restore(_ session: Session, _ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try session.restoreState(from: $0) }
  }

  @Test(arguments: [Level.fp32, .int8]) func cache(_ level: Level) throws {
    var random = SeededRandom("GrowingStateTests")
    let model = try Model(try builder(&random))
    let session = try Session(model, [level])
    #expect(throws: AdaptQError.self) { try session.prepare(maximumShapes: [[2, GrowingStateTests.room + 1, 12]]) }
    try session.prepare(maximumShapes: [[2, 7, 12]])
    for round in 0..<3 {
      var reference = ReferenceInterpreter(model, level)
      var length = 0
      for steps in [7, 1, 1, 4, 2, 5] {
        let x = input(steps, &random)
        let expected = reference.run([x])
        let (found, report) = try session.run(symbols: [steps], [x])
        #expect(report.outcome.kind == .done)
        length += steps
        #expect(found[0].shape == [2, steps, 6] && found[1].shape == [2, length, 8])
        for (output, value) in zip(found, expected) {
          for (x, y) in zip(output.floats, value.data) {
            #expect((Double(x) - y).magnitude < (level == .fp32 ? 1e-5 : 0.02), "round \(round), length \(length)")
          }
        }
        // Preparing again, even where little room is left, changes nothing.
        if round == 1 { try session.prepare(maximumShapes: [[2, 7, 12]]) }
      }
      #expect(length == 20 && session.stateLength(0) == 20 && session.stateLength(1) == 20)
      // Full: refused, and nothing has changed.
      let before = save(session)
      #expect(try session.run(symbols: [1], [input(1, &random)]).report.outcome.kind == .stateFull)
      #expect(save(session) == before)
      session.resetState()
      #expect(session.stateLength(0) == 0 && session.stateLength(1) == 0)
    }
  }

  @Test func saveAndRestore() throws {
    var random = SeededRandom("saveAndRestore growing")
    let model = try Model(try builder(&random))
    let (session, other) = (try Session(model, [.int8]), try Session(model, [.int8]))
    for session in [session, other] { try session.prepare(maximumShapes: [[2, 7, 12]]) }
    _ = try session.run(symbols: [3], [input(3, &random)])
    let saved = save(session)
    let next = input(2, &random)
    let expected = try session.run(symbols: [2], [next]).outputs.map(\.floats)
    try restore(other, saved)
    #expect(other.stateLength(1) == 3)
    #expect(try other.run(symbols: [2], [next]).outputs.map(\.floats) == expected)
    // Lengths beyond the room or unlike each other, with a checksum that fits.
    func forged(_ offset: Int, _ length: UInt64) -> [UInt8] {
      var bytes = saved
      bytes.withUnsafeMutableBytes { $0.storeBytes(of: length.littleEndian, toByteOffset: offset, as: UInt64.self) }
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in bytes[32...] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      bytes.withUnsafeMutableBytes { $0.storeBytes(of: hash.littleEndian, toByteOffset: 24, as: UInt64.self) }
      return bytes
    }
    let second = 32 + 8 + 2 * GrowingStateTests.room * 8 * 4
    try restore(other, forged(32, 3))
    for (offset, length) in [(32, 21), (32, UInt64.max), (32, 2), (second, 4), (second, 1 << 63)] as [(Int, UInt64)] {
      #expect(throws: AdaptQError.self) { try restore(other, forged(offset, length)) }
    }
    #expect(other.stateLength(0) == 3)
  }
}
