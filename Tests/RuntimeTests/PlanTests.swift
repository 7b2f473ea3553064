import Base
import Graph
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// Where values live.
@Suite struct PlanTests {
  @Test func arenaKeepsLiveValuesApart() throws {
    for index in 0..<300 {
      var random = SeededRandom("arenaKeepsLiveValuesApart", index)
      let requests = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        let birth = Int.random(in: 0...20, using: &random)
        return ArenaPlanner.Request(
          byteCount: Int.random(in: 0...1000, using: &random), birth: birth,
          death: birth + Int.random(in: 0...8, using: &random))
      }
      let planner = try ArenaPlanner(requests)
      #expect(planner.offsets.count == requests.count)
      var best = 0
      for (a, left) in requests.enumerated() {
        let offset = planner.offsets[a]
        #expect(offset % 64 == 0 && offset >= 0 && offset + left.byteCount <= planner.byteCount, "case \(index)")
        best += (max(left.byteCount, 1) + 63) / 64 * 64
        for (b, right) in requests.enumerated() where a < b {
          let together = left.birth <= right.death && right.birth <= left.death
          let apart =
            offset + left.byteCount <= planner.offsets[b] || planner.offsets[b] + right.byteCount <= offset
          #expect(!together || apart, "case \(index): \(a) and \(b)")
        }
      }
      #expect(planner.byteCount <= best, "case \(index)")
    }
  }

  @Test func arenaThatOverflows() {
    let request = ArenaPlanner.Request(byteCount: .max - 100, birth: 0, death: 1)
    #expect(throws: AdaptQError.self) { try ArenaPlanner([request, request]) }
    #expect(throws: AdaptQError.self) { try ArenaPlanner([.init(byteCount: .max, birth: 0, death: 0)]) }
  }

  /// An addition that disappears into a norm costs no memory.
  @Test func fusedAdditionsTakeNoMemory() throws {
    func session(additions: Int) throws -> Session {
      var random = SeededRandom("fused")
      var builder = GraphBuilder()
      let rows = builder.symbol("rows")
      var x = builder.input("x", .float32, [rows, .fixed(64)])
      let gamma = builder.constant("gamma", try .random([64], &random))
      for _ in 0..<additions {
        let y = try builder.add(.activation(.tanh), x)
        x = try builder.add(.layerNorm(epsilon: 1e-5), try builder.add(.binary(.add), y, x), gamma, gamma)
      }
      builder.output("y", x)
      let session = try Session(try Model(builder), [.fp32])
      try session.prepare(maximumShapes: [[100, 64]])
      return session
    }
    let few = try session(additions: 2).workingByteCount
    let many = try session(additions: 10).workingByteCount
    #expect(many < few + 100 * 64 * 4, "\(few) and \(many) bytes")
  }

  /// Regression: a norm read its gamma after overwriting it with the sum.
  @Test func normWhoseGammaIsItsInput() throws {
    var random = SeededRandom("normWhoseGammaIsItsInput")
    var builder = GraphBuilder()
    let input = builder.input("x", .float32, [.fixed(16)])
    let beta = builder.constant("beta", try .random([16], &random))
    let x = try builder.add(.activation(.tanh), input)
    let y = try builder.add(.activation(.sigmoid), input)
    let sum = try builder.add(.binary(.add), x, y)
    builder.output("z", try builder.add(.layerNorm(epsilon: 1e-5), sum, x, beta))
    let model = try Model(builder)
    let session = try Session(model, [.fp32])
    try session.prepare(maximumShapes: [[16]])
    let inputs = [Tensor.floats([16], (0..<16).map { _ in random.normal() })]
    let found = try session.run(symbols: [], inputs).outputs[0].floats
    var reference = ReferenceInterpreter(model, .fp32)
    for (x, y) in zip(found, reference.run(inputs)[0].data) { #expect((Double(x) - y).magnitude < 1e-5) }
  }

  /// Regression: measuring ran again on inputs whose memory held later values.
  @Test func preparesWhenInputsAreOverwritten() throws {
    var random = SeededRandom("preparesWhenInputsAreOverwritten")
    var builder = GraphBuilder()
    let steps = builder.symbol("steps")
    let ids = builder.input("ids", .int64, [steps])
    let table = try builder.embeddingSite("table", try .random([3, 4], &random))
    var x = try builder.add(.embedding(table), ids)
    let site = try builder.linearSite("narrow", try .random([1, 4], &random), bias: nil)
    x = try builder.add(.linear(site), x)
    builder.output("y", try builder.add(.binary(.add), x, x))
    let session = try Session(try Model(builder))
    try session.prepare(maximumShapes: [[64]])
    #expect(session.costs.count == 6)
  }

  @Test func positionsBeyondTheTable() throws {
    var random = SeededRandom("positionsBeyondTheTable")
    var builder = GraphBuilder()
    let steps = builder.symbol("steps")
    let x = builder.input("x", .float32, [steps])
    let table = try builder.embeddingSite("places", try .random([3, 4], &random))
    builder.output("y", try builder.add(.embedding(table), try builder.add(.range(axis: 0), x)))
    let session = try Session(try Model(builder))
    try session.prepare(maximumShapes: [[3]])
    do throws(AdaptQError) {
      try session.prepare(maximumShapes: [[4]])
      Issue.record("accepted")
    } catch {
      #expect(error.status == .outOfRange && error.message.contains("places"), "\(error)")
    }
    // What was prepared before still runs.
    #expect(session.isPrepared && session.handle.maximumSize(ofSymbol: 0) == 3)
    #expect(try session.run(symbols: [3], [.floats([3], [0, 0, 0])]).report.outcome.kind == .done)
  }

  @Test func shapesThatDoNotFit() throws {
    let session = try Session(try Model(try SmallModel.builder()), [.int8])
    for (shapes, expected) in [
      ([[1, 2]], "n_inputs"), ([[1, 2], [1]], "rank"), ([[0, 2], [0, 2]], "below 1"), ([[1, 2], [1, 3]], "sequence"),
      ([[-1, 2], [-1, 2]], "below 1"), ([[1 << 40, 1 << 40], [1 << 40, 1 << 40]], ""),
      ([[.max, 1], [.max, 1]], ""), ([[1 << 33, 1 << 13], [1 << 33, 1 << 13]], ""),
    ] {
      do throws(AdaptQError) {
        try session.prepare(maximumShapes: shapes)
        Issue.record("\(shapes): accepted")
      } catch {
        #expect(expected.isEmpty || error.message.contains(expected), "\(shapes): \(error)")
        #expect(error.status != .internalError, "\(shapes): \(error)")
      }
      #expect(!session.isPrepared)
    }
  }

  /// A place for each of 200,000 values that live at once, and for as many that come and go.
  @Test func arenaOfManyValues() throws {
    let count = 200_000
    let together = (0..<count).map { ArenaPlanner.Request(byteCount: 64 + $0 % 3 * 64, birth: $0, death: count) }
    #expect(try ArenaPlanner(together).byteCount == together.reduce(0) { $0 + $1.byteCount })
    let passing = (0..<count).map { ArenaPlanner.Request(byteCount: 64 + $0 % 3 * 64, birth: $0, death: $0 + 2) }
    #expect(try ArenaPlanner(passing).byteCount < 2000)
  }
}
