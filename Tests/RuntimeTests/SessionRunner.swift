import Base
import Graph
import Kernels
import NestedFormat
import Runtime
import TestSupport

/// A tensor of a test: sizes and elements, floats or integers.
struct Tensor: Sendable {
  var shape: [Int]
  var floats: [Float] = []
  var integers: [Int64] = []

  var count: Int { shape.reduce(1, *) }

  static func floats(_ shape: [Int], _ values: [Float]) -> Tensor { Tensor(shape: shape, floats: values) }
  static func integers(_ shape: [Int], _ values: [Int64]) -> Tensor { Tensor(shape: shape, integers: values) }
}

extension Session {
  convenience init(
    _ model: Model, _ levels: [Level] = Level.allCases, kernels: KernelTable = .portable, threads: Threads = .alone
  ) throws {
    try self.init(model: model, allowed: levels, kernels: kernels, kernelOwner: nil, threads: threads)
  }

  /// One run with every tensor ending at an inaccessible page.
  func run(
    symbols: [Int], _ inputs: [Tensor], level: Level? = nil, maximumThreads: Int = 0, deadline: Int = 0
  ) throws -> (outputs: [Tensor], report: RunReport) {
    let run = handle
    for (index, size) in symbols.enumerated() where !run.setSymbol(index, size) {
      throw AdaptQError(.outOfRange, "symbol \(index): \(size)")
    }
    run.resolveShapes()
    var buffers: [GuardedBuffer<UInt8>] = []
    for (index, input) in inputs.enumerated() {
      let element = model.graph.type(of: model.graph.inputs[index]).element
      let buffer = GuardedBuffer<UInt8>(count: input.count * element.byteCount)
      let raw = UnsafeMutableRawPointer(buffer.base)
      for position in 0..<input.count {
        switch element {
        case .float32: raw.storeBytes(of: input.floats[position], toByteOffset: position * 4, as: Float.self)
        case .int64: raw.storeBytes(of: input.integers[position], toByteOffset: position * 8, as: Int64.self)
        case .int32:
          raw.storeBytes(of: Int32(input.integers[position]), toByteOffset: position * 4, as: Int32.self)
        }
      }
      buffers.append(buffer)
    }
    for index in 0..<run.outputCount { buffers.append(GuardedBuffer(count: run.outputByteCount(index))) }
    for (index, buffer) in buffers.enumerated() {
      run.bind(index, TensorBinding(data: UnsafeMutableRawPointer(buffer.base), byteCount: buffer.count))
    }
    let report = run.run(callLevel: level?.rawValue ?? 0, maximumThreads: maximumThreads, deadline: deadline)
    var outputs: [Tensor] = []
    for index in 0..<run.outputCount {
      let type = model.graph.type(of: model.graph.outputs[index])
      let shape = (0..<type.rank).map { run.outputSize(index, $0) }
      let raw = UnsafeRawPointer(buffers[inputs.count + index].base)
      let count = shape.reduce(1, *)
      switch type.element {
      case .float32:
        outputs.append(
          .floats(shape, (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }))
      case .int64:
        outputs.append(
          .integers(shape, (0..<count).map { raw.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self) }))
      case .int32:
        outputs.append(
          .integers(shape, (0..<count).map { Int64(raw.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self)) }))
      }
    }
    withExtendedLifetime(buffers) {}
    return (outputs, report)
  }
}

extension Model {
  convenience init(
    _ builder: GraphBuilder, keep: Set<Level> = [.fp16, .fp32], tokenizer: (settings: JSON, vocabulary: [UInt8])? = nil
  ) throws {
    try self.init(
      try ContainerWriter(builder: builder, keep: keep, tokenizer: tokenizer).write(), source: "test model")
  }
}
