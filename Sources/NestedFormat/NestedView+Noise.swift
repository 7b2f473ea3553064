extension NestedView {
  /// Weights that ``noiseModel()`` looks at, at most about this many.
  private static var noiseSample: Int { 1 << 18 }

  /// What reading 8-bit codes at fewer bits is expected to cost: the mean of `s²` over the mean of `w²`. A bin of width `d`
  /// has the error energy `d² / 12` where weights are spread evenly in it (Bennett, "Spectra of Quantized Signals", 1948), and
  /// the level with `b` bits has bins of `s · 2^(8-b)`. Over a sample of groups, always the same one; 0 where all weights are.
  public func noiseModel() -> (stepEnergy: Double, weightEnergy: Double) {
    let lines = nBlocks * kBlocks
    let stride = max(lines / max(NestedView.noiseSample / 1024, 1), 1)
    var steps = 0.0
    var weights = 0.0
    var count = 0.0
    var line = 0
    while line < lines {
      let (block, group) = (line / kBlocks, line % kBlocks)
      for row in (block * 16)..<min(block * 16 + 16, n) {
        let step = Double(storedStep(row, column: group * 64)) * Double(factor)
        for column in (group * 64)..<min(group * 64 + 64, k) {
          let weight = Double(value(row, column, .int8))
          steps += step * step
          weights += weight * weight
          count += 1
        }
      }
      line += stride
    }
    return count == 0 ? (0, 0) : (steps / count, weights / count)
  }

  /// Energy of the error of `level` over the energy of the weights, by ``noiseModel()``; 0 for a level that is not nested.
  public static func relativeNoise(_ model: (stepEnergy: Double, weightEnergy: Double), _ level: Level) -> Double {
    if !level.isNested || model.weightEnergy <= 0 { return 0 }
    let width = Double(UInt32(1) << UInt32(8 - level.bits))
    return model.stepEnergy * width * width / 12 / model.weightEnergy
  }
}
