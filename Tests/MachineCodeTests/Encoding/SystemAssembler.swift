import Glibc

/// GNU `as` as the judge of encodings: all rows in one process.
enum SystemAssembler {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// nil where `as` and `objcopy` can be run, else what is missing.
  static let missing: String? = {
    for tool in ["as", "objcopy"] where run("\(tool) --version").status != 0 { return "no `\(tool)`" }
    return nil
  }()

  /// Bytes of every row, in order. A row is one instruction, or several lines.
  static func assemble(_ rows: [String]) throws -> [[UInt8]] {
    var template = Array("/tmp/adaptq-encoding-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw Failure(description: "no temporary folder") }
    let folder = String(cString: made)
    defer { _ = run("rm -rf \(folder)") }

    var source = ".intel_syntax noprefix\n.text\n"
    for (index, row) in rows.enumerated() { source += "L\(index): \(row)\n" }
    source += "L\(rows.count):\n.section .rows,\"a\"\n"
    for index in rows.indices { source += ".long L\(index + 1) - L\(index)\n" }
    guard let file = fopen("\(folder)/rows.s", "w") else { throw Failure(description: "cannot write \(folder)") }
    fputs(source, file)
    fclose(file)

    let made2 = run("as --64 -o \(folder)/rows.o \(folder)/rows.s")
    if made2.status != 0 {
      // The first two lines are directives.
      let lines = made2.output.split(separator: "\n").prefix(40).map { line -> String in
        let parts = line.split(separator: ":")
        guard parts.count > 1, let number = Int(parts[1]), rows.indices.contains(number - 3) else {
          return String(line)
        }
        return "\(rows[number - 3])  <- \(parts.dropFirst(2).joined(separator: ":"))"
      }
      throw Failure(description: lines.joined(separator: "\n"))
    }
    for section in ["text", "rows"] {
      let copied = run("objcopy -O binary -j .\(section) \(folder)/rows.o \(folder)/\(section).bin")
      if copied.status != 0 { throw Failure(description: copied.output) }
    }
    let text = try readBytes("\(folder)/text.bin")
    let sizes = try readBytes("\(folder)/rows.bin")
    var result: [[UInt8]] = []
    var offset = 0
    for index in rows.indices {
      let size = Int(sizes[4 * index]) + Int(sizes[4 * index + 1]) << 8
      result.append(Array(text[offset..<(offset + size)]))
      offset += size
    }
    return result
  }

  static func run(_ command: String) -> (status: Int32, output: String) {
    guard let pipe = popen("\(command) 2>&1", "r") else { return (-1, "") }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = fread(&buffer, 1, buffer.count, pipe)
      if count == 0 { break }
      output += buffer[0..<count]
    }
    return (pclose(pipe), String(decoding: output, as: UTF8.self))
  }

  private static func readBytes(_ path: String) throws -> [UInt8] {
    guard let file = fopen(path, "r") else { throw Failure(description: "cannot read \(path)") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { return bytes }
      bytes += buffer[0..<count]
    }
  }
}
