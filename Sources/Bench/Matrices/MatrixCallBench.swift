import Base
import Hardware
import Kernels
import NestedFormat
import Runtime

/// Times whole calls of small matrices, as `adaptq_matrix_multiply` makes them but for its look-up and checks. What a C
/// caller sees is timed by Tests/MatrixCalls.
public enum MatrixCallBench {
  /// - Parameter print: takes lines as they become known.
  public static func run(quick: Bool, rounds: Int, print: (String) -> Void) throws(AdaptQError) {
    let machine = Machine.pinned()
    let features = KernelFeatures(CPUFeatures.live(), maximum: try InstructionSet.maximumFromEnvironment())
    let kernels = KernelSet(features: features)
    let cpu = machine.pinnedCPU.map { "bound to CPU \($0)" } ?? "not bound to a CPU"
    print("\(machine.cpu), instruction set \(features.highest.name); one thread, \(cpu); medians of \(rounds) rounds")
    for (n, k) in quick ? [(384, 384)] : [(64, 64), (384, 384), (1536, 384), (384, 1536)] {
      try measure(n, k, kernels, quick: quick, rounds: rounds, print)
    }
    withExtendedLifetime(kernels) {}
  }

  private static func measure(
    _ n: Int, _ k: Int, _ kernels: KernelSet, quick: Bool, rounds: Int, _ print: (String) -> Void
  ) throws(AdaptQError) {
    let rowCounts = [1, 2, 4, 16]
    let levels = Level.allCases.sorted(by: >)
    let weights = try MemoryBlock.allocate(byteCount: n * k * 4, purpose: "weights to measure")
    let input = try MemoryBlock.allocate(byteCount: 16 * k * 4, purpose: "input to measure")
    let output = try MemoryBlock.allocate(byteCount: 16 * n * 4, purpose: "output to measure")
    var random = RandomNumbers(seed: 11)
    random.fill(weights.base.assumingMemoryBound(to: Float.self), count: n * k)
    random.fill(input.base.assumingMemoryBound(to: Float.self), count: 16 * k)
    var source = MatrixSource(n: n, k: k, weights: UnsafeRawPointer(weights.base))
    source.keep = [.fp16, .fp32]
    let matrix = try Matrix(source, options: MatrixOptions(), kernels: kernels.table, kernelOwner: kernels)
    let handle = matrix.handle
    let calls = levels.flatMap { level in
      rowCounts.map { rows in
        var call = MatrixCall(
          level: level, rows: rows, y: output.base.assumingMemoryBound(to: Float.self), yStride: n)
        call.x = UnsafePointer(input.base.assumingMemoryBound(to: Float.self))
        call.xStride = k
        return call
      }
    }
    let rounds = InterleavedRounds(rounds: rounds, sampleNanoseconds: quick ? 50_000 : 300_000, warms: true)
    let summaries = try rounds.measure(contestants: calls.count) { index, count throws(AdaptQError) in
      let call = calls[index]
      for _ in 0..<count { handle.multiply(call, workspace: handle.workspace) }
    }
    var table = TextTable(["level"] + rowCounts.map { $0 == 1 ? "1 row" : "\($0) rows" })
    for (index, level) in levels.enumerated() {
      table.rows.append(
        [level.name] + rowCounts.indices.map { fixed(summaries[index * rowCounts.count + $0].median / 1000, 2) })
    }
    print("")
    print("\(n) outputs, \(k) inputs\(matrix.expandedByteCount > 0 ? ", INT8 codes expanded" : ""); us per call")
    for line in table.lines { print(line) }
    withExtendedLifetime((matrix, weights, input, output)) {}
  }
}
