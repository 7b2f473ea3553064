import Foundation
import Graph
import NestedFormat

extension ReferenceInterpreter {
  func append(_ a: Value, _ b: Value, axis: Int) -> Value {
    let outer = a.shape[..<axis].reduce(1, *)
    let (left, right) = (a.data.count / outer, b.data.count / outer)
    var shape = a.shape
    shape[axis] += b.shape[axis]
    var data: [Double] = []
    for index in 0..<outer {
      data += a.data[(index * left)..<((index + 1) * left)]
      data += b.data[(index * right)..<((index + 1) * right)]
    }
    return Value(shape: shape, data: data)
  }

  func compare(_ comparison: Comparison, _ a: Value, _ b: Value) -> Value {
    broadcast(a, b) { x, y in
      switch comparison {
      case .equal: x == y ? 1 : 0
      case .less: x < y ? 1 : 0
      case .greater: x > y ? 1 : 0
      }
    }
  }

  /// By the definition. Where windows become rows of a product, a row's activations are coded as a row of it.
  func convolve(_ index: Int, _ c: Convolution1D, _ x: Value) -> Value {
    let site = model.graph.sites[index]
    let (batch, steps, channels) = (x.shape[0], x.shape[1], x.shape[2])
    let (inputs, outputs) = (channels / c.groups, site.n / c.groups)
    let outputSteps = (steps + c.before + c.after - c.dilation * (c.kernel - 1) - 1) / c.stride + 1
    let isDirect = c.groups > 1 && outputs % 16 != 0
    let tapStride = site.k / c.kernel
    var data: [Double] = []
    for item in 0..<batch {
      for position in 0..<outputSteps {
        for group in 0..<c.groups {
          var row = [Double](repeating: 0, count: site.k)
          for tap in 0..<c.kernel {
            let step = position * c.stride - c.before + tap * c.dilation
            if step < 0 || step >= steps { continue }
            for channel in 0..<inputs {
              row[tap * tapStride + channel] =
                x.data[(item * steps + step) * channels + group * inputs + channel]
            }
          }
          if level.isNested && !isDirect { row = coded(row) }
          for output in (group * outputs)..<((group + 1) * outputs) {
            var sum = model.forms[index].bias.map { Double($0[output]) } ?? 0
            for column in 0..<site.k { sum += row[column] * weight(index, output, column) }
            data.append(sum)
          }
        }
      }
    }
    return Value(shape: [batch, outputSteps, site.n], data: data)
  }

  func gru(_ input: Int, _ recurrent: Int, _ inputs: [Value]) -> [Value] {
    let (batch, steps, hidden) = (inputs[0].shape[0], inputs[0].shape[1], inputs[1].shape[1])
    let gates = linear(input, inputs[0])
    var h = inputs[1]
    var y = Value(shape: [batch, steps, hidden], data: [Double](repeating: 0, count: batch * steps * hidden))
    func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
    for time in 0..<steps {
      let own = linear(recurrent, h)
      for item in 0..<batch where inputs.count < 3 || Double(time) < inputs[2].data[item] {
        for unit in 0..<hidden {
          let x = { gate in gates.data[(item * steps + time) * 3 * hidden + gate * hidden + unit] }
          let u = { gate in own.data[item * 3 * hidden + gate * hidden + unit] }
          let (r, z) = (sigmoid(x(0) + u(0)), sigmoid(x(1) + u(1)))
          let n = tanh(x(2) + r * u(2))
          let value = (1 - z) * n + z * h.data[item * hidden + unit]
          h.data[item * hidden + unit] = value
          y.data[(item * steps + time) * hidden + unit] = value
        }
      }
    }
    return [y, h]
  }
}
