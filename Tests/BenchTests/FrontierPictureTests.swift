import Base
import Pictures
import TestSupport
import Testing

/// The picture of plans as text: well-formed, a dot per plan and panel, nothing outside.
@Suite struct FrontierPictureTests {
  static func points(_ count: Int, _ random: inout SeededRandom) -> [FrontierPicture.Point] {
    (0..<count).map { index in
      // Losses over many decades, none among them; costs that may all be equal.
      let losses = [0, Double.random(in: 0...2, using: &random), 1e-5, 3e-7, 1e-30, 2]
      return FrontierPicture.Point(
        loss: losses[Int.random(in: 0..<6, using: &random)],
        costs: [Double(Int.random(in: 0...3, using: &random)), Double.random(in: 1...1e6, using: &random)],
        label: index % 3 == 0 ? "INT<\(index)>" : nil, isKept: index % 2 == 0, tip: "plan & \(index)")
    }
  }

  @Test func staysInside() throws {
    for seed in 0..<60 {
      var random = SeededRandom("frontier picture", seed)
      let points = Self.points(seed, &random)
      let svg = FrontierPicture(title: "a < b", axes: ["time, ms", "bytes, MB"], points: points).svg
      let elements = try #require(ProfilePictureTests.read(svg), "seed \(seed)")
      let size = try #require(elements.first { $0.name == "svg" })
      let (width, height) = (size.number("width"), size.number("height"))
      let circles = elements.filter { $0.name == "circle" }
      #expect(circles.count == 2 * points.count + 3, "seed \(seed)")
      for circle in circles {
        #expect(circle.number("cx") > 0 && circle.number("cx") < width, "seed \(seed)")
        #expect(circle.number("cy") > 0 && circle.number("cy") < height, "seed \(seed)")
      }
      for line in elements where line.name == "line" {
        for (key, most) in [("x1", width), ("x2", width), ("y1", height), ("y2", height)] {
          #expect(line.number(key) >= 0 && line.number(key) <= most, "seed \(seed)")
        }
      }
      let texts = elements.filter { $0.name == "text" }.map(\.text)
      for text in ["a < b", "time, ms", "bytes, MB", "1 - mean cosine"] { #expect(texts.contains(text), "\(text)") }
      for point in points { if let label = point.label { #expect(texts.count { $0 == label } == 2) } }
    }
  }

  /// Of two plans the better one is drawn lower and the cheaper one further left.
  @Test func keepsTheOrder() throws {
    let points = [(1e-4, 3.0), (1e-3, 2.0), (0.5, 1.0)].map {
      FrontierPicture.Point(loss: $0.0, costs: [$0.1], label: nil, isKept: true, tip: "")
    }
    let elements = try #require(ProfilePictureTests.read(FrontierPicture(title: "t", axes: ["ms"], points: points).svg))
    let dots = elements.filter { $0.name == "circle" }.suffix(3).map { ($0.number("cx"), $0.number("cy")) }
    #expect(dots[0].0 > dots[1].0 && dots[1].0 > dots[2].0 && dots[0].1 > dots[1].1 && dots[1].1 > dots[2].1)
  }
}
