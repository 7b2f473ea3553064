import Glibc

/// Standard output as a terminal, or not one. While a ``Screen`` is shown, signals wait: whoever shows it asks for them.
enum Terminal {
  static var isTerminal: Bool { isatty(1) == 1 }

  /// Columns and rows; 80 by 24 where the terminal does not say.
  static var size: (columns: Int, rows: Int) {
    var size = winsize()
    if ioctl(1, UInt(TIOCGWINSZ), &size) != 0 || size.ws_col == 0 || size.ws_row == 0 { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// At once, all of it. False where nobody reads any more.
  static func write(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = Glibc.write(1, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        if count < 0 && errno != EINTR { return false }
        done += max(count, 0)
      }
      return true
    }
  }

  /// The alternate screen without a cursor and without wrapping, and back: what was on the terminal before is there again.
  static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
  static let leave = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  /// One frame over the one before, without flicker: each line up to its end, then what is left below.
  static func frame(_ lines: [String], rows: Int) -> String {
    let shown = lines.prefix(max(rows, 1))
    return "\u{1B}[H" + shown.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J"
  }
}

/// Signals that are waited for instead of being handled, so that nothing happens in the middle of a frame.
struct WaitingSignals {
  private var set = sigset_t()

  init(_ signals: [Int32]) {
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// The next signal, or nil when the time has passed.
  mutating func next(within seconds: Double) -> Int32? {
    let whole = seconds.rounded(.down)
    var time = timespec(tv_sec: Int(whole), tv_nsec: Int((seconds - whole) * 1e9))
    let signal = sigtimedwait(&set, nil, &time)
    return signal > 0 ? signal : nil
  }
}
