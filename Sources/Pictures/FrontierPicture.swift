import Base
import Glibc

/// Loss (1 - cosine, on a logarithmic scale) over cost: one panel per kind of cost, one dot per plan. Kept plans are filled,
/// those of one level are named.
public struct FrontierPicture {
  public struct Point: Sendable {
    /// 1 - mean cosine, 0 to 2.
    public var loss: Double
    /// One per panel.
    public var costs: [Double]
    /// A name beside the dot.
    public var label: String?
    public var isKept: Bool
    public var tip: String

    public init(loss: Double, costs: [Double], label: String?, isKept: Bool, tip: String) {
      self.loss = loss
      self.costs = costs
      self.label = label
      self.isKept = isKept
      self.tip = tip
    }
  }

  let title: String
  let axes: [String]
  let points: [Point]

  public init(title: String, axes: [String], points: [Point]) {
    self.title = title
    self.axes = axes
    self.points = points
  }

  private static let width = 900
  private static let panelHeight = 300
  private static let top = 60
  private static let left = 80
  private static let right = 40
  /// Below a panel: numbers and the name of the axis.
  private static let gap = 70
  private static let named = "#C0392B"
  private static let mixed = "#1F6FB2"
  private static let beaten = "#C4CBD2"

  /// What is drawn at the bottom for losses that are smaller, 0 among them: the least power of ten below all others, at least
  /// a millionth of the largest.
  private var lossRange: (bottom: Int, top: Int) {
    let losses = points.map(\.loss).filter { $0 > 0 && $0.isFinite }
    let largest = losses.max() ?? 1
    let top = FrontierPicture.exponent(largest) + 1
    let smallest = losses.filter { $0 >= largest * 1e-6 }.min() ?? largest
    return (min(FrontierPicture.exponent(smallest), top - 1), top)
  }

  /// The largest power of ten that does not exceed a positive value.
  private static func exponent(_ value: Double) -> Int { clampedInt(log10(value).rounded(.down), in: -18...18) }

  public var svg: String {
    var canvas = SVGCanvas(width: FrontierPicture.width)
    canvas.text(title, x: FrontierPicture.left, y: 26, size: 15, weight: "bold")
    legend(&canvas)
    for panel in axes.indices { draw(&canvas, panel) }
    let height = FrontierPicture.top + axes.count * (FrontierPicture.panelHeight + FrontierPicture.gap)
    return canvas.document(height: height, title: title)
  }

  private func legend(_ canvas: inout SVGCanvas) {
    var x = FrontierPicture.left
    for (colour, text) in [
      (FrontierPicture.named, "one level"), (FrontierPicture.mixed, "mix"), (FrontierPicture.beaten, "beaten mix"),
    ] {
      canvas.circle(x: Double(x) + 5, y: 42, radius: 4, colour)
      canvas.text(text, x: x + 14, y: 46, colour: "#444444")
      x += 30 + SVGCanvas.textWidth(text, size: 12)
    }
  }

  private func draw(_ canvas: inout SVGCanvas, _ panel: Int) {
    let (x0, x1) = (Double(FrontierPicture.left), Double(FrontierPicture.width - FrontierPicture.right))
    let y0 = Double(FrontierPicture.top + panel * (FrontierPicture.panelHeight + FrontierPicture.gap))
    let y1 = y0 + Double(FrontierPicture.panelHeight)
    let range = lossRange
    let costs = points.map { $0.costs[panel] }
    let ticks = FrontierPicture.ticks(costs.min() ?? 0, costs.max() ?? 1)
    let (low, high) = (ticks.first ?? 0, ticks.last ?? 1)
    func x(_ cost: Double) -> Double { x0 + (x1 - x0) * (cost - low) / max(high - low, 1e-12) }
    func y(_ loss: Double) -> Double {
      let decades = Double(range.top - range.bottom)
      return y1 - (y1 - y0) * min(max(log10(max(loss, 1e-300)) - Double(range.bottom), 0) / decades, 1)
    }
    for decade in range.bottom...range.top {
      let height = y1 - (y1 - y0) * Double(decade - range.bottom) / Double(range.top - range.bottom)
      canvas.line(x0, height, x1, height, decade == range.bottom ? "#000000" : "#E3E7EA")
      canvas.text(
        decade == range.bottom ? "≤ 1e\(decade)" : "1e\(decade)", x: FrontierPicture.left - 8,
        y: clampedInt(height + 4, in: 0...10_000), colour: "#444444", anchor: "end")
    }
    for tick in ticks {
      canvas.line(x(tick), y0, x(tick), y1, "#E3E7EA")
      canvas.text(
        FrontierPicture.number(tick), x: clampedInt(x(tick), in: 0...10_000), y: clampedInt(y1 + 18, in: 0...10_000),
        colour: "#444444", anchor: "middle")
    }
    canvas.text(
      axes[panel], x: clampedInt((x0 + x1) / 2, in: 0...10_000), y: clampedInt(y1 + 38, in: 0...10_000),
      anchor: "middle")
    canvas.text(
      "1 - mean cosine", x: FrontierPicture.width - FrontierPicture.right - 8, y: clampedInt(y0 + 16, in: 0...10_000),
      anchor: "end", hasHalo: true)
    // The beaten ones below the others.
    for point in points.sorted(by: { !$0.isKept && $1.isKept }) {
      let colour =
        point.label != nil ? FrontierPicture.named : point.isKept ? FrontierPicture.mixed : FrontierPicture.beaten
      canvas.circle(x: x(point.costs[panel]), y: y(point.loss), radius: 4, colour, tip: point.tip)
    }
    for point in points {
      guard let label = point.label else { continue }
      let at = x(point.costs[panel])
      let isRight = at > x1 - Double(SVGCanvas.textWidth(label, size: 12)) - 10
      canvas.text(
        label, x: clampedInt(at + (isRight ? -8 : 8), in: 0...10_000), y: clampedInt(y(point.loss) - 6, in: 0...10_000),
        colour: FrontierPicture.named, anchor: isRight ? "end" : "start", hasHalo: true)
    }
  }

  /// Round numbers from below `low` to above `high`, four to ten of them.
  private static func ticks(_ low: Double, _ high: Double) -> [Double] {
    let span = max(high - low, high * 1e-3, 1e-9)
    var step = 1e-12
    for factor in [2, 2.5, 2].repeating(60) where span / step > 8 { step *= factor }
    let first = (low / step).rounded(.down)
    let count = clampedInt((high / step).rounded(.up) - first, in: 1...12)
    return (0...count).map { (first + Double($0)) * step }
  }

  private static func number(_ value: Double) -> String {
    var text = fixed(value, 6)
    while text.contains(".") && (text.hasSuffix("0") || text.hasSuffix(".")) { text.removeLast() }
    return text
  }
}

extension Array {
  fileprivate func repeating(_ count: Int) -> [Element] { (0..<count).flatMap { _ in self } }
}
