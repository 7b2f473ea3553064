import Base
import Glibc

/// Writes to a temporary file beside `path` and renames it: a reader sees the old file or the new one, never half of one.
func writeFile(_ path: String, _ bytes: UnsafeRawBufferPointer) throws {
  let temporary = "\(path).\(getpid()).tmp"
  let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  if descriptor < 0 { throw CommandFailure("\(temporary): \(systemErrorText(errno))") }
  var done = 0
  while done < bytes.count {
    let count = write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
    if count < 0 {
      if errno == EINTR { continue }
      let text = systemErrorText(errno)
      close(descriptor)
      unlink(temporary)
      throw CommandFailure("\(temporary): \(text)")
    }
    done += count
  }
  if fsync(descriptor) != 0 || close(descriptor) != 0 || rename(temporary, path) != 0 {
    let text = systemErrorText(errno)
    unlink(temporary)
    throw CommandFailure("\(path): \(text)")
  }
}

func printError(_ text: String) {
  var text = text
  text.withUTF8 { bytes in _ = write(2, bytes.baseAddress, bytes.count) }
}
