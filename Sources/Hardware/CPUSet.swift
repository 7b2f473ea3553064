/// A set of CPU numbers as the operating system counts them: hardware threads, not cores.
///
/// Numbers at or above `limit` are refused, so that a malformed file cannot ask for gigabytes.
public struct CPUSet: Hashable, Sendable, ExpressibleByArrayLiteral {
  /// Linux allows at most 8192 CPUs; twice that is read.
  public static let limit = 16384

  /// Bit `cpu % 64` of word `cpu / 64`; the last word is never zero, so that equal sets are equal values.
  public private(set) var words: [UInt64] = []

  public init() {}

  public init(_ cpus: some Sequence<Int>) {
    for cpu in cpus { insert(cpu) }
  }

  public init(arrayLiteral cpus: Int...) { self.init(cpus) }

  /// As `sched_getaffinity` writes it.
  public init(words: [UInt64]) {
    self.words = Array(words.prefix(Self.limit / 64))
    trim()
  }

  /// The list format of Linux, such as `0-3,8,10-14:2`; nil when it is malformed. An empty list is the empty set.
  public init?(list text: some StringProtocol) {
    let text = text.trimmedASCII
    if text.isEmpty { return }
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = item.split(separator: ":", omittingEmptySubsequences: false)
      let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
      guard parts.count <= 2, ends.count <= 2, let first = Self.number(ends[0]) else { return nil }
      guard let last = ends.count == 2 ? Self.number(ends[1]) : first, first <= last else { return nil }
      guard let step = parts.count == 2 ? Self.number(parts[1]) : 1, step > 0 else { return nil }
      for cpu in stride(from: first, through: last, by: step) { insert(cpu) }
    }
  }

  /// The mask format of Linux: hexadecimal words of 32 bits, the highest first, such as `00000000,000000ff`. Nil when it
  /// is malformed.
  public init?(mask text: some StringProtocol) {
    let parts = text.trimmedASCII.split(separator: ",", omittingEmptySubsequences: false)
    if parts.count > Self.limit / 32 { return nil }
    for (index, part) in parts.reversed().enumerated() {
      let digits = part.hasPrefix("0x") ? part.dropFirst(2) : part[...]
      guard !digits.isEmpty, let word = UInt32(digits, radix: 16) else { return nil }
      for bit in 0..<32 where word >> UInt32(bit) & 1 == 1 { insert(index * 32 + bit) }
    }
  }

  public mutating func insert(_ cpu: Int) {
    if cpu < 0 || cpu >= Self.limit { return }
    while words.count <= cpu / 64 { words.append(0) }
    words[cpu / 64] |= 1 << UInt64(cpu % 64)
  }

  public func contains(_ cpu: Int) -> Bool {
    cpu >= 0 && cpu / 64 < words.count && words[cpu / 64] >> UInt64(cpu % 64) & 1 == 1
  }

  public var isEmpty: Bool { words.isEmpty }

  public var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

  /// In rising order.
  public var cpus: [Int] {
    var result: [Int] = []
    for (index, word) in words.enumerated() {
      var rest = word
      while rest != 0 {
        result.append(index * 64 + rest.trailingZeroBitCount)
        rest &= rest &- 1
      }
    }
    return result
  }

  public var first: Int? { words.firstIndex { $0 != 0 }.map { $0 * 64 + words[$0].trailingZeroBitCount } }

  public func intersection(_ other: CPUSet) -> CPUSet {
    CPUSet(words: zip(words, other.words).map { $0 & $1 })
  }

  public func union(_ other: CPUSet) -> CPUSet {
    var result = self
    for cpu in other.cpus { result.insert(cpu) }
    return result
  }

  public func subtracting(_ other: CPUSet) -> CPUSet {
    CPUSet(words: words.enumerated().map { $1 & ~($0 < other.words.count ? other.words[$0] : 0) })
  }

  public func isSubset(of other: CPUSet) -> Bool { subtracting(other).isEmpty }

  /// The list format of Linux.
  public var text: String {
    var parts: [String] = []
    var open: (first: Int, last: Int)?
    func close() {
      guard let open else { return }
      parts.append(open.first == open.last ? "\(open.first)" : "\(open.first)-\(open.last)")
    }
    for cpu in cpus {
      if let range = open, range.last + 1 == cpu {
        open = (range.first, cpu)
      } else {
        close()
        open = (cpu, cpu)
      }
    }
    close()
    return parts.joined(separator: ",")
  }

  private mutating func trim() {
    while words.last == 0 { words.removeLast() }
  }

  private static func number(_ text: some StringProtocol) -> Int? {
    guard let value = Int(text), value >= 0, value < limit, text.utf8.first.map({ $0 != UInt8(ascii: "+") }) == true
    else { return nil }
    return value
  }
}

extension CPUSet: CustomStringConvertible {
  public var description: String { "{\(text)}" }
}

extension StringProtocol {
  /// Without white space at both ends.
  var trimmedASCII: String {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) || byte == 0 }
    let bytes = Array(utf8)
    guard let first = bytes.firstIndex(where: { !isSpace($0) }), let last = bytes.lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(decoding: bytes[first...last], as: UTF8.self)
  }
}
