import NestedFormat

/// Rows picked by number. Every number is checked before anything is written: the result is the index of the first one
/// outside `0 ..< rows`, and nothing was written then, or -1.
extension Operators {
  /// `y[i] = table[ids[i]]`, read at 8 bits; exactly ``NestedFormat/RowTable/value(_:_:)``.
  public static func gatherRows(
    _ table: RowTable, ids: UnsafePointer<Int64>, count: Int, _ y: UnsafeMutablePointer<Float>, yStride: Int
  ) -> Int {
    let bad = firstOutside(ids, count, table.rows)
    if bad >= 0 { return bad }
    for index in 0..<max(count, 0) {
      table.readRow(Int(truncatingIfNeeded: ids[index]), into: y + index &* yStride)
    }
    return -1
  }

  /// `y[i] = table[ids[i]]`, read at 8 bits; exactly ``NestedFormat/RowTable/value(_:_:)``.
  public static func gatherRows(
    _ table: RowTable, ids: UnsafePointer<Int32>, count: Int, _ y: UnsafeMutablePointer<Float>, yStride: Int
  ) -> Int {
    let bad = firstOutside(ids, count, table.rows)
    if bad >= 0 { return bad }
    for index in 0..<max(count, 0) {
      table.readRow(Int(truncatingIfNeeded: ids[index]), into: y + index &* yStride)
    }
    return -1
  }

  /// `y[i] = table[ids[i]]` for a table of `rows` rows of `width` floats, `rowStride` elements apart.
  public static func gatherRows(
    _ table: UnsafePointer<Float>, rows: Int, width: Int, rowStride: Int, ids: UnsafePointer<Int64>, count: Int,
    _ y: UnsafeMutablePointer<Float>, yStride: Int
  ) -> Int {
    let bad = firstOutside(ids, count, rows)
    if bad >= 0 { return bad }
    for index in 0..<max(count, 0) {
      copyRow(table + Int(truncatingIfNeeded: ids[index]) &* rowStride, y + index &* yStride, width)
    }
    return -1
  }

  /// `y[i] = table[ids[i]]` for a table of `rows` rows of `width` floats, `rowStride` elements apart.
  public static func gatherRows(
    _ table: UnsafePointer<Float>, rows: Int, width: Int, rowStride: Int, ids: UnsafePointer<Int32>, count: Int,
    _ y: UnsafeMutablePointer<Float>, yStride: Int
  ) -> Int {
    let bad = firstOutside(ids, count, rows)
    if bad >= 0 { return bad }
    for index in 0..<max(count, 0) {
      copyRow(table + Int(truncatingIfNeeded: ids[index]) &* rowStride, y + index &* yStride, width)
    }
    return -1
  }

  @inline(__always)
  private static func firstOutside<Number: FixedWidthInteger>(
    _ ids: UnsafePointer<Number>, _ count: Int, _ rows: Int
  ) -> Int {
    for index in 0..<max(count, 0) {
      let id = Int(truncatingIfNeeded: ids[index])
      if id < 0 || id >= rows { return index }
    }
    return -1
  }

  @inline(__always)
  private static func copyRow(_ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ width: Int) {
    UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: max(width, 0) &* 4)
  }
}
