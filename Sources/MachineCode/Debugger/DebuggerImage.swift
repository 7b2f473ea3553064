/// An object file in memory that gives a region of generated code its names: what gdb reads of code that no file has. Its code
/// section has an address and no bytes.
///
/// Format: "ELF-64 Object File Format" (1998) and the x86-64 psABI.
struct DebuggerImage {
  private(set) var bytes: [UInt8] = []

  private static let headerByteCount = 64
  private static let sectionByteCount = 64
  private static let symbolByteCount = 24

  /// - Parameters:
  ///   - base: where the region lies.
  ///   - code: functions inside of it.
  init(base: UInt, byteCount: Int, code: [(name: String, offset: Int, byteCount: Int)]) {
    var (symbols, strings) = ([UInt8](repeating: 0, count: DebuggerImage.symbolByteCount), [UInt8(0)])
    for function in code {
      DebuggerImage.append(UInt32(truncatingIfNeeded: strings.count), &symbols)
      // A global function of section 1.
      symbols += [0x12, 0]
      DebuggerImage.append(UInt16(1), &symbols)
      DebuggerImage.append(UInt64(truncatingIfNeeded: function.offset), &symbols)
      DebuggerImage.append(UInt64(truncatingIfNeeded: function.byteCount), &symbols)
      strings += Array(function.name.utf8) + [0]
    }
    var names: [UInt8] = [0]
    func place(_ name: String) -> UInt32 {
      defer { names += Array(name.utf8) + [0] }
      return UInt32(truncatingIfNeeded: names.count)
    }
    let sectionNames = [".text", ".symtab", ".strtab", ".shstrtab"].map(place)
    let symbolsAt = DebuggerImage.headerByteCount
    let stringsAt = symbolsAt + symbols.count
    let namesAt = stringsAt + strings.count
    let sectionsAt = (namesAt + names.count + 7) & ~7
    appendHeader(sectionsAt: sectionsAt)
    bytes += symbols + strings + names
    bytes += [UInt8](repeating: 0, count: sectionsAt - bytes.count)
    bytes += [UInt8](repeating: 0, count: DebuggerImage.sectionByteCount)
    // No bytes in the file (8), allocated and executable (6).
    appendSection(sectionNames[0], type: 8, flags: 6, address: base, offset: symbolsAt, byteCount, alignment: 64)
    appendSection(
      sectionNames[1], type: 2, offset: symbolsAt, symbols.count, link: 3, info: 1, alignment: 8,
      entryByteCount: DebuggerImage.symbolByteCount)
    appendSection(sectionNames[2], type: 3, offset: stringsAt, strings.count)
    appendSection(sectionNames[3], type: 3, offset: namesAt, names.count)
  }

  private static func append<Integer: FixedWidthInteger>(_ value: Integer, _ bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes += Array($0) }
  }

  private mutating func append<Integer: FixedWidthInteger>(_ value: Integer) { DebuggerImage.append(value, &bytes) }

  private mutating func appendHeader(sectionsAt: Int) {
    // 64 bits, little-endian, version 1, then zeros.
    bytes = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    // Relocatable, x86-64: symbols count from their section.
    append(UInt16(1))
    append(UInt16(62))
    append(UInt32(1))
    append(UInt64(0))
    append(UInt64(0))
    append(UInt64(truncatingIfNeeded: sectionsAt))
    append(UInt32(0))
    for field in [DebuggerImage.headerByteCount, 0, 0, DebuggerImage.sectionByteCount, 5, 4] {
      append(UInt16(truncatingIfNeeded: field))
    }
  }

  private mutating func appendSection(
    _ name: UInt32, type: UInt32, flags: UInt64 = 0, address: UInt = 0, offset: Int, _ byteCount: Int,
    link: UInt32 = 0, info: UInt32 = 0, alignment: UInt64 = 1, entryByteCount: Int = 0
  ) {
    append(name)
    append(type)
    append(flags)
    append(UInt64(address))
    append(UInt64(truncatingIfNeeded: offset))
    append(UInt64(truncatingIfNeeded: byteCount))
    append(link)
    append(info)
    append(alignment)
    append(UInt64(truncatingIfNeeded: entryByteCount))
  }
}
