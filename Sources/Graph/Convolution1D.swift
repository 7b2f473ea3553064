import Base

/// Kernel, stride, padding, dilation and groups of a convolution over steps. Padding is zeros.
///
/// The weights of a convolution are a linear site: `n` outputs, and as `k` one tap after the other, a tap being the inputs
/// of one group. Groups of 64 inputs that share a scale do not cross a tap where that costs little: a tap is then filled
/// up to ``tapStride`` with zeros.
public struct Convolution1D: Hashable, Sendable {
  /// Bound of every field.
  public static let maximum = 1 << 20

  /// Taps.
  public var kernel: Int
  public var stride: Int
  /// Zeros before the first and after the last step.
  public var before: Int
  public var after: Int
  public var dilation: Int
  /// Channels fall into this many groups, each with its own outputs.
  public var groups: Int

  public init(kernel: Int, stride: Int = 1, before: Int = 0, after: Int = 0, dilation: Int = 1, groups: Int = 1) {
    self.kernel = kernel
    self.stride = stride
    self.before = before
    self.after = after
    self.dilation = dilation
    self.groups = groups
  }

  /// The same padding on both sides, as PyTorch has it.
  public init(kernel: Int, stride: Int = 1, padding: Int, dilation: Int = 1, groups: Int = 1) {
    self.init(kernel: kernel, stride: stride, before: padding, after: padding, dilation: dilation, groups: groups)
  }

  /// Whether outputs of one group fill no block of 16 (depthwise convolutions do not): then every output is computed
  /// alone, with float activations at every level.
  public static func isDirect(outputs: Int, groups: Int) -> Bool { groups > 1 && (outputs / groups) % 16 != 0 }

  /// Inputs from one tap to the next in a row of weights: those of a group, filled up to a multiple of 64 if that adds at
  /// most a third.
  public static func tapStride(groupInputs: Int, isDirect: Bool) -> Int {
    let padded = (groupInputs &+ 63) / 64 &* 64
    return !isDirect && padded &* 3 <= groupInputs &* 4 ? padded : groupInputs
  }

  /// A name and what is wrong with it, or nil.
  var defect: String? {
    for (name, value, least) in [
      ("kernel", kernel, 1), ("stride", stride, 1), ("before", before, 0), ("after", after, 0),
      ("dilation", dilation, 1), ("groups", groups, 1),
    ] where value < least || value > Convolution1D.maximum {
      return "\(name) \(value) is not in \(least)...\(Convolution1D.maximum)"
    }
    return nil
  }

  /// The output's size for an input of `steps`; nil if the first window does not fit, or the numbers leave their range.
  func outputSize(_ steps: Dimension) -> Dimension? {
    // floor((steps + before + after - dilation (kernel - 1) - 1) / stride) + 1, in one fraction.
    let plus = before + after - dilation * (kernel - 1) - 1 + stride
    let old: DerivedSize
    switch steps {
    case .fixed(let size):
      let sum = size + plus
      return sum < stride ? nil : .fixed(sum / stride)
    case .symbol(let symbol): old = DerivedSize(symbol: symbol, plus: 0, over: 1)
    case .derived(let size): old = size
    case .length, .dataDependent: return nil
    }
    let (shift, overflow) = plus.multipliedReportingOverflow(by: old.over)
    let (over, overflow2) = old.over.multipliedReportingOverflow(by: stride)
    let (sum, overflow3) = old.plus.addingReportingOverflow(shift)
    if overflow || overflow2 || overflow3 || over > DerivedSize.maximumOver || sum.magnitude > DerivedSize.maximumPlus {
      return nil
    }
    if over == 1 && sum == 0 { return .symbol(old.symbol) }
    return .derived(DerivedSize(symbol: old.symbol, plus: sum, over: over))
  }
}

extension Graph {
  func convolutionType(
    _ convolution: Convolution1D, _ site: Site, _ x: ValueType, _ context: String
  ) throws(AdaptQError) -> ValueType {
    func fail(_ reason: String) -> AdaptQError { .invalidFile("\(context): \(reason)") }
    if let defect = convolution.defect { throw fail(defect) }
    guard x.rank == 3, case .fixed(let channels) = x.shape[2] else {
      throw fail("input 0 is not [batch, steps, channels] with a fixed number of channels")
    }
    let groups = convolution.groups
    if channels % groups != 0 || site.n % groups != 0 {
      throw fail("\(groups) groups do not divide \(channels) channels and \(site.n) outputs")
    }
    let stride = Convolution1D.tapStride(
      groupInputs: channels / groups, isDirect: Convolution1D.isDirect(outputs: site.n, groups: groups))
    if try checkedProduct(stride, convolution.kernel, context) != site.k {
      throw fail("site \"\(site.name)\" takes \(site.k), not \(convolution.kernel) taps of \(stride)")
    }
    guard let steps = convolution.outputSize(x.shape[1]) else {
      throw fail("no window fits, or the number of output steps cannot be told")
    }
    return ValueType(.float32, [x.shape[0], steps, .fixed(site.n)])
  }

  func recurrentTypes(
    _ input: Site, _ recurrent: Site, _ types: [ValueType], _ context: String
  ) throws(AdaptQError) -> [ValueType] {
    func fail(_ reason: String) -> AdaptQError { .invalidFile("\(context): \(reason)") }
    guard types[0].rank == 3, types[1].rank == 2, types[1].shape[0] == types[0].shape[0],
      case .fixed(let width) = types[0].shape[2], case .fixed(let hidden) = types[1].shape[1]
    else { throw fail("inputs are not [batch, steps, c] and [batch, h]") }
    if input.k != width || recurrent.k != hidden || input.n != recurrent.n || input.n % 3 != 0 || input.n / 3 != hidden
    {
      throw fail(
        "sites of \(input.n) x \(input.k) and \(recurrent.n) x \(recurrent.k) do not suit c = \(width) and h = \(hidden)"
      )
    }
    if types.count == 3 && types[2].shape != [types[0].shape[0]] { throw fail("input 2 is not [batch]") }
    return [ValueType(.float32, [types[0].shape[0], types[0].shape[1], .fixed(hidden)]), types[1]]
  }

  func appendedType(_ id: StateID, _ x: ValueType, _ context: String) throws(AdaptQError) -> ValueType {
    guard states.indices.contains(id.index) else { throw .invalidFile("\(context): state \(id.index) does not exist") }
    let state = states[id.index]
    guard let axis = state.growingAxis else { throw .invalidFile("\(context): state \(id.index) does not grow") }
    var full = x
    if full.shape.indices.contains(axis) && state.type.shape.indices.contains(axis) {
      switch full.shape[axis] {
      case .fixed, .symbol, .derived: full.shape[axis] = state.type.shape[axis]
      case .length, .dataDependent: break
      }
    }
    if full != state.type { throw .invalidFile("\(context): the type is not that of state \"\(state.name)\"") }
    full.shape[axis] = .length(state.lengthOf ?? id.index)
    return full
  }

  /// One integer that says which way to go, or how often.
  func expectCount(_ type: ValueType?, _ what: String, _ context: String) throws(AdaptQError) {
    guard let type else { throw .invalidFile("\(context): no \(what)") }
    if type.element == .float32 { throw .invalidFile("\(context): the \(what) is float32, not an integer") }
    if !type.shape.allSatisfy({ $0 == .fixed(1) }) { throw .invalidFile("\(context): the \(what) is not one number") }
  }

  func expectParameters(_ id: RegionID, _ types: [ValueType], _ context: String) throws(AdaptQError) {
    guard regions.indices.contains(id.index) else {
      throw .invalidFile("\(context): region \(id.index) does not exist")
    }
    let parameters = regions[id.index].parameters
    if parameters.count != types.count {
      throw .invalidFile("\(context): region \(id.index) has \(parameters.count) parameters, expected \(types.count)")
    }
    for (parameter, type) in zip(parameters, types) {
      guard values.indices.contains(parameter.index) else {
        throw .invalidFile("\(context): value \(parameter.index) does not exist")
      }
      if values[parameter.index].type != type {
        throw .invalidFile("\(context): parameter \(parameter.index) of region \(id.index) has another type")
      }
    }
  }
}
