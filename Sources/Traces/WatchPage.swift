import Base
import NestedFormat
import Telemetry

/// What `adaptq watch` shows of a snapshot, as lines of text.
public struct WatchPage {
  private let snapshot: TelemetrySnapshot
  private let host: TelemetryReader.Host
  private let now: UInt64
  private let width: Int
  private let isStyled: Bool

  /// - Parameters:
  ///   - now: monotonic nanoseconds.
  ///   - width: columns; 40 to 400 are used.
  ///   - isStyled: with colours.
  public init(_ snapshot: TelemetrySnapshot, _ host: TelemetryReader.Host, now: UInt64, width: Int, isStyled: Bool) {
    self.snapshot = snapshot
    self.host = host
    self.now = now
    self.width = min(max(width, 40), 400)
    self.isStyled = isStyled
  }

  private var hostText: String {
    switch host {
    case .running: "running"
    case .closed: "has closed the file"
    case .gone: "is gone"
    }
  }

  /// A whole page.
  public func lines(title: String) -> [String] {
    var head = StyledLine(title, .bold)
    head.add("  host \(snapshot.processID) ")
    head.add(hostText, host == .running ? .good : .bad)
    if snapshot.refusedSessions > 0 {
      head.add("  \(snapshot.refusedSessions) sessions found no section", .warning)
    }
    var lines = [head]
    if let sensors = snapshot.sensors { lines.append(page(sensors)) }
    if snapshot.sessions.isEmpty { lines.append(StyledLine("no session yet", .dim)) }
    for session in snapshot.sessions { lines += page(session) }
    return lines.map { $0.text(width: width, isStyled: isStyled) }
  }

  /// One line per session that has not ended and has run, for output that is not a terminal.
  public var plainLines: [String] {
    let sessions = snapshot.sessions.filter { !$0.hasEnded || host != .running }
    let lines = sessions.compactMap { session -> String? in
      guard let last = session.records.last?.facts else { return nil }
      var parts = [
        "session \(session.number)", "run \(last.sequence)", last.levelName, last.reason.name,
        "latency \(duration(last.latencyNanoseconds))",
      ]
      if last.budgetNanoseconds > 0 {
        parts.append("p\(percentileText(last)) \(duration(last.movingPercentileNanoseconds))")
        parts.append("budget \(duration(last.budgetNanoseconds))")
      }
      parts += ["slow-down \(fixed(last.slowdown, 2))", "misses \(last.misses) of \(last.runs)"]
      if last.energySource != .none {
        parts.append("energy \(WatchPage.energyText(last)) \(last.energySource.name)")
        if last.powerUnreachable { parts.append("power cannot hold") }
      }
      if let quality = session.quality { parts.append("cosine \(fixed(quality.meanCosine, 6)) \(quality.source.name)") }
      parts += ["switches \(last.switches)", "host \(hostText)"]
      return parts.joined(separator: ", ")
    }
    return lines.isEmpty ? ["no run yet, host \(hostText)"] : lines
  }

  private func page(_ session: TelemetrySnapshot.Session) -> [StyledLine] {
    var head = StyledLine("session \(session.number)", .accent)
    if session.hasEnded { head.add(" ended", .warning) }
    guard let last = session.records.last?.facts else {
      head.add("  no run yet", .dim)
      return [StyledLine(), head]
    }
    head.add("  run \(last.sequence)")
    if let rate = rate(session.records) { head.add(", \(fixed(rate, rate < 10 ? 1 : 0))/s") }
    head.add("  ")
    head.add(last.levelName, .bold)
    let place = last.rung == .max ? "" : "rung \(Int(last.rung) + 1) of \(session.rungs), "
    head.add(" (\(place)\(last.reason.name))")
    if host == .running && !session.hasEnded { head.add("  \(age(last)) ago", .dim) }
    if session.damagedRecords > 0 { head.add("  \(session.damagedRecords) damaged records", .warning) }
    var lines = [StyledLine(), head, latency(last)]
    lines += chart(session.records, last)
    lines += [load(last)]
    if last.energySource != .none { lines.append(energy(last)) }
    lines += quality(session)
    lines += sites(session)
    lines += switches(session.records)
    return lines
  }

  private func label(_ text: String) -> StyledLine {
    StyledLine("  " + text + String(repeating: " ", count: max(11 - text.count, 1)), .dim)
  }

  private func latency(_ last: RunFacts) -> StyledLine {
    var line = label("latency")
    line.add(duration(last.latencyNanoseconds), last.budgetMissed ? .bad : .plain)
    if last.budgetNanoseconds == 0 {
      line.add("  no budget", .dim)
      return line
    }
    let holds = last.movingPercentileNanoseconds <= last.budgetNanoseconds
    line.add("  p\(percentileText(last)) ")
    line.add(duration(last.movingPercentileNanoseconds), holds ? .good : .bad)
    line.add(" of budget \(duration(last.budgetNanoseconds))")
    line.add(holds ? "  holds" : "  misses", holds ? .good : .bad)
    if last.budgetUnreachable { line.add("  out of reach of every level", .bad) }
    if last.predictedNanoseconds > 0 { line.add("  predicted \(duration(last.predictedNanoseconds))", .dim) }
    return line
  }

  private func chart(_ records: [RunRecord], _ last: RunFacts) -> [StyledLine] {
    let indent = 13
    // One bar a run.
    let shown = records.suffix(width - indent)
    let values = shown.map { (value: Double($0.facts.latencyNanoseconds), isBad: $0.facts.budgetMissed) }
    let (lines, top) = BarChart.lines(
      values, width: width - indent, rows: 5, line: Double(last.budgetNanoseconds))
    return lines.enumerated().map { index, bars in
      let text = index == 0 ? duration(Int64(clampedInt(top, in: 0...Int(RunFacts.maximumNanoseconds)))) : ""
      var line = StyledLine(String(repeating: " ", count: max(indent - 2 - text.count, 0)) + text + " │", .dim)
      line.add(bars)
      return line
    }
  }

  private func load(_ last: RunFacts) -> StyledLine {
    var line = label("slow-down")
    line.add("\(fixed(last.slowdown, 2)) x", last.slowdown > 1.5 ? .warning : .plain)
    line.add("  to percentile \(fixed(last.multiplier, 2)) x")
    let share = last.runs > 0 ? Double(last.misses) / Double(last.runs) * 100 : 0
    line.add("  misses \(last.misses) of \(last.runs) (\(fixed(share, 1)) %)", last.misses > 0 ? .warning : .plain)
    if last.unavoidableMisses > 0 { line.add(", \(last.unavoidableMisses) at any level", .dim) }
    line.add("  switches \(last.switches)")
    return line
  }

  /// The quality that the plan of the newest run is known to have, and where from.
  private func quality(_ session: TelemetrySnapshot.Session) -> [StyledLine] {
    guard let quality = session.quality else { return [] }
    var line = label("quality")
    line.add("cosine \(fixed(quality.meanCosine, 6)) (\(quality.source.name))")
    if quality.p5Source != .unknown {
      line.add("  5th perc. \(fixed(quality.p5Cosine, 6)) (\(quality.p5Source.name))")
    }
    if session.rungsBelowFloor > 0 { line.add("  \(session.rungsBelowFloor) plans below the floor", .warning) }
    return [line]
  }

  /// How much of the weights ran at which level, and a character for each site.
  private func sites(_ session: TelemetrySnapshot.Session) -> [StyledLine] {
    guard let record = session.records.last else { return [] }
    let chosen = zip(session.sites, record.siteLevels).filter { !$0.0.isTable }
    let total = chosen.reduce(0.0) { $0 + Double(max($1.0.weights, 1)) }
    var shares = label("weights")
    for level in Level.allCases.sorted(by: >) {
      let own = chosen.filter { $0.1 == level.rawValue }.reduce(0.0) { $0 + Double(max($1.0.weights, 1)) }
      if own > 0 { shares.add("\(level.name) \(fixed(own / total * 100, own < total ? 1 : 0)) %  ") }
    }
    var map = label("sites")
    map.add(String(chosen.map { WatchPage.letter($0.1) }), .accent)
    if session.modelSites > session.sites.count {
      map.add(" and \(session.modelSites - session.sites.count) more", .dim)
    }
    var legend = label("")
    legend.add("one a site: F is FP32, H is FP16, 8 to 2 are INT8 to INT2", .dim)
    return chosen.isEmpty ? [] : [shares, map, legend]
  }

  private static func letter(_ level: UInt8) -> Character {
    switch Level(rawValue: level) {
    case .fp32: "F"
    case .fp16: "H"
    case .int8: "8"
    case .int6: "6"
    case .int4: "4"
    case .int2: "2"
    case nil: "?"
    }
  }

  /// The newest three changes of the rung, newest first.
  private func switches(_ records: [RunRecord]) -> [StyledLine] {
    var lines: [StyledLine] = []
    for index in records.indices.reversed() where lines.count < 3 && index > 0 {
      let (before, facts) = (records[index - 1].facts, records[index].facts)
      if !facts.levelChanged || before.sequence &+ 1 != facts.sequence { continue }
      var line = label(lines.isEmpty ? "switches" : "")
      line.add("run \(facts.sequence)  \(before.levelName) to \(facts.levelName)  \(facts.reason.name)")
      if host == .running { line.add("  \(age(facts)) ago", .dim) }
      lines.append(line)
    }
    return lines
  }

  private func age(_ facts: RunFacts) -> String {
    duration(Int64(clamping: max(Int64(clamping: now) &- facts.timeNanoseconds, 0)))
  }

  /// Runs per second over the kept ones.
  private func rate(_ records: [RunRecord]) -> Double? {
    guard let first = records.first?.facts, let last = records.last?.facts else { return nil }
    let time = Double(last.timeNanoseconds) - Double(first.timeNanoseconds)
    return time > 0 ? (Double(last.sequence) - Double(first.sequence)) / time * 1e9 : nil
  }

  private func percentileText(_ facts: RunFacts) -> String {
    let whole = facts.percentileHundredths % 100 == 0
    return fixed(Double(facts.percentileHundredths) / 100, whole ? 0 : facts.percentileHundredths % 10 == 0 ? 1 : 2)
  }
}

/// "812 ns", "15.3 us", "1.20 ms", "73.1 s": three digits.
public func duration(_ nanoseconds: Int64) -> String {
  let value = Double(nanoseconds)
  if value < 1000 { return "\(nanoseconds) ns" }
  for (unit, size) in [("us", 1e3), ("ms", 1e6)] where value < size * 999.5 {
    let scaled = value / size
    return "\(fixed(scaled, scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0)) \(unit)"
  }
  let seconds = value / 1e9
  return "\(fixed(seconds, seconds < 9.995 ? 2 : seconds < 99.95 ? 1 : 0)) s"
}
