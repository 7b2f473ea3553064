import Graph
import Hardware
import Kernels
import NestedFormat
import TestSupport
import Testing

@testable import Runtime

/// An activation leaves codes where the one product that reads its result reads such.
@Suite struct ActivationCodesTests {
  private static let set = KernelSet(features: KernelFeatures(CPUFeatures.live()))
  private static let hasCodes = set.table.activationCodes(.gelu) != nil

  private enum Reader: CaseIterable { case product, twoProducts, output, addition }

  /// x [rows, 70] → up to 200 → activation → down to 90, and who else reads the activation.
  private static func model(
    _ reader: Reader = .product, _ activation: Activation = .gelu
  ) throws -> Model {
    var random = SeededRandom("ActivationCodesTests")
    var builder = GraphBuilder()
    let x = builder.input("x", .float32, [builder.symbol("rows"), .fixed(70)])
    func site(_ name: String, _ n: Int, _ k: Int) throws -> SiteID {
      try builder.linearSite(name, try .random([n, k], scale: 0.2, &random), bias: nil)
    }
    let (up, down) = (try site("up", 200, 70), try site("down", 90, 200))
    let wide = try builder.add(.linear(up), x)
    let active = try builder.add(.activation(activation), wide)
    switch reader {
    case .product: break
    case .twoProducts: builder.output("z", try builder.add(.linear(try site("other", 20, 200)), active))
    case .output: builder.output("z", active)
    case .addition: builder.output("z", try builder.add(.binary(.add), active, wide))
    }
    builder.output("y", try builder.add(.linear(down), active))
    return try Model(builder)
  }

  /// Names of what ran; may set levels behind a step.
  private final class Watcher {
    var names: [String] = []
    var behind: (name: String, site: Int, level: Level)?
    let session: Session

    init(_ session: Session) {
      self.session = session
      session.setTrace(
        { context, event in
          guard let context else { return }
          let watcher = Unmanaged<Watcher>.fromOpaque(context).takeUnretainedValue()
          let name = "\(event.load(as: TraceEvent.self).operation)"
          watcher.names.append(name)
          if let behind = watcher.behind, behind.name == name {
            watcher.session.context.pointee.levels[behind.site] = behind.level.rawValue
          }
        }, context: Unmanaged.passUnretained(self).toOpaque())
    }
  }

  @Test func readersAreFound() throws {
    for reader in Reader.allCases {
      let steps = try Lowering(try Self.model(reader).graph).steps
      let step = try #require(steps.first { $0.kind == .unary })
      #expect(step.site == (reader == .product ? 1 : -1), "\(reader)")
    }
  }

  /// Every pair of levels, with more and fewer rows than kernels take at once: what the floats would have given, nearly.
  @Test(arguments: [Activation.gelu, .geluTanh, .silu, .relu])
  func agreesWithFloats(_ activation: Activation) throws {
    let model = try Self.model(.product, activation)
    var plain = Self.set.table
    (plain.geluCodes, plain.geluTanhCodes, plain.siluCodes, plain.reluCodes) = (nil, nil, nil, nil)
    let (session, other) = (try Session(model, kernels: Self.set.table), try Session(model, kernels: plain))
    try session.prepare(maximumShapes: [[40, 70]])
    try other.prepare(maximumShapes: [[40, 70]])
    let watcher = Watcher(session)
    var random = SeededRandom("agreesWithFloats")
    for rows in [1, 4, 9, 40] {
      let x = (0..<(rows * 70)).map { _ in random.normal() }
      for up in Level.allCases {
        for down in Level.allCases {
          watcher.names = []
          let found = try PlanCostTests.outputs(session, x, rows: rows, [up, down])[0]
          let expected = try PlanCostTests.outputs(other, x, rows: rows, [up, down])[0]
          let isCoded = Self.hasCodes && down.isNested
          #expect(watcher.names == ["linear", isCoded ? "activation8" : "activation", "linear"])
          let largest = expected.map(\.magnitude).max() ?? 1
          // A code more or less now and then.
          for (a, b) in zip(found, expected) where !((a - b).magnitude <= (isCoded ? 5e-3 : 0) * largest) {
            Issue.record("\(up.name), \(down.name), \(rows) rows: \(a), not \(b)")
          }
        }
      }
    }
  }

  /// A level that changes between the activation and its reader: any that reads codes is taken, a float one comes too late.
  @Test(.enabled(if: hasCodes), arguments: Level.allCases) func levelsMayChangeInBetween(_ late: Level) throws {
    let model = try Self.model()
    let session = try Session(model, kernels: Self.set.table)
    try session.prepare(maximumShapes: [[40, 70]])
    let watcher = Watcher(session)
    var random = SeededRandom("levelsMayChangeInBetween")
    for rows in [3, 40] {
      let x = (0..<(rows * 70)).map { _ in random.normal() }
      for early in Level.allCases where early.isNested {
        watcher.behind = nil
        let expected = try PlanCostTests.outputs(session, x, rows: rows, [.int8, late.isNested ? late : early])[0]
        watcher.behind = ("activation8", 1, late)
        let found = try PlanCostTests.outputs(session, x, rows: rows, [.int8, early])[0]
        #expect(found == expected, "\(early.name), then \(late.name)")
        #expect(session.context.pointee.levels[1] == (late.isNested ? late : early).rawValue)
      }
    }
  }
}
