import Base
import Graph
import Kernels
import NestedFormat
import Runtime
import TestSupport
import Testing

/// What making a matrix, its file and writing that file refuse, with status and named field.
@Suite struct MatrixRefusalTests {
  private func refusal(_ status: Status, _ text: String, _ change: (inout MatrixSource) -> Void) {
    let weights = GuardedBuffer<Float>((0..<(8 * 8)).map { Float($0) })
    let bias = GuardedBuffer<Float>((0..<8).map { Float($0) })
    var source = MatrixSource(n: 8, k: 8, weights: UnsafeRawPointer(weights.base))
    source.bias = UnsafeRawPointer(bias.base)
    change(&source)
    do throws(AdaptQError) {
      _ = try Matrix(source, options: MatrixOptions(), kernels: .portable, kernelOwner: nil)
      Issue.record("\(text): accepted")
    } catch {
      #expect(error.status == status && error.message.contains(text), "expected \(text), got \(error)")
    }
    withExtendedLifetime((weights, bias)) {}
  }

  @Test func sources() {
    refusal(.outOfRange, "n: 0") { $0.n = 0 }
    refusal(.outOfRange, "k: -1") { $0.k = -1 }
    refusal(.outOfRange, "overflows") { ($0.n, $0.k) = (1 << 40, 1 << 40) }
    refusal(.invalidArgument, "row_stride is 0") { $0.rowStride = 0 }
    refusal(.invalidArgument, "column_stride is -1") { $0.columnStride = -1 }
    refusal(.invalidArgument, "share elements") { $0.rowStride = 7 }
    refusal(.invalidArgument, "share elements") { ($0.rowStride, $0.columnStride) = (1, 7) }
    refusal(.outOfRange, "row_stride") { $0.rowStride = .max / 2 }
    refusal(.outOfRange, "bytes of the weights") { $0.rowStride = .max / 8 }
  }

  @Test func valuesThatAreNotFinite() {
    for (element, bits): (MatrixSource.Element, UInt32) in [
      (.float32, 0x7F80_0000), (.float32, 0x7FC0_0001), (.float16, 0xFC00), (.float16, 0x7E00), (.bfloat16, 0x7F80),
      (.bfloat16, 0xFFC0),
    ] {
      let width = element == .float32 ? 4 : 2
      let bytes = GuardedBuffer<UInt8>(count: 64 * width)
      UnsafeMutableRawPointer(bytes.base).storeBytes(of: bits, toByteOffset: 0, as: UInt32.self)
      for index in 0..<64 {
        let value = index == 3 * 8 + 5 ? bits : 0
        if width == 4 {
          UnsafeMutableRawPointer(bytes.base).storeBytes(of: value, toByteOffset: index * 4, as: UInt32.self)
        } else {
          UnsafeMutableRawPointer(bytes.base).storeBytes(of: UInt16(value), toByteOffset: index * 2, as: UInt16.self)
        }
      }
      refusal(.invalidArgument, "row 3, column 5") {
        $0.weights = UnsafeRawPointer(bytes.base)
        $0.element = element
      }
      refusal(.invalidArgument, "row 5, column 3") {
        $0.weights = UnsafeRawPointer(bytes.base)
        $0.element = element
        ($0.rowStride, $0.columnStride) = (1, 8)
      }
      withExtendedLifetime(bytes) {}
    }
    let bias = GuardedBuffer<Float>([0, 1, .infinity, 0, 0, 0, 0, 0])
    refusal(.invalidArgument, "bias: element 2") { $0.bias = UnsafeRawPointer(bias.base) }
    let large = GuardedBuffer<Float>((0..<64).map { $0 == 9 ? 65536 : 1 })
    refusal(.outOfRange, "row 1, column 1") {
      $0.weights = UnsafeRawPointer(large.base)
      $0.keep = [.fp16]
    }
  }

  // MARK: - Files

  private static func bytes(_ names: [String]) throws -> MemoryBlock {
    var random = SeededRandom("MatrixRefusalTests.bytes")
    var stored: [StoredMatrix] = []
    var keep: [Matrix] = []
    for name in names {
      let trial = try MatrixTrial(n: 17, k: 70, table: .portable, random: &random)
      var matrix = trial.matrix.stored
      matrix.name = name
      stored.append(matrix)
      keep.append(trial.matrix)
    }
    return try withExtendedLifetime(keep) { try MatrixFile.bytes(of: stored) }
  }

  private func check(_ what: String, _ status: Status, _ expected: String, _ block: MemoryBlock) {
    do throws(AdaptQError) {
      _ = try MatrixFile(block, source: "hostile")
      Issue.record("\(what): accepted")
    } catch {
      #expect(error.status == status && error.message.contains(expected), "\(what): \(error)")
    }
  }

  @Test func hostileFiles() throws {
    let sound = try ContainerFile(try Self.bytes(["a", "b"]))
    func broken(
      _ what: String, _ expected: String, _ path: [JSONStep], _ value: JSON?, status: Status = .invalidFile
    ) throws {
      var file = sound
      let json = try JSON.parse(file[metadata: "adaptq.matrices"] ?? "", "matrices")
      file[metadata: "adaptq.matrices"] = json.replacing(path, with: value).text
      check(what, status, expected, try file.block())
    }
    try broken("n", "needs", ["sites", 0, "n"], .integer(1 << 20))
    try broken("n 0", "out of range", ["sites", 0, "n"], .integer(0))
    try broken("k", "out of range", ["sites", 0, "k"], .integer(1 << 40))
    try broken("kind", "not linear", ["sites", 1, "kind"], .string("embedding"))
    try broken("kind", "kind", ["sites", 1, "kind"], .string("x"), status: .unsupported)
    try broken("group", "group size", ["sites", 1, "group"], .integer(32), status: .unsupported)
    try broken("name", "appears twice", ["sites", 1, "name"], .string("a"))
    try broken("bias", "does not exist", ["sites", 1, "bias"], .integer(9))
    try broken("bias", "bias of shape", ["constants", 1], .array([.integer(3)]))
    try broken("constant", "constant 0", ["constants", 0], .array([.integer(0)]))
    try broken("factor", "factor", ["stored", 0, "factor"], .integer(-5))
    try broken("stored", "too few", ["stored"], .array([]))
    try broken("stored", "entries for", ["stored", 2], .object([]))
    try broken("sites", "no matrices", ["sites"], .array([]))
    var file = sound
    file[metadata: "adaptq.matrices"] = nil
    check("no matrices", .invalidFile, "adaptq.matrices", try file.block())
    file[metadata: "adaptq.model"] = "{}"
    check("a model", .unsupported, "holds a model", try file.block())
    file = sound
    file[metadata: "adaptq.version"] = "2"
    check("version", .unsupportedVersion, "version", try file.block())
    #expect(throws: AdaptQError.self) { _ = try Model(try sound.block(), source: "matrices") }
    file = sound
    file[tensor: "site.0.plane3"] = nil
    #expect(throws: AdaptQError.self) { _ = try MatrixFile(try file.block(), source: "hostile") }
  }

  /// Every cut and random damage: an error or a file whose matrices can all be read, never a crash.
  @Test func damagedFiles() throws {
    let bytes = try Self.bytes(["a"]).withBytes { Array($0) }
    var random = SeededRandom("MatrixRefusalTests.damagedFiles")
    for count in stride(from: 0, to: bytes.count, by: 37) {
      check("cut to \(count)", .invalidFile, ":", try ContainerFile.block(bytes.prefix(count)))
    }
    for _ in 0..<300 {
      var damaged = bytes
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        damaged[Int.random(in: 0..<min(damaged.count, 2000), using: &random)] = UInt8.random(
          in: 0...255, using: &random)
      }
      if let file = try? MatrixFile(try ContainerFile.block(damaged), source: "damaged") {
        for stored in file.matrices {
          let matrix = try Matrix(
            stored, weightsOwner: file.owner, options: MatrixOptions(), kernels: .portable, kernelOwner: nil)
          #expect(matrix.n > 0)
        }
      }
    }
  }

  @Test func namesInOneFile() throws {
    #expect(throws: AdaptQError.self) { _ = try Self.bytes(["a", "a"]) }
    #expect(throws: AdaptQError.self) { _ = try MatrixFile.bytes(of: []) }
    let file = try MatrixFile(try Self.bytes(["", "\u{e9}", "e\u{301}"]), source: "test")
    #expect(file.matrices.count == 3)
  }
}
