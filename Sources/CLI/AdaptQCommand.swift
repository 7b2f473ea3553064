import ArgumentParser
import Base

@main
struct AdaptQCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adaptq",
    abstract: "Converts, inspects, runs, measures and simulates adaptive-precision models.",
    version: "0.2.0",
    subcommands: [
      ConvertCommand.self, InspectCommand.self, TuneCommand.self, RunCommand.self, WatchCommand.self, PlotCommand.self,
      BenchCommand.self, ProbeCommand.self, SimulateCommand.self,
    ])
}

/// An adaptq error as the command line shows it: one line on standard error, exit code 1.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String

  init(_ error: AdaptQError) { description = error.message }
  init(_ text: String) { description = text }
}

/// Runs a body of library calls; its error becomes the command's.
func reporting<Result>(_ body: () throws(AdaptQError) -> Result) throws -> Result {
  do throws(AdaptQError) {
    return try body()
  } catch {
    throw CommandFailure(error)
  }
}
