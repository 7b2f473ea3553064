extension KernelTable {
  static var portableGelu: Kernel {
    {
      let a = $0.load(as: UnaryArguments.self)
      Operators.apply(.gelu, a.x, a.y, count: a.count)
    }
  }

  static var portableSoftmaxRows: Kernel {
    {
      let a = $0.load(as: SoftmaxArguments.self)
      Operators.softmaxRows(
        a.x, rows: a.rows, width: a.width, rowStride: a.rowStride / 4, scale: a.scale, mask: a.mask,
        maskRowStride: a.maskRowStride / 4)
    }
  }

  static var portableLayerNorm: Kernel {
    {
      let a = $0.load(as: LayerNormArguments.self)
      Operators.layerNorm(
        a.x, xStride: a.xRowStride / 4, residual: a.residual, residualStride: a.residualRowStride / 4, gamma: a.gamma,
        beta: a.beta, eps: a.eps, rows: a.rows, width: a.width, a.y, yStride: a.yRowStride / 4)
    }
  }

  /// The twins of the kernels that code an activation's result; ``portable`` goes without.
  static var portableGeluCodes: Kernel {
    { activationCodesReference($0.load(as: QuantizeArguments.self), .gelu) }
  }

  static var portableGeluTanhCodes: Kernel {
    { activationCodesReference($0.load(as: QuantizeArguments.self), .geluTanh) }
  }

  static var portableSiluCodes: Kernel {
    { activationCodesReference($0.load(as: QuantizeArguments.self), .silu) }
  }

  static var portableReluCodes: Kernel {
    { activationCodesReference($0.load(as: QuantizeArguments.self), .relu) }
  }

  /// Codes of an activation's result as ``quantize`` makes them, straight from its input, with less exact an activation, see
  /// ``ErrorBound/activationCodes(_:_:)``; nil where there is no such kernel, products read words, or a row has one scale.
  @inline(__always)
  public func activationCodes(_ operation: UnaryOperation) -> Kernel? {
    if int8.readsWords || form.activations == .perRow { return nil }
    switch operation {
    case .gelu: return geluCodes
    case .geluTanh: return geluTanhCodes
    case .silu: return siluCodes
    case .relu: return reluCodes
    default: return nil
    }
  }

  mutating func install(_ operation: OperatorSpec.Operation, _ kernel: @escaping Kernel) {
    switch operation {
    case .gelu: gelu = kernel
    case .geluCodes: geluCodes = kernel
    case .geluTanhCodes: geluTanhCodes = kernel
    case .siluCodes: siluCodes = kernel
    case .reluCodes: reluCodes = kernel
    case .softmaxRows: softmaxRows = kernel
    case .layerNorm: layerNorm = kernel
    case .attentionPack: attentionPack = kernel
    case .attention: attention = kernel
    case .codedAttentionPack: codedAttentionPack = kernel
    case .codedAttention: codedAttention = kernel
    }
  }
}

// MARK: - Calls on the run path

/// ``Operators/apply(_:_:_:count:)`` of GELU by the table's kernel.
@inline(__always)
public func gelu(_ table: KernelTable, _ x: UnsafePointer<Float>, _ y: UnsafeMutablePointer<Float>, count: Int) {
  var arguments = UnaryArguments(x: x, y: y, count: count)
  table.gelu(&arguments)
}

/// ``Operators/softmaxRows(_:rows:width:rowStride:scale:mask:maskRowStride:)`` by the table's kernel; strides are
/// elements.
@inline(__always)
public func softmaxRows(
  _ table: KernelTable, _ x: UnsafeMutablePointer<Float>, rows: Int, width: Int, rowStride: Int, scale: Float,
  mask: UnsafePointer<Float>?, maskRowStride: Int
) {
  var arguments = SoftmaxArguments(
    x: x, rowStride: 4 &* rowStride, mask: mask, maskRowStride: 4 &* maskRowStride, rows: rows, width: width,
    scale: scale)
  table.softmaxRows(&arguments)
}

/// Layer normalization as ``Operators`` has it, by the table's kernel; strides are elements.
@inline(__always)
public func layerNorm(
  _ table: KernelTable, _ x: UnsafePointer<Float>, xStride: Int, residual: UnsafePointer<Float>?, residualStride: Int,
  gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, eps: Float, rows: Int, width: Int,
  _ y: UnsafeMutablePointer<Float>, yStride: Int
) {
  var arguments = LayerNormArguments(
    x: x, xRowStride: 4 &* xStride, residual: residual, residualRowStride: 4 &* residualStride, gamma: gamma,
    beta: beta, y: y, yRowStride: 4 &* yStride, rows: rows, width: width, eps: eps)
  table.layerNorm(&arguments)
}
