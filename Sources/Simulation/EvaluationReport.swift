import Base

/// Evaluations as a table and as JSON: plain figures beside what they should be.
public struct EvaluationReport: Sendable {
  public static let header = [
    "Missed: per cent of all calls above the budget, without those that the fastest rung would miss, too; bar: 1 at the 99th",
    "percentile. Energy: beyond the oracle's, in per cent of it; bar: 3.",
    "Excess: (loss - oracle's) / (worst rung's - oracle's) in per cent; bar: 5. Loss: mean, in levels. Switches: per 100 calls.",
    "Means over seeds with 95 % intervals (Student's t).",
  ]

  /// The table's first line.
  public static var columns: String {
    row(
      ["ladder", "trace"],
      ["missed", "excess", "loss", "oracle", "energy", "switches", "PID missed", "PID excess", "best fixed"])
  }

  private static let widths = [15, 15, 8, 8, 8, 14, 11, 11, 16]

  private static func row(_ names: [String], _ cells: [String]) -> String {
    var line = ""
    for name in names { line += name + String(repeating: " ", count: max(11 - name.count, 1)) }
    for (cell, width) in zip(cells, widths) { line += String(repeating: " ", count: max(width - cell.count, 1)) + cell }
    return line
  }

  /// One line per evaluation.
  public static func line(_ evaluation: Evaluation) -> String {
    let best = evaluation.bestFixed
    return row(
      [evaluation.ladder.name, evaluation.trace],
      [
        percent(evaluation.controller.missed), percent(evaluation.controller.excess),
        fixed(evaluation.controller.loss.mean, 2), fixed(evaluation.oracle.loss.mean, 2),
        fixed(evaluation.controller.energy.mean * 100, 1), plain(evaluation.controller.switches),
        fixed(evaluation.pid.missed.mean * 100, 2),
        evaluation.pid.excess.map { fixed($0.mean * 100, 1) } ?? "-",
        best.map { "\($0.policy) " + ($0.excess.map { fixed($0.mean * 100, 1) } ?? "-") } ?? "none",
      ])
  }

  /// What follows a step of the load, where the trace has some.
  public static func stepLines(_ evaluation: Evaluation) -> [String] {
    guard let steps = evaluation.steps else { return [] }
    return [
      "  \(steps.up) steps up: \(steps.upWithMoreMisses) with more than one miss more than the oracle (most:"
        + " \(steps.mostExtraMisses)), \(steps.upTooLate) not within one rung after 10 calls",
      "  \(steps.down) steps down: \(fixed(steps.callsPerRungDown, 1)) calls per rung on average, \(steps.downTooLate)"
        + " not within one rung after (rungs between) x dwell",
    ]
  }

  /// Every policy on a line of its own.
  public static func policyLines(_ evaluation: Evaluation) -> [String] {
    ([evaluation.oracle, evaluation.controller, evaluation.pid] + evaluation.fixed).map { result in
      "  " + result.policy + String(repeating: " ", count: max(12 - result.policy.count, 1)) + "missed "
        + percent(result.missed) + ", excess " + percent(result.excess) + ", loss " + plain(result.loss) + ", switches "
        + plain(result.switches)
    }
  }

  /// Two sessions on one machine.
  public static func lines(_ shared: SharedMachine) -> [String] {
    shared.sessions.map { session in
      "  \(session.ladder): missed \(percent(session.missed)), loss \(plain(session.loss)), switches"
        + " \(plain(session.switches)), of them later than 200 calls after a step \(plain(session.settledSwitches))"
        + (session.missesAfterPause.map { ", misses in ten calls after a pause \(plain($0))" } ?? "")
    }
  }

  private static func percent(_ interval: Interval?) -> String {
    guard let interval else { return "-" }
    return plain(Interval(mean: interval.mean * 100, halfWidth: interval.halfWidth * 100))
  }

  private static func plain(_ interval: Interval) -> String {
    fixed(interval.mean, 2) + (interval.halfWidth.isFinite ? " ± \(fixed(interval.halfWidth, 2))" : "")
  }

  // MARK: JSON

  public static func json(_ evaluations: [Evaluation], _ shared: [SharedMachine]) -> JSON {
    .object([
      .init("percentile", .number(evaluations.first?.percentile ?? 99)),
      .init("cost_error", .number(evaluations.first?.costError ?? Evaluation.costError)),
      .init("believed_error", .number(evaluations.first?.believedError ?? Evaluation.costError)),
      .init("evaluations", .array(evaluations.map(json))),
      .init(
        "shared",
        .array(
          shared.map { .array($0.sessions.map(json)) })),
    ])
  }

  private static func json(_ evaluation: Evaluation) -> JSON {
    let results = [evaluation.oracle, evaluation.controller, evaluation.pid] + evaluation.fixed
    var members: [JSON.Member] = [
      .init("ladder", .string(evaluation.ladder.name)), .init("trace", .string(evaluation.trace)),
      .init("calls", .integer(evaluation.calls)), .init("seeds", .integer(evaluation.seeds)),
      .init("policies", .array(results.map(json))),
    ]
    if let steps = evaluation.steps {
      members.append(
        .init(
          "steps",
          .object([
            .init("up", .integer(steps.up)), .init("up_with_more_misses", .integer(steps.upWithMoreMisses)),
            .init("most_extra_misses", .integer(steps.mostExtraMisses)),
            .init("up_too_late", .integer(steps.upTooLate)),
            .init("down", .integer(steps.down)), .init("down_too_late", .integer(steps.downTooLate)),
            .init("calls_per_rung_down", .number(steps.callsPerRungDown)),
          ])))
    }
    return .object(members)
  }

  private static func json(_ result: Evaluation.Result) -> JSON {
    .object([
      .init("policy", .string(result.policy)), .init("missed", json(result.missed)), .init("loss", json(result.loss)),
      .init("excess", result.excess.map(json) ?? .null), .init("switches_per_100", json(result.switches)),
      .init("energy", json(result.energy)),
    ])
  }

  private static func json(_ result: SharedMachine.Result) -> JSON {
    .object([
      .init("ladder", .string(result.ladder)), .init("missed", json(result.missed)), .init("loss", json(result.loss)),
      .init("switches_per_100", json(result.switches)),
      .init("settled_switches_per_100", json(result.settledSwitches)),
      .init("misses_after_pause", result.missesAfterPause.map(json) ?? .null),
    ])
  }

  private static func json(_ interval: Interval) -> JSON {
    .object([.init("mean", .number(interval.mean)), .init("half_width", .number(interval.halfWidth))])
  }
}
