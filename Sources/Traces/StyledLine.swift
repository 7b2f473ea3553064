/// A line of text in pieces with colours, cut to a width.
struct StyledLine {
  enum Style: String {
    case plain = ""
    case dim = "2"
    case bold = "1"
    case good = "32"
    case bad = "31"
    case warning = "33"
    case accent = "36"
  }

  private var pieces: [(text: String, style: Style)] = []

  init(_ text: String = "", _ style: Style = .plain) { add(text, style) }

  mutating func add(_ text: String, _ style: Style = .plain) {
    if text.isEmpty { return }
    if let last = pieces.last, last.style == style {
      pieces[pieces.count - 1].text += text
    } else {
      pieces.append((text, style))
    }
  }

  mutating func add(_ line: StyledLine) { pieces += line.pieces }

  /// Characters that it takes; all that appear here are one column wide.
  var width: Int { pieces.reduce(0) { $0 + $1.text.count } }

  /// - Parameter isStyled: with the escape sequences of ECMA-48 for colours.
  func text(width: Int, isStyled: Bool) -> String {
    var left = width
    var result = ""
    for piece in pieces where left > 0 {
      let shown = piece.text.count > left ? piece.text.prefix(max(left - 1, 0)) + "…" : piece.text[...]
      left -= shown.count
      result +=
        isStyled && piece.style != .plain ? "\u{1B}[\(piece.style.rawValue)m\(shown)\u{1B}[0m" : String(shown)
    }
    return result
  }
}

/// Bars over time, some rows high, from the eighths of a block that Unicode has.
struct BarChart {
  private static let eighths = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

  /// The newest values as `width` bars. Where there are more values than bars, a bar is the highest of its group.
  ///
  /// - Parameters:
  ///   - isBad: bars that hold such a value are marked, from the line on.
  ///   - line: a height that is drawn across; 0: none.
  static func lines(
    _ values: [(value: Double, isBad: Bool)], width: Int, rows: Int, line: Double
  ) -> (lines: [StyledLine], top: Double) {
    let perBar = max((values.count + max(width, 1) - 1) / max(width, 1), 1)
    var bars: [(value: Double, isBad: Bool)] = []
    for start in stride(from: 0, to: values.count, by: perBar) {
      let group = values[start..<min(start + perBar, values.count)]
      bars.append((group.reduce(0) { max($0, $1.value) }, group.contains { $0.isBad }))
    }
    let highest = bars.reduce(0) { max($0, $1.value) }
    // One stall must not flatten everything else.
    let top = max(line > 0 ? min(max(highest, line * 1.1), line * 2) : highest, 1)
    let steps = Double(rows * 8)
    let lineRow = line > 0 ? min(Int((min(line / top, 1) * steps - 0.5) / 8), rows - 1) : -1
    var result: [StyledLine] = []
    for row in (0..<rows).reversed() {
      var text = StyledLine()
      for bar in bars {
        let height = Int((min(bar.value / top, 1) * steps).rounded(.up))
        let filled = min(max(height - row * 8, 0), 8)
        // What is above the line is what makes it bad.
        let style: StyledLine.Style = bar.isBad && row >= lineRow ? .bad : .good
        if filled == 0 && row == lineRow { text.add("─", .warning) } else { text.add(eighths[filled], style) }
      }
      if row == lineRow { text.add(String(repeating: "─", count: max(width - bars.count, 0)), .warning) }
      result.append(text)
    }
    return (result, top)
  }
}
