import Glibc

/// objdump(1), if it is there.
struct Disassembler {
  let path: String

  /// - Parameter searchPath: folders with colons between, as in PATH; relative ones do not count.
  init?(searchPath: String) {
    for folder in searchPath.split(separator: ":") where folder.hasPrefix("/") {
      let candidate = "\(folder)/objdump"
      if access(candidate, X_OK) == 0 {
        path = candidate
        return
      }
    }
    return nil
  }

  /// What objdump prints about x86-64 instructions at address 0; nil where it fails.
  func disassemble(_ bytes: some Sequence<UInt8>) -> String? {
    // objdump wants a file that it can measure; this one has no name any more when it runs.
    var name = Array("/tmp/adaptq-code-XXXXXX".utf8CString)
    let file = mkstemp(&name)
    if file < 0 { return nil }
    _ = fcntl(file, F_SETFD, FD_CLOEXEC)
    defer { close(file) }
    unlink(name)
    let all = Array(bytes)
    if write(file, all, all.count) != all.count || lseek(file, 0, SEEK_SET) != 0 { return nil }
    var ends: [Int32] = [-1, -1]
    if pipe(&ends) != 0 { return nil }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    defer { close(ends[0]) }
    guard let child = spawn(input: file, output: ends[1]) else {
      close(ends[1])
      return nil
    }
    close(ends[1])
    let text = readAll(ends[0])
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    return status == 0 ? text : nil
  }

  private func spawn(input: Int32, output: Int32) -> pid_t? {
    var actions = posix_spawn_file_actions_t()
    if posix_spawn_file_actions_init(&actions) != 0 { return nil }
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    let words = ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--insn-width=11", "/dev/stdin"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    // Its words must be those that are read here.
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("LC_ALL=C"), nil]
    defer { for variable in environment { free(variable) } }
    var child: pid_t = 0
    return posix_spawn(&child, path, &actions, nil, &arguments, &environment) == 0 ? child : nil
  }

  private func readAll(_ descriptor: Int32) -> String {
    var result: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return String(decoding: result, as: UTF8.self) }
      result += piece[..<count]
    }
  }
}
