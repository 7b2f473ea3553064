import TestSupport

/// Values that find mistakes: signs, zeros, limits, ties.
let extremeValues: [Float] = [
  0, -0.0, 1, -1, 0.5, -0.5, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, .leastNormalMagnitude, 1e-20, -1e-20, 3.5,
  -3.5, 5.4999995, 5.5, 5.5000005, -5.4999995, -5.5, -5.5000005, 8.99, 9, 9.01, -9, 12, -12, 86.9, -86.9, 87, -87, 87.1,
  -87.1, 88.72, 88.73, 89, 100, -100, -103.9, -104, -104.1, 1e10, -1e10, .greatestFiniteMagnitude,
  -.greatestFiniteMagnitude,
]

/// Both edges of a guarded buffer, as test arguments.
let bothEdges = [true, false]

func guarded(_ values: [Float], atEnd: Bool) -> GuardedBuffer<Float> {
  GuardedBuffer(values, edge: atEnd ? .end : .start)
}

func guarded<Element: BitwiseCopyable>(_: Element.Type, _ count: Int, atEnd: Bool) -> GuardedBuffer<Element> {
  GuardedBuffer(count: count, edge: atEnd ? .end : .start)
}

func normals(_ count: Int, _ random: inout SeededRandom, scale: Float = 1, offset: Float = 0) -> [Float] {
  (0..<count).map { _ in random.normal() * scale + offset }
}

/// Equal bits, or both NaN.
func same(_ a: Float, _ b: Float) -> Bool { a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN) }
