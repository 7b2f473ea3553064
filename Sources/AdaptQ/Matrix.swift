import Base
import CAdaptQ
import Graph
import Kernels
import NestedFormat
import Runtime

/// A matrix handle.
final class MatrixObject: HandleObject {
  static let handleKind = HandleKind.matrix

  let matrix: Matrix
  let run: MatrixHandle
  /// Where its buffers come from, and that of a file it is saved in.
  let calls: SystemCalls

  init(_ matrix: Matrix, _ calls: SystemCalls) {
    self.matrix = matrix
    self.calls = calls
    run = matrix.handle
  }
}

/// The matrices of one file, none of them usable yet.
final class MatrixFileObject: HandleObject {
  static let handleKind = HandleKind.matrixFile

  let file: MatrixFile
  let runtime: RuntimeObject
  let names: CTexts

  init(_ file: MatrixFile, _ runtime: RuntimeObject) throws(AdaptQError) {
    self.file = file
    self.runtime = runtime
    names = try CTexts(file.matrices.map(\.name), runtime.calls)
  }
}

/// Texts as C strings that live as long as this object; a zero byte inside becomes a question mark.
final class CTexts: @unchecked Sendable {
  private let block: MemoryBlock
  let pointers: [UnsafePointer<CChar>]

  init(_ texts: [String], _ calls: SystemCalls) throws(AdaptQError) {
    var byteCount = 0
    for text in texts { byteCount = try checkedSum(byteCount, text.utf8.count + 1, "names") }
    block = try MemoryBlock.allocate(byteCount: byteCount, purpose: "names", calls: calls)
    var offset = 0
    var pointers: [UnsafePointer<CChar>] = []
    for text in texts {
      pointers.append(UnsafePointer((block.base + offset).assumingMemoryBound(to: CChar.self)))
      for byte in text.utf8 {
        block.base.storeBytes(of: byte == 0 ? 0x3F : byte, toByteOffset: offset, as: UInt8.self)
        offset += 1
      }
      offset += 1
    }
    self.pointers = pointers
  }
}

// MARK: - Create and destroy

@c @implementation public func adaptq_matrix_create(
  _ runtime: OpaquePointer?, _ options: UnsafePointer<adaptq_matrix_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      var wanted = adaptq_matrix_options()
      try readStruct(
        required(options, "options"), "adaptq_matrix_options", firstSize: FirstSize.matrixOptions, into: &wanted)
      let source = try matrixSource(wanted)
      let options = try matrixOptions(
        maxRows: wanted.max_rows, .matrixMaxRows, expand: wanted.expand, .matrixExpand)
      let (table, owner) = runtime.kernels(source.form)
      return MatrixObject(
        try Matrix(source, options: options, kernels: table, kernelOwner: owner, calls: runtime.calls), runtime.calls)
    }
  }
}

@c @implementation public func adaptq_matrix_destroy(_ matrix: OpaquePointer?) -> adaptq_status {
  destroyHandle(matrix, as: MatrixObject.self)
}

private func matrixSource(_ wanted: adaptq_matrix_options) throws(AdaptQError) -> MatrixSource {
  try requireOption(wanted.n, .matrixN)
  try requireOption(wanted.k, .matrixK)
  let (n, k) = (Int(wanted.n), Int(wanted.k))
  let weights = try required(wanted.weights, "adaptq_matrix_options.weights")
  var source = MatrixSource(n: n, k: k, weights: weights)
  if let name = wanted.name {
    guard let text = String(validatingCString: name) else {
      throw .invalidArgument("adaptq_matrix_options.name is not UTF-8")
    }
    source.name = text
  }
  try requireOption(Int64(wanted.weight_type), .matrixWeightType)
  source.element = MatrixSource.Element(rawValue: wanted.weight_type) ?? .float32
  source.form = try matrixForm(wanted)
  source.steps = UnsafeRawPointer(wanted.weight_scales)
  source.zeroPoints = UnsafeRawPointer(wanted.zero_points)
  let kept = UInt32(ADAPTQ_ALLOW_FP16 | ADAPTQ_ALLOW_FP32)
  try requireOption(Int64(wanted.keep), .matrixKeep)
  if wanted.keep & ~kept != 0 {
    throw .invalidArgument(
      "adaptq_matrix_options.keep is \(wanted.keep); expected ADAPTQ_ALLOW_FP16, ADAPTQ_ALLOW_FP32, both or 0")
  }
  for level in [Level.fp16, .fp32] where wanted.keep & allowBit(level) != 0 { source.keep.insert(level) }
  try requireOption(wanted.row_stride, .matrixRowStride)
  try requireOption(wanted.column_stride, .matrixColumnStride)
  source.columnStride = wanted.column_stride == 0 ? 1 : Int(wanted.column_stride)
  source.rowStride = Int(wanted.row_stride)
  if wanted.row_stride == 0 { source.rowStride = source.columnStride == 1 ? k : 1 }
  source.bias = UnsafeRawPointer(wanted.bias)
  return source
}

private func matrixForm(_ wanted: adaptq_matrix_options) throws(AdaptQError) -> NestedForm {
  try requireOption(Int64(wanted.group_size), .matrixGroupSize)
  try requireOption(Int64(wanted.scale_kind), .matrixScaleKind)
  try requireOption(Int64(wanted.activation_scales), .matrixActivationScales)
  var kind = ScaleKind(rawValue: UInt8(truncatingIfNeeded: wanted.scale_kind)) ?? .stepAndMinimum
  if wanted.weight_scales != nil && kind == .stepAndMinimum { kind = .perOutput }
  let size =
    switch wanted.group_size {
    case Int32(ADAPTQ_GROUP_ALL): NestedForm.allInputs
    case 0: kind == .perOutput ? NestedForm.allInputs : 64
    default: Int(wanted.group_size)
    }
  return try NestedForm(
    groupSize: size, scaleKind: kind,
    activations: ActivationScales(rawValue: UInt8(truncatingIfNeeded: wanted.activation_scales)) ?? .perRowAndGroup)
}

private func matrixOptions(
  maxRows: Int64, _ rowsOption: Option, expand: Int32, _ expandOption: Option
) throws(AdaptQError) -> MatrixOptions {
  var options = MatrixOptions()
  try requireOption(maxRows, rowsOption)
  if maxRows != 0 { options.maxRows = Int(maxRows) }
  try requireOption(Int64(expand), expandOption)
  options.expansion = MatrixOptions.Expansion(rawValue: expand) ?? .byDefault
  return options
}

@c @implementation public func adaptq_matrix_get_info(
  _ matrix: OpaquePointer?, _ info: UnsafeMutablePointer<adaptq_matrix_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(matrix, as: MatrixObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(
        required(info, "info"), "adaptq_matrix_info", firstSize: FirstSize.matrixInfo)
      let matrix = object.matrix
      var value = adaptq_matrix_info()
      value.name = matrix.nameText
      value.n = Int64(matrix.n)
      value.k = Int64(matrix.k)
      value.max_rows = Int64(object.run.maxRows)
      value.stored_bytes = Int64(matrix.forms.storedByteCount + matrix.expandedByteCount)
      value.workspace_bytes = Int64(matrix.workspaceByteCount)
      value.levels = Level.allCases.reduce(0) { matrix.forms.holds($1) ? $0 | allowBit($1) : $0 }
      let form = matrix.form
      value.group_size =
        form.groupSize == NestedForm.allInputs
        ? Int32(ADAPTQ_GROUP_ALL) : Int32(truncatingIfNeeded: form.groupSize)
      value.scale_kind = Int32(form.scaleKind.rawValue)
      value.activation_scales = Int32(form.activations.rawValue)
      value.has_bias = matrix.forms.bias == nil ? 0 : 1
      value.is_expanded = matrix.expandedByteCount == 0 ? 0 : 1
      target.write(value)
    }
  }
}

// MARK: - Files

@c @implementation public func adaptq_matrix_save(
  _ matrices: UnsafePointer<OpaquePointer?>?, _ count: Int, _ path: UnsafePointer<CChar>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    if count < 1 || count > 1 << 20 {
      throw .invalidArgument("count is \(UInt(bitPattern: count)); expected 1 to \(1 << 20)")
    }
    let list = try required(matrices, "matrices")
    let path = try required(path, "path")
    guard let text = String(validatingCString: path) else { throw .invalidArgument("path is not UTF-8") }
    var objects: [MatrixObject] = []
    for index in 0..<count {
      let bits = UnsafeRawPointer(list).loadUnaligned(fromByteOffset: index * 8, as: UInt.self)
      try withHandle(OpaquePointer(bitPattern: bits), as: MatrixObject.self) { (object) throws(AdaptQError) in
        objects.append(object)
      }
    }
    let block = try MatrixFile.bytes(of: objects.map(\.matrix.stored), calls: objects[0].calls)
    try withExtendedLifetime(objects) { () throws(AdaptQError) in
      try block.withBytes { (bytes) throws(AdaptQError) in try writeFileAtomically(text, bytes) }
    }
  }
}

@c @implementation public func adaptq_matrix_file_open(
  _ runtime: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      let path = try required(path, "path")
      guard let text = String(validatingCString: path) else { throw .invalidArgument("path is not UTF-8") }
      let block = try MemoryBlock.read(path: text, calls: runtime.calls)
      return try MatrixFileObject(try MatrixFile(block, source: "\"\(text)\""), runtime)
    }
  }
}

@c @implementation public func adaptq_matrix_file_open_memory(
  _ runtime: OpaquePointer?, _ data: UnsafeRawPointer?, _ size: Int, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(runtime, as: RuntimeObject.self) { (runtime) throws(AdaptQError) in
      let data = try required(data, "data")
      if size < 0 { throw AdaptQError(.outOfRange, "size: \(UInt(bitPattern: size))") }
      let block = try MemoryBlock.allocate(
        byteCount: size, purpose: "matrices of \(size) bytes", calls: runtime.calls)
      block.base.copyMemory(from: data, byteCount: size)
      return try MatrixFileObject(try MatrixFile(block, source: "matrices in memory"), runtime)
    }
  }
}

@c @implementation public func adaptq_matrix_file_destroy(_ file: OpaquePointer?) -> adaptq_status {
  destroyHandle(file, as: MatrixFileObject.self)
}

@c @implementation public func adaptq_matrix_file_count(
  _ file: OpaquePointer?, _ out: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let out = try required(out, "out")
    try withHandle(file, as: MatrixFileObject.self) { (object) throws(AdaptQError) in
      out.pointee = object.file.matrices.count
    }
  }
}

@c @implementation public func adaptq_matrix_file_name(
  _ file: OpaquePointer?, _ index: Int, _ out: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let out = try required(out, "out")
    try withHandle(file, as: MatrixFileObject.self) { (object) throws(AdaptQError) in
      let count = object.names.pointers.count
      if index < 0 || index >= count {
        throw AdaptQError(.outOfRange, "index \(UInt(bitPattern: index)): the file has \(count) matrices")
      }
      out.pointee = object.names.pointers[index]
    }
  }
}

@c @implementation public func adaptq_matrix_open(
  _ file: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ options: UnsafePointer<adaptq_matrix_open_options>?,
  _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(file, as: MatrixFileObject.self) { (object) throws(AdaptQError) in
      let name = try required(name, "name")
      guard let text = String(validatingCString: name) else { throw .invalidArgument("name is not UTF-8") }
      var wanted = adaptq_matrix_open_options()
      try readOptions(options, "adaptq_matrix_open_options", into: &wanted)
      let options = try matrixOptions(
        maxRows: wanted.max_rows, .matrixOpenMaxRows, expand: wanted.expand, .matrixOpenExpand)
      // Byte by byte: Swift calls different spellings of one character equal.
      guard let stored = object.file.matrices.first(where: { $0.name.utf8.elementsEqual(text.utf8) }) else {
        throw AdaptQError(.notFound, "name \"\(text)\": the file has no such matrix")
      }
      let (table, owner) = object.runtime.kernels(stored.form)
      return MatrixObject(
        try Matrix(
          stored, weightsOwner: object.file.owner, options: options, kernels: table, kernelOwner: owner,
          calls: object.runtime.calls), object.runtime.calls)
    }
  }
}
