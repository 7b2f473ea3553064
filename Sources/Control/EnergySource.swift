/// Where an inference's energy comes from. Raw values are those of the C ABI.
public enum EnergySource: UInt8, Sendable, CaseIterable, BitwiseCopyable {
  /// Nobody has asked: no budget of power or energy.
  case none = 0
  /// A model's coefficients.
  case modelled = 1
  /// The model, scaled to what the processors' packages take, whoever uses them.
  case package = 2
  /// The same with what the whole machine takes.
  case machine = 3
  /// The same with this process's share of them, by processor time.
  case process = 4

  public var name: String {
    switch self {
    case .none: "none"
    case .modelled: "modelled"
    case .package: "measured, packages"
    case .machine: "measured, machine"
    case .process: "measured, share of the process"
    }
  }
}
