import Base
import Graph
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// Convolutions and recurrent layers of random shapes at every level against the reference interpreter, with channel
/// counts on both sides of where taps are filled up, and more windows than are laid out at once.
///
/// Bounds are relative to the largest output: 1e-5 for float levels (sums of up to 2,000 products), 0.02 for nested ones,
/// where a code may fall to the other side of a border.
@Suite struct ConvolutionTests {
  #if DEBUG
    static let cases = 30
  #else
    static let cases = 200
  #endif

  private func compare(
    _ builder: GraphBuilder, _ symbols: [Int], _ inputs: [Tensor], _ what: String, bound: Double = 1
  ) throws {
    let model = try Model(builder)
    for level in [Level.fp32, .fp16, .int8, .int2] {
      let session = try Session(model, [level])
      try session.prepare(maximumShapes: inputs.map(\.shape))
      let found = try session.run(symbols: symbols, inputs).outputs
      var reference = ReferenceInterpreter(model, level)
      for (output, expected) in zip(found, reference.run(inputs)) {
        #expect(output.shape == expected.shape, "\(what)")
        let largest = max(expected.data.map(\.magnitude).max() ?? 0, 1e-3)
        let error = zip(output.floats, expected.data).reduce(0.0) {
          let difference = (Double($1.0) - $1.1).magnitude
          return difference.isNaN ? .infinity : max($0, difference)
        }
        #expect(error / largest < (level.isNested ? 0.02 : 1e-5) * bound, "\(level.name), \(what)")
      }
    }
  }

  @Test func convolutions() throws {
    for index in 0..<ConvolutionTests.cases {
      var random = SeededRandom("convolutions", index)
      let groups = [1, 1, 1, 2, 3, 5].randomElement(using: &random)!
      let groupInputs = [1, 2, 7, 24, 47, 48, 63, 64, 65, 96, 130].randomElement(using: &random)!
      var (inputs, outputs) = (groups * groupInputs, groups * [1, 3, 16, 20, 32].randomElement(using: &random)!)
      var actualGroups = groups
      if index % 5 == 0 {
        // Depthwise, with one or two outputs per channel.
        (inputs, outputs, actualGroups) = (groupInputs, groupInputs * (index % 2 + 1), groupInputs)
      }
      let convolution = Convolution1D(
        kernel: Int.random(in: 1...5, using: &random), stride: Int.random(in: 1...3, using: &random),
        before: Int.random(in: 0...4, using: &random), after: Int.random(in: 0...4, using: &random),
        dilation: Int.random(in: 1...3, using: &random), groups: actualGroups)
      let batch = Int.random(in: 1...3, using: &random)
      let steps =
        index % 7 == 0 ? 150 : Int.random(in: 1...12, using: &random) + convolution.dilation * (convolution.kernel - 1)
      var builder = GraphBuilder()
      let x = builder.input(
        "x", .float32, [builder.symbol("batch"), builder.symbol("steps"), .fixed(inputs)])
      let width = inputs / actualGroups
      let site = try builder.convolutionSite(
        "site",
        try .random(
          [outputs, width, convolution.kernel], scale: 1 / Float(width * convolution.kernel).squareRoot(), &random),
        bias: index % 3 == 0 ? nil : try .random([outputs], &random), groups: actualGroups)
      builder.output("y", try builder.add(.convolution1D(site, convolution), x))
      let input = Tensor.floats([batch, steps, inputs], (0..<(batch * steps * inputs)).map { _ in random.normal() })
      try compare(
        builder, [batch, steps], [input], "case \(index): \(convolution), \(inputs) -> \(outputs), \(batch) x \(steps)")
    }
  }

  /// Groups of 64 inputs that share a scale cross no tap from 48 inputs on.
  @Test func layoutOfTaps() throws {
    for (inputs, stride) in [(1, 1), (24, 24), (47, 47), (48, 64), (64, 64), (65, 65), (95, 95), (96, 128), (128, 128)]
    {
      #expect(Convolution1D.tapStride(groupInputs: inputs, isDirect: false) == stride)
    }
    var builder = GraphBuilder()
    let x = builder.input("x", .float32, [.fixed(1), .fixed(9), .fixed(50)])
    var random = SeededRandom("layoutOfTaps")
    let weight = try TensorBytes.random([2, 50, 3], &random)
    let site = try builder.convolutionSite("site", weight, bias: nil)
    builder.output("y", try builder.add(.convolution1D(site, Convolution1D(kernel: 3)), x))
    #expect(builder.graph.sites[0].k == 3 * 64)
    for tap in 0..<3 {
      for input in 0..<64 {
        let stored = builder.weights[0].floats[192 + tap * 64 + input]
        #expect(stored == (input < 50 ? weight.floats[(50 + input) * 3 + tap] : 0))
      }
    }
  }

  @Test func recurrence() throws {
    for index in 0..<(ConvolutionTests.cases / 2) {
      var random = SeededRandom("recurrence", index)
      let width = [1, 5, 16, 64, 70].randomElement(using: &random)!
      let hidden = [1, 4, 8, 13, 40, 65].randomElement(using: &random)!
      let (batch, steps) = (Int.random(in: 1...5, using: &random), Int.random(in: 1...9, using: &random))
      var builder = GraphBuilder()
      let count = builder.symbol("batch")
      let x = builder.input("x", .float32, [count, builder.symbol("steps"), .fixed(width)])
      let h = builder.input("h", .float32, [count, .fixed(hidden)])
      var inputs = [x, h]
      var tensors = [
        Tensor.floats([batch, steps, width], (0..<(batch * steps * width)).map { _ in random.normal() }),
        Tensor.floats([batch, hidden], (0..<(batch * hidden)).map { _ in random.normal() }),
      ]
      if index % 2 == 0 {
        inputs.append(builder.input("lengths", index % 4 == 0 ? .int32 : .int64, [count]))
        tensors.append(
          .integers([batch], (0..<batch).map { _ in Int64.random(in: -1...Int64(steps + 1), using: &random) }))
      }
      func site(_ k: Int) throws -> SiteID {
        try builder.linearSite(
          "gates of \(k)", try .random([3 * hidden, k], scale: 1 / Float(k).squareRoot(), &random),
          bias: index % 3 == 0 ? nil : try .random([3 * hidden], &random))
      }
      let outputs = try builder.addAll(.gru(input: try site(width), recurrent: try site(hidden)), inputs)
      builder.output("y", outputs[0])
      builder.output("h", outputs[1])
      // A code on the other side of a border moves the state, and that the steps behind it.
      try compare(
        builder, [batch, steps], tensors, "case \(index): \(width) -> \(hidden), \(batch) x \(steps)", bound: 3)
    }
  }

  /// What a longer loop or a chain of conditionals computes, by hand.
  @Test func loops() throws {
    var builder = GraphBuilder()
    let count = builder.input("count", .int64, [])
    let a = builder.input("a", .float32, [.fixed(1)])
    let b = builder.input("b", .float32, [.fixed(1)])
    // Fibonacci: the second result is a parameter, so carried values change places.
    let pair = try builder.addLoop(count, [a, b]) { (builder, values) throws(AdaptQError) in
      let sum = try builder.add(.binary(.add), values[0], values[1])
      return [values[1], sum]
    }
    // A loop in a loop: the outer one doubles count times, through the inner one.
    let nested = try builder.addLoop(count, [b]) { (builder, values) throws(AdaptQError) in
      let inner = try builder.addLoop(count, [values[0], a]) { (builder, values) throws(AdaptQError) in
        [values[0], try builder.add(.binary(.add), values[1], values[0])]
      }
      return [try builder.add(.binary(.add), values[0], try builder.add(.activation(.relu), inner[0]))]
    }
    builder.output("x", pair[0])
    builder.output("y", pair[1])
    builder.output("z", nested[0])
    let session = try Session(try Model(builder), Level.allCases)
    try session.prepare(maximumShapes: [[], [1], [1]])
    for count in -1...10 {
      let found = try session.run(
        symbols: [], [.integers([], [Int64(count)]), .floats([1], [0]), .floats([1], [1])]
      ).outputs.map { $0.floats[0] }
      var (x, y): (Float, Float) = (0, 1)
      for _ in 0..<max(count, 0) { (x, y) = (y, x + y) }
      #expect(found == [x, y, Float(1 << max(count, 0))], "\(count) iterations")
    }
  }
}
