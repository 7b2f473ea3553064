/// `value` with `digits` decimals, without Foundation; NaN is written as 0.
public func fixed(_ value: Double, _ digits: Int) -> String {
  var factor = 1
  for _ in 0..<min(max(digits, 0), 9) { factor *= 10 }
  let scaled = clampedInt(value * Double(factor), in: -(1 << 52)...(1 << 52))
  if digits <= 0 { return "\(scaled)" }
  let fraction = "\(abs(scaled) % factor)"
  let sign = scaled < 0 ? "-" : ""
  let zeros = String(repeating: "0", count: max(digits - fraction.count, 0))
  return "\(sign)\(abs(scaled) / factor).\(zeros)\(fraction)"
}
