import Base
import NestedFormat

/// Times the matrices of a group: all of them one behind the other at one level, as in a frame, so that weights come from
/// where they come from in a frame; levels take turns, so that a moment of load does not fall on one of them alone; medians.
struct GroupMeasurement {
  /// Rounds at most; the first one warms and counts only where there is no other.
  static let rounds = 5
  /// A number of rows whose products have taken this long gets no further round.
  static let roundBudget = 400_000_000

  let matrices: [MatrixHandle]
  let levels: [Level]
  /// When no further round is begun but the first; nil: never.
  let end: Int?

  /// - Returns: nanoseconds of matrix i at level j: `[i][j]`, at least 1.
  func times(
    rows: Int, x: UnsafeMutablePointer<Float>, y: UnsafeMutablePointer<Float>, workspace: UnsafeMutableRawPointer
  ) -> [[Int]] {
    var samples = matrices.map { _ in levels.map { _ in [Int]() } }
    let begin = monotonicNanoseconds()
    for round in 0...GroupMeasurement.rounds {
      for (column, level) in levels.enumerated() {
        for (index, matrix) in matrices.enumerated() {
          var call = MatrixCall(level: level, rows: rows, y: y, yStride: matrix.n)
          call.x = UnsafePointer(x)
          call.xStride = matrix.k
          let start = monotonicNanoseconds()
          matrix.multiply(call, workspace: workspace)
          let elapsed = monotonicNanoseconds() &- start
          if round == 1 { samples[index][column].removeAll(keepingCapacity: true) }
          samples[index][column].append(max(elapsed, 1))
        }
      }
      let now = monotonicNanoseconds()
      if end.map({ now > $0 }) ?? false || round > 0 && now &- begin > GroupMeasurement.roundBudget { break }
    }
    return samples.map { $0.map { $0.sorted()[$0.count / 2] } }
  }

  /// A ramp that no group of inputs has twice.
  static func fill(_ x: UnsafeMutablePointer<Float>, count: Int) {
    for index in 0..<count { x[index] = Float(index % 251) * 0.01 - 1.25 }
  }
}
