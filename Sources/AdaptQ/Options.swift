import Base
import CAdaptQ
import Runtime

// The one table of options: adaptq_option_describe() shows it and every check goes through it, so that neither can drift
// from the other. A new field of an option struct gets a case here.

/// An option of the C API: a field of an option struct, or a parameter with bounds. The raw value is its index.
enum Option: Int {
  case log, logContext, logLevel, codeGeneration, maximumISA, allocate, release, allocatorContext, ignoreEnvironment
  case cpuSet, cpuCount, parallelFor, parallelForContext, threads, parallelForThreads, sensorRoot, pollInterval
  case telemetrySessions, telemetryRecords, telemetrySites
  case allowedLevels, measureTime, allowShadow, chooseThreads
  case runLevel, deadline, maximumThreads
  case matrixName, matrixN, matrixK, matrixWeights, matrixRowStride, matrixColumnStride, matrixBias, matrixWeightType
  case matrixGroupSize, matrixKeep, matrixExpand, matrixMaxRows, matrixOpenMaxRows, matrixOpenExpand
  case matrixScaleKind, matrixActivationScales, matrixWeightScales, matrixZeroPoints
  case groupLevels, groupMaxRows, groupMeasureTime, groupImportance
  case shadowPlan, shadowThreads, shadowForget
  // The last of these ends the count.
  case setLevel, setAllowedLevels, latency, percentile, groupDeadline
  case budgetLatency, budgetPercentile, budgetMean, budgetP5, budgetLevels, meanFloor, p5Floor, score

  static let count = Option.score.rawValue + 1
}

/// What an option may be. Trivial, because the run path checks with it.
struct OptionRule: BitwiseCopyable {
  /// The struct, or the function whose parameter it is.
  var owner: StaticString
  var name: StaticString
  /// ADAPTQ_OPTION_*.
  var type: Int
  var minimum = 0.0
  var maximum = 0.0
  var defaultValue = 0.0
  /// Of a value outside.
  var status = Status.invalidArgument
  var description: StaticString
}

extension Option {
  var rule: OptionRule {
    switch self {
    case .log, .logContext, .logLevel, .codeGeneration, .maximumISA, .allocate, .release, .allocatorContext,
      .ignoreEnvironment, .cpuSet, .cpuCount, .parallelFor, .parallelForContext, .threads, .parallelForThreads,
      .sensorRoot, .pollInterval:
      runtimeRule
    case .matrixName, .matrixN, .matrixK, .matrixWeights, .matrixRowStride, .matrixColumnStride, .matrixBias,
      .matrixWeightType, .matrixGroupSize, .matrixKeep, .matrixExpand, .matrixMaxRows, .matrixOpenMaxRows,
      .matrixOpenExpand, .matrixScaleKind, .matrixActivationScales, .matrixWeightScales, .matrixZeroPoints:
      matrixRule
    case .groupLevels, .groupMaxRows, .groupMeasureTime, .groupImportance: groupRule
    case .telemetrySessions, .telemetryRecords, .telemetrySites: telemetryRule
    case .allowedLevels:
      OptionRule(
        owner: "adaptq_session_options", name: "allowed_levels", type: ADAPTQ_OPTION_UINT32,
        maximum: Double(ADAPTQ_ALLOW_ALL),
        defaultValue: Double(ADAPTQ_ALLOW_ALL),
        description: "set of ADAPTQ_ALLOW_*: levels to use, of those the model stores")
    case .measureTime:
      OptionRule(
        owner: "adaptq_session_options", name: "measure_ns", type: ADAPTQ_OPTION_INT64,
        maximum: Double((Int64(1) << 50) - 1),
        description: "nanoseconds after which prepare begins no further measurement; 0: about 400 ms per size")
    case .chooseThreads:
      OptionRule(
        owner: "adaptq_session_options", name: "choose_threads", type: ADAPTQ_OPTION_INT32, maximum: 1,
        description: "1: budgets of power may choose how many threads a run has")
    case .allowShadow, .shadowPlan, .shadowThreads, .shadowForget, .score: shadowRule
    case .runLevel:
      OptionRule(
        owner: "adaptq_run_options", name: "level", type: ADAPTQ_OPTION_INT32,
        maximum: Double(ADAPTQ_LEVEL_FP32),
        description: "ADAPTQ_LEVEL_* for this call; other numbers are refused, also between the bounds")
    case .deadline:
      OptionRule(
        owner: "adaptq_run_options", name: "deadline_ns", type: ADAPTQ_OPTION_INT64,
        maximum: Double((Int64(1) << 50) - 1), status: .outOfRange,
        description: "nanoseconds within which this call should end; 0: no deadline")
    case .maximumThreads:
      OptionRule(
        owner: "adaptq_run_options", name: "max_threads", type: ADAPTQ_OPTION_INT32,
        maximum: Double(ADAPTQ_MAX_THREADS), description: "at most so many threads for this call; 0: no limit")
    case .setLevel:
      OptionRule(
        owner: "adaptq_session_set_level", name: "level", type: ADAPTQ_OPTION_INT32,
        maximum: Double(ADAPTQ_LEVEL_FP32),
        description: "ADAPTQ_LEVEL_* for all runs; other numbers are refused, also between the bounds")
    case .setAllowedLevels:
      OptionRule(
        owner: "adaptq_session_set_allowed_levels", name: "allowed_levels", type: ADAPTQ_OPTION_UINT32,
        maximum: Double(ADAPTQ_ALLOW_ALL), defaultValue: Double(ADAPTQ_ALLOW_ALL),
        description: "set of ADAPTQ_ALLOW_* that the budget may choose from")
    case .latency:
      OptionRule(
        owner: "adaptq_session_set_latency_budget", name: "latency_ns", type: ADAPTQ_OPTION_INT64,
        maximum: Double((Int64(1) << 50) - 1), status: .outOfRange, description: "latency in nanoseconds; 0: no budget")
    case .percentile:
      OptionRule(
        owner: "adaptq_session_set_latency_budget", name: "percentile", type: ADAPTQ_OPTION_DOUBLE,
        minimum: 50, maximum: 99.9, status: .outOfRange,
        description: "share of runs that are to hold the latency, in per cent")
    case .groupDeadline:
      OptionRule(
        owner: "adaptq_group_set_deadline", name: "deadline_ns", type: ADAPTQ_OPTION_INT64,
        maximum: Double((Int64(1) << 50) - 1), status: .outOfRange,
        description: "nanoseconds within which each frame should end; 0: no deadline")
    case .budgetLatency, .budgetPercentile, .budgetMean, .budgetP5, .budgetLevels: budgetRule
    case .meanFloor, .p5Floor:
      OptionRule(
        owner: "adaptq_session_set_quality_floor", name: self == .meanFloor ? "mean_cosine" : "p5_cosine",
        type: ADAPTQ_OPTION_DOUBLE, maximum: 1, status: .outOfRange,
        description: "least quality of plans that the budget may choose; 0: no floor")
    }
  }

  private var runtimeRule: OptionRule {
    func field(
      _ name: StaticString, _ type: Int, maximum: Int = 0, defaultValue: Int = 0, _ description: StaticString
    ) -> OptionRule {
      OptionRule(
        owner: "adaptq_runtime_options", name: name, type: type,
        maximum: Double(maximum),
        defaultValue: Double(defaultValue), description: description)
    }
    return switch self {
    case .logContext:
      field("log_context", ADAPTQ_OPTION_POINTER, "handed to log")
    case .logLevel:
      field(
        "log_level", ADAPTQ_OPTION_INT32, maximum: ADAPTQ_LOG_DEBUG, defaultValue: ADAPTQ_LOG_WARNING,
        "ADAPTQ_LOG_*: lines up to this level")
    case .codeGeneration:
      field(
        "code_generation", ADAPTQ_OPTION_INT32, maximum: ADAPTQ_CODE_GENERATION_OFF,
        defaultValue: ADAPTQ_CODE_GENERATION_ON, "ADAPTQ_CODE_GENERATION_*")
    case .maximumISA:
      field(
        "max_isa", ADAPTQ_OPTION_INT32, maximum: ADAPTQ_ISA_AMX,
        "ADAPTQ_ISA_*: highest instruction set of generated code")
    case .allocate:
      field("allocate", ADAPTQ_OPTION_POINTER, "gives big buffers; NULL: mmap")
    case .release:
      field("release", ADAPTQ_OPTION_POINTER, "takes back what allocate gave; set if and only if it is")
    case .allocatorContext:
      field("allocator_context", ADAPTQ_OPTION_POINTER, "handed to allocate and release")
    case .ignoreEnvironment:
      field("ignore_environment", ADAPTQ_OPTION_INT32, maximum: 1, "1: read no variable")
    case .cpuSet:
      field("cpu_set", ADAPTQ_OPTION_POINTER, "CPUs for the threads")
    case .cpuCount:
      field("n_cpus", ADAPTQ_OPTION_INT64, maximum: Threads.maximumCPUs, "how many CPUs cpu_set names")
    case .parallelFor:
      field("parallel_for", ADAPTQ_OPTION_POINTER, "the host's threads; NULL: the library's own")
    case .parallelForContext:
      field("parallel_for_context", ADAPTQ_OPTION_POINTER, "handed to parallel_for")
    case .threads:
      field(
        "threads", ADAPTQ_OPTION_INT32, maximum: ADAPTQ_MAX_THREADS,
        "threads that work on one run; 0: what this machine is good for")
    case .parallelForThreads:
      field(
        "parallel_for_threads", ADAPTQ_OPTION_INT32, maximum: ADAPTQ_MAX_THREADS,
        "bodies that parallel_for calls at once; 0: what this machine is good for")
    case .sensorRoot:
      field("sensor_root", ADAPTQ_OPTION_POINTER, "folder below which sensors are looked for; NULL: the root")
    case .pollInterval:
      field(
        "poll_interval_ms", ADAPTQ_OPTION_INT32, maximum: 3_600_000,
        "milliseconds between the polls of a thread of the library's own; 0: no such thread")
    default:
      field("log", ADAPTQ_OPTION_POINTER, "receives log lines; NULL: no log")
    }
  }
}

extension Option {
  /// Where the field is in its struct; nil for a parameter. Not part of the rule: key paths are not for the run path.
  var offset: Int? {
    switch self {
    case .log: MemoryLayout<adaptq_runtime_options>.offset(of: \.log)
    case .logContext: MemoryLayout<adaptq_runtime_options>.offset(of: \.log_context)
    case .logLevel: MemoryLayout<adaptq_runtime_options>.offset(of: \.log_level)
    case .codeGeneration: MemoryLayout<adaptq_runtime_options>.offset(of: \.code_generation)
    case .maximumISA: MemoryLayout<adaptq_runtime_options>.offset(of: \.max_isa)
    case .allocate: MemoryLayout<adaptq_runtime_options>.offset(of: \.allocate)
    case .release: MemoryLayout<adaptq_runtime_options>.offset(of: \.release)
    case .allocatorContext: MemoryLayout<adaptq_runtime_options>.offset(of: \.allocator_context)
    case .ignoreEnvironment: MemoryLayout<adaptq_runtime_options>.offset(of: \.ignore_environment)
    case .cpuSet: MemoryLayout<adaptq_runtime_options>.offset(of: \.cpu_set)
    case .cpuCount: MemoryLayout<adaptq_runtime_options>.offset(of: \.n_cpus)
    case .parallelFor: MemoryLayout<adaptq_runtime_options>.offset(of: \.parallel_for)
    case .parallelForContext: MemoryLayout<adaptq_runtime_options>.offset(of: \.parallel_for_context)
    case .threads: MemoryLayout<adaptq_runtime_options>.offset(of: \.threads)
    case .parallelForThreads: MemoryLayout<adaptq_runtime_options>.offset(of: \.parallel_for_threads)
    case .sensorRoot: MemoryLayout<adaptq_runtime_options>.offset(of: \.sensor_root)
    case .pollInterval: MemoryLayout<adaptq_runtime_options>.offset(of: \.poll_interval_ms)
    case .maximumThreads: MemoryLayout<adaptq_run_options>.offset(of: \.max_threads)
    case .telemetrySessions: MemoryLayout<adaptq_telemetry_file_options>.offset(of: \.max_sessions)
    case .telemetryRecords: MemoryLayout<adaptq_telemetry_file_options>.offset(of: \.max_records)
    case .telemetrySites: MemoryLayout<adaptq_telemetry_file_options>.offset(of: \.max_sites)
    case .allowedLevels: MemoryLayout<adaptq_session_options>.offset(of: \.allowed_levels)
    case .budgetLatency: MemoryLayout<adaptq_budget>.offset(of: \.latency_ns)
    case .budgetPercentile: MemoryLayout<adaptq_budget>.offset(of: \.percentile)
    case .budgetMean: MemoryLayout<adaptq_budget>.offset(of: \.mean_cosine)
    case .budgetP5: MemoryLayout<adaptq_budget>.offset(of: \.p5_cosine)
    case .budgetLevels: MemoryLayout<adaptq_budget>.offset(of: \.allowed_levels)
    case .measureTime: MemoryLayout<adaptq_session_options>.offset(of: \.measure_ns)
    case .runLevel: MemoryLayout<adaptq_run_options>.offset(of: \.level)
    case .deadline: MemoryLayout<adaptq_run_options>.offset(of: \.deadline_ns)
    case .allowShadow: MemoryLayout<adaptq_session_options>.offset(of: \.shadow)
    case .chooseThreads: MemoryLayout<adaptq_session_options>.offset(of: \.choose_threads)
    case .shadowPlan: MemoryLayout<adaptq_shadow_options>.offset(of: \.plan)
    case .shadowThreads: MemoryLayout<adaptq_shadow_options>.offset(of: \.max_threads)
    case .shadowForget: MemoryLayout<adaptq_shadow_options>.offset(of: \.forget)
    case .setLevel, .setAllowedLevels, .latency, .percentile, .groupDeadline, .meanFloor, .p5Floor, .score: nil
    default: matrixOffset
    }
  }
}

/// Throws ADAPTQ_INVALID_ARGUMENT that names the option, its value and its bounds.
@inline(__always)
func requireOption(_ value: Int64, _ option: Option) throws(AdaptQError) {
  let rule = option.rule
  if Double(value) < rule.minimum || Double(value) > rule.maximum { throw optionError("\(value)", option) }
}

/// For a parameter that is a fraction. NaN is outside.
@inline(__always)
func requireOption(_ value: Double, _ option: Option) throws(AdaptQError) {
  let rule = option.rule
  if !(value >= rule.minimum && value <= rule.maximum) { throw optionError("\(value)", option) }
}

@inline(never)
private func optionError(_ value: @autoclosure () -> String, _ option: Option) -> AdaptQError {
  func text(_ bound: Double) -> String {
    Int64(exactly: bound).map(String.init) ?? String(bound)
  }
  let rule = option.rule
  let name = option.offset == nil ? "\(rule.name)" : "\(rule.owner).\(rule.name)"
  return AdaptQError(
    rule.status, "\(name) is \(value()); expected \(text(rule.minimum)) to \(text(rule.maximum))")
}

@c @implementation public func adaptq_option_count() -> Int { Option.count }

@c @implementation public func adaptq_option_describe(
  _ index: Int, _ info: UnsafeMutablePointer<adaptq_option_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    let target = try OutStruct(required(info, "info"), "adaptq_option_info")
    guard let option = Option(rawValue: index) else {
      throw AdaptQError(.outOfRange, "index \(UInt(bitPattern: index)): there are \(Option.count) options")
    }
    let rule = option.rule
    var result = adaptq_option_info()
    result.owner = staticText(rule.owner)
    result.name = staticText(rule.name)
    result.description = staticText(rule.description)
    result.type = Int32(rule.type)
    result.is_field = option.offset == nil ? 0 : 1
    result.offset = UInt64(option.offset ?? 0)
    result.minimum = rule.minimum
    result.maximum = rule.maximum
    result.default_value = rule.defaultValue
    target.write(result)
  }
}

@c @implementation public func adaptq_has_feature(_ name: UnsafePointer<CChar>?) -> Int32 {
  guard let name else { return 0 }
  switch String(cString: name) {
  case "open-fd", "open-callback", "allocator", "ignore-environment", "strides", "tensor-types", "cancel", "trace",
    "memory-report", "metadata", "options", "code-generation", "threads", "parallel-for", "probe", "matrix", "states",
    "matrix-group", "power-sensors", "plans", "telemetry-file", "amx", "session-power", "poll-thread", "shadow",
    "costs", "thread-choice":
    return 1
  default: return 0
  }
}
