import Foundation
import Pictures
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct RunChartTests {
  private static let bands = ["FP32", "INT8"].map {
    RunChart.Band(name: $0, colour: $0 == "FP32" ? "#111111" : "#222222")
  }

  /// Runs in the first band, then in the second; every `missEvery`-th is too late.
  private static func chart(_ count: Int, missEvery: Int = 10, budget: Double = 10e6) -> String {
    let runs = (0..<count).map { index in
      let isMissed = index % missEvery == missEvery - 1
      return RunChart.Run(
        latency: isMissed ? 12e6 : 8e6, budget: budget, predicted: 9e6, isMissed: isMissed,
        shares: index < count / 2 ? [1, 0] : [0.25, 0.75], factor: 1.5)
    }
    return RunChart(title: "a <b>", subtitle: "c & d", bands: bands, runs: runs, firstNumber: 5).svg
  }

  private struct Element {
    var name: String
    var attributes: [String: String]
    var text = ""
    func number(_ key: String) -> Double { attributes[key].flatMap(Double.init) ?? .nan }
  }

  private final class Reader: NSObject, XMLParserDelegate {
    var elements: [Element] = []
    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String]
    ) {
      elements.append(Element(name: name, attributes: attributes))
      isInside = true
    }
    private var isInside = false
    func parser(_ parser: XMLParser, foundCharacters text: String) {
      if isInside { elements[elements.count - 1].text += text }
    }
    func parser(_ parser: XMLParser, didEndElement: String, namespaceURI: String?, qualifiedName: String?) {
      isInside = false
    }
  }

  private static func read(_ svg: String) throws -> [Element] {
    let parser = XMLParser(data: Data(svg.utf8))
    let reader = Reader()
    parser.delegate = reader
    try #require(parser.parse())
    return reader.elements
  }

  @Test func showsEveryMissAndEveryBand() throws {
    let elements = try Self.read(Self.chart(100))
    let texts = elements.filter { $0.name == "text" }.map(\.text)
    for text in [
      "a <b>", "c & d", "FP32", "INT8", "too late: 10 of 100 runs", "latency, ms", "slow-down", "62 %", "38 %",
    ] {
      #expect(texts.contains(text), "\(text) in \(texts)")
    }
    // Ten runs and the legend's.
    #expect(elements.filter { $0.name == "circle" }.count == 11)
    // One rectangle for each stretch of equal shares: full, a quarter, three quarters.
    let lanes = elements.filter { $0.name == "rect" && ["#111111", "#222222"].contains($0.attributes["fill"]) }
    #expect(lanes.map { $0.attributes["fill-opacity"] ?? "1" } == ["1", "0.36", "0.79"])
    #expect(abs(lanes[0].number("width") - lanes[1].number("width")) < 0.1)
    #expect(lanes[1].number("x") == lanes[2].number("x"))
    // Numbers of runs along the axis, from 5 to 104.
    let numbers = elements.filter { $0.name == "text" && $0.attributes["text-anchor"] == "middle" }.map(\.text)
    #expect(numbers == ["20", "40", "60", "80", "100", "run"])
  }

  /// The budget lies where the axis says: misses above it, the others below.
  @Test func latenciesLieOnTheRightSideOfTheBudget() throws {
    let elements = try Self.read(Self.chart(100))
    let lines = elements.filter { $0.name == "polyline" }
    let budget = try #require(lines.first { $0.attributes["stroke"] == "#CC6600" })
    let points = (budget.attributes["points"] ?? "").split(separator: " ").map { $0.split(separator: ",") }
    let heights = Set(points.map { $0[1] })
    #expect(heights.count == 1 && points.count == 2)
    let height = try #require(heights.first.flatMap { Double($0) })
    let misses = elements.filter { $0.name == "circle" }.dropFirst()
    #expect(misses.allSatisfy { $0.number("cy") < height })
  }

  @Test(arguments: [0, 1, 2, 855, 856, 857, 20_000]) func anyNumberOfRuns(_ count: Int) throws {
    let elements = try Self.read(Self.chart(count))
    for element in elements where element.name == "circle" {
      #expect(element.number("cx") > 0 && element.number("cx") < Double(RunChart.width))
    }
    #expect(elements.count < 3000)
    #expect(elements.contains { $0.text == "no runs" } == (count == 0))
  }

  @Test func valuesThatAreNoNumbers() throws {
    for value in [Double.nan, .infinity, -.infinity, -1, 0, 1e300] {
      let run = RunChart.Run(
        latency: value, budget: value, predicted: value, isMissed: true, shares: [value, value], factor: value)
      for firstNumber in [0, Int.max - 10] {
        let svg = RunChart(
          title: "", subtitle: "", bands: Self.bands, runs: [run, run], firstNumber: firstNumber
        ).svg
        #expect(!svg.contains("nan") && !svg.contains("inf"))
        #expect(try !Self.read(svg).isEmpty)
      }
    }
    let none = RunChart.Run(latency: 1, budget: 0, predicted: 0, isMissed: false, shares: [], factor: 0)
    #expect(
      try !Self.read(RunChart(title: "", subtitle: "", bands: Self.bands, runs: [none], firstNumber: 1).svg).isEmpty)
  }

  @Test func axesHaveRoundNumbers() {
    for (maximum, ticks) in [
      (100.0, [0, 20, 40, 60, 80, 100]), (18, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]),
      (1.2, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2]),
      (1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (4, [0, 1, 2, 3, 4]), (41, [0, 10, 20, 30, 40, 50]),
    ] {
      let axis = ChartAxis(maximum: maximum)
      #expect(axis.ticks.count == ticks.count, "\(axis.ticks)")
      #expect(zip(axis.ticks, ticks).allSatisfy { abs($0 - $1) < 1e-9 })
    }
    #expect(ChartAxis(maximum: 1.2).ticks.map(ChartAxis(maximum: 1.2).label)[1] == "0.2")
    for maximum in [Double.nan, -1, 0, .infinity, 1e300, 1e-300] { #expect(ChartAxis(maximum: maximum).end == 1) }
    var value = 1e-9
    while value < 1e12 {
      let axis = ChartAxis(maximum: value)
      #expect(
        axis.end >= value * 0.999999 && axis.end <= value * 1.5 && (4...11).contains(axis.ticks.count - 1), "\(value)")
      value *= 1.37
    }
  }
}
