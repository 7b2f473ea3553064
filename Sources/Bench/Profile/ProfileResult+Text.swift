import Base
import NestedFormat

// What the command line shows of a profile.

extension ProfileResult {
  var header: [String] {
    [
      "where inferences of \(path) spend their time, batch 1",
      "operators by the session's trace, \(fixed(clockNanoseconds, 1)) ns of the clock subtracted from each call; "
        + "rest: untraced time less the parts",
      "(outside): what traced inferences did between their operators; the difference to rest is that medians do not add up",
    ]
  }
}

extension ProfilePoint {
  /// A table of kinds per level, then one of all steps.
  var tables: [[String]] { rows.map { $0.lines(length: length) } + [stepLines] }

  /// One line per step: its time at each level and, of linear sites, what share of the limit that is.
  private var stepLines: [String] {
    var table = TextTable(["us at \(length) tokens"] + rows.flatMap { [$0.level.name, "of limit"] })
    for step in (rows.first?.steps ?? []) {
      let shape = step.shape.isEmpty ? "" : " \(step.shape.map { "\($0)" }.joined(separator: "x"))"
      let calls = step.calls == 1 ? "" : " (\(step.calls) calls)"
      var cells = ["\(step.step) \(step.operation)\(step.site.map { " \($0)" } ?? "")\(shape)\(calls)"]
      for row in rows {
        let same = row.steps.first { $0.step == step.step }
        cells.append(same.map { fixed($0.nanoseconds / 1000, 1) } ?? "-")
        cells.append(percent(same?.shareOfLimit))
      }
      table.rows.append(cells)
    }
    return table.lines
  }
}

extension ProfileRow {
  fileprivate func lines(length: Int) -> [String] {
    var table = TextTable([
      "\(length) tokens, \(level.name)", "share", "us/inference", "calls", "reached", "unit", "share", "of",
    ])
    for part in parts {
      table.rows.append([
        part.operation, percent(share(part.nanoseconds), 1), fixed(part.nanoseconds / 1000, 1), "\(part.calls)",
        part.rate.map { fixed($0, 1) } ?? "-", part.unit ?? "-", percent(part.shareOfLimit), part.limit ?? "-",
      ])
    }
    table.rows.append(["rest", percent(share(rest), 1), fixed(rest / 1000, 1)])
    table.rows.append(["(outside)", percent(share(outside), 1), fixed(outside / 1000, 1)])
    table.rows.append(["untraced", "100.0 %", fixed(untraced.median / 1000, 1)])
    table.rows.append(["traced", percent(share(traced.median), 1), fixed(traced.median / 1000, 1)])
    let disturbed = untraced.disturbed + traced.disturbed
    if disturbed == 0 { return table.lines }
    return table.lines + [
      "the CPU was busy elsewhere during \(disturbed) of \(untraced.rounds + traced.rounds) samples, "
        + (isSpoiled ? "too many to leave them out: do not trust this" : "which are left out")
    ]
  }
}

private func percent(_ share: Double?, _ digits: Int = 0) -> String {
  share.map { "\(fixed($0 * 100, digits)) %" } ?? "-"
}
