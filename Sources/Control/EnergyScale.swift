/// What sensors have counted beside what models said of the same time. All of it cumulative, so that whoever misses a reading
/// loses nothing; readings that do not count (``EnergyFault``) add to ``allModelledNanojoules`` only.
public struct EnergyReadings: Hashable, Sendable, BitwiseCopyable {
  /// Counts readings, also those that do not count.
  public var number: UInt64 = 0
  /// When the last one that counted was taken; any clock that counts nanoseconds.
  public var time = 0
  public var microjoules = 0.0
  public var nanoseconds = 0.0
  /// The same, each reading times the share that this process had of the processors' busy time; all of it where that is unknown.
  public var sharedMicrojoules = 0.0
  public var sharedNanoseconds = 0.0
  /// What models say that inferences took between readings that counted, and between all.
  public var modelledNanojoules = 0.0
  public var allModelledNanojoules = 0.0

  public init() {}
}

/// Puts ``EnergyReadings`` together, one poll after the other. A counter that does not move may be slow or dead: what was polled
/// meanwhile counts when it moves again, and not if a fault comes first.
public struct EnergyLedger: BitwiseCopyable, Sendable {
  public private(set) var readings = EnergyReadings()
  private var unmoved = EnergyReadings()
  private var lastModelled: UInt64 = 0
  private var hasLast = false

  public init() {}

  /// - Parameters:
  ///   - microjoules: since the poll before; nil if this poll does not count.
  ///   - share: of this process; nil if unknown.
  ///   - modelledNanojoules: of all inferences so far, as models say.
  public mutating func add(
    time: Int, microjoules: Int?, nanoseconds: Int, share: Double?, modelledNanojoules: UInt64
  ) {
    let model = hasLast ? Double(modelledNanojoules &- lastModelled) : 0
    lastModelled = modelledNanojoules
    hasLast = true
    readings.number &+= 1
    readings.allModelledNanojoules += model
    guard let microjoules, nanoseconds > 0 else {
      unmoved = EnergyReadings()
      return
    }
    let part = share ?? 1
    unmoved.microjoules += Double(microjoules)
    unmoved.nanoseconds += Double(nanoseconds)
    unmoved.sharedMicrojoules += Double(microjoules) * part
    unmoved.sharedNanoseconds += Double(nanoseconds) * part
    unmoved.modelledNanojoules += model
    if microjoules == 0 { return }
    readings.time = time
    readings.microjoules += unmoved.microjoules
    readings.nanoseconds += unmoved.nanoseconds
    readings.sharedMicrojoules += unmoved.sharedMicrojoules
    readings.sharedNanoseconds += unmoved.sharedNanoseconds
    readings.modelledNanojoules += unmoved.modelledNanojoules
    unmoved = EnergyReadings()
  }
}

/// How much more an inference takes than its model says, from readings: measured over modelled energy, both forgotten with the time
/// constant of a window. Pure, trivial storage.
///
/// A model with the right proportions and a wrong unit becomes right this way; what it gets wrong besides, the governor's bank
/// makes up for (``update(_:static:window:isShared:)`` says by how much). A ratio that no wrong unit explains, because other programs do
/// most of the work or the sensor lies, is left out: then the last factor stays.
public struct EnergyScale: BitwiseCopyable, Sendable {
  /// Ratios outside count for nothing.
  public static let range = 0.125...8.0

  /// Measured over modelled energy.
  public private(set) var value = 1.0
  /// Readings that were left out.
  public private(set) var ignored: UInt64 = 0
  private var last = EnergyReadings()
  private var hasLast = false
  private var measured = 0.0
  private var modelled = 0.0
  private var lastUsed = 0
  private var hasUsed = false
  // Of one session, since `last`: what its model says, and what it was charged.
  private var ownModelled = 0.0
  private var ownCharged = 0.0

  public init() {}

  /// Whether readings of the last window stand behind ``value``.
  public func isMeasured(time: Int, window: Double) -> Bool {
    hasUsed && Double(time &- lastUsed) <= max(window, 3e9)
  }

  /// Call when an inference has ended.
  public mutating func charge(modelled: Double, charged: Double) {
    ownModelled += modelled
    ownCharged += charged
  }

  /// Takes readings over; the same ones again change nothing.
  ///
  /// - Parameters:
  ///   - milliwatts: what is not the inferences' in what is measured.
  ///   - window: nanoseconds, above 0.
  ///   - isShared: take this process's share instead of everything.
  /// - Returns: nanojoules that the session was charged too much, below 0 too little.
  public mutating func update(
    _ readings: EnergyReadings, static milliwatts: Double, window: Double, isShared: Bool
  ) -> Double {
    if hasLast && readings.number == last.number { return 0 }
    let time = readings.nanoseconds - last.nanoseconds
    let model = readings.modelledNanojoules - last.modelledNanojoules
    let all = readings.allModelledNanojoules - last.allModelledNanojoules
    if !hasLast || !(time >= 0 && time.isFinite && model >= 0 && all >= model && all.isFinite) {
      begin(readings)
      return 0
    }
    // Nothing that counts, or nobody ran: the next readings will cover this time as well.
    if time == 0 || model == 0 { return 0 }
    let (energy, duration) =
      isShared
      ? (readings.sharedMicrojoules - last.sharedMicrojoules, readings.sharedNanoseconds - last.sharedNanoseconds)
      : (readings.microjoules - last.microjoules, time)
    // Milliwatts times nanoseconds are 10⁻³ nJ.
    let dynamic = energy * 1e3 - milliwatts * duration * 1e-3
    let charged = ownCharged * (model / all)
    // Not above 2: a run may have ended between a reading and now.
    let own = min(ownModelled / all, 2) * dynamic
    begin(readings)
    if !(dynamic >= model * Self.range.lowerBound && dynamic <= model * Self.range.upperBound) {
      ignored &+= 1
      return 0
    }
    let kept = max(1 - time / window, 0)
    measured = measured * kept + dynamic
    modelled = modelled * kept + model
    if !measured.isFinite || !modelled.isFinite { (measured, modelled) = (dynamic, model) }
    value = min(max(measured / modelled, Self.range.lowerBound), Self.range.upperBound)
    lastUsed = readings.time
    hasUsed = true
    return charged - own
  }

  private mutating func begin(_ readings: EnergyReadings) {
    last = readings
    hasLast = true
    ownModelled = 0
    ownCharged = 0
  }
}
