import Base
import Glibc
import Testing

@testable import MachineCode

/// Every form of every instruction, as text for the system assembler and as a call of ours; the bytes must be equal.
@Suite(.enabled(if: SystemAssembler.missing == nil, "needs GNU as and objcopy"))
struct EncodingTests {
  @Test(arguments: RowGroup.allCases) func matchesSystemAssembler(_ group: RowGroup) throws {
    let rows = group.rows()
    #expect(rows.refused.isEmpty, "\(rows.refused.count) rows refused: \(rows.refused.prefix(10))")
    let expected = try SystemAssembler.assemble(rows.rows.map(\.text))
    var wrong: [String] = []
    for (row, bytes) in zip(rows.rows, expected) where row.bytes != bytes {
      wrong.append("\(row.text): \(hex(row.bytes)), as: \(hex(bytes))")
    }
    #expect(
      wrong.isEmpty, "\(wrong.count) of \(expected.count) rows differ:\n\(wrong.prefix(30).joined(separator: "\n"))")
    #expect(rows.rows.count > 20)
  }

  @Test func thereAreManyRows() {
    #expect(RowGroup.allCases.reduce(0) { $0 + $1.rows().rows.count } > 50_000)
  }

  /// A mnemonic without a row would be an encoding that nobody checked.
  @Test func everyMnemonicHasRows() throws {
    var tested: Set<String> = []
    for group in RowGroup.allCases { tested.formUnion(group.rows().mnemonics) }
    let folder = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    let source = SystemAssembler.run("cat /\(folder)/Sources/MachineCode/Instructions/X64Assembler+*.swift").output
    var declared: Set<String> = []
    for line in source.split(separator: "\n") {
      for keyword in ["  public var ", "  public func "] where line.hasPrefix(keyword) {
        declared.insert(String(line.dropFirst(keyword.count).prefix { $0.isLetter || $0.isNumber }))
      }
    }
    #expect(declared.count > 300)
    #expect(declared.subtracting(tested).subtracting(["callAsFunction", "byCL"]).sorted() == [])
  }

  private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
  }
}

/// The rows come in groups, so that one failing group does not hide the others.
enum RowGroup: String, CaseIterable, Sendable {
  case general, moves, float, integer, evex, half, masks, tiles

  func rows() -> Rows {
    let rows = Rows()
    switch self {
    case .general: rows.general()
    case .moves: rows.moves()
    case .float: rows.float()
    case .integer: rows.integer()
    case .evex: rows.evex()
    case .half: rows.half()
    case .masks: rows.masks()
    case .tiles: rows.tiles()
    }
    return rows
  }
}
