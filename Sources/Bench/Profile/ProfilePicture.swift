import Base
import NestedFormat

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
    "embedding": "#66CCEE", "softmax": "#AA3377",
  ]
  private static let otherColours = [
    "#EE8866", "#44BB99", "#BBCC33", "#FFAABB", "#99DDFF", "#77AADD", "#EEDD88", "#AAAA00",
  ]
  /// Keeps lines of the grid away from a text.
  private static let halo = " stroke=\"#FFFFFF\" stroke-width=\"4\" paint-order=\"stroke\""
  private static let restColour = "#BBBBBB"

  private let result: ProfileResult
  private let subtitle: String
  /// In the order of the legend and of every bar: by the time they take at all levels and lengths together.
  private let operations: [String]
  private let colours: [String: String]
  private var body: [String] = []
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
    let (width, height) = (ProfilePicture.width, drawing.y)
    return
      ([
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
          + "viewBox=\"0 0 \(width) \(height)\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">",
        "<title>\(escaped(drawing.title))</title>",
        "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#FFFFFF\"/>",
      ] + drawing.body + ["</svg>", ""]).joined(separator: "\n")
  }

  private var title: String { "Where an inference of \(result.path) spends its time" }

  private mutating func drawAll() {
    y = 32
    text(title, x: 20, y: y, size: 18, weight: "bold")
    for line in [subtitle, "batch 1; rest: untraced time less the operators; \(clock)"] {
      y += 20
      text(line, x: 20, y: y, colour: "#555555")
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
      let width = 18 + ProfilePicture.textWidth(name, size: 12) + 22
      if x + width > ProfilePicture.width - 20 {
        x = 20
        y += 20
      }
      rectangle(x: Double(x), y: y - 11, width: 12, height: 12, colour)
      text(name, x: x + 18, y: y)
      x += width
    }
  }

  private mutating func draw(_ point: ProfilePoint) {
    y += 38
    text("\(point.length) tokens", x: 20, y: y, size: 14, weight: "bold")
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
      body.append(
        "<line x1=\"\(fixed(x, 1))\" y1=\"\(top)\" x2=\"\(fixed(x, 1))\" y2=\"\(bottom + 4)\" stroke=\"#DDDDDD\"/>")
      text(axis.labels[index], x: clampedInt(x, in: 0...2000), y: bottom + 18, colour: "#555555", anchor: "middle")
    }
    for row in point.rows {
      draw(row, scale)
      y += ProfilePicture.barStep
    }
    y = bottom + 36
    text(
      "time per inference, \(axis.unit)", x: ProfilePicture.left + ProfilePicture.barWidth / 2, y: y,
      colour: "#555555", anchor: "middle")
  }

  private mutating func draw(_ row: ProfileRow, _ scale: Double) {
    let barY = y + (ProfilePicture.barStep - ProfilePicture.barHeight) / 2
    let textY = barY + 15
    text(row.level.name, x: ProfilePicture.left - 10, y: textY, anchor: "end")
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
      rectangle(x: x, y: barY, width: width, height: ProfilePicture.barHeight, segment.colour, tip: exact)
      if width > Double(ProfilePicture.textWidth(share, size: 11) + 8) {
        text(
          share, x: clampedInt(x + width / 2, in: 0...2000), y: textY, size: 11,
          colour: ProfilePicture.isDark(segment.colour) ? "#FFFFFF" : "#000000", anchor: "middle")
      }
      x += width
    }
    let time =
      row.untraced.median >= 1e6
      ? "\(fixed(row.untraced.median / 1e6, 2)) ms" : "\(fixed(row.untraced.median / 1000, 1)) us"
    text(
      time + (row.isSpoiled ? ", disturbed" : ""), x: clampedInt(x, in: 0...2000) + 8, y: textY, hasHalo: true)
  }

  // MARK: Elements

  private mutating func rectangle(
    x: Double, y: Int, width: Double, height: Int, _ colour: String, tip: String? = nil
  ) {
    let place = "x=\"\(fixed(x, 2))\" y=\"\(y)\" width=\"\(fixed(width, 2))\" height=\"\(height)\""
    let tag = "<rect \(place) fill=\"\(colour)\""
    body.append(tip.map { "\(tag)><title>\(escaped($0))</title></rect>" } ?? "\(tag)/>")
  }

  private mutating func text(
    _ text: String, x: Int, y: Int, size: Int = 12, colour: String = "#000000", weight: String = "normal",
    anchor: String = "start", hasHalo: Bool = false
  ) {
    let room = ProfilePicture.width - 20 - (anchor == "start" ? x : 0)
    let shown = ProfilePicture.shortened(text, size: size, width: room)
    body.append(
      "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" font-weight=\"\(weight)\" fill=\"\(colour)\" "
        + "text-anchor=\"\(anchor)\"\(hasHalo ? ProfilePicture.halo : "")>\(escaped(shown))</text>")
  }

  /// What a text takes at most, in the widest of the fonts named.
  static func textWidth(_ text: String, size: Int) -> Int { (text.count * size * 68 + 99) / 100 }

  static func shortened(_ text: String, size: Int, width: Int) -> String {
    if textWidth(text, size: size) <= width { return text }
    return text.prefix(max(width * 100 / (size * 68) - 1, 0)) + "…"
  }

  /// Luma below the middle (ITU-R BT.601 weights).
  private static func isDark(_ colour: String) -> Bool {
    let value = Int(colour.dropFirst(), radix: 16) ?? 0
    return 299 * (value >> 16 & 255) + 587 * (value >> 8 & 255) + 114 * (value & 255) < 128_000
  }
}

/// Text between tags and in attributes of XML 1.0; characters that it has no place for become U+FFFD.
func escaped(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "'": result += "&apos;"
    case "\t": result += " "
    case _ where scalar.value < 32 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: result += "\u{FFFD}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}

extension BenchReport {
  /// The profile as SVG; nil without one.
  public var picture: String? {
    profile.map { profile in
      let cpu = "\(machine.cpu), \(instructionSet), one thread"
      let rounds = "medians of \(options.roundCount) interleaved rounds\(options.quick ? ", quick" : "")"
      return ProfilePicture(profile, subtitle: "\(cpu); \(rounds); adaptq \(options.version)").svg
    }
  }
}
