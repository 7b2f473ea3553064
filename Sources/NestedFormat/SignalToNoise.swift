import Base
import Glibc

/// How well `view` at `level` stands for `weights`: `10 log10(Σ w² / Σ (w - ŵ)²)` in decibels, +infinity when nothing is
/// lost, NaN for a level that is not nested or all-zero weights that are not met exactly.
///
/// - Parameter rowStride: distance of two rows of `weights` in elements, `view.k` when nil.
public func signalToNoise(
  _ weights: UnsafePointer<Float>, rowStride: Int? = nil, _ view: NestedView, _ level: Level
) -> Double {
  let stride = rowStride ?? view.k
  var signal = 0.0
  var noise = 0.0
  for row in 0..<view.n {
    for column in 0..<view.k {
      let weight = Double(weights[row * stride + column])
      let error = weight - Double(view.value(row, column, level))
      signal += weight * weight
      noise += error * error
    }
  }
  if noise == 0 { return .infinity }
  return signal == 0 ? .nan : 10 * log10(signal / noise)
}

/// The same figure for a table stored by rows, read at 8 bits; `weights` is dense.
public func signalToNoise(_ weights: UnsafePointer<Float>, _ table: RowTable) -> Double {
  var signal = 0.0
  var noise = 0.0
  for row in 0..<table.rows {
    for column in 0..<table.k {
      let weight = Double(weights[row * table.k + column])
      let error = weight - Double(table.value(row, column))
      signal += weight * weight
      noise += error * error
    }
  }
  if noise == 0 { return .infinity }
  return signal == 0 ? .nan : 10 * log10(signal / noise)
}
