import Base
import Glibc
import NestedFormat
import Pictures

/// Products against what the machine can do, one panel per level, as SVG: the roofline model of Williams, Waterman and
/// Patterson, "Roofline: An Insightful Visual Performance Model for Multicore Architectures", CACM 52(4), 2009.
///
/// Across: operations per byte of weights that a call reads. Up: operations per second. A roof is a read rate times the
/// operations per byte, or the rate of the arithmetic; a product cannot lie above the roof of where its weights come from.
struct RooflinePicture {
  static let width = 1000
  private static let panelWidth = 400
  private static let panelHeight = 250
  private static let columns = 2
  private static let left = 80
  private static let top = 136
  private static let columnStep = 480
  private static let rowStep = 340

  private let report: BenchReport
  private let levels: [Level]
  private var canvas = SVGCanvas(width: RooflinePicture.width)

  init(_ report: BenchReport) {
    self.report = report
    levels = Level.allCases.sorted(by: >).filter { level in
      report.matrices.contains { $0.rows.contains { $0.level == level } }
    }
  }

  var svg: String {
    var drawing = self
    return drawing.draw()
  }

  /// Where one product lies.
  private struct Point {
    var intensity: Double
    var rate: Double
    var label: String
    var isFromMemory: Bool
    var rows: Int
  }

  private func points(_ level: Level) -> [Point] {
    report.matrices.flatMap { result in
      result.rows.filter { $0.level == level && $0.byteCount > 0 && $0.summary.median > 0 }.map { row in
        let place = result.matrix.fromMemory ? "weights from memory" : "weights in caches"
        let share = row.share.map { ", \(fixed($0 * 100, 0)) % of \(row.limit?.name ?? "its limit")" } ?? ""
        let size = "\(result.matrix.n) x \(result.matrix.k), \(result.matrix.rows) rows, \(place)"
        let rate = Double(row.operations) / row.summary.median
        return Point(
          intensity: Double(row.operations) / Double(row.byteCount), rate: rate,
          label: "\(size): \(fixed(rate, 1)) Gop/s\(share)", isFromMemory: result.matrix.fromMemory,
          rows: result.matrix.rows)
      }
    }
  }

  /// Read rates in 10^9 bytes per second, with the name of their place.
  private var reads: [(name: String, rate: Double, colour: String)] {
    [
      (report.limits.memoryRead, "memory", "#AA3377"), (report.limits.l3Read, "L3", "#4477AA"),
      (report.limits.l2Read, "L2", "#66AA55"),
    ].compactMap { limit, name, colour in limit.map { (name, $0.median, colour) } }
  }

  private func arithmetic(_ level: Level) -> MachineLimit? {
    if level.isNested { return report.limits.integer(level) }
    return level == .fp16 ? report.limits.bfloat16 ?? report.limits.fp32 : report.limits.fp32
  }

  private mutating func draw() -> String {
    let title = "Products against the machine's limits"
    canvas.text(title, x: 20, y: 32, size: 18, weight: "bold")
    let cpu = "\(report.machine.cpu), \(report.instructionSet), one thread"
    let rounds = "medians of \(report.options.roundCount) interleaved rounds\(report.options.quick ? ", quick" : "")"
    canvas.text("\(cpu); \(rounds); adaptq \(report.options.version)", x: 20, y: 54, colour: "#555555")
    canvas.text(
      "dark: one row; orange: below 64; yellow: 64 and more. Squares: weights from memory, circles: from caches", x: 20,
      y: 74, colour: "#555555")
    var x = 20
    for (name, rate, colour) in reads {
      let text = "read from \(name): \(fixed(rate, 0)) GB/s"
      canvas.text(text, x: x, y: 94, colour: colour, weight: "bold")
      x += SVGCanvas.textWidth(text, size: 12) + 30
    }
    // The same axes for all levels, so that panels can be compared.
    let all = levels.flatMap { points($0) }
    let roofs = levels.compactMap { arithmetic($0)?.median }
    let across = LogAxis(all.map(\.intensity))
    let lowest = reads.map { $0.rate * across.low }.min()
    let up = LogAxis(all.map(\.rate) + roofs + (lowest.map { [$0] } ?? []))
    for (index, level) in levels.enumerated() {
      let x = RooflinePicture.left + index % RooflinePicture.columns * RooflinePicture.columnStep
      let y = RooflinePicture.top + index / RooflinePicture.columns * RooflinePicture.rowStep
      drawPanel(level, x, y, across, up)
    }
    let rows = (levels.count + RooflinePicture.columns - 1) / RooflinePicture.columns
    return canvas.document(height: RooflinePicture.top + max(rows, 1) * RooflinePicture.rowStep, title: title)
  }

  private mutating func drawPanel(_ level: Level, _ x: Int, _ y: Int, _ across: LogAxis, _ up: LogAxis) {
    let (width, height) = (Double(RooflinePicture.panelWidth), Double(RooflinePicture.panelHeight))
    func placeX(_ value: Double) -> Double { Double(x) + across.position(value) * width }
    func placeY(_ value: Double) -> Double { Double(y) + (1 - up.position(value)) * height }
    func whole(_ value: Double) -> Int { clampedInt(value, in: 0...10_000) }

    canvas.text(level.name, x: x, y: y - 8, size: 14, weight: "bold")
    for tick in across.ticks {
      canvas.line(placeX(tick), Double(y), placeX(tick), Double(y) + height, "#E5E5E5")
      canvas.text(
        short(tick), x: whole(placeX(tick)), y: y + RooflinePicture.panelHeight + 16, colour: "#555555",
        anchor: "middle")
    }
    for tick in up.ticks {
      canvas.line(Double(x), placeY(tick), Double(x) + width, placeY(tick), "#E5E5E5")
      canvas.text(short(tick), x: x - 6, y: whole(placeY(tick)) + 4, colour: "#555555", anchor: "end")
    }
    canvas.text(
      "operations per byte of weights", x: x + RooflinePicture.panelWidth / 2, y: y + RooflinePicture.panelHeight + 34,
      colour: "#555555", anchor: "middle")
    canvas.text("Gop/s", x: x - 6, y: y - 8, colour: "#555555", anchor: "end")

    let peak = arithmetic(level)
    for read in reads {
      // Up to the arithmetic, or to the edge.
      let start = max(across.low, up.low / read.rate)
      let end = min(across.high, peak.map { $0.median / read.rate } ?? across.high)
      if end <= start { continue }
      canvas.line(placeX(start), placeY(start * read.rate), placeX(end), placeY(end * read.rate), read.colour, width: 2)
    }
    if let peak, let first = reads.map(\.rate).max() {
      let start = max(across.low, peak.median / first)
      canvas.line(placeX(start), placeY(peak.median), placeX(across.high), placeY(peak.median), "#222222", width: 2)
      canvas.text(
        "\(peak.name), \(fixed(peak.median, 0))", x: whole(placeX(across.high)) - 4, y: whole(placeY(peak.median)) - 6,
        size: 11, anchor: "end", hasHalo: true)
    }
    for point in points(level) {
      let colour = point.rows == 1 ? "#222222" : point.rows < 64 ? "#CC6633" : "#EEAA44"
      let (px, py) = (placeX(point.intensity), placeY(point.rate))
      if point.isFromMemory {
        canvas.rectangle(x: px - 5, y: whole(py) - 5, width: 10, height: 10, colour, tip: point.label)
      } else {
        canvas.circle(x: px, y: py, radius: 5, colour, tip: point.label)
      }
    }
  }

  private func short(_ value: Double) -> String { value >= 1 ? fixed(value, 0) : fixed(value, 2) }
}

/// Powers of two or ten around all values.
struct LogAxis: Equatable {
  let low: Double
  let high: Double
  let ticks: [Double]

  init(_ values: [Double]) {
    let sound = values.filter { $0.isFinite && $0 > 0 }
    let (least, most) = (sound.min() ?? 1, sound.max() ?? 1)
    // Few decades are cut more finely.
    let base = most / least > 2000 ? 10.0 : 4.0
    var first = clampedInt((log(least) / log(base)).rounded(.down), in: -30...30)
    let last = max(clampedInt((log(most) / log(base)).rounded(.up), in: -30...30), first + 1)
    first = min(first, last - 1)
    ticks = (first...last).map { pow(base, Double($0)) }
    low = pow(base, Double(first))
    high = pow(base, Double(last))
  }

  /// 0 at the low end, 1 at the high one.
  func position(_ value: Double) -> Double {
    if !(value > 0) { return 0 }
    return min(max(log(value / low) / log(high / low), 0), 1)
  }
}
