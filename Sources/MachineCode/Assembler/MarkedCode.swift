/// A label in finished code.
public struct CodeMark: Equatable, Sendable {
  /// Bytes from the beginning of the code.
  public var offset: Int
  /// Whether a jump from further down leads here.
  public var isLoopHead: Bool

  public init(offset: Int, isLoopHead: Bool) {
    self.offset = offset
    self.isLoopHead = isLoopHead
  }
}

/// Finished code for a listing: what is instructions, what is constants, and where labels are.
public struct MarkedCode: Equatable, Sendable {
  /// Instructions, padding, constants.
  public var bytes: [UInt8]
  public var instructionByteCount: Int
  /// Ascending.
  public var marks: [CodeMark]

  public init(bytes: [UInt8], instructionByteCount: Int, marks: [CodeMark]) {
    self.bytes = bytes
    self.instructionByteCount = instructionByteCount
    self.marks = marks
  }
}
