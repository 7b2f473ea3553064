import Base
import Testing

@Suite struct JSONTests {
  @Test(arguments: [
    "null", "true", "[]", "{}", "[1,-2,3.5,\"a\\n\\u0041\"]", "{\"a\":{\"b\":[null,false]}}", "\"\\ud83d\\ude00\"",
  ]) func roundTrips(_ text: String) throws {
    let value = try JSON.parse(text, "test")
    #expect(try JSON.parse(value.text, "again") == value)
  }

  @Test(arguments: [
    "", "{", "[1,]", "{\"a\":1,\"a\":2}", "01", "1e999", "\"\\ud83d\"", "\"\u{1}\"", "nul", "[1] 2", "\"abc", "-",
    "{\"a\" 1}", "\"\\x\"", String(repeating: "[", count: 100),
  ]) func refuses(_ text: String) {
    #expect(throws: AdaptQError.self) { try JSON.parse(text, "test") }
  }

  /// Both spellings of é, which Swift's string equality does not tell apart.
  @Test func comparesKeysByteByByte() throws {
    let value = try JSON.parse("{\"\u{E9}\":1,\"e\u{301}\":2}", "test")
    #expect(value["\u{E9}"] == .integer(1) && value["e\u{301}"] == .integer(2))
  }
}

@Suite struct HalfTests {
  @Test func everyHalfSurvivesTheRoundTrip() {
    for bits in UInt16.min...UInt16.max {
      let half = Half(bits: bits)
      let value = half.float
      if value.isNaN { #expect(Half(value).float.isNaN) } else { #expect(Half(value) == half) }
    }
  }

  @Test func roundsToNearestEven() {
    for bits in UInt16(0)..<0x7BFF {
      let low = Half(bits: bits).float
      let high = Half(bits: bits + 1).float
      let middle = (low + high) / 2
      #expect(Half(middle).bits == (bits & 1 == 0 ? bits : bits + 1))
      #expect(Half(middle.nextDown).bits == bits)
      #expect(Half(middle.nextUp).bits == bits + 1)
    }
    #expect(Half(65519.996).bits == 0x7BFF)
    #expect(Half(65520).bits == 0x7C00)
  }
}

@Suite struct ClampedIntTests {
  @Test func neverTraps() {
    #expect(clampedInt(.nan, in: -5...5) == 0)
    #expect(clampedInt(.infinity, in: -5...5) == 5)
    #expect(clampedInt(-.infinity, in: -5...5) == -5)
    #expect(clampedInt(1e300, in: Int.min...Int.max) == Int.max)
    #expect(clampedInt(2.5, in: 0...9) == 2)
  }
}
