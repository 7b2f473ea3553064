import Base
import Control

/// One rung of a simulated ladder: what it really takes on the idle machine, and what it loses.
public struct Rung: Hashable, Sendable {
  public var name: String
  /// Nanoseconds at ``Ladder/referenceWork`` that computing takes.
  public var compute: Double
  /// Nanoseconds at ``Ladder/referenceWork`` that fetching takes.
  public var memory: Double
  /// Quality lost; the unit is one uniform level, so that the best has 0 and INT2 has 5.
  public var loss: Double
  /// Which levels the plan mixes: 2.25 is three quarters of level 2 and one quarter of level 3.
  var position: Double
}

/// The rungs of a simulated session, best first, and its budget.
public struct Ladder: Hashable, Sendable {
  public var name: String
  public var rungs: [Rung]
  /// Nanoseconds; 1.3 times the idle time of FP16.
  public var budget: Double
  /// By how much the first run after a switch takes longer, as a share.
  public var coldShare: Double
  /// Costs and losses of the uniform levels, which the rungs mix.
  private var levels: [Rung]

  /// Amount of work that the rungs' times belong to.
  public static let referenceWork = 64
  /// Amounts of work at which the controller is told the costs, as a session measures them.
  static let measuredWorks = [16, 64, 128]

  /// The names that ``init(named:)`` takes.
  public static let names = ["levels", "memory", "mixed", "frames"]

  /// - Parameter name: `levels`, six uniform levels with times like MiniLM's at 64 tokens, bound by computing; `memory`, six
  ///   levels of a product of one row from memory, where times follow bytes; `mixed`, 24 plans (or as many as a controller
  ///   takes) that mix neighbouring levels of the first, at times spaced evenly; `frames`, 33 plans of eight matrices of one row
  ///   from memory, each at one of two neighbouring levels, as a group of matrices has them.
  /// - Throws: `invalidArgument`.
  public init(named name: String) throws(AdaptQError) {
    self.name = name
    switch name {
    case "levels", "mixed":
      levels = Self.uniform(
        milliseconds: [24, 23.1, 16, 13.3, 10.2, 9.3], memoryShares: [0.25, 0.13, 0.1, 0.09, 0.08, 0.07])
      coldShare = 0.1
    case "memory":
      levels = Self.uniform(milliseconds: [12, 6, 3.2, 2.5, 1.75, 1], memoryShares: [0.9, 0.9, 0.85, 0.8, 0.7, 0.6])
      coldShare = 0.05
    case "frames":
      levels = Self.uniform(milliseconds: [6.4, 3.4, 2.5, 1.65, 0.9], memoryShares: [0.9, 0.85, 0.8, 0.75, 0.6])
      coldShare = 0.05
    default:
      throw .invalidArgument("ladder \"\(name)\": expected \(Self.names.joined(separator: ", "))")
    }
    rungs = levels
    budget = 1.3 * (levels[name == "frames" ? 0 : 1].compute + levels[name == "frames" ? 0 : 1].memory)
    if name == "frames" { rungs = Self.stepped(levels, parts: 8) }
    if name == "mixed" { rungs = Self.mixed(levels, count: min(24, ControllerConfiguration.maximumRungs)) }
  }

  /// For tests: any rungs and any budget.
  init(name: String, milliseconds: [Double], budget: Double, coldShare: Double = 0) {
    self.name = name
    levels = Self.uniform(milliseconds: milliseconds, memoryShares: milliseconds.map { _ in 0 })
    rungs = levels
    self.budget = budget * 1e6
    self.coldShare = coldShare
  }

  private static func uniform(milliseconds: [Double], memoryShares: [Double]) -> [Rung] {
    let names = ["FP32", "FP16", "INT8", "INT6", "INT4", "INT2"]
    return zip(milliseconds, memoryShares).enumerated().map { index, pair in
      Rung(
        name: index < names.count ? names[index] : "\(index)", compute: pair.0 * 1e6 * (1 - pair.1),
        memory: pair.0 * 1e6 * pair.1, loss: Double(index), position: Double(index))
    }
  }

  /// Plans of so many equal parts, of which one after the other goes down a level.
  private static func stepped(_ levels: [Rung], parts: Int) -> [Rung] {
    (0...parts * (levels.count - 1)).map { index in
      mix(levels, position: Double(index) / Double(parts), name: "plan \(index)")
    }
  }

  private static func mix(_ levels: [Rung], position: Double, name: String) -> Rung {
    let upper = clampedInt(position.rounded(.down), in: 0...max(levels.count - 2, 0))
    let share = position - Double(upper)
    func mix(_ value: (Rung) -> Double) -> Double {
      value(levels[upper]) * (1 - share) + value(levels[upper + 1]) * share
    }
    return Rung(
      name: name, compute: mix(\.compute), memory: mix(\.memory), loss: mix(\.loss), position: position)
  }

  private static func mixed(_ levels: [Rung], count: Int) -> [Rung] {
    let times = levels.map { $0.compute + $0.memory }
    let step = (times[0] - times[times.count - 1]) / Double(max(count - 1, 1))
    return (0..<count).map { index in
      let time = times[0] - step * Double(index)
      var upper = 0
      while upper < levels.count - 2 && times[upper + 1] > time { upper += 1 }
      let share = min(max((times[upper] - time) / (times[upper] - times[upper + 1]), 0), 1)
      return mix(levels, position: Double(upper) + share, name: "plan \(index)")
    }
  }

  /// Idle time at the reference work.
  func time(_ rung: Int) -> Double { rungs[rung].compute + rungs[rung].memory }

  /// How times grow with work.
  static func scale(_ work: Int) -> Double { 0.1 + 0.9 * Double(work) / Double(referenceWork) }

  /// The slow-down of everything that the fastest rung bears with some room for noise.
  var headroom: Double { max(budget / (time(rungs.count - 1) * 1.15), 1) }

  /// What a preparation would have measured: every level's time is wrong by `share`, up or down by chance, and plans
  /// that mix two levels mix their errors.
  func measuredTimes(errorShare share: Double, _ random: inout SimulationRandom) -> [Double] {
    let errors = levels.map { _ in random.uniform() < 0.5 ? 1 - share : 1 + share }
    return rungs.map { rung in
      let lower = clampedInt(rung.position.rounded(.down), in: 0...(levels.count - 1))
      let upper = min(lower + 1, levels.count - 1)
      let part = rung.position - Double(lower)
      func measured(_ level: Int) -> Double { (levels[level].compute + levels[level].memory) * errors[level] }
      return measured(lower) * (1 - part) + measured(upper) * part
    }
  }

  /// A controller as a session would make it, with these costs, and what it believes that they are wrong by.
  func controller(measured: [Double], percentile: Double, believedError: Double = 0.2) throws(AdaptQError)
    -> LatencyController
  {
    var result = try LatencyController(
      ControllerConfiguration(
        rungCount: rungs.count, budgetNanoseconds: clampedInt(budget, in: 1...Int.max), percentile: percentile,
        costError: believedError))
    for (rung, time) in measured.enumerated() {
      var points: [CostPoint] = []
      for work in Self.measuredWorks {
        points.append(CostPoint(work: work, nanoseconds: clampedInt(time * Self.scale(work), in: 1...Int.max)))
      }
      try result.setCost(rung: rung, points: points)
    }
    return result
  }
}
