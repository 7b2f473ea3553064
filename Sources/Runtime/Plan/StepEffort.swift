import Graph
import NestedFormat

// What a run does besides taking time, counted from the plan: for models of energy. A step of a branch or a loop counts once.

/// What one step does at the sizes last resolved.
struct StepEffort {
  /// Also those of attention.
  var multiplyAdds = 0.0
  /// How many weights of the step's site are read, and of its recurrent one; at a level of their own each.
  var weights = 0.0
  var recurrentWeights = 0.0
  /// Bytes that are read at any level: rows of a table.
  var bytes = 0.0
}

extension PlanContext {
  /// Of all steps.
  var efforts: [StepEffort] { (0..<stepCount).map { effort(steps + $0) } }

  func effort(_ step: UnsafeMutablePointer<Step>) -> StepEffort {
    var result = StepEffort()
    func size(_ site: Int32) -> Double { Double(weights[Int(site)].n) * Double(weights[Int(site)].k) }
    switch step.pointee.kind {
    case .linear:
      result.weights = size(step.pointee.site)
      result.multiplyAdds = result.weights * Double(slot(step.pointee.input0).pointee.rows)
    case .convolution:
      let convolution = convolutions[Int(step.pointee.count)]
      result.weights = size(step.pointee.site)
      result.multiplyAdds =
        Double(slot(step.pointee.output).pointee.count) * Double(convolution.kernel) * Double(convolution.groupInputs)
    case .gru:
      let x = slot(step.pointee.input0)
      result.weights = size(step.pointee.site)
      // Once for every step in time.
      result.recurrentWeights = size(step.pointee.site1) * Double(x.pointee.dims[1])
      result.multiplyAdds =
        (result.weights * Double(x.pointee.dims[1]) + result.recurrentWeights) * Double(x.pointee.dims[0])
    case .attention:
      let (q, k, y) = (slot(step.pointee.input0), slot(step.pointee.input1), slot(step.pointee.output))
      let pairs = Double(q.pointee.dims[0]) * Double(q.pointee.dims[1]) * Double(k.pointee.dims[1])
      result.multiplyAdds = pairs * Double(q.pointee.dims[2] + y.pointee.dims[2])
    case .embedding: result.bytes = Double(slot(step.pointee.output).pointee.count)
    default: break
    }
    return result
  }
}

extension Level {
  /// Each group of 64 has four bytes of scales.
  var bytesPerWeight: Double { Double(bits) / 8 + (isNested ? 1.0 / 16 : 0) }
}
