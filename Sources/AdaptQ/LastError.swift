import Base
import CAdaptQ
import CMachine
import Glibc

// The text behind adaptq_last_error(): a fixed buffer per thread, so that it needs no allocation, no destructor and no key,
// and goes away with its thread. Only a failing call writes it.

@c @implementation public func adaptq_last_error() -> UnsafePointer<CChar>? {
  UnsafePointer(cmachine_error_text())
}

/// Keeps the calling thread's error text. A text that does not fit ends in "..." at a character boundary.
func setLastError(_ message: String) {
  let buffer = cmachine_error_text()
  let capacity = Int(CMACHINE_ERROR_TEXT_SIZE) - 1
  var message = message
  message.withUTF8 { bytes in
    var count = min(bytes.count, capacity)
    let isCut = count < bytes.count
    if isCut {
      count = capacity - 3
      // 0b10xx_xxxx continues a character: leave the whole character out.
      while count > 0 && bytes[count] & 0xC0 == 0x80 { count -= 1 }
    }
    // A zero byte inside (a path cannot have one, a file's name for a part can) would hide the rest.
    for index in 0..<count { buffer[index] = CChar(bitPattern: bytes[index] == 0 ? 0x3F : bytes[index]) }
    if isCut {
      for _ in 0..<3 {
        buffer[count] = 0x2E
        count += 1
      }
    }
    buffer[count] = 0
  }
}
