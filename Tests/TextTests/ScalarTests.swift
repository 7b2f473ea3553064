import Base
import Foundation
import Testing

@testable import Text

/// Hashes the words of a text like Golden/make_golden.py does.
private struct DigestSink: WordSink {
  var state: UInt64 = 0xCBF2_9CE4_8422_2325
  var isFull: Bool { false }

  mutating func take(_ word: Word) {
    for index in 0..<word.byteCount { state = Vocabulary.hash(word.bytes[index], into: state) }
    state = Vocabulary.hash(UInt8(ascii: "\n"), into: state)
  }
}

@Suite struct ScalarTests {
  /// Every scalar of the assigned planes, alone and among marks that it may have to be sorted into, under five settings.
  @Test func everyScalarIsNormalizedAsThePackageDoes() throws {
    let data = try UnicodeData()
    let lines = String(decoding: try TextTestFiles.golden("scalars.golden"), as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 5)
    for line in lines {
      let items = try JSON.parse(String(line), "scalars").asArray("scalars")
      let flags = try items[0].asArray("flags")
      var settings = try TokenizerSettings(try TextTestFiles.smallJSON())
      settings.cleansText = try flags[0].asBool("clean")
      settings.splitsChinese = try flags[1].asBool("chinese")
      settings.stripsAccents = try flags[2].asBool("strip")
      settings.lowercases = try flags[3].asBool("lower")
      let scanner = WordScanner(data, settings)
      for digest in try items[1].asArray("digests") {
        let pair = try digest.asArray("digest")
        let block = UInt32(try pair[0].asInt("block"))
        let found = self.digest(scanner, block)
        #expect(
          String(found, radix: 16) == String(try pair[1].asString("digest").drop { $0 == "0" }),
          "scalars from 0x\(String(block << 12, radix: 16)), settings \(items[0].text)")
      }
    }
  }

  private func digest(_ scanner: WordScanner, _ block: UInt32) -> UInt64 {
    var sink = DigestSink()
    let scratch = UnsafeMutablePointer<UInt8>.allocate(capacity: Word.byteCapacity(maximumCharacters: 100))
    let text = UnsafeMutablePointer<UInt8>.allocate(capacity: 16)
    defer {
      scratch.deallocate()
      text.deallocate()
    }
    var word = Word(bytes: scratch, maximumCharacters: 100, seed: 0)
    for scalar in (block << 12)..<(block + 1) << 12 where !(0xD800..<0xE000).contains(scalar) {
      for surroundings: (before: [UInt32], after: UInt32) in [([0x61], 0x62), ([0x61, 0x302E], 0x1D165)] {
        var count = 0
        for part in surroundings.before + [scalar, surroundings.after] { count += UTF8Text.encode(part, text + count) }
        scanner.scan(text, count, &word, into: &sink)
        sink.state = Vocabulary.hash(0, into: sink.state)
      }
    }
    return sink.state
  }

  @Test func decodesWhatItEncodes() {
    let text = UnsafeMutablePointer<UInt8>.allocate(capacity: 4)
    defer { text.deallocate() }
    for scalar in UInt32(0)..<0x110000 {
      if (0xD800..<0xE000).contains(scalar) || scalar > 0x3000 && scalar % 7 != 0 { continue }
      let count = UTF8Text.encode(scalar, text)
      var offset = 0
      if UTF8Text.decode(text, &offset) != scalar || offset != count || UTF8Text.previousStart(text, count) != 0 {
        Issue.record("scalar \(scalar)")
      }
    }
  }

  /// The slow twin is the standard library's validator.
  @Test func findsTheFirstInvalidByte() {
    var cases: [[UInt8]] = []
    let interesting: [UInt8] = [
      0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5,
      0xFF,
    ]
    for a in interesting {
      for b in interesting {
        for c in interesting {
          cases.append([a, b, c])
          cases.append([0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41, a, b, c, 0x80])
          cases.append([0xF0, a, b, c])
          cases.append([a, b, c, 0x80, 0x80])
        }
      }
    }
    for bytes in cases {
      let found = bytes.withUnsafeBytes { UTF8Text.firstInvalidOffset($0) }
      var expected: Int?
      if String(validating: bytes, as: UTF8.self) == nil {
        // The longest valid prefix ends where the first bad sequence starts.
        expected = (0..<bytes.count).last { String(validating: bytes[..<$0], as: UTF8.self) != nil }
      }
      #expect(found == expected, "\(bytes)")
    }
  }
}
