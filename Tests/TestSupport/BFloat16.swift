/// What a float stands for once it is rounded to bfloat16: 8 bits of significand, ties to even, subnormals to zero.
public func roundedToBFloat16(_ value: Float) -> Float {
  if !value.isFinite { return value }
  if value.magnitude < .leastNormalMagnitude { return value.sign == .minus ? -0 : 0 }
  let unit = Double(value.ulp) * 65536
  return Float((Double(value) / unit).rounded(.toNearestOrEven) * unit)
}
