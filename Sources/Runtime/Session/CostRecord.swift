import Base
import Control
import NestedFormat

/// What measured costs hold for.
struct CostKey {
  var machine: CostMachine
  /// Of the model's file, see ``Model/headerChecksum``.
  var model: UInt64
  var threads: Int
  /// Set of levels, as in ``Level/setBit``.
  var levels: UInt64
  /// Largest size of each symbol of the graph.
  var symbols: [Int]

  /// The first part that differs, with both values; nil where none does. Sizes are not looked at.
  func difference(from here: CostKey) -> String? {
    func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
    if machine.cpu != here.machine.cpu { return "cpu is \"\(machine.cpu)\", here \"\(here.machine.cpu)\"" }
    if machine.instructionSet != here.machine.instructionSet {
      return "instruction set is \(CostMachine.name(ofInstructionSet: machine.instructionSet)), "
        + "here \(CostMachine.name(ofInstructionSet: here.machine.instructionSet))"
    }
    if machine.features != here.machine.features {
      return "features is \(hex(machine.features)), here \(hex(here.machine.features))"
    }
    if machine.kernels != here.machine.kernels {
      return "kernels is \(hex(machine.kernels)), here \(hex(here.machine.kernels))"
    }
    if model != here.model { return "model is \(hex(model)), here \(hex(here.model))" }
    if threads != here.threads { return "threads is \(threads), here \(here.threads)" }
    if levels != here.levels { return "levels is \(levels), here \(here.levels)" }
    return nil
  }
}

/// Costs of one session as bytes that a host may keep: docs/costs-format.md defines each. Foreign bytes go through
/// ``ByteReader``, and what they say is checked before anything uses it.
///
/// The times of the steps, which grow with the model, stay in the bytes: `[size][level]`, each a total and a pair per step.
struct CostRecord {
  var key: CostKey
  var stepCount: Int
  /// The largest first.
  var works: [Int]
  /// One per rung: what runs have taught.
  var rungs: [RungKnowledge]

  private static let magic: UInt64 = 0x5453_4F43_5141_4441  // "ADAQCOST"
  private static let version: UInt32 = 1
  /// Up to the name of the CPU.
  private static let headerByteCount = 88
  private static let checkedFrom = 32
  /// Longer than any CPU's name.
  private static let mostNameBytes = 256

  var levelCount: Int { key.levels.nonzeroBitCount }

  /// Cannot overflow: the counts are 32 bits wide where they come from outside, and there are at most six levels.
  var byteCount: Int { worksAt + 8 * works.count * sizeWords + 16 * rungs.count }

  private var nameByteCount: Int { (key.machine.cpu.utf8.count + 7) & ~7 }
  private var worksAt: Int { CostRecord.headerByteCount + nameByteCount + 8 * key.symbols.count }
  private var levelWords: Int { 1 + 2 * stepCount }
  private var sizeWords: Int { 1 + levelCount * levelWords }

  /// Where the total of a level at a size is; the pairs of the steps follow.
  func offset(size: Int, level: Int) -> Int { worksAt + 8 * (size * sizeWords + 1 + level * levelWords) }

  // MARK: - Writing

  /// - Parameters:
  ///   - target: ``byteCount`` bytes, at any alignment.
  ///   - total: of a whole run.
  func write(to target: UnsafeMutableRawPointer, _ times: StepTimes, total: (_ size: Int, _ level: Int) -> Int) {
    var offset = 0
    func put(_ value: UInt64) {
      target.storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self)
      offset += 8
    }
    func pair(_ low: Int, _ high: Int) { put(UInt64(UInt32(clamping: high)) << 32 | UInt64(UInt32(clamping: low))) }
    put(CostRecord.magic)
    put(UInt64(CostRecord.version))
    put(UInt64(byteCount))
    put(0)
    put(key.machine.features)
    put(key.machine.kernels)
    put(key.model)
    pair(key.machine.instructionSet, key.threads)
    pair(Int(key.levels), key.machine.cpu.utf8.count)
    pair(key.symbols.count, works.count)
    pair(stepCount, rungs.count)
    var name = key.machine.cpu.utf8.makeIterator()
    for _ in 0..<nameByteCount {
      target.storeBytes(of: name.next() ?? 0, toByteOffset: offset, as: UInt8.self)
      offset += 1
    }
    for size in key.symbols { put(UInt64(clamping: size)) }
    for (size, work) in works.enumerated() {
      put(UInt64(clamping: work))
      for level in 0..<levelCount {
        put(UInt64(clamping: total(size, level)))
        for step in 0..<stepCount {
          put(UInt64(clamping: times.product(step, level: level, size: size)))
          put(UInt64(clamping: times.coding(step, level: level, size: size)))
        }
      }
    }
    for rung in rungs {
      put(rung.ratio.bitPattern)
      put(rung.variance.bitPattern)
    }
    let checked = byteCount - CostRecord.checkedFrom
    var checksum = Checksum()
    checksum.add(UnsafeRawBufferPointer(start: target + CostRecord.checkedFrom, count: checked))
    offset = 24
    put(checksum.value)
  }

  // MARK: - Reading

  init(key: CostKey, stepCount: Int, works: [Int], rungs: [RungKnowledge]) {
    (self.key, self.stepCount, self.works, self.rungs) = (key, stepCount, works, rungs)
  }

  /// - Parameter here: what the costs would have to hold for; its sizes are not looked at.
  /// - Throws: `invalidArgument` where these are no exported costs, or damaged; `unsupportedVersion`; `unsupported`, naming the
  ///   field and both values, for costs of something else.
  init(reading bytes: UnsafeRawBufferPointer, for here: CostKey, rungCount: Int) throws(AdaptQError) {
    do throws(AdaptQError) {
      try self.init(bytes, here, rungCount)
    } catch {
      // What the reader calls a file is an argument here.
      throw error.status == .invalidFile ? .invalidArgument(error.message) : error
    }
  }

  private init(_ bytes: UnsafeRawBufferPointer, _ here: CostKey, _ rungCount: Int) throws(AdaptQError) {
    var reader = ByteReader(bytes)
    if try reader.readUInt64("costs: magic") != CostRecord.magic { throw .invalidArgument("data is no exported costs") }
    let version = try reader.readUInt32("costs: version")
    if version != CostRecord.version {
      throw AdaptQError(.unsupportedVersion, "costs: version is \(version), this library reads \(CostRecord.version)")
    }
    let reserved = try reader.readUInt32("costs: reserved")
    if reserved != 0 { throw .invalidArgument("costs: reserved is \(reserved), not 0") }
    let size = try reader.readUInt64("costs: size")
    if size != UInt64(bytes.count) { throw .invalidArgument("costs: size is \(size), given are \(bytes.count) bytes") }
    let sum = try reader.readUInt64("costs: checksum")
    var checksum = Checksum()
    checksum.add(UnsafeRawBufferPointer(rebasing: bytes[CostRecord.checkedFrom...]))
    if sum != checksum.value { throw .invalidArgument("costs: the checksum does not fit, the data is damaged") }

    let features = try reader.readUInt64("costs: features")
    let kernels = try reader.readUInt64("costs: kernels")
    let model = try reader.readUInt64("costs: model")
    func count(_ field: String) throws(AdaptQError) -> Int { Int(try reader.readUInt32("costs: \(field)")) }
    let instructionSet = try count("instruction set")
    let threads = try count("threads")
    let levels = try count("levels")
    let nameCount = try count("length of the cpu's name")
    let symbolCount = try count("number of sizes")
    let sizeCount = try count("number of measured sizes")
    stepCount = try count("number of steps")
    let planCount = try count("number of plans")
    if nameCount > CostRecord.mostNameBytes { throw .invalidArgument("costs: a cpu's name of \(nameCount) bytes") }
    let name = try reader.readString(nameCount, "costs: cpu")
    for _ in nameCount..<(nameCount + 7) & ~7 { _ = try reader.readUInt8("costs: cpu") }
    let machine = CostMachine(cpu: name, instructionSet: instructionSet, features: features, kernels: kernels)
    key = CostKey(machine: machine, model: model, threads: threads, levels: UInt64(levels), symbols: here.symbols)
    (works, rungs) = ([], [])
    if let difference = key.difference(from: here) {
      throw .unsupported("costs were measured elsewhere: \(difference)")
    }
    // From here on levels, sizes and plans are as many as the session has.
    if symbolCount != here.symbols.count {
      throw .invalidArgument("costs: \(symbolCount) sizes, the model has \(here.symbols.count)")
    }
    if !(1...CostMeasurement.shares.count).contains(sizeCount) {
      throw .invalidArgument("costs: \(sizeCount) measured sizes, expected 1 to \(CostMeasurement.shares.count)")
    }
    if planCount != rungCount { throw .invalidArgument("costs: \(planCount) plans, the session has \(rungCount)") }
    for symbol in 0..<symbolCount { key.symbols[symbol] = Int(clamping: try reader.readUInt64("costs: sizes")) }
    for size in 0..<sizeCount { try readTimes(&reader, size) }
    for plan in 0..<planCount {
      let ratio = Double(bitPattern: try reader.readUInt64("costs: ratio"))
      let variance = Double(bitPattern: try reader.readUInt64("costs: variance"))
      guard let known = RungKnowledge(ratio: ratio, variance: variance) else {
        throw .invalidArgument("costs: plan \(plan) has the ratio \(ratio), variance \(variance)")
      }
      rungs.append(known)
    }
    if reader.remaining != 0 { throw .invalidArgument("costs: \(reader.remaining) bytes behind the plans") }
  }

  private mutating func readTimes(_ reader: inout ByteReader, _ size: Int) throws(AdaptQError) {
    let work = Int(clamping: try reader.readUInt64("costs: work"))
    if work < 1 || work >= works.last ?? Int.max { throw .invalidArgument("costs: measured size \(size) is \(work)") }
    works.append(work)
    for level in 0..<levelCount {
      let total = Int(clamping: try reader.readUInt64("costs: time"))
      if !(1...CostCurve.maximumNanoseconds).contains(total) {
        throw .invalidArgument("costs: level \(level) takes \(total) ns at size \(size)")
      }
      // Sums over all steps are taken later, without another look.
      var left = CostCurve.maximumNanoseconds
      for step in 0..<stepCount {
        let product = Int(clamping: try reader.readUInt64("costs: step"))
        let coding = Int(clamping: try reader.readUInt64("costs: step"))
        if product > left || coding > left - product {
          throw .invalidArgument("costs: step \(step) takes \(product) and \(coding) ns")
        }
        left -= product + coding
      }
    }
  }
}

/// Costs that a host gave a session. What ``CostRecord`` has checked is not checked again.
final class ImportedCosts {
  let record: CostRecord
  private let block: MemoryBlock

  init(
    copying bytes: UnsafeRawBufferPointer, for here: CostKey, rungCount: Int, calls: SystemCalls
  ) throws(AdaptQError) {
    // Of bytes that are its own, so that nobody changes them between the check and the use.
    block = try MemoryBlock.allocate(byteCount: bytes.count, purpose: "imported costs", calls: calls)
    if let base = bytes.baseAddress { block.base.copyMemory(from: base, byteCount: bytes.count) }
    record = try CostRecord(reading: block.bytes, for: here, rungCount: rungCount)
  }

  var byteCount: Int { block.byteCount }

  private func number(_ offset: Int) -> Int {
    Int(clamping: UInt64(littleEndian: block.base.load(fromByteOffset: offset, as: UInt64.self)))
  }

  /// Hands out the times of the steps and what whole runs took.
  func costs(_ levels: [Level], _ steps: StepTimes) -> [LevelCost] {
    var points = [[CostPoint]](repeating: [], count: levels.count)
    for (size, work) in record.works.enumerated() {
      for level in levels.indices {
        let offset = record.offset(size: size, level: level)
        points[level].append(CostPoint(work: work, nanoseconds: number(offset)))
        for step in 0..<record.stepCount {
          let at = offset + 8 + 16 * step
          steps.set(step, level: level, size: size, product: number(at), coding: number(at + 8))
        }
      }
      steps.finish(work: work)
    }
    return levels.enumerated().map { index, level in
      LevelCost(
        level: level, nanoseconds: points[index].first?.nanoseconds ?? 0,
        points: points[index].sorted { $0.work < $1.work })
    }
  }
}
