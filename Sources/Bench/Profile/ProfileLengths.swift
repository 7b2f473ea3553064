/// The lengths of a profile, as the command line has them.
public struct ProfileLengths: Equatable, Sendable {
  public static let maximum = 1 << 20
  public static let standard = ProfileLengths(values: [16, 128])

  public let values: [Int]

  private init(values: [Int]) { self.values = values }

  /// Numbers with commas between, each once, in the order given; nil for anything else.
  public init?(parsing text: String) {
    var values: [Int] = []
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard word.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int(word),
        (1...ProfileLengths.maximum).contains(value), !values.contains(value)
      else { return nil }
      values.append(value)
    }
    self.values = values
  }
}
