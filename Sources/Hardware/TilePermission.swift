import CMachine

extension KernelFeatures {
  /// Asks the system for the permission that programs need before they use AMX tiles: 0, or the errno.
  public static let requestTiles: @Sendable () -> Int32 = { cmachine_request_tiles() }

  /// Whether tiles are among these features, so that the process needs the permission.
  public var needsTiles: Bool { amxInt8 || amxBF16 }

  /// Leaves tiles out if the process does not get the permission; asks only where they are there.
  ///
  /// The permission is the whole process's and stays. It enlarges what the system stores on a stack when it calls a signal
  /// handler, so the system refuses it where a thread has an alternate signal stack that would be too small.
  ///
  /// - Returns: why they were left out, or nil.
  public mutating func askForTiles(_ request: () -> Int32 = KernelFeatures.requestTiles) -> String? {
    guard needsTiles else { return nil }
    let code = request()
    if code == 0 { return nil }
    amxInt8 = false
    amxBF16 = false
    return "the system refuses AMX tiles to this process (error \(code))"
  }
}
