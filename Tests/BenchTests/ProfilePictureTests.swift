import Base
import Foundation
import NestedFormat
import Pictures
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@testable import Bench

/// The picture as text: well-formed, nothing outside, nothing over something else.
@Suite struct ProfilePictureTests {
  /// Elements with their attributes, and the text in them.
  final class Reader: NSObject, XMLParserDelegate {
    struct Element {
      var name: String
      var attributes: [String: String]
      var text = ""
      func number(_ key: String) -> Double { attributes[key].flatMap(Double.init) ?? .nan }
    }
    var elements: [Element] = []
    private var open: [Int] = []

    func parser(
      _: XMLParser, didStartElement name: String, namespaceURI _: String?, qualifiedName _: String?,
      attributes: [String: String]
    ) {
      open.append(elements.count)
      elements.append(Element(name: name, attributes: attributes))
    }
    func parser(_: XMLParser, didEndElement _: String, namespaceURI _: String?, qualifiedName _: String?) {
      open.removeLast()
    }
    func parser(_: XMLParser, foundCharacters text: String) {
      if let last = open.last { elements[last].text += text }
    }
  }

  static func read(_ svg: String) -> [Reader.Element]? {
    let reader = Reader()
    let parser = XMLParser(data: Data(svg.utf8))
    parser.delegate = reader
    return parser.parse() ? reader.elements : nil
  }

  static func picture(_ path: String, _ subtitle: String = "a CPU") -> String {
    ProfilePicture(ProfileTests.result(path), subtitle: subtitle).svg
  }

  @Test func everythingIsThere() throws {
    let elements = try #require(Self.read(Self.picture("m.adaptq")))
    let texts = elements.filter { $0.name == "text" }.map(\.text)
    for text in [
      "Where an inference of m.adaptq spends its time", "a CPU", "16 tokens", "128 tokens", "FP32", "INT8", "INT2",
      "linear", "attention", "embedding", "rest", "time per inference, us", "time per inference, ms", "3.00 ms",
    ] { #expect(texts.contains(text), "\(text)") }
    // Background, legend, and per bar its kinds and the rest.
    #expect(elements.filter { $0.name == "rect" }.count == 1 + 4 + 5 * 4)
  }

  @Test func nothingLiesOverAnother() throws {
    let elements = try #require(Self.read(Self.picture("m.adaptq")))
    let width = Double(ProfilePicture.width)
    let height = try #require(elements.first).number("height")
    var boxes: [(text: String, x: ClosedRange<Double>, y: ClosedRange<Double>)] = []
    for element in elements where element.name == "text" {
      let size = element.number("font-size")
      let length = Double(SVGCanvas.textWidth(element.text, size: Int(size)))
      var x = element.number("x")
      if element.attributes["text-anchor"] == "middle" { x -= length / 2 }
      if element.attributes["text-anchor"] == "end" { x -= length }
      let y = element.number("y")
      boxes.append((element.text, x...(x + length), (y - size * 0.8)...(y + size * 0.2)))
    }
    for (index, box) in boxes.enumerated() {
      #expect(box.x.lowerBound >= 0 && box.x.upperBound <= width && box.y.upperBound <= height, "\(box.text)")
      for other in boxes[..<index] {
        #expect(!(box.x.overlaps(other.x) && box.y.overlaps(other.y)), "\(box.text) and \(other.text)")
      }
    }
    for element in elements where element.name == "rect" {
      let x = element.attributes["x"] == nil ? 0 : element.number("x")
      #expect(x >= 0 && element.number("width") >= 0 && x + element.number("width") <= width)
    }
  }

  @Test(arguments: [
    "a<b>&\"c\"'d'.adaptq", "</text><script>alert(1)</script>", "\u{1}\u{8}\u{1F}\t\n", "über 模型 🙂", "]]>", "&amp;",
    String(repeating: "long", count: 200), "",
  ])
  func anyNameIsWellFormed(_ path: String) throws {
    let svg = Self.picture(path, path)
    let elements = try #require(Self.read(svg), "\(path)")
    #expect(!elements.contains { $0.name == "script" })
    #expect(elements.filter { $0.name == "rect" }.count == 1 + 4 + 5 * 4)
  }

  @Test func escapes() {
    #expect(escaped("a<b>&\"'\t\u{0}\u{FFFF}ü") == "a&lt;b&gt;&amp;&quot;&apos; \u{FFFD}\u{FFFD}ü")
  }

  @Test func axesAreRound() {
    for maximum in [0, 0.3, 1, 7, 999, 1000, 12_345, 999_999, 1e6, 1.2e6, 7.9e6, 8.1e6, 123e6, 5e9, 1e12] {
      let axis = ProfileAxis(maximum: maximum)
      #expect(axis.end >= maximum, "\(maximum)")
      #expect(axis.ticks.count >= 2 && axis.ticks.count <= 9, "\(maximum): \(axis.ticks.count)")
      #expect(axis.ticks.first == 0)
      #expect(Set(axis.labels).count == axis.labels.count, "\(maximum): \(axis.labels)")
      #expect(axis.unit == (maximum >= 1e6 ? "ms" : "us"))
    }
    #expect(ProfileAxis(maximum: 2.3e6).labels == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"])
    #expect(ProfileAxis(maximum: 30e6).labels == ["0", "5", "10", "15", "20", "25", "30"])
  }

  @Test func longTextsAreShortened() {
    #expect(SVGCanvas.shortened("short", size: 12, width: 100) == "short")
    let long = SVGCanvas.shortened(String(repeating: "x", count: 500), size: 12, width: 300)
    #expect(long.hasSuffix("…") && SVGCanvas.textWidth(long, size: 12) <= 300)
    #expect(SVGCanvas.shortened("xyz", size: 12, width: 0) == "…")
  }
}
