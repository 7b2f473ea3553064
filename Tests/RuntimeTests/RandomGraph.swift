import Base
import Graph
import TestSupport

/// A random small graph over inputs `ids` and `keep` [batch, steps] and `x` [batch, steps, c].
struct RandomGraph {
  private(set) var builder = GraphBuilder()
  let maximum: [Int]
  let tableRows = 9
  private(set) var listing: [String] = []
  private var random: SeededRandom
  /// Float values with the number of times they were used.
  private var floats: [ValueID] = []
  private let batch: Dimension
  private let steps: Dimension
  private let ids: ValueID
  private let keep: ValueID
  private var names = 0
  private let flag: ValueID
  private let lengths: ValueID
  private var depth = 0
  let width: Int

  init(_ seed: String, _ index: Int, count: Int) throws {
    random = SeededRandom(seed, index)
    batch = builder.symbol("batch")
    steps = builder.symbol("steps")
    maximum = [Int.random(in: 1...3, using: &random), Int.random(in: 1...6, using: &random)]
    width = [1, 4, 12, 16, 24, 64, 72].randomElement(using: &random)!
    ids = builder.input("ids", Bool.random(using: &random) ? .int64 : .int32, [batch, steps])
    keep = builder.input("keep", Bool.random(using: &random) ? .int64 : .int32, [batch, steps])
    floats = [builder.input("x", .float32, [batch, steps, .fixed(width)])]
    flag = builder.input("flag", Bool.random(using: &random) ? .int64 : .int32, [])
    lengths = builder.input("lengths", .int64, [batch])
    for _ in 0..<count { try step() }
    // The last value, and others that must survive until the end.
    var outputs = [floats[floats.count - 1]]
    for _ in 0..<Int.random(in: 0...2, using: &random) { outputs.append(floats.randomElement(using: &random)!) }
    for (position, output) in outputs.enumerated() { builder.output("output \(position)", output) }
  }

  private mutating func note(_ operation: Operator, _ inputs: [ValueID], _ output: ValueID) {
    listing.append("\(output.index) = \(operation)(\(inputs.map(\.index)))")
    floats.append(output)
  }

  private mutating func add(_ operation: Operator, _ inputs: ValueID...) throws -> ValueID {
    let output: ValueID
    switch inputs.count {
    case 1: output = try builder.add(operation, inputs[0])
    case 2: output = try builder.add(operation, inputs[0], inputs[1])
    case 3: output = try builder.add(operation, inputs[0], inputs[1], inputs[2])
    default: output = try builder.add(operation, inputs[0], inputs[1], inputs[2], inputs[3])
    }
    note(operation, inputs, output)
    return output
  }

  /// Recent values are taken more often, so that chains form and memory is shared.
  private mutating func pick(_ isGood: (ValueType) -> Bool = { _ in true }) -> ValueID? {
    let good = floats.filter { isGood(builder.graph.type(of: $0)) }
    return Bool.random(using: &random) ? good.last : good.randomElement(using: &random)
  }

  private func lastSize(_ id: ValueID) -> Int {
    if case .fixed(let size)? = builder.graph.type(of: id).shape.last { size } else { 0 }
  }

  private mutating func constant(_ shape: [Int], scale: Float = 1) throws -> ValueID {
    names += 1
    return builder.constant("constant \(names)", try .random(shape, scale: scale, &random))
  }

  private mutating func linear(_ x: ValueID, _ n: Int) throws -> ValueID {
    names += 1
    let k = lastSize(x)
    let bias: TensorBytes? = Bool.random(using: &random) ? try .random([n], &random) : nil
    let site = try builder.linearSite(
      "site \(names)", try .random([n, k], scale: 1 / Float(k).squareRoot(), &random), bias: bias)
    return try add(.linear(site), x)
  }

  private mutating func step() throws {
    let hasSize: (ValueType) -> Bool = { if case .fixed? = $0.shape.last { true } else { false } }
    switch Int.random(in: 0..<18, using: &random) {
    case 13, 14: try convolution()
    case 15: try recurrence()
    case 16: try region()
    case 17: try state(size: [1, width].randomElement(using: &random)!)
    case 0, 1:
      let x = pick()!
      _ = try add(.activation(Activation.allCases.randomElement(using: &random)!), x)
    case 2, 3:
      let x = pick(hasSize)!
      _ = try linear(x, Int.random(in: 1...40, using: &random))
    case 4:
      let x = pick(hasSize)!
      let size = lastSize(x)
      let gamma = try constant([size])
      _ = try add(.layerNorm(epsilon: 0.01), x, gamma, try constant([size]))
    case 5:
      let x = pick(hasSize)!
      let type = builder.graph.type(of: x)
      let y = pick { $0 == type }!
      let size = lastSize(x)
      let (gamma, beta) = (try constant([size]), try constant([size]))
      let sum = try add(.binary(.add), x, y)
      let normal = try add(.layerNorm(epsilon: 0.01), sum, gamma, beta)
      // Mostly nobody else reads the sum, which is when it disappears into the norm.
      if Int.random(in: 0..<4, using: &random) > 0 { floats.removeAll { $0 == sum } }
      _ = normal
    case 6: _ = try add(.softmax, pick()!)
    case 7: _ = try add(.l2Normalize(epsilon: 0.01), pick()!)
    case 8: try attention()
    case 9:
      names += 1
      let table = try builder.embeddingSite("table \(names)", try .random([tableRows, width], &random))
      let rows = try builder.add(.range(axis: Int.random(in: 0...1, using: &random)), ids)
      _ = try add(.embedding(table), Bool.random(using: &random) ? ids : rows)
    case 10:
      let (batch, steps) = (batch, steps)
      if let x = pick({ $0.rank == 3 && $0.shape[0] == batch && $0.shape[1] == steps }) {
        _ = try add(.maskedMean, x, keep)
      }
    default: try binary()
    }
  }

  private mutating func attention() throws {
    let (batch, steps) = (batch, steps)
    guard let x = pick({ $0.rank == 3 && $0.shape[0] == batch && $0.shape[1] == steps }) else { return }
    let heads = Int.random(in: 1...3, using: &random)
    let (d, e) = (Int.random(in: 1...9, using: &random), Int.random(in: 1...18, using: &random))
    // Three products of one input share its codes.
    let (q, k, v) = (try linear(x, heads * d), try linear(x, heads * d), try linear(x, heads * e))
    if Bool.random(using: &random) {
      _ = try add(.attention(heads: heads, scale: 0.3), q, k, v, keep)
    } else {
      _ = try add(.attention(heads: heads, scale: 0.3), q, k, v)
    }
  }

  /// Stride and a window that suits an input of one step keep sizes of any length valid.
  private mutating func convolution() throws {
    let batch = batch
    guard let x = pick({ $0.rank == 3 && $0.shape[0] == batch && $0.shape.last != .symbol(1) }), lastSize(x) > 0 else {
      return
    }
    let channels = lastSize(x)
    let groups = [1, 1, channels, 2, 4].filter { channels % $0 == 0 }.randomElement(using: &random)!
    let outputs = groups * [1, 2, 3, 16, 32 / min(groups, 2)].randomElement(using: &random)!
    if outputs > 100 { return }
    let (kernel, dilation) = (Int.random(in: 1...4, using: &random), Int.random(in: 1...3, using: &random))
    let stride = Int.random(in: 1...3, using: &random)
    let reach = dilation * (kernel - 1)
    let before = Int.random(in: 0...reach, using: &random)
    let after = Int.random(in: (reach - before)...(reach - before + 2), using: &random)
    names += 1
    let bias: TensorBytes? = Bool.random(using: &random) ? try .random([outputs], &random) : nil
    let scale = 1 / Float(kernel * channels / groups).squareRoot()
    let site = try builder.convolutionSite(
      "convolution \(names)", try .random([outputs, channels / groups, kernel], scale: scale, &random), bias: bias,
      groups: groups)
    _ = try add(
      .convolution1D(
        site,
        Convolution1D(
          kernel: kernel, stride: stride, before: before, after: after, dilation: dilation, groups: groups)), x)
  }

  private mutating func recurrence() throws {
    let (batch, steps) = (batch, steps)
    guard let x = pick({ $0.rank == 3 && $0.shape[0] == batch }), lastSize(x) > 0 else { return }
    let hidden = Int.random(in: 1...20, using: &random)
    func site(_ k: Int) throws -> SiteID {
      names += 1
      return try builder.linearSite(
        "gates \(names)", try .random([3 * hidden, k], scale: 1 / Float(k).squareRoot(), &random),
        bias: Bool.random(using: &random) ? try .random([3 * hidden], &random) : nil)
    }
    let (input, recurrent) = (try site(lastSize(x)), try site(hidden))
    guard let source = pick({ $0.rank == 3 && $0.shape[0] == batch && $0.shape[1] == steps }), lastSize(source) > 0
    else { return }
    let mean = try add(.maskedMean, source, keep)
    let start = try add(.activation(.tanh), try linear(mean, hidden))
    let inputs = [x, start] + (Bool.random(using: &random) ? [lengths] : [])
    let outputs = try builder.addAll(.gru(input: input, recurrent: recurrent), inputs)
    for output in outputs { note(.gru(input: input, recurrent: recurrent), inputs, output) }
  }

  /// A conditional or a loop over any value, whose bodies are random graphs themselves.
  private mutating func region() throws {
    if depth == 2 { return }
    let x = pick()!
    let type = builder.graph.type(of: x)
    guard case .fixed(let width)? = type.shape.last else { return }
    var condition = flag
    if Bool.random(using: &random) {
      let old = try state(size: 1)
      let threshold = try constant([], scale: 0.3)
      let comparison = [Comparison.less, .greater].randomElement(using: &random)!
      condition = try builder.add(.compare(comparison), old, threshold)
      listing.append("\(condition.index) = \(comparison)(\(old.index), \(threshold.index))")
    }
    depth += 1
    defer { depth -= 1 }
    let outer = floats
    var copy = self
    var lines: [String] = []
    /// Any steps, then something of the parameter's type.
    func body(_ isCaptured: Bool) -> GraphBuilder.RegionBody {
      { (builder, parameters) throws(AdaptQError) in
        do {
          copy.builder = builder
          copy.listing = []
          copy.floats = isCaptured ? outer + parameters : parameters
          for _ in 0..<Int.random(in: 0...3, using: &copy.random) { try copy.step() }
          var result = parameters[0]
          switch Int.random(in: 0..<5, using: &copy.random) {
          case 0: break
          case 1: result = x
          default:
            let same = copy.pick { $0 == type } ?? parameters[0]
            let inner = try copy.linear(same, width)
            result = try copy.add(.activation(.sigmoid), inner)
          }
          lines += copy.listing.map { "  " + $0 } + ["  -> \(result.index)"]
          builder = copy.builder
          return [result]
        } catch let error as AdaptQError {
          throw error
        } catch {
          throw .internalError("\(error)")
        }
      }
    }
    let results: [ValueID]
    let isLoop = Int.random(in: 0..<3, using: &random) == 0
    copy.random = random
    if isLoop {
      results = try builder.addLoop(condition, [x], body(true))
    } else {
      results = try builder.addConditional(
        condition, [x], then: body(true), otherwise: body(Bool.random(using: &random)))
    }
    random = copy.random
    names = copy.names
    listing += ["\(isLoop ? "loop" : "if") over \(x.index)"] + lines
    listing.append("\(results[0].index) = that")
    floats.append(results[0])
  }

  /// Something smaller each time is added to what was, which the next run reads.
  @discardableResult
  private mutating func state(size: Int) throws -> ValueID {
    names += 1
    let state = builder.state("state \(names)", ValueType(.float32, [.fixed(size)]))
    let old = try builder.add(.readState(state))
    note(.readState(state), [], old)
    let moved = try add(.binary(.add), old, try constant([size]))
    let new = try add(.activation(.tanh), moved)
    note(.writeState(state), [new], try builder.add(.writeState(state), new))
    return old
  }

  private mutating func binary() throws {
    let x = pick()!
    let shape = builder.graph.type(of: x).shape
    let function = Binary.allCases.randomElement(using: &random)!
    var y: ValueID?
    switch Int.random(in: 0..<4, using: &random) {
    case 0: y = try constant([])
    case 1:
      // Trailing sizes, some of them 1.
      let fixed = shape.reversed().prefix { if case .fixed = $0 { true } else { false } }.reversed()
      let sizes = fixed.map { dimension -> Int in
        if case .fixed(let size) = dimension, Bool.random(using: &random) { size } else { 1 }
      }
      y = try constant(sizes)
    default:
      y = pick { other in
        let pairs = zip(shape.reversed(), other.shape.reversed())
        return pairs.allSatisfy { $0 == $1 || $0 == .fixed(1) || $1 == .fixed(1) }
      }
    }
    guard let y else { return }
    var result = try Bool.random(using: &random) ? add(.binary(function), x, y) : add(.binary(function), y, x)
    if builder.graph.type(of: result).rank > 4 { floats.removeAll { $0 == result } }
    // Products of products leave the range in which a relative bound means something.
    if function == .multiply {
      floats.removeAll { $0 == result }
      result = try add(.activation(.tanh), result)
    }
  }

  /// Inputs of the given sizes.
  mutating func inputs(batch: Int, steps: Int) -> [Tensor] {
    let flag = Tensor.integers([], [Int64.random(in: -1...3, using: &random)])
    let count = batch * steps
    var keep = (0..<count).map { _ in Int64.random(in: 0...2, using: &random) }
    for row in 0..<batch { keep[row * steps] = 1 }
    return [
      .integers([batch, steps], (0..<count).map { _ in Int64.random(in: 0..<Int64(tableRows), using: &random) }),
      .integers([batch, steps], keep),
      .floats([batch, steps, width], (0..<(count * width)).map { _ in random.normal() }), flag,
      .integers([batch], (0..<batch).map { _ in Int64.random(in: -1...Int64(steps + 1), using: &random) }),
    ]
  }
}
