import Base
import Control
import Graph
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Costs that leave one session and enter another.
@Suite struct CostRecordTests {
  static let levels: [Level] = [.fp32, .fp16, .int8, .int6, .int4, .int2]
  static let here = CostMachine(cpu: "A CPU of tests", instructionSet: 1, features: 5, kernels: 77)

  private func session(
    _ model: Model, _ levels: [Level] = CostRecordTests.levels, machine: CostMachine = CostRecordTests.here,
    threads: Int = 1
  ) throws -> Session {
    try Session(
      model: model, allowed: levels, kernels: .portable, kernelOwner: nil,
      threads: Threads(ThreadOptions(count: threads), recommended: { 1 }), machine: machine)
  }

  private func bytes(_ session: Session) throws -> [UInt8] {
    let exported = try session.exportedCosts()
    var bytes = [UInt8](repeating: 0xAA, count: exported.byteCount + 1)
    bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { exported.write(to: base) } }
    #expect(bytes.last == 0xAA)
    bytes.removeLast()
    return bytes
  }

  private func refusal(_ session: Session, _ bytes: [UInt8]) -> AdaptQError? {
    do throws(AdaptQError) {
      // Ends where the bytes end.
      let guarded = GuardedBuffer(bytes)
      defer { withExtendedLifetime(guarded) {} }
      try session.importCosts(UnsafeRawBufferPointer(start: guarded.base, count: bytes.count))
    } catch {
      return error
    }
    return nil
  }

  private func prepared(_ model: Model) throws -> Session {
    let session = try session(model)
    try session.prepare(maximumShapes: [[2, 9], [2, 9]])
    return session
  }

  @Test func nothingIsMeasuredWithCostsOfTheSameKind() throws {
    let model = try Model(try SmallModel.builder())
    let first = try prepared(model)
    #expect(first.preparation.measurementRuns >= 6 && !first.preparation.costsAreImported)
    let learned = try #require(RungKnowledge(ratio: 1.25, variance: 0.01))
    first.state.pointee.controller.setKnowledge(learned, rung: 2)
    let kept = try bytes(first)
    let second = try session(model)
    #expect(refusal(second, kept) == nil)
    try second.prepare(maximumShapes: [[2, 9], [2, 9]])
    #expect(second.preparation.measurementRuns == 0 && second.preparation.costsAreImported)
    #expect(second.preparation.measurementNanoseconds == 0)
    for (one, other) in zip(first.costs, second.costs) {
      #expect(one.level == other.level && one.nanoseconds == other.nanoseconds && one.points == other.points)
    }
    for rung in first.ladder.indices {
      #expect(first.expectedNanoseconds(rung: rung) == second.expectedNanoseconds(rung: rung))
    }
    #expect(second.state.pointee.controller.knowledge(rung: 2)?.ratio == 1.25)
    #expect(try bytes(second) == kept)
  }

  @Test func otherSizesAreMeasured() throws {
    let model = try Model(try SmallModel.builder())
    let kept = try bytes(try prepared(model))
    let second = try session(model)
    #expect(refusal(second, kept) == nil)
    try second.prepare(maximumShapes: [[1, 9], [1, 9]])
    #expect(second.preparation.measurementRuns > 0 && !second.preparation.costsAreImported)
    // They still hold for the sizes that they were measured with.
    try second.prepare(maximumShapes: [[2, 9], [2, 9]])
    #expect(second.preparation.measurementRuns == 0 && second.preparation.costsAreImported)
  }

  @Test func whatDiffersIsNamed() throws {
    let model = try Model(try SmallModel.builder())
    let kept = try bytes(try prepared(model))
    func check(_ session: Session, _ part: String) {
      let error = refusal(session, kept)
      #expect(
        error?.status == .unsupported && error?.message.contains(part) == true, "\(part): \(String(describing: error))")
      #expect(session.importedCosts == nil)
    }
    var other = Self.here
    other.cpu = "Another CPU"
    check(try session(model, machine: other), "cpu is \"A CPU of tests\", here \"Another CPU\"")
    other = Self.here
    other.instructionSet = 5
    check(try session(model, machine: other), "instruction set is avx2, here avx512bf16")
    other = Self.here
    other.features = 4
    check(try session(model, machine: other), "features is 0x5, here 0x4")
    other = Self.here
    other.kernels = 78
    check(try session(model, machine: other), "kernels is 0x4d, here 0x4e")
    check(try session(model, threads: 3), "threads is 1, here 3")
    check(try session(model, [.int8, .int4]), "levels is 63, here 10")
    check(try session(try Model(try SmallModel.builder("another"))), "model is 0x")
  }

  /// Cut off at every length, and with every bit flipped: refused, and what was imported before stays.
  @Test func damageIsRefused() throws {
    let model = try Model(try SmallModel.builder())
    let session = try prepared(model)
    let kept = try bytes(session)
    #expect(refusal(session, kept) == nil)
    for count in 0..<kept.count {
      let error = refusal(session, Array(kept[..<count]))
      #expect(error?.status == .invalidArgument, "\(count) bytes: \(String(describing: error))")
    }
    for bit in 0..<kept.count * 8 {
      var copy = kept
      copy[bit / 8] ^= 1 << UInt8(bit % 8)
      let error = refusal(session, copy)
      let expected: Status = (8..<12).contains(bit / 8) ? .unsupportedVersion : .invalidArgument
      #expect(error?.status == expected, "bit \(bit): \(String(describing: error))")
    }
    #expect(refusal(session, kept + [0])?.message.contains("size is") == true)
    #expect(session.importedCosts?.record.stepCount == session.planCosts?.times.stepCount)
  }

  /// Random words with a checksum that fits: refused or taken, never a trap, and what is taken can be prepared and run with.
  @Test func forgedNumbersAreBounded() throws {
    let model = try Model(try SmallModel.builder())
    let kept = try bytes(try prepared(model))
    let session = try session(model)
    var random = SeededRandom("forgedNumbersAreBounded")
    let extremes: [UInt64] = [0, 1, .max, 1 << 63, 1 << 62, 0x7FF0_0000_0000_0000, 0x7FF8_0000_0000_0000, 1 << 50]
    var taken = 0
    for _ in 0..<4000 {
      var copy = kept
      let word = Int.random(in: 4..<kept.count / 8, using: &random) * 8
      let value = Bool.random(using: &random) ? extremes.randomElement(using: &random) ?? 0 : random.next()
      for byte in 0..<8 { copy[word + byte] = UInt8(truncatingIfNeeded: value >> UInt64(byte * 8)) }
      var checksum = Checksum()
      copy.withUnsafeBytes { checksum.add(UnsafeRawBufferPointer(rebasing: $0[32...])) }
      for byte in 0..<8 { copy[24 + byte] = UInt8(truncatingIfNeeded: checksum.value >> UInt64(byte * 8)) }
      if refusal(session, copy) != nil { continue }
      taken += 1
      try session.prepare(maximumShapes: [[2, 9], [2, 9]])
    }
    #expect(taken > 0)
  }
}
