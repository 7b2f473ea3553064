import Base
import Foundation
import Graph
import NestedFormat
import TestSupport

/// Runs a graph with naive loops in Double: slow and obviously right. Weights are those that a level stands for, read by
/// the plain decoder; at nested levels activations are coded as the format's definition says.
struct ReferenceInterpreter {
  struct Value {
    var shape: [Int]
    var data: [Double]
    var width: Int { shape.last ?? 1 }
    var rows: Int { data.count / max(width, 1) }
  }

  let model: Model
  let level: Level
  var values: [Value?]
  /// Kept from run to run.
  var states: [Value]
  private var written: [Int: Value] = [:]

  init(_ model: Model, _ level: Level) {
    self.model = model
    self.level = level
    states = model.graph.states.map { state in
      var shape = state.type.shape.map { dimension in if case .fixed(let size) = dimension { size } else { 0 } }
      if let axis = state.growingAxis { shape[axis] = 0 }
      return Value(shape: shape, data: [Double](repeating: 0, count: shape.reduce(1, *)))
    }
    values = [Value?](repeating: nil, count: model.graph.values.count)
    for (index, value) in model.graph.values.enumerated() {
      guard let constant = value.constant else { continue }
      let shape = value.type.shape.map { dimension in if case .fixed(let size) = dimension { size } else { 0 } }
      let count = shape.reduce(1, *)
      values[index] = Value(shape: shape, data: (0..<count).map { Double(model.constants[constant][$0]) })
    }
  }

  mutating func run(_ inputs: [Tensor]) -> [Value] {
    for (id, input) in zip(model.graph.inputs, inputs) {
      let data = input.floats.isEmpty ? input.integers.map(Double.init) : input.floats.map(Double.init)
      values[id.index] = Value(shape: input.shape, data: data)
    }
    written = [:]
    let outputs = run(0)
    for (state, value) in written { states[state] = value }
    return outputs
  }

  private mutating func run(_ region: Int) -> [Value] {
    for node in model.graph.regions[region].nodes {
      let arguments = node.inputs.map { values[$0.index]! }
      for (output, value) in zip(node.outputs, runNode(node.operation, arguments)) { values[output.index] = value }
    }
    return model.graph.regions[region].results.map { values[$0.index]! }
  }

  private mutating func runNode(_ operation: Operator, _ inputs: [Value]) -> [Value] {
    func bind(_ region: RegionID, _ arguments: some Sequence<Value>, _ values: inout [Value?]) {
      for (parameter, argument) in zip(model.graph.regions[region.index].parameters, arguments) {
        values[parameter.index] = argument
      }
    }
    switch operation {
    case .readState(let state): return [states[state.index]]
    case .writeState(let state):
      written[state.index] = inputs[0]
      return inputs
    case .appendState(let state):
      let value = append(states[state.index], inputs[0], axis: model.graph.states[state.index].growingAxis!)
      written[state.index] = value
      return [value]
    case .conditional(let then, let otherwise):
      let taken = inputs[0].data[0] != 0 ? then : otherwise
      bind(taken, inputs.dropFirst(), &values)
      return run(taken.index)
    case .loop(let body):
      var carried = Array(inputs.dropFirst())
      for _ in 0..<max(Int(inputs[0].data[0]), 0) {
        bind(body, carried, &values)
        carried = run(body.index)
      }
      return carried
    case .gru(let input, let recurrent): return gru(input.index, recurrent.index, inputs)
    default: return [apply(operation, inputs)]
    }
  }

  private func apply(_ operation: Operator, _ inputs: [Value]) -> Value {
    switch operation {
    case .embedding(let site):
      let table = model.forms[site.index].table!
      let k = model.graph.sites[site.index].k
      return Value(
        shape: inputs[0].shape + [k],
        data: inputs[0].data.flatMap { id in (0..<k).map { Double(table.value(Int(id), $0)) } })
    case .linear(let site): return linear(site.index, inputs[0])
    case .layerNorm(let epsilon):
      return perRow(inputs[0]) { row in
        let mean = row.reduce(0, +) / Double(row.count)
        let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
        return row.enumerated().map { column, value in
          (value - mean) / (variance + Double(epsilon)).squareRoot() * inputs[1].data[column] + inputs[2].data[column]
        }
      }
    case .activation(let function):
      return Value(shape: inputs[0].shape, data: inputs[0].data.map { activation(function, $0) })
    case .binary(let function): return binary(function, inputs[0], inputs[1])
    case .attention(let heads, let scale): return attention(heads, Double(scale), inputs)
    case .softmax: return perRow(inputs[0], softmax)
    case .range(let axis):
      let size = inputs[0].shape[axis]
      return Value(shape: [size], data: (0..<size).map(Double.init))
    case .maskedMean:
      let (x, keep) = (inputs[0], inputs[1])
      let (batch, steps, width) = (x.shape[0], x.shape[1], x.shape[2])
      var data = [Double](repeating: 0, count: batch * width)
      for b in 0..<batch {
        let kept = (0..<steps).filter { keep.data[b * steps + $0] != 0 }
        for c in 0..<width {
          data[b * width + c] =
            kept.reduce(0) { $0 + x.data[(b * steps + $1) * width + c] } / max(Double(kept.count), 1e-9)
        }
      }
      return Value(shape: [batch, width], data: data)
    case .l2Normalize(let epsilon):
      return perRow(inputs[0]) { row in
        let norm = max(row.reduce(0) { $0 + $1 * $1 }.squareRoot(), Double(epsilon))
        return row.map { $0 / norm }
      }
    case .compare(let comparison): return compare(comparison, inputs[0], inputs[1])
    case .convolution1D(let site, let convolution): return convolve(site.index, convolution, inputs[0])
    case .gru, .readState, .writeState, .appendState, .conditional, .loop: return inputs[0]
    }
  }

  func perRow(_ x: Value, _ body: ([Double]) -> [Double]) -> Value {
    var data: [Double] = []
    for row in 0..<x.rows { data += body(Array(x.data[(row * x.width)..<((row + 1) * x.width)])) }
    return Value(shape: x.shape, data: data)
  }

  private func softmax(_ row: [Double]) -> [Double] {
    let highest = row.max() ?? 0
    let powers = row.map { exp($0 - highest) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  private func activation(_ function: Activation, _ x: Double) -> Double {
    switch function {
    case .relu: max(x, 0)
    case .gelu: x * 0.5 * erfc(-x / 2.0.squareRoot())
    case .geluTanh: 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .silu: x / (1 + exp(-x))
    case .sigmoid: 1 / (1 + exp(-x))
    case .tanh: tanh(x)
    }
  }

  func weight(_ site: Int, _ row: Int, _ column: Int) -> Double {
    let forms = model.forms[site]
    switch level {
    case .fp32: return Double(forms.fp32!.value(row, column))
    case .fp16: return Double(forms.fp16!.value(row, column))
    default: return Double(forms.nested!.value(row, column, level))
    }
  }

  func linear(_ index: Int, _ x: Value) -> Value {
    let site = model.graph.sites[index]
    let weights = (0..<site.n).map { row in (0..<site.k).map { weight(index, row, $0) } }
    let y = perRow(x) { row in
      let row = level.isNested ? coded(row) : row
      return (0..<site.n).map { n in
        var sum = model.forms[index].bias.map { Double($0[n]) } ?? 0
        for k in 0..<site.k { sum += row[k] * weights[n][k] }
        return sum
      }
    }
    return Value(shape: x.shape.dropLast() + [site.n], data: y.data)
  }

  /// Symmetric 8-bit codes per group of 64, as `QuantizeArguments` defines them.
  func coded(_ row: [Double]) -> [Double] {
    var result: [Double] = []
    for start in stride(from: 0, to: row.count, by: 64) {
      let group = row[start..<min(start + 64, row.count)].map { Float($0) }
      let largest = group.map(\.magnitude).max() ?? 0
      if largest < 1e-30 {
        result += group.map { _ in 0 }
      } else {
        result += group.map { Double(largest / 127) * Double(($0 * (127 / largest)).rounded(.toNearestOrEven)) }
      }
    }
    return result
  }

  private func binary(_ function: Binary, _ a: Value, _ b: Value) -> Value {
    broadcast(a, b) { x, y in
      switch function {
      case .add: x + y
      case .subtract: x - y
      case .multiply: x * y
      }
    }
  }

  func broadcast(_ a: Value, _ b: Value, _ function: (Double, Double) -> Double) -> Value {
    let rank = max(a.shape.count, b.shape.count)
    func padded(_ shape: [Int]) -> [Int] { [Int](repeating: 1, count: rank - shape.count) + shape }
    let (left, right) = (padded(a.shape), padded(b.shape))
    let shape = zip(left, right).map { max($0, $1) }
    func element(_ value: Value, _ sizes: [Int], _ position: [Int]) -> Double {
      var index = 0
      for axis in 0..<rank { index = index * sizes[axis] + (sizes[axis] == 1 ? 0 : position[axis]) }
      return value.data[index]
    }
    var data: [Double] = []
    for flat in 0..<shape.reduce(1, *) {
      var position = [Int](repeating: 0, count: rank)
      var rest = flat
      for axis in (0..<rank).reversed() {
        position[axis] = rest % shape[axis]
        rest /= shape[axis]
      }
      data.append(function(element(a, left, position), element(b, right, position)))
    }
    return Value(shape: shape, data: data)
  }

  private func attention(_ heads: Int, _ scale: Double, _ inputs: [Value]) -> Value {
    let (q, k, v) = (inputs[0], inputs[1], inputs[2])
    let (batch, queries, keys) = (q.shape[0], q.shape[1], k.shape[1])
    let (d, e) = (q.width / heads, v.width / heads)
    var data = [Double](repeating: 0, count: batch * queries * v.width)
    for b in 0..<batch {
      let kept = (0..<keys).filter { inputs.count < 4 || inputs[3].data[b * keys + $0] != 0 }
      // As Hugging Face's models: with nothing to attend to, all keys count alike.
      for head in 0..<heads {
        for query in 0..<queries {
          let scores = kept.map { key in
            (0..<d).reduce(0.0) {
              $0 + q.data[(b * queries + query) * q.width + head * d + $1]
                * k.data[(b * keys + key) * k.width + head * d + $1]
            } * scale
          }
          let shares = kept.isEmpty ? [Double](repeating: 1 / Double(keys), count: keys) : softmax(scores)
          for (share, key) in zip(shares, kept.isEmpty ? Array(0..<keys) : kept) {
            for column in 0..<e {
              data[(b * queries + query) * v.width + head * e + column] +=
                share * v.data[(b * keys + key) * v.width + head * e + column]
            }
          }
        }
      }
    }
    return Value(shape: [batch, queries, v.width], data: data)
  }
}
