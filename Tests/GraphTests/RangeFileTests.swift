import Base
import NestedFormat
import TestSupport
import Testing

@testable import Graph

/// How large a site's inputs are: gathered, in a file, and what a hostile file may say about it.
@Suite struct RangeFileTests {
  static let ranges: [SiteRange?] = [
    nil, SiteRange(rows: 12, mean: 2.5, deviation: 0.125, least: 0.1, greatest: 3.0000001),
    SiteRange(rows: 1, mean: 0, deviation: 0, least: 0, greatest: 0),
  ]

  @Test func roundTrip() throws {
    let file = try PlanFileTests.file()
    let plain = try Model(file, source: "plain")
    #expect(plain.ranges == [nil, nil, nil])
    let first = try plain.file(file, replacingPlans: PlanFileTests.plans, ranges: Self.ranges)
    let model = try Model(first, source: "tuned")
    #expect(model.ranges == Self.ranges && model.plans == PlanFileTests.plans)
    #expect(model.metadata.map(\.key) == ["licence"])
    // Plans alone: the ranges stay. Others: they are gone.
    let second = try model.file(first, replacingPlans: PlanFileTests.plans)
    #expect(try Model(second, source: "again").ranges == Self.ranges)
    let third = try model.file(first, replacingPlans: PlanFileTests.plans, ranges: [nil, nil, nil])
    #expect(try Model(third, source: "none").ranges == [nil, nil, nil])
    #expect(throws: AdaptQError.self) {
      try model.file(first, replacingPlans: PlanFileTests.plans, ranges: [nil])
    }
  }

  @Test func readerRefuses() throws {
    var file = try ContainerFile(try PlanFileTests.file())
    for (text, expected) in [
      ("{}", "sites"), (#"{"sites":[null,null]}"#, "2 entries for 3 sites"), (#"{"sites":[null,null,7]}"#, "site 2"),
      (#"{"sites":[null,[1,1,1,1],null]}"#, "4 numbers"), (#"{"sites":[[0,1,0,1,1],null,null]}"#, "0 rows"),
      (#"{"sites":[[1,-1,0,1,1],null,null]}"#, "-1.0 is no magnitude"),
      (#"{"sites":[[1,1,0,1,1e39],null,null]}"#, "1e+39 is no magnitude"),
      (#"{"sites":[[1,1,0,3,2],null,null]}"#, "least 3.0 is above greatest 2.0"),
      (#"{"sites":[[1,"1",0,1,1],null,null]}"#, "site 0"), (#"{"sites":[[1.5,1,0,1,1],null,null]}"#, "site 0"),
      ("[", "ranges"),
    ] {
      file[metadata: "adaptq.ranges"] = text
      let block = try file.block()
      do throws(AdaptQError) {
        _ = try Model(block, source: "file")
        Issue.record("\(text): read")
      } catch {
        #expect(error.status == .invalidFile && error.message.contains(expected), "\(text): \(error)")
      }
    }
  }

  /// Sums against the plain definition.
  @Test func sums() {
    var random = SeededRandom("sums")
    for _ in 0..<50 {
      let (rows, width) = (Int.random(in: 1...20, using: &random), Int.random(in: 1...70, using: &random))
      let x = (0..<(rows * width)).map { index in index % 7 == 3 ? Float.nan : random.normal() }
      let largest = (0..<rows).map { row in
        x[(row * width)..<((row + 1) * width)].map { $0.isNaN ? 0 : abs($0) }.max() ?? 0
      }
      let bounds = SiteRange(rows: 1, mean: 1, deviation: 0, least: 0.5, greatest: 1.5)
      var (all, half) = (RangeSums(bounds: bounds), RangeSums(bounds: bounds))
      let split = rows / 2
      x.withUnsafeBufferPointer { x in
        guard let base = x.baseAddress else { return }
        all.add(base, rows: split, width: width)
        half.add(base + split * width, rows: rows - split, width: width)
      }
      all.add(half)
      let mean = largest.reduce(0.0) { $0 + Double($1) } / Double(rows)
      let variance = largest.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(rows)
      guard let range = all.range else {
        Issue.record("no range")
        continue
      }
      #expect(range.rows == rows && abs(range.mean - mean) < 1e-9)
      #expect(abs(range.deviation * range.deviation - variance) < 1e-9)
      #expect(range.least == Double(largest.min() ?? 0) && range.greatest == Double(largest.max() ?? 0))
      #expect(all.outside == largest.count { $0 < 0.5 || $0 > 1.5 })
      all.clear()
      #expect(all.range == nil && all.outside == 0)
    }
  }
}
