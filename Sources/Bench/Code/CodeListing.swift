import Base
import Hardware
import Kernels
import MachineCode
import NestedFormat

/// One generated kernel, to be printed.
public struct KernelCode: Equatable, Sendable {
  public var name: String
  public var code: MarkedCode

  /// The kernels that this CPU uses (`ADAPTQ_MAX_ISA` caps it), in the catalog's order.
  ///
  /// - Parameter parts: only kernels whose name contains one of these; all where there are none.
  /// - Throws: `.notFound` where there are names, and no kernel has one; what the environment or a generator says.
  public static func ofThisCPU(_ parts: [String]) throws(AdaptQError) -> [KernelCode] {
    let features = KernelFeatures(CPUFeatures.live(), maximum: try InstructionSet.maximumFromEnvironment())
    return try kernels(for: features, parts)
  }

  static func kernels(for features: KernelFeatures, _ parts: [String]) throws(AdaptQError) -> [KernelCode] {
    func isWanted(_ name: String) -> Bool { parts.isEmpty || parts.contains { name.contains($0) } }
    var result: [KernelCode] = []
    var names: [String] = []
    for spec in KernelCatalog.specs(for: features, levels: Level.allCases) {
      let name = KernelName(spec).description
      names.append(name)
      if isWanted(name) { result.append(KernelCode(name: name, code: try KernelGenerator.marked(spec))) }
    }
    for spec in OperatorSpec.specs(for: features) {
      names.append(spec.description)
      if isWanted(spec.description) {
        result.append(KernelCode(name: spec.description, code: try KernelGenerator.marked(spec)))
      }
    }
    if result.isEmpty && !parts.isEmpty {
      let there = names.isEmpty ? "no code is generated for this CPU" : "there are \(names.joined(separator: ", "))"
      throw AdaptQError(.notFound, "no kernel is called like \(parts.joined(separator: ", ")); \(there)")
    }
    return result
  }
}

/// Lines that as(1) takes: comments, labels and bytes.
extension KernelCode {
  /// - Parameter disassembly: lines of objdump(1) about the instructions; without it they are bytes.
  public func listing(disassembly: String? = nil) -> [String] {
    let constants = code.bytes.count - code.instructionByteCount
    let title = "# \(name): \(code.bytes.count) bytes, \(code.instructionByteCount) of them instructions"
    var lines = [constants > 0 ? title + ", \(constants) constants and padding" : title, "\(name):"]
    if let disassembly {
      lines += annotated(disassembly)
    } else {
      var start = 0
      for (offset, label) in labels where offset < code.instructionByteCount {
        lines += bytes(start..<offset)
        lines.append("\(label):")
        start = offset
      }
      lines += bytes(start..<code.instructionByteCount)
      for (offset, label) in labels where offset == code.instructionByteCount && offset > 0 {
        lines.append("\(label):  # at \(hex(offset))")
      }
    }
    if constants > 0 { lines += ["\(name).constants:"] + bytes(code.instructionByteCount..<code.bytes.count) }
    return lines
  }

  /// Names of the labels: whole names, so that kernels may stand in one file.
  var labels: [(offset: Int, name: String)] {
    code.marks.enumerated().map { ($1.offset, "\(name).\($1.isLoopHead ? "loop" : "label")\($0)") }
  }

  private func bytes(_ range: Range<Int>) -> [String] {
    stride(from: range.lowerBound, to: range.upperBound, by: 16).map { start in
      let piece = code.bytes[start..<min(start + 16, range.upperBound)]
      return "  .byte \(piece.map { "0x" + hex(Int($0), 2) }.joined(separator: ","))  # \(hex(start, 4))"
    }
  }

  /// objdump's lines about instructions, labels before theirs, and behind a jump the label that it leads to.
  private func annotated(_ disassembly: String) -> [String] {
    let labels = self.labels
    var next = 0
    var lines: [String] = []
    for line in disassembly.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, let offset = Int(parts[0].drop { $0 == " " }, radix: 16) else { continue }
      while next < labels.count && labels[next].offset <= offset {
        lines.append("\(labels[next].name):")
        next += 1
      }
      var text = "  \(hex(offset, 4)): " + parts[1].drop { $0 == "\t" || $0 == " " }
      while text.last == " " { text.removeLast() }
      // Bytes, a tab, the instruction.
      let words = (text.split(separator: "\t").last ?? "").split(separator: " ")
      if words.count == 2, words[0].hasPrefix("j"), words[1].hasPrefix("0x"),
        let target = Int(words[1].dropFirst(2), radix: 16),
        let label = labels.first(where: { $0.offset == target })
      {
        text += "  # \(label.name.dropFirst(name.count + 1))"
      }
      lines.append(text)
    }
    for label in labels[next...] { lines.append("\(label.name):") }
    return lines
  }
}

private func hex(_ value: Int, _ digits: Int = 1) -> String {
  let text = String(value, radix: 16)
  return String(repeating: "0", count: max(digits - text.count, 0)) + text
}
