import NestedFormat

/// Where the windows of a convolution over steps lie: input `[batch][steps][channels]`, output `[batch][outputSteps][n]`.
/// The window of output step `t` has tap `j` at input step `t · stride + j · dilation - before`; steps outside are zeros.
public struct ConvolutionWindow: BitwiseCopyable {
  public var steps: Int
  public var channels: Int
  public var outputSteps: Int
  public var kernel: Int
  public var stride: Int
  public var before: Int
  public var dilation: Int
  /// Channels that one output reads.
  public var groupInputs: Int
  /// Floats from tap to tap in a row of weights and in a laid out window; what is above `groupInputs` is zero.
  public var tapStride: Int

  public init(
    steps: Int, channels: Int, outputSteps: Int, kernel: Int, stride: Int, before: Int, dilation: Int, groupInputs: Int,
    tapStride: Int
  ) {
    self.steps = steps
    self.channels = channels
    self.outputSteps = outputSteps
    self.kernel = kernel
    self.stride = stride
    self.before = before
    self.dilation = dilation
    self.groupInputs = groupInputs
    self.tapStride = tapStride
  }

  /// Whether laid out windows are the input itself.
  @inline(__always) public var isIdentity: Bool {
    kernel == 1 && stride == 1 && before == 0 && steps == outputSteps && tapStride == channels
  }
}

extension LinearWeights {
  /// One weight as `level` reads it; NaN if the level is not held. Slow.
  @inline(__always)
  func value(_ row: Int, _ column: Int, _ level: Level) -> Float {
    switch level {
    case .fp32: fp32?.value(row, column) ?? .nan
    case .fp16: fp16?.value(row, column) ?? .nan
    default: nested?.value(row, column, level) ?? .nan
    }
  }
}

extension Operators {
  /// Lays out windows as rows of `kernel · tapStride` floats, for a matrix product.
  ///
  /// - Parameters:
  ///   - firstChannel: the group's first channel.
  ///   - firstRow: counts output steps of all batches.
  public static func packWindows(
    _ window: ConvolutionWindow, _ x: UnsafePointer<Float>, firstChannel: Int, firstRow: Int, rows: Int,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let width = window.kernel &* window.tapStride
    // Without gaps between taps a window that lies inside is one run of the input.
    let isRun = window.tapStride == window.channels && (window.dilation == 1 || window.kernel == 1)
    var batch = firstRow / window.outputSteps
    var position = firstRow % window.outputSteps
    for row in 0..<rows {
      let input = x + batch &* window.steps &* window.channels + firstChannel
      let target = output + row &* width
      let first = position &* window.stride &- window.before
      if isRun && first >= 0 && first &+ window.kernel <= window.steps {
        target.update(from: input + first &* window.channels, count: width)
      } else {
        for tap in 0..<window.kernel {
          let step = first &+ tap &* window.dilation
          let place = target + tap &* window.tapStride
          if step < 0 || step >= window.steps {
            place.update(repeating: 0, count: window.tapStride)
          } else {
            place.update(from: input + step &* window.channels, count: window.groupInputs)
            (place + window.groupInputs).update(repeating: 0, count: window.tapStride &- window.groupInputs)
          }
        }
      }
      position &+= 1
      if position == window.outputSteps {
        position = 0
        batch &+= 1
      }
    }
  }

  /// A convolution whose groups have few outputs (depthwise: one). Weights are decoded once per call, sums are in Float:
  /// the bias first, then tap by tap, channel by channel. Activations are not quantized at any level.
  ///
  /// - Parameters:
  ///   - weights: `n` rows of `kernel · groupInputs`; `tapStride` is `groupInputs`.
  ///   - decoded: room for all weights.
  public static func groupedConvolution(
    _ window: ConvolutionWindow, _ weights: LinearWeights, _ level: Level, groups: Int, batch: Int,
    _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, decoded: UnsafeMutablePointer<Float>
  ) {
    let n = weights.n
    let k = weights.k
    // [k][n], so that neighbouring outputs are neighbours.
    for row in 0..<n {
      for column in 0..<k { decoded[column &* n &+ row] = weights.value(row, column, level) }
    }
    let groupOutputs = n / groups
    for item in 0..<batch {
      let input = x + item &* window.steps &* window.channels
      for position in 0..<window.outputSteps {
        let output = y + (item &* window.outputSteps &+ position) &* n
        if let bias = weights.bias {
          output.update(from: bias, count: n)
        } else {
          output.update(repeating: 0, count: n)
        }
        for tap in 0..<window.kernel {
          let step = position &* window.stride &- window.before &+ tap &* window.dilation
          if step < 0 || step >= window.steps { continue }
          let source = input + step &* window.channels
          for channel in 0..<window.groupInputs {
            let row = decoded + (tap &* window.groupInputs &+ channel) &* n
            if groupOutputs == 1 && window.groupInputs == 1 {
              multiplyAdd(source, row, output, count: n)
            } else {
              for index in 0..<n {
                output[index] += row[index] * source[index / groupOutputs &* window.groupInputs &+ channel]
              }
            }
          }
        }
      }
    }
  }

  /// `y += a * b`, element by element.
  @inline(__always)
  private static func multiplyAdd(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, count: Int
  ) {
    var index = 0
    while index &+ 8 <= count {
      store(load(UnsafePointer(y), index) + load(a, index) * load(b, index), y, index)
      index &+= 8
    }
    while index < count {
      y[index] += a[index] * b[index]
      index &+= 1
    }
  }
}
