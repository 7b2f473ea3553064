import Base

/// Runs in the order they were made: latency against budget, below it what share of the weights was in which band, and a factor.
///
/// Where there are more runs than columns of pixels, a column shows the least, the median and the most of its runs.
public struct RunChart {
  public struct Run: Sendable {
    /// Nanoseconds.
    public var latency: Double
    /// Nanoseconds; 0: none.
    public var budget: Double
    /// Nanoseconds; 0: unknown.
    public var predicted: Double
    /// Above its budget or deadline.
    public var isMissed: Bool
    /// Of each band, 0 to 1.
    public var shares: [Double]
    /// Slow-down; 0: unknown.
    public var factor: Double

    public init(latency: Double, budget: Double, predicted: Double, isMissed: Bool, shares: [Double], factor: Double) {
      self.latency = latency
      self.budget = budget
      self.predicted = predicted
      self.isMissed = isMissed
      self.shares = shares
      self.factor = factor
    }
  }

  /// A lane of its own, such as a precision.
  public struct Band: Sendable {
    public var name: String
    public var colour: String

    public init(name: String, colour: String) {
      self.name = name
      self.colour = colour
    }
  }

  public static let width = 1000
  private static let left = 84
  private static let plotWidth = 856
  private static let latencyHeight = 260
  private static let laneHeight = 20
  private static let factorHeight = 80
  private static let latencyColour = "#4477AA"
  private static let budgetColour = "#CC6600"
  private static let predictedColour = "#AAAAAA"
  private static let missColour = "#CC0000"

  private let title: String
  private let subtitle: String
  private let bands: [Band]
  private let runs: [Run]
  private let firstNumber: Int
  private let columns: [Range<Int>]
  private var canvas = SVGCanvas(width: RunChart.width)
  private var y = 0

  /// - Parameters:
  ///   - bands: best first; each run has a share of each.
  ///   - firstNumber: number of the first run, for the axis.
  public init(title: String, subtitle: String, bands: [Band], runs: [Run], firstNumber: Int) {
    self.title = title
    self.subtitle = subtitle
    self.bands = bands
    self.runs = runs
    self.firstNumber = min(max(firstNumber, 0), 1 << 62)
    let perColumn = max((runs.count + RunChart.plotWidth - 1) / RunChart.plotWidth, 1)
    columns = stride(from: 0, to: runs.count, by: perColumn).map { $0..<min($0 + perColumn, runs.count) }
  }

  public var svg: String {
    var drawing = self
    drawing.drawAll()
    return drawing.canvas.document(height: drawing.y, title: title)
  }

  private mutating func drawAll() {
    y = 32
    canvas.text(title, x: 20, y: y, size: 18, weight: "bold")
    y += 20
    canvas.text(subtitle, x: 20, y: y, colour: "#555555")
    if runs.isEmpty {
      y += 30
      canvas.text("no runs", x: 20, y: y)
      y += 20
      return
    }
    drawLegend()
    drawLatency()
    drawBands()
    drawFactor()
    drawNumbers()
  }

  /// Left edge of a column.
  private func x(_ column: Int) -> Double {
    Double(RunChart.left) + Double(column) * Double(RunChart.plotWidth) / Double(columns.count)
  }
  private func middle(_ column: Int) -> Double { (x(column) + x(column + 1)) / 2 }

  private mutating func drawLegend() {
    y += 26
    var x = 20
    let many = columns.count < runs.count
    var entries = [("latency" + (many ? ": median, and from least to most" : ""), RunChart.latencyColour)]
    if runs.contains(where: { $0.budget > 0 }) { entries.append(("budget", RunChart.budgetColour)) }
    if runs.contains(where: { $0.predicted > 0 }) {
      entries.append(("predicted at the percentile", RunChart.predictedColour))
    }
    let missed = runs.filter(\.isMissed).count
    entries.append(("too late: \(missed) of \(runs.count) runs", RunChart.missColour))
    for (index, entry) in entries.enumerated() {
      let isDot = index == entries.count - 1
      if isDot {
        canvas.circle(x: Double(x) + 8, y: Double(y) - 4, radius: 3.5, entry.1)
      } else {
        canvas.line(Double(x), Double(y) - 4, Double(x) + 16, Double(y) - 4, entry.1, width: 2)
      }
      canvas.text(entry.0, x: x + 22, y: y)
      x += 22 + SVGCanvas.textWidth(entry.0, size: 12) + 16
    }
  }

  // MARK: - Latency

  private static func time(_ nanoseconds: Double) -> (unit: String, size: Double) {
    nanoseconds >= 1e9 ? ("s", 1e9) : nanoseconds >= 1e6 ? ("ms", 1e6) : nanoseconds >= 1e3 ? ("us", 1e3) : ("ns", 1)
  }

  /// The top of the axis: all latencies, unless a few stalls would flatten the rest.
  private var highest: Double {
    let latencies = runs.map { RunChart.finite($0.latency) }.sorted()
    let budget = runs.reduce(0) { max($0, RunChart.finite($1.budget)) }
    let most = latencies.last ?? 0
    let usual = latencies[min(latencies.count * 95 / 100, latencies.count - 1)]
    return min(max(most, budget * 1.1), max(usual, budget) * 1.6)
  }

  private static func finite(_ value: Double) -> Double { value.isFinite && value > 0 ? min(value, 1e18) : 0 }

  private mutating func drawLatency() {
    y += 30
    let top = y
    let unit = RunChart.time(highest)
    let axis = ChartAxis(maximum: highest / unit.size)
    let height = Double(RunChart.latencyHeight)
    func level(_ nanoseconds: Double) -> Double {
      Double(top) + height * (1 - axis.position(RunChart.finite(nanoseconds) / unit.size))
    }
    drawGrid(axis, top: top, height: RunChart.latencyHeight)
    canvas.text("latency, \(unit.unit)", x: RunChart.left, y: top - 6, size: 11, colour: "#555555")
    var (least, median, most): ([(x: Double, y: Double)], [(x: Double, y: Double)], [(x: Double, y: Double)]) = (
      [], [], []
    )
    var misses: [(x: Double, y: Double, index: Int)] = []
    for (column, range) in columns.enumerated() {
      let values = range.map { RunChart.finite(runs[$0].latency) }.sorted()
      least.append((middle(column), level(values[0])))
      median.append((middle(column), level(values[values.count / 2])))
      most.append((middle(column), level(values[values.count - 1])))
      let missed = range.filter { runs[$0].isMissed }
      if let worst = missed.max(by: { runs[$0].latency < runs[$1].latency }) {
        misses.append((middle(column), level(runs[worst].latency), worst))
      }
    }
    if columns.count < runs.count { canvas.polygon(most + least.reversed(), RunChart.latencyColour, opacity: 0.25) }
    drawSteps(\.predicted, RunChart.predictedColour, 1, axis.end * unit.size, level)
    canvas.polyline(median, RunChart.latencyColour, width: columns.count > 400 ? 1 : 1.5)
    if columns.count == 1 { canvas.circle(x: median[0].x, y: median[0].y, radius: 3, RunChart.latencyColour) }
    drawSteps(\.budget, RunChart.budgetColour, 2, axis.end * unit.size, level)
    for miss in misses {
      canvas.circle(
        x: miss.x, y: miss.y, radius: columns.count > 200 ? 2.5 : 3.5, RunChart.missColour, tip: tip(miss.index, unit))
    }
    let above = runs.filter { RunChart.finite($0.latency) / unit.size > axis.end }
    if let worst = above.max(by: { $0.latency < $1.latency }) {
      canvas.text(
        "\(above.count) above, up to \(fixed(RunChart.finite(worst.latency) / unit.size, 1)) \(unit.unit)",
        x: RunChart.left + RunChart.plotWidth - 4, y: top - 6, size: 11, colour: RunChart.missColour, anchor: "end")
    }
    y = top + RunChart.latencyHeight
  }

  private func tip(_ index: Int, _ unit: (unit: String, size: Double)) -> String {
    let run = runs[index]
    let time = "\(fixed(RunChart.finite(run.latency) / unit.size, 2)) \(unit.unit)"
    return
      "run \(firstNumber + index): \(time), budget \(fixed(RunChart.finite(run.budget) / unit.size, 2)) \(unit.unit)"
  }

  /// A line with a step at each column, interrupted where the value is 0 or above the axis. A column shows its last run.
  private mutating func drawSteps(
    _ path: KeyPath<Run, Double>, _ colour: String, _ width: Double, _ end: Double, _ level: (Double) -> Double
  ) {
    var points: [(x: Double, y: Double)] = []
    for (column, range) in columns.enumerated() {
      let value = RunChart.finite(runs[range.upperBound - 1][keyPath: path])
      if value == 0 || value > end {
        canvas.polyline(points, colour, width: width)
        points = []
        continue
      }
      // Points in the middle of a level line tell nothing.
      if let last = points.last, last.y == level(value), points.count > 1, points[points.count - 2].y == last.y {
        points[points.count - 1].x = x(column + 1)
      } else {
        points += [(x(column), level(value)), (x(column + 1), level(value))]
      }
    }
    canvas.polyline(points, colour, width: width)
  }

  private mutating func drawGrid(_ axis: ChartAxis, top: Int, height: Int) {
    let right = Double(RunChart.left + RunChart.plotWidth)
    for tick in axis.ticks {
      let lineY = Double(top) + Double(height) * (1 - axis.position(tick))
      canvas.line(Double(RunChart.left), lineY, right, lineY, tick == 0 ? "#888888" : "#DDDDDD")
      canvas.text(
        axis.label(tick), x: RunChart.left - 8, y: clampedInt(lineY, in: 0...10000) + 4, size: 11, colour: "#555555",
        anchor: "end")
    }
  }

  // MARK: - Bands

  private mutating func drawBands() {
    y += 34
    canvas.text("precision, share of the weights", x: RunChart.left, y: y - 6, size: 11, colour: "#555555")
    for (band, lane) in bands.enumerated() {
      canvas.text(lane.name, x: RunChart.left - 8, y: y + 14, anchor: "end")
      canvas.rectangle(
        x: Double(RunChart.left), y: y + 1, width: Double(RunChart.plotWidth), height: RunChart.laneHeight - 2,
        "#F4F4F4")
      drawLane(band, lane.colour)
      let total = runs.reduce(0) { $0 + share($1, band) } / Double(runs.count)
      canvas.text(
        "\(fixed(total * 100, total < 0.0995 && total > 0 ? 1 : 0)) %", x: RunChart.left + RunChart.plotWidth + 52,
        y: y + 14,
        size: 11, colour: "#555555", anchor: "end")
      y += RunChart.laneHeight
    }
  }

  private func share(_ run: Run, _ band: Int) -> Double {
    run.shares.indices.contains(band) && run.shares[band].isFinite ? min(max(run.shares[band], 0), 1) : 0
  }

  /// One rectangle for columns of the same share that follow each other.
  private mutating func drawLane(_ band: Int, _ colour: String) {
    func share(_ column: Int) -> Double {
      let range = columns[column]
      return range.reduce(0) { $0 + self.share(runs[$1], band) } / Double(range.count)
    }
    var start = 0
    var value = share(0)
    for column in 1...columns.count {
      let next = column < columns.count ? share(column) : -1
      if next == value { continue }
      if value > 0 {
        let (first, last) = (firstNumber + columns[start].lowerBound, firstNumber + columns[column - 1].upperBound - 1)
        canvas.rectangle(
          x: x(start), y: y + 1, width: x(column) - x(start), height: RunChart.laneHeight - 2, colour,
          opacity: 0.15 + 0.85 * value, tip: "runs \(first) to \(last): \(bands[band].name) \(fixed(value * 100, 1)) %")
      }
      (start, value) = (column, next)
    }
  }

  // MARK: - Factor

  private mutating func drawFactor() {
    let known = runs.map { RunChart.finite($0.factor) }
    let most = known.max() ?? 0
    if most == 0 { return }
    y += 34
    canvas.text("slow-down", x: RunChart.left, y: y - 6, size: 11, colour: "#555555")
    let axis = ChartAxis(maximum: max(most, 1.5))
    let (top, height) = (y, Double(RunChart.factorHeight))
    drawGrid(axis, top: top, height: RunChart.factorHeight)
    var points: [(x: Double, y: Double)] = []
    for (column, range) in columns.enumerated() {
      let value = range.reduce(0) { max($0, known[$1]) }
      points.append((middle(column), Double(top) + height * (1 - axis.position(value))))
    }
    canvas.polyline(points, "#AA3377", width: 1.5)
    y += RunChart.factorHeight
  }

  private mutating func drawNumbers() {
    let step = max(clampedInt(ChartAxis(maximum: Double(runs.count)).ticks[1], in: 1...(1 << 40)), 1)
    var number = (firstNumber + step - 1) / step * step
    while number < firstNumber + runs.count {
      let x =
        Double(RunChart.left) + (Double(number - firstNumber) + 0.5) / Double(runs.count) * Double(RunChart.plotWidth)
      canvas.line(x, Double(y), x, Double(y) + 4, "#888888")
      canvas.text(
        "\(number)", x: clampedInt(x, in: 0...2000), y: y + 18, size: 11, colour: "#555555", anchor: "middle")
      number += step
    }
    y += 34
    canvas.text("run", x: RunChart.left + RunChart.plotWidth / 2, y: y, colour: "#555555", anchor: "middle")
    y += 14
  }
}
