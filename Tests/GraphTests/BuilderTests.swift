import Base
import Graph
import TestSupport
import Testing

/// Types follow from operators, and what does not fit is refused with a reason.
@Suite struct BuilderTests {
  /// A builder with values and sites of several shapes.
  final class Fixture {
    var builder: GraphBuilder
    let batch: Dimension
    let steps: Dimension
    let ids: ValueID
    let keep: ValueID
    let x: ValueID
    let row: ValueID
    let scalar: ValueID
    let table: SiteID
    let linear: SiteID

    init() throws {
      var random = SeededRandom("BuilderTests")
      var builder = GraphBuilder()
      batch = builder.symbol("batch")
      steps = builder.symbol("steps")
      ids = builder.input("ids", .int64, [batch, steps])
      keep = builder.input("keep", .int32, [batch, steps])
      x = builder.input("x", .float32, [batch, steps, .fixed(8)])
      scalar = builder.input("scalar", .float32, [])
      row = builder.constant("row", try .random([8], &random))
      table = try builder.embeddingSite("table", try .random([5, 8], &random))
      linear = try builder.linearSite("linear", try .random([12, 8], &random), bias: nil)
      self.builder = builder
    }

    func type(_ id: ValueID) -> ValueType { builder.graph.type(of: id) }
  }

  @Test func inferredTypes() throws {
    let f = try Fixture()
    let cube = ValueType(.float32, [f.batch, f.steps, .fixed(8)])
    #expect(f.type(try f.builder.add(.embedding(f.table), f.ids)) == cube)
    let wide = try f.builder.add(.linear(f.linear), f.x)
    #expect(f.type(wide) == ValueType(.float32, [f.batch, f.steps, .fixed(12)]))
    #expect(f.type(try f.builder.add(.layerNorm(epsilon: 1e-5), f.x, f.row, f.row)) == cube)
    for function in Activation.allCases { #expect(f.type(try f.builder.add(.activation(function), f.x)) == cube) }
    #expect(f.type(try f.builder.add(.binary(.add), f.row, f.x)) == cube)
    #expect(f.type(try f.builder.add(.binary(.multiply), f.x, f.scalar)) == cube)
    #expect(f.type(try f.builder.add(.softmax, f.x)) == cube)
    #expect(f.type(try f.builder.add(.l2Normalize(epsilon: 1e-12), f.x)) == cube)
    #expect(f.type(try f.builder.add(.range(axis: 1), f.ids)) == ValueType(.int64, [f.steps]))
    #expect(
      f.type(try f.builder.add(.attention(heads: 4, scale: 1), f.x, f.x, wide, f.keep))
        == ValueType(.float32, [f.batch, f.steps, .fixed(12)]))
    #expect(f.type(try f.builder.add(.attention(heads: 2, scale: 1), f.x, f.x, f.x)) == cube)
    let mean = try f.builder.add(.maskedMean, f.x, f.keep)
    #expect(f.type(mean) == ValueType(.float32, [f.batch, .fixed(8)]))
    f.builder.output("mean", mean)
    try f.builder.graph.validate()
  }

  typealias Case = (
    what: String, expected: String, body: @Sendable (Fixture) throws(AdaptQError) -> Void
  )

  static let cases: [Case] = [
    (
      "embedding of floats", "not an integer",
      { f throws(AdaptQError) in _ = try f.builder.add(.embedding(f.table), f.x) }
    ),
    (
      "embedding of a linear site", "not embedding",
      { f throws(AdaptQError) in _ = try f.builder.add(.embedding(f.linear), f.ids) }
    ),
    ("no such site", "site 7", { f throws(AdaptQError) in _ = try f.builder.add(.linear(SiteID(7)), f.x) }),
    ("negative site", "site -1", { f throws(AdaptQError) in _ = try f.builder.add(.linear(SiteID(-1)), f.x) }),
    ("linear of integers", "not float32", { f throws(AdaptQError) in _ = try f.builder.add(.linear(f.linear), f.ids) }),
    (
      "linear of a scalar", "last size", { f throws(AdaptQError) in _ = try f.builder.add(.linear(f.linear), f.scalar) }
    ),
    (
      "two inputs to linear", "2 inputs",
      { f throws(AdaptQError) in _ = try f.builder.add(.linear(f.linear), f.x, f.x) }
    ),
    ("no input", "0 inputs", { f throws(AdaptQError) in _ = try f.builder.add(.softmax) }),
    ("value does not exist", "value 99", { f throws(AdaptQError) in _ = try f.builder.add(.softmax, ValueID(99)) }),
    ("negative value", "value -1", { f throws(AdaptQError) in _ = try f.builder.add(.softmax, ValueID(-1)) }),
    (
      "gamma of another size", "input 1",
      { f throws(AdaptQError) in _ = try f.builder.add(.layerNorm(epsilon: 1), f.x, f.x, f.row) }
    ),
    (
      "epsilon negative", "epsilon",
      { f throws(AdaptQError) in _ = try f.builder.add(.layerNorm(epsilon: -1), f.x, f.row, f.row) }
    ),
    ("epsilon NaN", "epsilon", { f throws(AdaptQError) in _ = try f.builder.add(.l2Normalize(epsilon: .nan), f.x) }),
    ("epsilon 0", "epsilon", { f throws(AdaptQError) in _ = try f.builder.add(.l2Normalize(epsilon: 0), f.x) }),
    ("softmax of a scalar", "scalar", { f throws(AdaptQError) in _ = try f.builder.add(.softmax, f.scalar) }),
    ("axis", "axis 2", { f throws(AdaptQError) in _ = try f.builder.add(.range(axis: 2), f.ids) }),
    ("axis negative", "axis -1", { f throws(AdaptQError) in _ = try f.builder.add(.range(axis: -1), f.ids) }),
    (
      "heads", "3 heads",
      { f throws(AdaptQError) in _ = try f.builder.add(.attention(heads: 3, scale: 1), f.x, f.x, f.x) }
    ),
    (
      "no heads", "0 heads",
      { f throws(AdaptQError) in _ = try f.builder.add(.attention(heads: 0, scale: 1), f.x, f.x, f.x) }
    ),
    (
      "scale", "scale",
      { f throws(AdaptQError) in _ = try f.builder.add(.attention(heads: 2, scale: .infinity), f.x, f.x, f.x) }
    ),
    (
      "rank of q", "rank 1",
      { f throws(AdaptQError) in _ = try f.builder.add(.attention(heads: 2, scale: 1), f.row, f.x, f.x) }
    ),
    ("float mask", "not an integer", { f throws(AdaptQError) in _ = try f.builder.add(.maskedMean, f.x, f.x) }),
    ("mean of ids", "not float32", { f throws(AdaptQError) in _ = try f.builder.add(.maskedMean, f.ids, f.keep) }),
    ("state", "state 0", { f throws(AdaptQError) in _ = try f.builder.add(.readState(StateID(0))) }),
    ("region", "region 3", { f throws(AdaptQError) in _ = try f.builder.add(.loop(body: RegionID(3)), f.ids) }),
    (
      "broadcast", "do not broadcast",
      { f throws(AdaptQError) in
        let wide = try f.builder.add(.linear(f.linear), f.x)
        _ = try f.builder.add(.binary(.add), wide, f.x)
      }
    ),
    (
      "kernel 0", "kernel 0",
      { f throws(AdaptQError) in _ = try f.builder.add(.convolution1D(f.linear, Convolution1D(kernel: 0)), f.x) }
    ),
    (
      "dilation beyond any machine", "dilation",
      { f throws(AdaptQError) in
        _ = try f.builder.add(.convolution1D(f.linear, Convolution1D(kernel: 1, dilation: .max)), f.x)
      }
    ),
    (
      "groups that divide nothing", "groups",
      { f throws(AdaptQError) in
        _ = try f.builder.add(.convolution1D(f.linear, Convolution1D(kernel: 1, groups: 7)), f.x)
      }
    ),
    (
      "taps that the site has not", "taps",
      { f throws(AdaptQError) in _ = try f.builder.add(.convolution1D(f.linear, Convolution1D(kernel: 2)), f.x) }
    ),
    (
      "window longer than the input", "no window",
      { f throws(AdaptQError) in
        let x = f.builder.input("short", .float32, [.fixed(1), .fixed(3), .fixed(2)])
        let site = try f.builder.convolutionSite("c", try .of([1, 2, 4], .init(repeating: 1, count: 8)), bias: nil)
        _ = try f.builder.add(.convolution1D(site, Convolution1D(kernel: 4)), x)
      }
    ),
    (
      "sites of no GRU", "do not suit",
      { f throws(AdaptQError) in
        let h = f.builder.input("h", .float32, [f.batch, .fixed(5)])
        _ = try f.builder.add(.gru(input: f.linear, recurrent: f.linear), f.x, h)
      }
    ),
    (
      "float condition", "condition is float32",
      { f throws(AdaptQError) in
        _ = try f.builder.addConditional(f.scalar) { (_, _) throws(AdaptQError) in
          []
        } otherwise: { (_, _) throws(AdaptQError) in
          []
        }
      }
    ),
    (
      "condition of many numbers", "not one number",
      { f throws(AdaptQError) in
        _ = try f.builder.addConditional(f.ids) { (_, _) throws(AdaptQError) in
          []
        } otherwise: { (_, _) throws(AdaptQError) in
          []
        }
      }
    ),
    (
      "branches of different shapes", "different types",
      { f throws(AdaptQError) in
        let flag = f.builder.input("flag", .int32, [])
        _ = try f.builder.addConditional(flag, [f.x]) { (_, values) throws(AdaptQError) in
          values
        } otherwise: { (_, _) throws(AdaptQError) in
          [f.row]
        }
      }
    ),
    (
      "loop that changes its shape", "carried",
      { f throws(AdaptQError) in
        let count = f.builder.input("count", .int32, [])
        _ = try f.builder.addLoop(count, [f.x]) { (_, _) throws(AdaptQError) in [f.row] }
      }
    ),
    (
      "site of rank 1", "rank 1",
      { f throws(AdaptQError) in
        _ = try f.builder.linearSite("a", try .of([2], [1, 2]), bias: nil)
      }
    ),
    (
      "bias of another size", "bias",
      { f throws(AdaptQError) in
        _ = try f.builder.linearSite("a", try .of([1, 2], [1, 2]), bias: try .of([2], [1, 2]))
      }
    ),
    (
      "heads beyond any machine", "heads",
      { f throws(AdaptQError) in
        // Divides the width, but would not fit 32 bits.
        let x = f.builder.input("huge", .float32, [f.batch, f.steps, .fixed(1 << 31)])
        _ = try f.builder.add(.attention(heads: 1 << 31, scale: 1), x, x, x)
      }
    ),
  ]

  @Test(arguments: cases.indices) func refused(_ index: Int) throws {
    let item = BuilderTests.cases[index]
    let fixture = try Fixture()
    do throws(AdaptQError) {
      try item.body(fixture)
      Issue.record("\(item.what): accepted")
    } catch {
      #expect(error.status == .invalidFile, "\(item.what): \(error)")
      #expect(error.message.contains(item.expected), "\(item.what): \(error)")
    }
  }

  @Test func tensorBytes() throws {
    let block = try MemoryBlock.allocate(byteCount: 64, purpose: "test")
    #expect(throws: AdaptQError.self) { try TensorBytes(shape: [17], owner: block, offset: 0) }
    #expect(throws: AdaptQError.self) { try TensorBytes(shape: [1], owner: block, offset: -4) }
    #expect(throws: AdaptQError.self) { try TensorBytes(shape: [1], owner: block, offset: .max) }
    #expect(throws: AdaptQError.self) { try TensorBytes(shape: [1 << 40, 1 << 40], owner: block, offset: 0) }
    #expect(throws: AdaptQError.self) { try TensorBytes(shape: [-1], owner: block, offset: 0) }
    (block.base + 5).copyMemory(from: [Float(1.5)], byteCount: 4)
    let tensor = try TensorBytes(shape: [1], owner: block, offset: 5).aligned()
    #expect(tensor.floats[0] == 1.5)
    withExtendedLifetime(tensor) {}
  }
}
