import ArgumentParser
import Base
import Glibc
import Telemetry
import Traces

struct WatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Shows what a running host does: latency against budget, precision per site, slow-down.",
    discussion: """
      The host makes the file with adaptq_runtime_telemetry_file(). On a terminal the page is drawn anew until the host ends or \
      you press Ctrl-C; elsewhere each session gets a line per interval. Exit code 0, also when the host is gone.
      """)

  @Argument(help: "The telemetry file.")
  var path: String

  @Flag(help: "Print one page and end.")
  var once = false

  @Option(help: "Seconds between two looks, 0.05 to 3600.")
  var interval = 1.0

  func validate() throws {
    if !(interval >= 0.05 && interval <= 3600) { throw ValidationError("--interval \(interval): 0.05 to 3600") }
  }

  func run() throws {
    let reader = try reporting { () throws(AdaptQError) in try TelemetryReader(path: path) }
    if once {
      let page = try look(reader).page
      _ = Terminal.write(page.lines(title: path).joined(separator: "\n") + "\n")
    } else if Terminal.isTerminal {
      try show(reader)
    } else {
      try list(reader)
    }
  }

  private func look(_ reader: TelemetryReader) throws -> (page: WatchPage, host: TelemetryReader.Host) {
    let (snapshot, host) = try reporting { () throws(AdaptQError) in try reader.read() }
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let now = UInt64(clamping: time.tv_sec * 1_000_000_000 + time.tv_nsec)
    return (
      WatchPage(snapshot, host, now: now, width: Terminal.size.columns, isStyled: Terminal.isTerminal), host
    )
  }

  private func list(_ reader: TelemetryReader) throws {
    while true {
      let (page, host) = try look(reader)
      if !Terminal.write(page.plainLines.joined(separator: "\n") + "\n") || host != .running { return }
      usleep(UInt32(clampedInt(interval * 1e6, in: 0...Int(UInt32.max))))
    }
  }

  private func show(_ reader: TelemetryReader) throws {
    // Read before the screen changes: an error belongs on the ordinary one.
    var last = try look(reader)
    var signals = WaitingSignals([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH])
    _ = Terminal.write(Terminal.enter)
    var failure: Error?
    loop: while last.host == .running {
      if !Terminal.write(Terminal.frame(last.page.lines(title: path), rows: Terminal.size.rows)) { break }
      switch signals.next(within: interval) {
      case SIGINT, SIGTERM, SIGHUP, SIGQUIT: break loop
      case SIGTSTP:
        _ = Terminal.write(Terminal.leave)
        kill(getpid(), SIGSTOP)
        _ = Terminal.write(Terminal.enter)
      default: break
      }
      do { last = try look(reader) } catch {
        failure = error
        break
      }
    }
    _ = Terminal.write(Terminal.leave)
    // What was seen last stays on the terminal.
    _ = Terminal.write(last.page.lines(title: path).joined(separator: "\n") + "\n")
    if let failure { throw failure }
  }
}
