import Base

/// Hands out vector registers by role; refuses when an instruction set has too few, so that a block that does not fit is
/// an error of generation and not a wrong kernel.
struct RegisterPlan {
  private var next = 0
  private let count: Int
  private let name: String

  /// - Parameter count: 16 for VEX, 32 for EVEX encodings.
  init(count: Int, for name: String) {
    self.count = count
    self.name = name
  }

  /// `amount` registers for `role`.
  mutating func take(_ amount: Int, _ role: String) throws(AdaptQError) -> [Int] {
    if next + amount > count {
      throw .unsupported(
        "\(name): \(role) needs \(amount) vector registers, \(count - next) of \(count) are left")
    }
    next += amount
    return Array((next - amount)..<next)
  }

  mutating func take(_ role: String) throws(AdaptQError) -> Int {
    try take(1, role)[0]
  }
}
