import Base
import Foundation
import Graph
import Runtime
import TestSupport
import Testing

/// The file with growing states that the C tests use.
@Suite struct GrowingStateFixtureTests {
  /// x [2, steps, 4] → attention over all that was seen [2, steps, 4], and the keys [2, length, 4]: relu of all x so far,
  /// up to 8 rows.
  static func builder() throws -> GraphBuilder {
    var builder = GraphBuilder()
    let x = builder.input("x", .float32, [.fixed(2), builder.symbol("steps"), .fixed(4)])
    let weights = (0..<16).map { Float($0 * 5 % 16 - 8) / 16 }
    let site = try builder.linearSite("value", try .of([4, 4], weights), bias: nil)
    let type = ValueType(.float32, [.fixed(2), .fixed(8), .fixed(4)])
    let keys = builder.growingState("keys", type, axis: 1)
    let values = builder.growingState("values", type, axis: 1, lengthOf: keys)
    let allKeys = try builder.add(.appendState(keys), x)
    let allValues = try builder.add(.appendState(values), try builder.add(.linear(site), x))
    builder.output("y", try builder.add(.attention(heads: 1, scale: 0.5), x, allKeys, allValues))
    builder.output("keys", try builder.add(.activation(.relu), allKeys))
    return builder
  }

  /// The committed file is what the writer writes: ADAPTQ_WRITE_FIXTURES=1 makes it anew.
  @Test func fixtureOfTheCTests() throws {
    let bytes = try ContainerWriter(builder: try Self.builder(), keep: []).write().withBytes { Data($0) }
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("ABI/growing.adaptq")
    if ProcessInfo.processInfo.environment["ADAPTQ_WRITE_FIXTURES"] != nil { try bytes.write(to: url) }
    #expect(try Data(contentsOf: url) == bytes)
  }
}
