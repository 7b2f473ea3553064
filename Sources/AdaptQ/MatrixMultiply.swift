import Base
import CAdaptQ
import NestedFormat
import Runtime

// The run path of matrices: one look-up, checks, the product. What makes an error's text is kept out of line.

@c @implementation public func adaptq_matrix_multiply(
  _ matrix: OpaquePointer?, _ multiply: UnsafePointer<adaptq_multiply>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let multiply = try required(multiply, "multiply")
    // The workspace says whether the matrix's own memory is used; the rest is read below.
    let size = try checkedStructSize(multiply, as: adaptq_multiply.self, "adaptq_multiply")
    var wanted = adaptq_multiply()
    withUnsafeMutableBytes(of: &wanted) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: multiply, count: size))
    }
    if let workspace = wanted.workspace {
      try withSharedHandle(matrix, as: MatrixObject.self, \.run) { (run) throws(AdaptQError) in
        let call = try checkedCall(wanted, run)
        let address = UInt(bitPattern: workspace)
        let padding = Int(truncatingIfNeeded: (64 &- (address & 63)) & 63)
        let needed = run.workspaceByteCount(rows: call.rows)
        if wanted.workspace_size < 0 || needed > wanted.workspace_size &- padding {
          throw workspaceError(wanted.workspace_size, needed)
        }
        try checkWorkspace(call, workspace, wanted.workspace_size, run)
        run.multiply(call, workspace: workspace + padding)
      }
    } else {
      try withRunningHandle(matrix, as: MatrixObject.self, \.run) { (run) throws(AdaptQError) in
        let call = try checkedCall(wanted, run)
        if call.rows > run.maxRows { throw rowsError(call.rows, run.maxRows) }
        run.multiply(call, workspace: run.workspace)
      }
    }
  }
}

/// Like `withRunningHandle`, for calls that any number of threads may make at once.
@inline(__always)
private func withSharedHandle<Object: HandleObject, Part: BitwiseCopyable>(
  _ handle: OpaquePointer?, as: Object.Type, _ part: (Object) -> Part, _ body: (Part) throws(AdaptQError) -> Void
) throws(AdaptQError) {
  let slot = try HandleTable.enter(handle, Object.handleKind, running: false)
  defer { HandleTable.leave(slot, running: false) }
  guard let pointer = UnsafeRawPointer(bitPattern: UInt(slot.object.pointee)) else {
    throw .internalError("the handle has no object")
  }
  try body(Unmanaged<Object>.fromOpaque(pointer)._withUnsafeGuaranteedRef(part))
}

@inline(__always)
func checkedCall(_ wanted: adaptq_multiply, _ run: MatrixHandle) throws(AdaptQError) -> MatrixCall {
  let raw = UInt8(truncatingIfNeeded: wanted.level)
  guard Int32(raw) == wanted.level, let level = Level(rawValue: raw), run.holds(level) else {
    throw levelError(wanted.level)
  }
  guard wanted.activation >= 0,
    let activation = MatrixActivation(rawValue: UInt8(truncatingIfNeeded: wanted.activation)),
    wanted.activation <= ADAPTQ_ACTIVATION_SILU
  else { throw activationError(wanted.activation) }
  if wanted.no_bias & ~1 != 0 { throw flagError(wanted.no_bias) }
  let (n, k, rows) = (run.n, run.k, Int(wanted.rows))
  if rows < 1 { throw rowCountError(rows) }
  guard let y = wanted.y else { throw .invalidArgument("adaptq_multiply.y is NULL") }
  var call = MatrixCall(level: level, rows: rows, y: y, yStride: wanted.y_stride == 0 ? n : Int(wanted.y_stride))
  call.activation = activation
  call.usesBias = wanted.no_bias == 0
  let output = try Extent(UnsafeRawPointer(y), rows, n, call.yStride, 4, "adaptq_multiply.y_stride")
  if let x = wanted.x {
    if wanted.codes != nil { throw inputError(true) }
    call.x = x
    call.xStride = wanted.x_stride == 0 ? k : Int(wanted.x_stride)
    let input = try Extent(UnsafeRawPointer(x), rows, k, call.xStride, 4, "adaptq_multiply.x_stride")
    if output.overlaps(input) { throw overlapError("y", "x") }
  } else {
    guard let codes = wanted.codes else { throw inputError(false) }
    guard let scales = wanted.scales else { throw .invalidArgument("adaptq_multiply.scales is NULL") }
    call.codes = codes
    call.scales = scales
    call.codeStride = wanted.codes_stride == 0 ? k : Int(wanted.codes_stride)
    call.scaleStride = wanted.scales_stride == 0 ? run.groups : Int(wanted.scales_stride)
    let input = try Extent(UnsafeRawPointer(codes), rows, k, call.codeStride, 1, "adaptq_multiply.codes_stride")
    let factors = try Extent(
      UnsafeRawPointer(scales), rows, run.groups, call.scaleStride, 4, "adaptq_multiply.scales_stride")
    if output.overlaps(input) { throw overlapError("y", "codes") }
    if output.overlaps(factors) { throw overlapError("y", "scales") }
    if level.isNested && run.hasRowScales { try checkRowScales(call, run) }
  }
  if let residual = wanted.residual {
    call.residual = residual
    call.residualStride = wanted.residual_stride == 0 ? n : Int(wanted.residual_stride)
    let added = try Extent(
      UnsafeRawPointer(residual), rows, n, call.residualStride, 4, "adaptq_multiply.residual_stride")
    if output.overlaps(added) { throw overlapError("y", "residual") }
  }
  return call
}

/// Kernels read one scale per row.
private func checkRowScales(_ call: MatrixCall, _ run: MatrixHandle) throws(AdaptQError) {
  guard let scales = call.scales else { return }
  func bits(_ row: Int, _ group: Int) -> UInt32 {
    UnsafeRawPointer(scales + (row &* call.scaleStride &+ group)).loadUnaligned(as: UInt32.self)
  }
  for row in 0..<call.rows {
    for group in 1..<max(run.groups, 1) where bits(row, group) != bits(row, 0) {
      throw rowScaleError(row, group)
    }
  }
}

@inline(never)
private func rowScaleError(_ row: Int, _ group: Int) -> AdaptQError {
  .invalidArgument(
    "adaptq_multiply.scales: row \(row) has another scale in group \(group) than in group 0; the matrix has"
      + " ADAPTQ_ACTIVATION_SCALES_ROW")
}

/// The workspace is written while inputs are read, and y while it is read.
private func checkWorkspace(
  _ call: MatrixCall, _ workspace: UnsafeMutableRawPointer, _ size: Int, _ run: MatrixHandle
) throws(AdaptQError) {
  let own = try Extent(UnsafeRawPointer(workspace), 1, size, size, 1, "adaptq_multiply.workspace_size")
  func check(_ pointer: UnsafeRawPointer?, _ width: Int, _ stride: Int, _ element: Int, _ name: StaticString)
    throws(AdaptQError)
  {
    guard let pointer else { return }
    if own.overlaps(try Extent(pointer, call.rows, width, stride, element, "stride")) {
      throw overlapError("workspace", name)
    }
  }
  try check(UnsafeRawPointer(call.y), run.n, call.yStride, 4, "y")
  try check(call.x.map { UnsafeRawPointer($0) }, run.k, call.xStride, 4, "x")
  try check(call.codes.map { UnsafeRawPointer($0) }, run.k, call.codeStride, 1, "codes")
  try check(call.scales.map { UnsafeRawPointer($0) }, run.groups, call.scaleStride, 4, "scales")
  try check(call.residual.map { UnsafeRawPointer($0) }, run.n, call.residualStride, 4, "residual")
}

/// The bytes of `rows` rows, `stride` elements apart, checked not to wrap around the address space.
private struct Extent: BitwiseCopyable {
  var begin: UInt
  var end: UInt
  /// Bytes of a row, and from one row to the next.
  var width: UInt
  var stride: UInt

  @inline(__always)
  init(
    _ base: UnsafeRawPointer, _ rows: Int, _ count: Int, _ stride: Int, _ elementByteCount: Int,
    _ field: StaticString
  ) throws(AdaptQError) {
    if stride < count { throw strideError(field, stride, count) }
    let (bytes, overflow) = stride.multipliedReportingOverflow(by: elementByteCount)
    let (before, overflow2) = (rows &- 1).multipliedReportingOverflow(by: bytes)
    begin = UInt(bitPattern: base)
    width = UInt(bitPattern: count &* elementByteCount)
    self.stride = UInt(bitPattern: bytes)
    let (last, overflow3) = begin.addingReportingOverflow(UInt(bitPattern: before))
    let (end, overflow4) = last.addingReportingOverflow(width)
    // No process has 2^56 bytes of addresses, whatever the caller says.
    if overflow || overflow2 || overflow3 || overflow4 || before >= 1 << 56 { throw extentError(field, rows, stride) }
    self.end = end
  }

  @inline(__always)
  func overlaps(_ other: Extent) -> Bool {
    if begin >= other.end || other.begin >= end { return false }
    return !isInterleaved(with: other)
  }

  /// Rows at equal distance that lie beside each other have no byte in common.
  @inline(never)
  private func isInterleaved(with other: Extent) -> Bool {
    if stride != other.stride { return false }
    let distance =
      begin < other.begin ? (other.begin - begin) % stride : (stride - (begin - other.begin) % stride) % stride
    return distance >= width && distance + other.width <= stride
  }
}

// MARK: - Workspace and quantization

@c @implementation public func adaptq_matrix_workspace_size(
  _ matrix: OpaquePointer?, _ rows: Int64, _ out: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let out = try required(out, "out")
    if rows < 1 { throw .invalidArgument("rows is \(rows), below 1") }
    try withHandle(matrix, as: MatrixObject.self) { (object) throws(AdaptQError) in
      let needed = object.run.workspaceByteCount(rows: Int(rows))
      if needed > Int.max - 63 { throw AdaptQError(.outOfRange, "rows is \(rows): the workspace's size overflows") }
      out.pointee = needed + 63
    }
  }
}

@c @implementation public func adaptq_matrix_quantize(
  _ matrix: OpaquePointer?, _ rows: Int64, _ x: UnsafePointer<Float>?, _ xStride: Int64,
  _ codes: UnsafeMutablePointer<Int8>?, _ codesStride: Int64, _ scales: UnsafeMutablePointer<Float>?,
  _ scalesStride: Int64
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withSharedHandle(matrix, as: MatrixObject.self, \.run) { (run) throws(AdaptQError) in
      let x = try required(x, "x")
      let codes = try required(codes, "codes")
      let scales = try required(scales, "scales")
      let count = Int(rows)
      if count < 1 { throw .invalidArgument("rows is \(count), below 1") }
      let (k, groups) = (run.k, run.groups)
      let xStride = xStride == 0 ? k : Int(xStride)
      let codeStride = codesStride == 0 ? k : Int(codesStride)
      let scaleStride = scalesStride == 0 ? groups : Int(scalesStride)
      let input = try Extent(UnsafeRawPointer(x), count, k, xStride, 4, "x_stride")
      let output = try Extent(UnsafeRawPointer(codes), count, k, codeStride, 1, "codes_stride")
      let factors = try Extent(UnsafeRawPointer(scales), count, groups, scaleStride, 4, "scales_stride")
      if output.overlaps(input) { throw overlapError("codes", "x") }
      if factors.overlaps(input) { throw overlapError("scales", "x") }
      if factors.overlaps(output) { throw overlapError("scales", "codes") }
      run.quantizeRows(
        x, xStride: xStride, rows: count, codes: codes, codeStride: codeStride, scales: scales,
        scaleStride: scaleStride)
    }
  }
}

// MARK: - Errors

@inline(never)
private func levelError(_ value: adaptq_level) -> AdaptQError {
  do throws(AdaptQError) {
    guard let level = try levelArgument(value, "adaptq_multiply.level") else {
      return .unsupported("adaptq_multiply.level is AUTO; a matrix needs a level")
    }
    return .unsupported("adaptq_multiply.level is \(level.name); the matrix does not hold it")
  } catch {
    return error
  }
}

@inline(never)
private func activationError(_ value: Int32) -> AdaptQError {
  .invalidArgument("adaptq_multiply.activation is \(value); expected 0 to \(ADAPTQ_ACTIVATION_SILU)")
}

@inline(never)
private func flagError(_ value: Int32) -> AdaptQError {
  .invalidArgument("adaptq_multiply.no_bias is \(value); expected 0 or 1")
}

@inline(never)
private func rowCountError(_ rows: Int) -> AdaptQError {
  .invalidArgument("adaptq_multiply.rows is \(rows), below 1")
}

@inline(never)
private func rowsError(_ rows: Int, _ maxRows: Int) -> AdaptQError {
  AdaptQError(
    .outOfRange, "adaptq_multiply.rows is \(rows); the matrix was made for \(maxRows), give a workspace for more")
}

@inline(never)
private func inputError(_ both: Bool) -> AdaptQError {
  .invalidArgument(both ? "adaptq_multiply has x and codes; expected one" : "adaptq_multiply.x and codes are NULL")
}

@inline(never)
private func strideError(_ field: StaticString, _ stride: Int, _ count: Int) -> AdaptQError {
  .invalidArgument("\(field) is \(stride), below the \(count) elements of a row")
}

@inline(never)
private func extentError(_ field: StaticString, _ rows: Int, _ stride: Int) -> AdaptQError {
  AdaptQError(.outOfRange, "\(field) is \(stride): \(rows) rows span more than the address space")
}

@inline(never)
private func overlapError(_ a: StaticString, _ b: StaticString) -> AdaptQError {
  .invalidArgument("\(a) overlaps \(b)")
}

@inline(never)
private func workspaceError(_ size: Int, _ needed: Int) -> AdaptQError {
  AdaptQError(
    .bufferTooSmall,
    "adaptq_multiply.workspace_size is \(UInt(bitPattern: size)), needs \(needed) from a 64-byte boundary on")
}
