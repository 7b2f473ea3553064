import Base
import NestedFormat
import Pictures

/// A profile as SVG 1.1: one block per length with an axis of its own, one stacked bar per level.
struct ProfilePicture {
  static let width = 1000
  private static let left = 90
  private static let barWidth = 720
  private static let barHeight = 22
  private static let barStep = 30
  /// Colours that stay apart for most colour-blind readers (Paul Tol, "Colour schemes", SRON/EPS/TN/09-002, 2021: bright,
  /// then light).
  private static let fixedColours = [
    "linear": "#4477AA", "attention": "#EE6677", "layerNorm": "#228833", "activation": "#CCBB44",
    "activation8": "#CCBB44", "embedding": "#66CCEE", "softmax": "#AA3377",
  ]
  private static let otherColours = [
    "#EE8866", "#44BB99", "#BBCC33", "#FFAABB", "#99DDFF", "#77AADD", "#EEDD88", "#AAAA00",
  ]
  private static let restColour = "#BBBBBB"

  private let result: ProfileResult
  private let subtitle: String
  /// In the order of the legend and of every bar: by the time they take at all levels and lengths together.
  private let operations: [String]
  private let colours: [String: String]
  private var canvas = SVGCanvas(width: ProfilePicture.width)
  private var y = 0

  /// - Parameter subtitle: where the numbers come from.
  init(_ result: ProfileResult, subtitle: String) {
    self.result = result
    self.subtitle = subtitle
    var sums: [String: Double] = [:]
    for row in result.points.flatMap(\.rows) {
      for part in row.parts { sums[part.operation, default: 0] += row.share(part.nanoseconds) }
    }
    operations = sums.sorted { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }.map(\.key)
    var colours: [String: String] = [:]
    var next = 0
    for operation in operations {
      if let colour = ProfilePicture.fixedColours[operation] {
        colours[operation] = colour
      } else {
        colours[operation] = ProfilePicture.otherColours[next % ProfilePicture.otherColours.count]
        next += 1
      }
    }
    self.colours = colours
  }

  var svg: String {
    var drawing = self
    drawing.drawAll()
    return drawing.canvas.document(height: drawing.y, title: drawing.title)
  }

  private var title: String { "Where an inference of \(result.path) spends its time" }

  private mutating func drawAll() {
    y = 32
    canvas.text(title, x: 20, y: y, size: 18, weight: "bold")
    for line in [subtitle, "batch 1; rest: untraced time less the operators; \(clock)"] {
      y += 20
      canvas.text(line, x: 20, y: y, colour: "#555555")
    }
    drawLegend()
    for point in result.points { draw(point) }
    y += 10
  }

  private var clock: String { "clock readings of \(fixed(result.clockNanoseconds, 1)) ns subtracted" }

  private mutating func drawLegend() {
    y += 30
    var x = 20
    for (name, colour) in operations.map({ ($0, colours[$0] ?? "#000000") }) + [("rest", ProfilePicture.restColour)] {
      let width = 18 + SVGCanvas.textWidth(name, size: 12) + 22
      if x + width > ProfilePicture.width - 20 {
        x = 20
        y += 20
      }
      canvas.rectangle(x: Double(x), y: y - 11, width: 12, height: 12, colour)
      canvas.text(name, x: x + 18, y: y)
      x += width
    }
  }

  private mutating func draw(_ point: ProfilePoint) {
    y += 38
    canvas.text("\(point.length) tokens", x: 20, y: y, size: 14, weight: "bold")
    y += 12
    let longest =
      point.rows.map { row in
        max(row.untraced.median, row.steps.reduce(0) { $0 + $1.nanoseconds })
      }.max() ?? 0
    let axis = ProfileAxis(maximum: longest)
    let scale = Double(ProfilePicture.barWidth) / axis.end
    let top = y
    let bottom = y + point.rows.count * ProfilePicture.barStep
    for (index, tick) in axis.ticks.enumerated() {
      let x = Double(ProfilePicture.left) + tick * scale
      canvas.line(x, Double(top), x, Double(bottom + 4), "#DDDDDD")
      canvas.text(
        axis.labels[index], x: clampedInt(x, in: 0...2000), y: bottom + 18, colour: "#555555", anchor: "middle")
    }
    for row in point.rows {
      draw(row, scale)
      y += ProfilePicture.barStep
    }
    y = bottom + 36
    canvas.text(
      "time per inference, \(axis.unit)", x: ProfilePicture.left + ProfilePicture.barWidth / 2, y: y,
      colour: "#555555", anchor: "middle")
  }

  private mutating func draw(_ row: ProfileRow, _ scale: Double) {
    let barY = y + (ProfilePicture.barStep - ProfilePicture.barHeight) / 2
    let textY = barY + 15
    canvas.text(row.level.name, x: ProfilePicture.left - 10, y: textY, anchor: "end")
    var x = Double(ProfilePicture.left)
    let parts = row.parts
    var segments = operations.compactMap { name in parts.first { $0.operation == name } }
      .map { (name: $0.operation, nanoseconds: $0.nanoseconds, colour: colours[$0.operation] ?? "#000000") }
    // Less than nothing cannot be drawn; the table says it.
    segments.append(("rest", max(row.rest, 0), ProfilePicture.restColour))
    for segment in segments {
      let width = segment.nanoseconds * scale
      let share = "\(fixed(row.share(segment.nanoseconds) * 100, 0)) %"
      let exact = "\(segment.name): \(fixed(segment.nanoseconds / 1000, 1)) us, \(share)"
      canvas.rectangle(x: x, y: barY, width: width, height: ProfilePicture.barHeight, segment.colour, tip: exact)
      if width > Double(SVGCanvas.textWidth(share, size: 11) + 8) {
        canvas.text(
          share, x: clampedInt(x + width / 2, in: 0...2000), y: textY, size: 11,
          colour: ProfilePicture.isDark(segment.colour) ? "#FFFFFF" : "#000000", anchor: "middle")
      }
      x += width
    }
    let time =
      row.untraced.median >= 1e6
      ? "\(fixed(row.untraced.median / 1e6, 2)) ms" : "\(fixed(row.untraced.median / 1000, 1)) us"
    canvas.text(
      time + (row.isSpoiled ? ", disturbed" : ""), x: clampedInt(x, in: 0...2000) + 8, y: textY, hasHalo: true)
  }

  /// Luma below the middle (ITU-R BT.601 weights).
  private static func isDark(_ colour: String) -> Bool {
    let value = Int(colour.dropFirst(), radix: 16) ?? 0
    return 299 * (value >> 16 & 255) + 587 * (value >> 8 & 255) + 114 * (value & 255) < 128_000
  }
}

extension BenchReport {
  /// The profile as SVG; without one, products against the machine's limits.
  public var picture: String {
    profile.map { profile in
      let cpu = "\(machine.cpu), \(instructionSet), one thread"
      let rounds = "medians of \(options.roundCount) interleaved rounds\(options.quick ? ", quick" : "")"
      return ProfilePicture(profile, subtitle: "\(cpu); \(rounds); adaptq \(options.version)").svg
    } ?? RooflinePicture(self).svg
  }
}
