import Base
import NestedFormat

// What the command line shows, in the order in which it is measured.

extension BenchReport {
  var header: [String] {
    let cpus = machine.allowedCPUs.map { "\($0)" }.joined(separator: ",")
    let pinned = machine.pinnedCPU.map { "bound to CPU \($0)" } ?? "not bound to a CPU: the system refused"
    var lines = [
      "adaptq \(options.version), \(options.roundCount) interleaved rounds\(options.quick ? ", quick" : "")",
      "\(machine.cpu), instruction set \(instructionSet), L2 \(kibibytes(machine.l2ByteCount)), "
        + "L3 \(kibibytes(machine.l3ByteCount))",
      "allowed CPUs \(cpus); one thread, \(pinned)",
      "\(generatedKernels.count) generated kernels in use, \(portableKernels.count) portable instead",
    ]
    if options.form != .standard {
      let size = options.form.groupSize == NestedForm.allInputs ? "all" : "\(options.form.groupSize)"
      lines.append(
        "nested weights of products: group size \(size), scales \(options.form.scaleKind.name), activations per "
          + options.form.activations.name)
    }
    if options.quick { lines.append("quick: to see whether it runs, too short to compare") }
    return lines
  }

  private func kibibytes(_ count: Int) -> String {
    count >= 4 << 20 ? "\(count >> 20) MiB" : "\(count >> 10) KiB"
  }
}

extension MachineLimits {
  var lines: [String] {
    if all.isEmpty { return ["limits of one thread: not measured, no code for this CPU"] }
    var table = TextTable(["limits of one thread, now", "median", "best", "unit"])
    for limit in all { table.rows.append([limit.name, fixed(limit.median, 1), fixed(limit.best, 1), limit.unit]) }
    return table.lines
  }
}

extension MatrixResult {
  var lines: [String] {
    var title = "\(matrix.n) outputs, \(matrix.k) inputs, \(matrix.rows) row\(matrix.rows == 1 ? "" : "s")"
    if matrix.fromMemory {
      title += ", weights from memory (copies: \(copies.map { "\($0)" }.joined(separator: ", ")) of FP32, FP16, nested"
      title += copiesReduced ? "; fewer than wanted, memory is short)" : ")"
    }
    var table = TextTable(["level", "us/call", "p95", "x FP32", "reached", "unit", "share", "of"])
    for row in rows {
      table.rows.append([
        row.level.name, fixed(row.summary.median / 1000, 2), fixed(row.summary.percentile95 / 1000, 2),
        row.ratioToFP32.map { fixed($0, 2) } ?? "-", fixed(row.rate, 1), row.limit?.unit ?? "GOP/s",
        row.share.map { "\(fixed($0 * 100, 0)) %" } ?? "-", row.limit?.name ?? "-",
      ])
    }
    let reading = read.map { read in
      ["\(read.name) in the same rounds: \(fixed(read.median, 1)) GB/s (\(readPattern ?? "in order"))"]
    }
    return [title] + table.lines + (reading ?? []) + disturbance(rows.map { ($0.level, $0.summary) })
  }
}

extension ModelPoint {
  func lines(reference: Level) -> [String] {
    var table = TextTable(["\(length) tokens", "ms", "p95", "tokens/s", "x \(reference.name)"])
    for row in rows {
      table.rows.append([
        row.level.name, fixed(row.summary.median / 1e6, 3), fixed(row.summary.percentile95 / 1e6, 3),
        fixed(row.tokensPerSecond, 0), fixed(row.ratio, 2),
      ])
    }
    let sentences = rows.filter { $0.level != reference }.map { row in
      "\(row.level.name) is \(fixed(row.ratio, 1))x \(reference.name) at \(length)"
    }
    return table.lines + sentences + disturbance(rows.map { ($0.level, $0.summary) })
  }
}

/// A line that says how busy the machine was, where it was, and which levels' numbers contain waiting.
private func disturbance(_ summaries: [(level: Level, summary: Summary)]) -> [String] {
  let disturbed = summaries.map(\.summary.disturbed).reduce(0, +)
  if disturbed == 0 { return [] }
  let all = summaries.map(\.summary.rounds).reduce(0, +)
  let spoiled = summaries.filter { $0.summary.rounds - $0.summary.disturbed < InterleavedRounds.minimumRounds }
  let names = spoiled.map(\.level.name).joined(separator: " ")
  return [
    "the CPU was busy elsewhere during \(disturbed) of \(all) samples, which are left out"
      + (spoiled.isEmpty ? "" : "; not at \(names), where fewer than three others are there: do not trust these")
  ]
}
