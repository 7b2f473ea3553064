extension Operators {
  /// One step of a gated recurrent unit for one row, the reset gate behind the recurrent product.
  ///
  /// `h` becomes `(1 - z) n + z h`, in the form `n + z (h - n)`, with `r = σ(x_r + u_r)`, `z = σ(x_z + u_z)`,
  /// `n = tanh(x_n + r u_n)`. Error, for finite inputs and against the exact function of them: `4e-7 (1 + |u_n|) + 3e-7 |h|`
  /// absolute, from those of ``Operators/apply(_:_:_:count:)``. A NaN in a gate makes the element NaN.
  ///
  /// - Parameters:
  ///   - x: the input's part of the gates, `[3][hidden]` in the order r, z, n, biases included.
  ///   - u: the state's part, likewise.
  ///   - h: `hidden` floats; overwritten.
  public static func gatedUpdate(
    _ x: UnsafePointer<Float>, _ u: UnsafePointer<Float>, _ h: UnsafeMutablePointer<Float>, hidden: Int
  ) {
    let (xz, xn) = (x + hidden, x + 2 &* hidden)
    let (uz, un) = (u + hidden, u + 2 &* hidden)
    var index = 0
    while index &+ 8 <= hidden {
      let value = gated(
        load(x, index), load(u, index), load(xz, index), load(uz, index), load(xn, index), load(un, index),
        load(h, index))
      store(value, h, index)
      index &+= 8
    }
    if index < hidden {
      let tail = hidden &- index
      let value = gated(
        loadTail(x, index, count: tail), loadTail(u, index, count: tail), loadTail(xz, index, count: tail),
        loadTail(uz, index, count: tail), loadTail(xn, index, count: tail), loadTail(un, index, count: tail),
        loadTail(h, index, count: tail))
      storeTail(value, h, index, count: tail)
    }
  }

  @inline(__always)
  private static func gated(
    _ xr: Vector, _ ur: Vector, _ xz: Vector, _ uz: Vector, _ xn: Vector, _ un: Vector, _ h: Vector
  ) -> Vector {
    let r = Sigmoid.apply(xr + ur)
    let z = Sigmoid.apply(xz + uz)
    let n = Tanh.apply(xn + r * un)
    return n + z * (h - n)
  }

  /// `y[i]` = 1 where the comparison holds, else 0; strides are 0 (one element for all) or 1.
  public static func compareRow(
    _ operation: ComparisonOperation, _ a: UnsafePointer<Float>, aStride: Int, _ b: UnsafePointer<Float>, bStride: Int,
    _ y: UnsafeMutablePointer<Int32>, count: Int
  ) {
    for index in 0..<count {
      let (x, other) = (a[index &* aStride], b[index &* bStride])
      let holds =
        switch operation {
        case .equal: x == other
        case .less: x < other
        case .greater: x > other
        }
      y[index] = holds ? 1 : 0
    }
  }
}

/// Comparisons; raw values are fixed, so that a plan may store them.
public enum ComparisonOperation: UInt8, CaseIterable, Sendable {
  case equal = 0
  case less = 1
  case greater = 2
}
