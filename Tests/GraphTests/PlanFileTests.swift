import Base
import NestedFormat
import TestSupport
import Testing

@testable import Graph

/// Plans in a file: what is written is what is read, and what a hostile file may say.
@Suite struct PlanFileTests {
  static func file(keep: Set<Level> = [.fp16]) throws -> MemoryBlock {
    var writer = ContainerWriter(builder: try SmallModel.builder(), keep: keep, tokenizer: SmallModel.tokenizer)
    writer.metadata = [("licence", "Apache-2.0")]
    return try writer.write()
  }

  /// Two linear sites; all five levels of ``file(keep:)`` and two mixes.
  static let plans = PlanSet(
    reference: .fp16, rows: 7,
    plans: [
      ([.fp16, .fp16], 1, 1), ([.fp16, .int8], 0.9999, 0.999), ([.int8, .int8], 0.9995, 0.999),
      ([.int6, .int6], 0.99, 0.98), ([.int2, .int6], 0.97, 0.25), ([.int4, .int4], 0.97, 0.9),
      ([.int2, .int2], -0.125, -1),
    ].map { PrecisionPlan(levels: $0.0, quality: PlanQuality(meanCosine: $0.1, p5Cosine: $0.2)) })

  @Test func roundTrip() throws {
    let file = try Self.file()
    let plain = try Model(file, source: "plain")
    #expect(plain.plans == nil)
    let first = try plain.file(file, replacingPlans: Self.plans)
    let model = try Model(first, source: "tuned")
    #expect(model.plans == Self.plans)
    #expect(model.graph == plain.graph && model.storedBytes == plain.storedBytes && model.levels == plain.levels)
    #expect(model.metadata.map(\.key) == ["licence"] && model.tokenizer?.settings == SmallModel.tokenizer.settings)
    // Everything but the plans is what it was, bytes of tensors first of all.
    var (before, after) = (try ContainerFile(file), try ContainerFile(first))
    #expect(after.data == before.data)
    after[metadata: "adaptq.plans"] = nil
    before[metadata: "adaptq.plans"] = nil
    #expect(after.headerText == before.headerText)

    // Again, with fewer: the old ones are gone.
    var fewer = Self.plans
    fewer.plans.remove(at: 4)
    let second = try model.file(first, replacingPlans: fewer)
    #expect(try Model(second, source: "again").plans == fewer)
    #expect(try plain.file(file, replacingPlans: fewer).withBytes { Array($0) } == second.withBytes { Array($0) })
    #expect(Self.plans.plans.map(\.uniformLevel) == [.fp16, nil, .int8, .int6, nil, .int4, .int2])
  }

  static let bad: [(expected: String, change: @Sendable (inout PlanSet) -> Void)] = [
    ("plans: 0", { $0.plans = [] }),
    ("plans: 65", { set in set.plans = (0..<65).map { _ in set.plans[1] } }),
    ("rows: 0", { $0.rows = 0 }),
    ("reference: FP32", { $0.reference = .fp32 }),
    ("1 levels for 2", { $0.plans[1].levels.removeLast() }),
    ("3 levels for 2", { $0.plans[1].levels.append(.int8) }),
    ("does not store FP32", { $0.plans[1].levels[1] = .fp32 }),
    ("repeats", { $0.plans[1].levels[1] = .fp16 }),
    ("mean is 1.5", { $0.plans[0].quality.meanCosine = 1.5 }),
    ("mean is nan", { $0.plans[6].quality.meanCosine = .nan }),
    ("p5 is -1.0625", { $0.plans[6].quality.p5Cosine = -1.0625 }),
    ("best comes first", { $0.plans.swapAt(1, 2) }),
    ("none has INT6 at all", { $0.plans.remove(at: 3) }),
  ]

  @Test func writerRefuses() throws {
    let file = try Self.file()
    let model = try Model(file, source: "plain")
    for (expected, change) in Self.bad {
      var plans = Self.plans
      change(&plans)
      do throws(AdaptQError) {
        _ = try model.file(file, replacingPlans: plans)
        Issue.record("\(expected): written")
      } catch {
        #expect(error.status == .invalidFile && error.message.contains(expected), "\(expected): \(error)")
      }
    }
  }

  /// The same defects in a file, where numbers can be written.
  @Test func readerRefuses() throws {
    let file = try ContainerFile(try Self.file())
    for (expected, change) in Self.bad where !expected.contains("nan") {
      var plans = Self.plans
      change(&plans)
      try refused(file, plans.encoded().text, expected)
    }
    let good = Self.plans.encoded()
    let broken: [([JSONStep], JSON?, String)] = [
      (["plans"], nil, "\"plans\" is missing"), (["rows"], nil, "\"rows\" is missing"),
      (["reference"], nil, "\"reference\" is missing"), (["reference"], .string("FP16"), "expected an integer"),
      (["reference"], .integer(3), "not the number of bits"), (["reference"], .integer(-8), "not the number of bits"),
      (["reference"], .integer(1 << 40), "not the number of bits"), (["plans"], .object([]), "expected an array"),
      (["plans", 2, "levels"], .string("8,8"), "expected an array"),
      (["plans", 2, "levels", 0], .integer(7), "not the number of bits"),
      (["plans", 2, "levels", 0], .number(8.5), "expected an integer"),
      (["plans", 2, "levels"], nil, "\"levels\" is missing"), (["plans", 2, "mean"], nil, "\"mean\" is missing"),
      (["plans", 2, "p5"], .null, "expected a number"), (["plans", 2, "mean"], .number(1e300), "mean is"),
      (["plans", 2], .integer(1), "\"levels\" is missing"), (["rows"], .number(1.5), "expected an integer"),
    ]
    for (path, value, expected) in broken {
      try refused(file, good.replacing(path, with: value).text, expected)
    }
    for text in ["", "[", "null", "[]", "\"plans\"", good.text + "x", String(repeating: "[", count: 100)] {
      try refused(file, text, "plans")
    }
    // What is not known is not looked at.
    var more = file
    more[metadata: "adaptq.plans"] = good.replacing(["plans", 0, "note"], with: .string("x")).text
    #expect(try Model(try more.block(), source: "more").plans == Self.plans)
  }

  private func refused(_ file: ContainerFile, _ text: String, _ expected: String) throws {
    var file = file
    file[metadata: "adaptq.plans"] = text
    let block = try file.block()
    do throws(AdaptQError) {
      _ = try Model(block, source: "hostile")
      Issue.record("\(expected): accepted")
    } catch {
      #expect(error.status == .invalidFile && error.message.contains(expected), "\(expected): \(error)")
    }
  }

  /// Any damage of the text is refused or gives plans that keep every promise.
  @Test func damagedText() throws {
    let file = try ContainerFile(try Self.file())
    let text = Array(Self.plans.encoded().text.utf8)
    let model = try Model(try Self.file(), source: "plain")
    var random = SeededRandom("damagedText")
    let characters = Array("0123456789-.e,[]{}\":x".utf8)
    for _ in 0..<2000 {
      var bytes = text
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = characters.randomElement(using: &random) ?? 0
      }
      var damaged = file
      damaged[metadata: "adaptq.plans"] = String(decoding: bytes, as: UTF8.self)
      let block = try damaged.block()
      do throws(AdaptQError) {
        let read = try Model(block, source: "damaged")
        try read.plans?.validate(model.graph, model.forms, uniform: model.levels)
      } catch {
        #expect(error.status == .invalidFile, "\(error)")
      }
    }
  }
}
