import Base

/// Elements of an SVG 1.1 picture, collected in the order they are drawn. Texts are cut so that they stay inside.
public struct SVGCanvas {
  public let width: Int
  private(set) var body: [String] = []

  public init(width: Int) { self.width = width }

  /// The whole picture.
  public func document(height: Int, title: String) -> String {
    ([
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(width)\" height=\"\(height)\" "
        + "viewBox=\"0 0 \(width) \(height)\" font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">",
      "<title>\(escaped(title))</title>", "<rect width=\"\(width)\" height=\"\(height)\" fill=\"#FFFFFF\"/>",
    ] + body + ["</svg>", ""]).joined(separator: "\n")
  }

  public mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ colour: String, width: Double = 1)
  {
    let ends = "x1=\"\(fixed(x1, 1))\" y1=\"\(fixed(y1, 1))\" x2=\"\(fixed(x2, 1))\" y2=\"\(fixed(y2, 1))\""
    body.append("<line \(ends) stroke=\"\(colour)\"\(width == 1 ? "" : " stroke-width=\"\(fixed(width, 1))\"")/>")
  }

  /// - Parameters:
  ///   - opacity: 0 to 1.
  ///   - tip: what a viewer shows for it.
  public mutating func rectangle(
    x: Double, y: Int, width: Double, height: Int, _ colour: String, opacity: Double = 1, tip: String? = nil
  ) {
    let place = "x=\"\(fixed(x, 2))\" y=\"\(y)\" width=\"\(fixed(width, 2))\" height=\"\(height)\""
    let veil = opacity < 1 ? " fill-opacity=\"\(fixed(opacity, 2))\"" : ""
    close("<rect \(place) fill=\"\(colour)\"\(veil)", "rect", tip)
  }

  /// A line through points; nothing for fewer than two.
  public mutating func polyline(_ points: [(x: Double, y: Double)], _ colour: String, width: Double = 1) {
    if points.count < 2 { return }
    body.append(
      "<polyline points=\"\(SVGCanvas.list(points))\" fill=\"none\" stroke=\"\(colour)\" "
        + "stroke-width=\"\(fixed(width, 1))\" stroke-linejoin=\"round\"/>")
  }

  /// A filled area; nothing for fewer than three points.
  public mutating func polygon(_ points: [(x: Double, y: Double)], _ colour: String, opacity: Double = 1) {
    if points.count < 3 { return }
    body.append(
      "<polygon points=\"\(SVGCanvas.list(points))\" fill=\"\(colour)\" fill-opacity=\"\(fixed(opacity, 2))\"/>")
  }

  private static func list(_ points: [(x: Double, y: Double)]) -> String {
    points.map { "\(fixed($0.x, 1)),\(fixed($0.y, 1))" }.joined(separator: " ")
  }

  public mutating func circle(x: Double, y: Double, radius: Double, _ colour: String, tip: String? = nil) {
    let place = "cx=\"\(fixed(x, 1))\" cy=\"\(fixed(y, 1))\" r=\"\(fixed(radius, 1))\""
    close("<circle \(place) fill=\"\(colour)\" stroke=\"#FFFFFF\"", "circle", tip)
  }

  private mutating func close(_ tag: String, _ name: String, _ tip: String?) {
    body.append(tip.map { "\(tag)><title>\(escaped($0))</title></\(name)>" } ?? "\(tag)/>")
  }

  /// Keeps lines of a grid away from a text.
  private static let halo = " stroke=\"#FFFFFF\" stroke-width=\"4\" paint-order=\"stroke\""

  public mutating func text(
    _ text: String, x: Int, y: Int, size: Int = 12, colour: String = "#000000", weight: String = "normal",
    anchor: String = "start", hasHalo: Bool = false
  ) {
    let room = width - 20 - (anchor == "start" ? x : 0)
    let shown = SVGCanvas.shortened(text, size: size, width: room)
    body.append(
      "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" font-weight=\"\(weight)\" fill=\"\(colour)\" "
        + "text-anchor=\"\(anchor)\"\(hasHalo ? SVGCanvas.halo : "")>\(escaped(shown))</text>")
  }

  /// What a text takes at most, in the widest of the fonts named.
  public static func textWidth(_ text: String, size: Int) -> Int { (text.count * size * 68 + 99) / 100 }

  public static func shortened(_ text: String, size: Int, width: Int) -> String {
    if textWidth(text, size: size) <= width { return text }
    return text.prefix(max(width * 100 / (size * 68) - 1, 0)) + "…"
  }
}

/// Text between tags and in attributes of XML 1.0; characters that it has no place for become U+FFFD.
public func escaped(_ text: String) -> String {
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
