import Base
import Telemetry

// One line of names, then one line per run. No field needs quotes: they are numbers, names of levels and of reasons.

extension RunTrace {
  /// RFC 4180 without quotes, lines end with a line feed.
  public var csv: String {
    var text = TraceColumn.all.map(\.name).joined(separator: ",") + ",site_levels\n"
    for record in records {
      for column in TraceColumn.all { text += RunTrace.cell(column.value(record.facts)) + "," }
      text += RunTrace.runLengths(record.siteLevels) + "\n"
    }
    return text
  }

  private static func cell(_ value: JSON) -> String {
    switch value {
    case .bool(let flag): flag ? "1" : "0"
    case .string(let text): text
    case .null: ""
    default: value.text
    }
  }

  /// "8*24 16 8*3": equal levels that follow each other once, with their number.
  static func runLengths(_ levels: [UInt8]) -> String {
    var parts: [String] = []
    var start = 0
    while start < levels.count {
      let end = levels[start...].firstIndex { $0 != levels[start] } ?? levels.count
      parts.append(end - start == 1 ? "\(levels[start])" : "\(levels[start])*\(end - start)")
      start = end
    }
    return parts.joined(separator: " ")
  }

  /// Columns may stand in any order, and others beside them are left out; only newer ones may be missing.
  init(csv text: String, _ name: String) throws(AdaptQError) {
    sites = []
    records = []
    // By bytes: to a Swift string "\r\n" is one character.
    var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
      Substring(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
    }
    if lines.last?.isEmpty == true { lines.removeLast() }
    guard let head = lines.first else { throw .invalidFile("\(name): it is empty") }
    let names = head.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    func position(_ column: String) throws(AdaptQError) -> Int {
      let found = names.indices.filter { names[$0] == column }
      guard let first = found.first, found.count == 1 else {
        throw .invalidFile("\(name): the first line names column \"\(column)\" \(found.count) times; expected once")
      }
      return first
    }
    let columns = TraceColumn.all.filter { !$0.mayBeMissing || names.contains($0.name) }
    var positions: [Int] = []
    for column in columns { positions.append(try position(column.name)) }
    let levels = try position("site_levels")
    for (index, line) in lines.enumerated().dropFirst() {
      let place = "\(name), line \(index + 1)"
      let cells = line.split(separator: ",", omittingEmptySubsequences: false)
      if cells.count != names.count {
        throw .invalidFile("\(place): \(cells.count) fields, the first line has \(names.count)")
      }
      var record = RunRecord(facts: RunFacts())
      for (column, position) in zip(columns, positions) {
        try column.set(&record.facts, RunTrace.value(cells[position]), "\(place): \(column.name)")
      }
      record.siteLevels = try RunTrace.levels(cells[levels], place)
      records.append(record)
    }
  }

  private static func value(_ cell: Substring) -> JSON {
    if let integer = Int(cell) { return .integer(integer) }
    if let number = Double(cell) { return .number(number) }
    return .string(String(cell))
  }

  private static func levels(_ cell: Substring, _ place: String) throws(AdaptQError) -> [UInt8] {
    var levels: [UInt8] = []
    for part in cell.split(separator: " ") {
      let factors = part.split(separator: "*", omittingEmptySubsequences: false)
      guard factors.count <= 2, let bits = Int(factors[0]),
        let count = factors.count == 2 ? Int(factors[1]) : 1, count > 0
      else { throw .invalidFile("\(place): site_levels: \"\(part)\" is no level and no level*count") }
      try checkCount(count, place)
      try checkCount(levels.count + count, place)
      levels += [UInt8](repeating: try level(bits, "\(place): site_levels"), count: count)
    }
    return levels
  }
}
