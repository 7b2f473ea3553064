import Base

/// A place in the code that jumps can name before it is known.
public struct Label: Hashable, Sendable {
  let number: Int
}

/// The growing code of one assembler, and the first thing that went wrong.
///
/// Instructions are values that hold a reference to it, which is why it is a class.
final class CodeBuffer {
  struct Fixup {
    enum Target {
      case label(Int)
      case constant(Int)
    }
    /// Where the four displacement bytes lie, and where the instruction ends that they are relative to.
    var position: Int
    var end: Int
    var target: Target
    var addend: Int
    var mnemonic: String
  }

  private(set) var bytes: [UInt8] = []
  private var labels: [Int?] = []
  /// Numbers of labels that were jumped to when they were bound already: loop heads.
  private var loopHeads: Set<Int> = []
  private var fixups: [Fixup] = []
  private var constants: [(bytes: [UInt8], alignment: Int)] = []
  private var constantNumbers: [[UInt8]: Int] = [:]
  private(set) var firstError: AdaptQError?

  // MARK: errors

  /// Keeps the first refusal; later ones are often its consequence.
  func refuse(_ mnemonic: String, _ operands: [Operand], _ reason: String) {
    if firstError != nil { return }
    let text = operands.map(\.text).joined(separator: ", ")
    firstError = .internalError("\(mnemonic) \(text): \(reason)")
  }

  func refuse(_ reason: String) {
    if firstError == nil { firstError = .internalError(reason) }
  }

  // MARK: bytes

  var position: Int { bytes.count }

  func append(_ byte: UInt8) { bytes.append(byte) }
  func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }
  func append32(_ value: Int32) { append(littleEndianBytes(value)) }

  // MARK: labels

  func newLabel() -> Label {
    labels.append(nil)
    return Label(number: labels.count - 1)
  }

  func bind(_ label: Label) {
    guard labels.indices.contains(label.number) else { return refuse("bind: the label belongs to another assembler") }
    if labels[label.number] != nil { return refuse("bind: label \(label.number) is bound twice") }
    labels[label.number] = position
  }

  /// A jump's distance from the end of an instruction of `size` bytes at the current position, where already known.
  func knownDistance(to label: Label, size: Int) -> Int? {
    guard labels.indices.contains(label.number), let target = labels[label.number] else { return nil }
    loopHeads.insert(label.number)
    return target - (position + size)
  }

  /// Where bound labels lie, in order; those at the same place once.
  var marks: [CodeMark] {
    var found: [Int: Bool] = [:]
    for (number, place) in labels.enumerated() {
      if let place { found[place] = found[place] == true || loopHeads.contains(number) }
    }
    return found.sorted { $0.key < $1.key }.map { CodeMark(offset: $0.key, isLoopHead: $0.value) }
  }

  func addFixup(_ fixup: Fixup) { fixups.append(fixup) }

  // MARK: constants

  /// The number of a constant; equal bytes are stored once.
  func constant(_ bytes: [UInt8], alignment: Int) -> Int {
    if let known = constantNumbers[bytes] {
      constants[known].alignment = max(constants[known].alignment, alignment)
      return known
    }
    constants.append((bytes, alignment))
    constantNumbers[bytes] = constants.count - 1
    return constants.count - 1
  }

  // MARK: finish

  /// Code, then the constants, each aligned; all distances are filled in.
  func finish() throws(AdaptQError) -> [UInt8] {
    if let firstError { throw firstError }
    var result = bytes
    var offsets: [Int] = []
    for constant in constants {
      while result.count % constant.alignment != 0 { result.append(0xCC) }
      offsets.append(result.count)
      result.append(contentsOf: constant.bytes)
    }
    for fixup in fixups {
      let target: Int
      switch fixup.target {
      case .label(let number):
        guard labels.indices.contains(number), let bound = labels[number] else {
          throw .internalError("\(fixup.mnemonic): label \(number) is never bound")
        }
        target = bound
      case .constant(let number):
        guard offsets.indices.contains(number) else {
          throw .internalError("\(fixup.mnemonic): constant \(number) belongs to another assembler")
        }
        target = offsets[number]
      }
      guard let distance = Int32(exactly: target &- fixup.end &+ fixup.addend) else {
        throw .internalError("\(fixup.mnemonic): its target is more than 2 GiB away")
      }
      for (index, byte) in littleEndianBytes(distance).enumerated() { result[fixup.position + index] = byte }
    }
    return result
  }
}
