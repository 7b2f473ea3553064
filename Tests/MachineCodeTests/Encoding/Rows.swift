import Base

@testable import MachineCode

typealias Asm = X64Assembler
typealias Get<Form> = (borrowing X64Assembler) -> Form

struct MemoryCase {
  var operand: Mem
  var text: String
}

/// Operand memory in every addressing form; `unit` is the operand's size, so that disp8·N is met on both sides.
func memoryCases(unit: Int) -> [MemoryCase] {
  func plain(_ base: GPR64, _ displacement: Int) -> MemoryCase {
    let sign = displacement < 0 ? "" : "+"
    return MemoryCase(
      operand: base[displacement], text: displacement == 0 ? "[\(base)]" : "[\(base)\(sign)\(displacement)]")
  }
  func indexed(_ base: GPR64, _ index: GPR64, _ scale: Int, _ displacement: Int) -> MemoryCase {
    let tail = displacement == 0 ? "" : "\(displacement < 0 ? "" : "+")\(displacement)"
    return MemoryCase(operand: base[index, scale, displacement], text: "[\(base)+\(index)*\(scale)\(tail)]")
  }
  return [
    plain(.rax, 0), plain(.rdi, 1), plain(.rsi, unit), plain(.rsp, 0), plain(.rsp, unit * 127), plain(.rbp, 0),
    plain(.rbp, -unit * 128), plain(.r8, unit * 128), plain(.r12, 0), plain(.r12, 2 * unit), plain(.r13, 0),
    plain(.r13, 0x12345), plain(.r15, -unit * 129), plain(.rcx, 127), plain(.rdx, -128), plain(.rbx, 128),
    indexed(.rax, .rcx, 1, 0), indexed(.rbp, .rsi, 2, 0), indexed(.r13, .r12, 4, unit), indexed(.rsp, .r15, 8, -4096),
    indexed(.r12, .rbp, 8, 3 * unit), indexed(.r9, .r13, 1, 0x7FFF_FFFF), indexed(.rdi, .rax, 4, -0x8000_0000),
  ]
}

/// Rows of (text for the system assembler, what ours emits).
final class Rows {
  struct Row {
    var text: String
    var bytes: [UInt8]
  }
  private(set) var rows: [Row] = []
  private(set) var refused: [String] = []
  private(set) var mnemonics: Set<String> = []

  func add(_ text: String, _ name: String, _ emit: (borrowing X64Assembler) -> Void) {
    mnemonics.insert(name)
    let asm = X64Assembler()
    emit(asm)
    do throws(AdaptQError) {
      rows.append(Row(text: text, bytes: try asm.finish()))
    } catch {
      refused.append("\(text): \(error)")
    }
  }

  private let vexTriples = [[0, 1, 2], [3, 4, 11], [5, 12, 6], [13, 7, 0], [8, 9, 10], [15, 14, 8], [2, 15, 15]]
  private let evexTriples = [[16, 1, 2], [1, 17, 3], [4, 5, 31], [31, 30, 29], [24, 8, 16], [9, 23, 15]]

  /// What `as` wants before a mnemonic whose Swift name says VEX.
  func assemblerName(_ name: String) -> String { name.hasSuffix("VEX") ? "{vex} " + name.dropLast(3) : name }

  /// Every register class, memory form, mask and broadcast of one instruction at one width.
  ///
  /// - Parameters:
  ///   - D: the destination's register type; `S`: the last operand's.
  ///   - widest: the vector length in bytes.
  ///   - count: register operands, the destination included.
  ///   - maskable: whether the destination takes masks.
  func sweep<D: VectorRegister, S: VectorRegister>(
    _ name: String, _ opcode: Opcode, _ destination: D.Type, source: S.Type, widest: Int, count: Int,
    maskable: Bool = true, suffix: String = "", memoryPrefix: String = "",
    registers: ((borrowing X64Assembler, MaskedRegister<D>, [Int]) -> Void)?,
    memory: ((borrowing X64Assembler, MaskedRegister<D>, [Int], any MemoryOperand) -> Void)?
  ) {
    var triples: [[Int]] = []
    if widest < 64 && opcode.hasVEX { triples += vexTriples }
    if opcode.hasEVEX { triples += evexTriples }
    if widest == 64 || !opcode.hasVEX { triples += [[0, 1, 2], [8, 9, 10], [3, 4, 11], [13, 7, 0]] }
    var maskings = [Masking.none]
    if opcode.hasEVEX && maskable {
      maskings += [Masking(mask: .k1, zeroing: false), Masking(mask: .k7, zeroing: true)]
    }
    let name2 = assemblerName(name)
    func text(_ numbers: [Int], _ masking: Masking, last: String) -> String {
      var operands = [D(numbers[0]).description + maskText(masking)]
      if count == 3 { operands.append(D(numbers[1]).description) }
      return "\(name2) " + (operands + [last]).joined(separator: ", ") + suffix
    }
    for (index, numbers) in triples.enumerated() {
      for masking in index < 8 ? maskings : [.none] {
        let target = MaskedRegister(register: D(numbers[0]), masking: masking)
        if let registers {
          add(text(numbers, masking, last: S(numbers[count - 1]).description), name) { registers($0, target, numbers) }
        }
        guard let memory else { continue }
        let unit = opcode.displacementScale(vectorByteCount: widest, broadcast: 0)
        let cases = memoryCases(unit: unit)
        for memoryIndex in index == 0 ? cases.indices : (index % cases.count)..<(index % cases.count + 1) {
          let place = cases[memoryIndex]
          add(text(numbers, masking, last: memoryPrefix + place.text), name) {
            memory($0, target, numbers, place.operand)
          }
        }
        let element = opcode.broadcastByteCount
        if element == 0 || !opcode.hasEVEX { continue }
        // The broadcast count follows the lanes of the memory operand: half as many where it is half the vector.
        let lanes = unit / element
        let broadcasts = memoryCases(unit: element)
        for memoryIndex in index == 0 ? broadcasts.indices : (index % broadcasts.count)..<(index % broadcasts.count + 1)
        {
          let place = broadcasts[memoryIndex]
          let pointer = element == 2 ? "word ptr " : element == 4 ? "dword ptr " : "qword ptr "
          let operand = place.operand
          add(text(numbers, masking, last: pointer + place.text + "{1to\(lanes)}"), name) {
            memory(
              $0, target, numbers,
              element == 2 ? operand.broadcast16 : element == 4 ? operand.broadcast32 : operand.broadcast64)
          }
        }
      }
    }
  }

  /// Stores of one instruction: `name memory, register`.
  func sweepStores<S: VectorRegister>(
    _ name: String, _ opcode: Opcode, _ source: S.Type, maskable: Bool, suffix: String = "",
    store: (borrowing X64Assembler, any MemoryDestination, S) -> Void
  ) {
    let unit = opcode.displacementScale(vectorByteCount: S.byteCount, broadcast: 0)
    var numbers: [Int] = []
    if S.byteCount < 64 && opcode.hasVEX { numbers += [0, 7, 8, 15] }
    if opcode.hasEVEX { numbers += [1, 9, 16, 31] }
    for (index, number) in numbers.enumerated() {
      let cases = memoryCases(unit: unit)
      for place in index == 0 || index == numbers.count - 1 ? cases : [cases[index]] {
        add("\(name) \(place.text), \(S(number))\(suffix)", name) { store($0, place.operand, S(number)) }
        if maskable && opcode.hasEVEX {
          add("\(name) \(place.text){k3}, \(S(number))\(suffix)", name) {
            store($0, place.operand.masked(.k3), S(number))
          }
        }
      }
    }
  }

  func maskText(_ masking: Masking) -> String {
    guard let mask = masking.mask else { return "" }
    return "{\(mask)}" + (masking.zeroing ? "{z}" : "")
  }
}

/// The widths an instruction is tested at.
struct Widths: OptionSet {
  let rawValue: Int
  static let x = Widths(rawValue: 1)
  static let y = Widths(rawValue: 2)
  static let z = Widths(rawValue: 4)
  static let all: Widths = [.x, .y, .z]
  static let wide: Widths = [.y, .z]
}
