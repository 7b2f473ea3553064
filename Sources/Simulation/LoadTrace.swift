import Base

/// What happens to the machine from call to call.
public struct LoadTrace: Sendable {
  public var name: String
  public var moments: [Moment]
  /// Calls at which the load changes at once and then stays for at least 200 calls.
  public var steps: [Int]

  /// One call per budget, at a steady rate: the n-th call of every policy meets the n-th moment.
  public init(name: String, moments: [Moment], steps: [Int] = []) {
    self.name = name
    self.moments = moments
    self.steps = steps
  }
}

extension LoadTrace {
  /// Times and slow-downs of a recorded trace.
  ///
  /// Text of lines `seconds,slowdown`, `seconds,compute,memory` or `seconds,compute,memory,runs,waits`: the last two are the
  /// milliseconds that a thread runs until it loses the CPU, and those that it then waits; 0 where it loses none. Empty lines and
  /// lines that begin with `#` are skipped, and so is one line of column names. Times rise; a line holds until the next one. The
  /// trace begins again where it is shorter than the calls.
  ///
  /// - Parameter period: nanoseconds from call to call.
  /// - Throws: `invalidFile`, naming the line.
  public init(name: String, csv text: String, calls: Int, period: Double) throws(AdaptQError) {
    var times: [Double] = []
    var moments: [Moment] = []
    var isFirst = true
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false).map(Self.trimmed)
      if line.hasPrefix("#") || fields.allSatisfy(\.isEmpty) { continue }
      let numbers = fields.compactMap { Double($0) }
      if isFirst && numbers.isEmpty {
        isFirst = false
        continue
      }
      isFirst = false
      let place = "\(name): line \(index + 1)"
      if numbers.count != fields.count || ![2, 3, 5].contains(numbers.count) {
        throw .invalidFile(
          "\(place): expected seconds,slowdown or seconds,compute,memory or seconds,compute,memory,runs,waits")
      }
      if !(numbers[0] >= 0 && numbers[0] <= 1e6) || numbers[0] <= (times.last ?? -1) {
        throw .invalidFile("\(place): time \(fields[0]), expected 0 to 1e6 and later than the line before")
      }
      if !numbers[1..<min(numbers.count, 3)].allSatisfy({ $0 >= 0.01 && $0 <= 1000 }) {
        throw .invalidFile("\(place): slow-down, allowed are 0.01 to 1000")
      }
      var moment = Moment()
      moment.compute = numbers[1]
      moment.memory = numbers[min(numbers.count, 3) - 1]
      if numbers.count == 5 && (numbers[3] != 0 || numbers[4] != 0) {
        if !numbers[3...].allSatisfy({ $0 >= 0.01 && $0 <= 1e6 }) {
          throw .invalidFile("\(place): milliseconds between waits and of a wait, allowed are 0.01 to 1e6 or twice 0")
        }
        moment.quotaRuns = numbers[3] * 1e6
        moment.quotaWaits = numbers[4] * 1e6
      }
      times.append(numbers[0])
      moments.append(moment)
    }
    guard let first = times.first, let last = times.last, times.count >= 2 else {
      throw .invalidFile("\(name): expected at least two lines of times and slow-downs")
    }
    // The last line holds as long as the one before it.
    let end = last + (last - times[times.count - 2])
    self.init(name: name, moments: [])
    var position = 0
    var round = 0.0
    for call in 0..<calls {
      let elapsed = Double(call) * period / 1e9
      let time = elapsed - round * (end - first) + first
      if time >= end {
        round = (elapsed / (end - first)).rounded(.down)
        position = 0
      }
      let inside = elapsed - round * (end - first) + first
      while position + 1 < times.count && times[position + 1] <= inside { position += 1 }
      self.moments.append(moments[position])
    }
  }

  private static func trimmed(_ text: Substring) -> Substring {
    var result = text
    while result.first?.isWhitespace == true { result.removeFirst() }
    while result.last?.isWhitespace == true { result.removeLast() }
    return result
  }
}
