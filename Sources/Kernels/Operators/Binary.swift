/// The functions of two arguments; raw values are fixed, so that a plan may store them.
public enum BinaryOperation: UInt8, CaseIterable, Sendable {
  case add = 0
  case subtract = 1
  case multiply = 2
  case divide = 3
  /// NaN when either argument is NaN, as PyTorch's minimum.
  case minimum = 4
  case maximum = 5
}

/// One argument of a row-wise operation. `rowStride` 0 uses the same row for all rows (a bias); `elementStride` is 1, or
/// 0 to use one element for its whole row.
public struct RowOperand: BitwiseCopyable, @unchecked Sendable {
  public var base: UnsafePointer<Float>
  public var rowStride: Int
  public var elementStride: Int

  @inlinable public init(_ base: UnsafePointer<Float>, rowStride: Int, elementStride: Int = 1) {
    self.base = base
    self.rowStride = rowStride
    self.elementStride = elementStride
  }
}

/// All results are correctly rounded.
extension Operators {
  /// `y[i] = operation(a[i], b[i])` for `count` elements; `y` may be `a` or `b`.
  public static func apply(
    _ operation: BinaryOperation, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
    _ y: UnsafeMutablePointer<Float>, count: Int
  ) {
    applyRows(
      operation, RowOperand(a, rowStride: 0), RowOperand(b, rowStride: 0), y, yRowStride: 0, rows: 1, width: count)
  }

  /// `y[r][c] = operation(a[r][c], b[r][c])` with the broadcasting that the operands' strides say. `y` may be an operand
  /// that is not broadcast.
  public static func applyRows(
    _ operation: BinaryOperation, _ a: RowOperand, _ b: RowOperand, _ y: UnsafeMutablePointer<Float>,
    yRowStride: Int, rows: Int, width: Int
  ) {
    switch operation {
    case .add: combine(Add.self, a, b, y, yRowStride, rows, width)
    case .subtract: combine(Subtract.self, a, b, y, yRowStride, rows, width)
    case .multiply: combine(Multiply.self, a, b, y, yRowStride, rows, width)
    case .divide: combine(Divide.self, a, b, y, yRowStride, rows, width)
    case .minimum: combine(Minimum.self, a, b, y, yRowStride, rows, width)
    case .maximum: combine(Maximum.self, a, b, y, yRowStride, rows, width)
    }
  }

  /// `y[i] = x[i] * factor`; `y` may be `x`.
  public static func scale(
    _ x: UnsafePointer<Float>, by factor: Float, _ y: UnsafeMutablePointer<Float>, count: Int
  ) {
    var index = 0
    while index &+ 8 <= count {
      store(load(x, index) * factor, y, index)
      index &+= 8
    }
    while index < count {
      y[index] = x[index] * factor
      index &+= 1
    }
  }

  @inline(__always)
  private static func combine<Function: VectorCombination>(
    _ function: Function.Type, _ a: RowOperand, _ b: RowOperand, _ y: UnsafeMutablePointer<Float>,
    _ yRowStride: Int, _ rows: Int, _ width: Int
  ) {
    for row in 0..<max(rows, 0) {
      let aRow = a.base + row &* a.rowStride
      let bRow = b.base + row &* b.rowStride
      let yRow = y + row &* yRowStride
      if a.elementStride == 0 || b.elementStride == 0 {
        combineBroadcast(function, aRow, a.elementStride, bRow, b.elementStride, yRow, width)
        continue
      }
      var index = 0
      while index &+ 8 <= width {
        store(Function.apply(load(aRow, index), load(bRow, index)), yRow, index)
        index &+= 8
      }
      if index < width {
        let tail = width &- index
        let value = Function.apply(loadTail(aRow, index, count: tail), loadTail(bRow, index, count: tail))
        storeTail(value, yRow, index, count: tail)
      }
    }
  }

  @inline(__always)
  private static func combineBroadcast<Function: VectorCombination>(
    _: Function.Type, _ a: UnsafePointer<Float>, _ aStride: Int, _ b: UnsafePointer<Float>, _ bStride: Int,
    _ y: UnsafeMutablePointer<Float>, _ width: Int
  ) {
    if width <= 0 { return }
    let a0 = Vector(repeating: a[0])
    let b0 = Vector(repeating: b[0])
    var index = 0
    while index &+ 8 <= width {
      let value = Function.apply(aStride == 0 ? a0 : load(a, index), bStride == 0 ? b0 : load(b, index))
      store(value, y, index)
      index &+= 8
    }
    if index < width {
      let tail = width &- index
      let left = aStride == 0 ? a0 : loadTail(a, index, count: tail)
      let right = bStride == 0 ? b0 : loadTail(b, index, count: tail)
      storeTail(Function.apply(left, right), y, index, count: tail)
    }
  }
}

/// A function of two vectors, named by a type so that loops over it are specialised and inlined.
protocol VectorCombination {
  static func apply(_ a: Vector, _ b: Vector) -> Vector
}

enum Add: VectorCombination {
  @inline(__always) static func apply(_ a: Vector, _ b: Vector) -> Vector { a + b }
}

enum Subtract: VectorCombination {
  @inline(__always) static func apply(_ a: Vector, _ b: Vector) -> Vector { a - b }
}

enum Multiply: VectorCombination {
  @inline(__always) static func apply(_ a: Vector, _ b: Vector) -> Vector { a * b }
}

enum Divide: VectorCombination {
  @inline(__always) static func apply(_ a: Vector, _ b: Vector) -> Vector { a / b }
}

enum Minimum: VectorCombination {
  @inline(__always) static func apply(_ a: Vector, _ b: Vector) -> Vector {
    vector(select(signMask(a - b), bits(a), bits(b)) | nanMask(magnitudeBits(a)) | nanMask(magnitudeBits(b)))
  }
}

enum Maximum: VectorCombination {
  @inline(__always) static func apply(_ a: Vector, _ b: Vector) -> Vector {
    vector(select(signMask(a - b), bits(b), bits(a)) | nanMask(magnitudeBits(a)) | nanMask(magnitudeBits(b)))
  }
}
