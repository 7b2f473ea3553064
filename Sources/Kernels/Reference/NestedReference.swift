import NestedFormat

// Products with nested weights in plain Swift: the twin of generated kernels and what runs where nothing may be
// generated. The panel holds codes as floats `[64][16]` per group: sums of a group's products stay below
// 64 · 127 · 255 < 2²⁴, so Float adds them exactly, which baseline SSE2 does four at a time.

/// Bytes of one group in the portable panel.
let referencePanelGroupByteCount = 64 * 16 * 4

/// ``UnpackArguments`` at `level`.
func unpackReference(_ a: UnpackArguments, _ level: Level) {
  for group in 0..<a.groups {
    let panel = (a.panel + group &* referencePanelGroupByteCount).assumingMemoryBound(to: Float.self)
    unpackGroup(a, group, level, panel)
    unpackScales(
      a.scales + (group &>> a.groupShift) &* a.scaleKind.lineByteCount, a.scaleKind, factor: a.factor, level: level,
      into: a.panelScales + group &* 48)
  }
}

/// Plane p keeps, for input vector 4q + r, its two bits at bit (6 − 2p + 2r) mod 8 of byte 64q + 4·output + input mod 4.
func unpackGroup(_ a: UnpackArguments, _ group: Int, _ level: Level, _ panel: UnsafeMutablePointer<Float>) {
  let drop = UInt8(truncatingIfNeeded: 8 &- level.bits)
  for quarter in 0..<4 {
    let offset = group &* 256 &+ quarter &* 64
    for byte in 0..<64 {
      let p0 = a.plane0.load(fromByteOffset: offset &+ byte, as: UInt8.self)
      let p1 = level.planes > 1 ? a.plane1.load(fromByteOffset: offset &+ byte, as: UInt8.self) : 0
      let p2 = level.planes > 2 ? a.plane2.load(fromByteOffset: offset &+ byte, as: UInt8.self) : 0
      let p3 = level.planes > 3 ? a.plane3.load(fromByteOffset: offset &+ byte, as: UInt8.self) : 0
      for field in 0..<4 {
        let r = UInt8(truncatingIfNeeded: 2 &* field)
        let code =
          ((p0 &>> ((6 &+ r) & 7)) & 3) &<< 6 | ((p1 &>> ((4 &+ r) & 7)) & 3) &<< 4
          | ((p2 &>> ((2 &+ r) & 7)) & 3) &<< 2 | ((p3 &>> (r & 7)) & 3)
        let input = (quarter &* 4 &+ field) &* 4 &+ (byte & 3)
        panel[input &* 16 &+ byte &>> 2] = Float(code &>> drop)
      }
    }
  }
}

/// One line of stored scales as the two vectors that kernels multiply with; the order of roundings is the definition.
@inline(__always)
func unpackScales(
  _ line: UnsafeRawPointer, _ kind: ScaleKind, factor: Float, level: Level, into output: UnsafeMutablePointer<Float>
) {
  let target = UnsafeMutableRawPointer(output)
  let bin = Float(UInt32(1) &<< UInt32(truncatingIfNeeded: 8 &- level.bits))
  let center = kind.binCenter(level)
  let step: SIMD16<Float>
  let minimum: SIMD16<Float>
  switch kind {
  case .stepAndMinimum:
    step = floats(halvesAt: line)
    minimum = floats(halvesAt: line + 32) + step * center
  case .symmetric:
    step = floats(halvesAt: line)
    minimum = step * (center - 128)
  case .perOutput:
    step = line.loadUnaligned(as: SIMD16<Float>.self)
    minimum = step * (center - line.loadUnaligned(fromByteOffset: 64, as: SIMD16<Float>.self))
  }
  target.storeBytes(of: step * factor * bin, as: SIMD16<Float>.self)
  target.storeBytes(of: minimum * factor, toByteOffset: 64, as: SIMD16<Float>.self)
}

/// ``PanelArguments`` on the portable panel; reads codes.
func panelReference(_ a: PanelArguments) {
  for row in 0..<a.rows {
    let x = a.x + row &* a.xRowStride
    let activations = UnsafeRawPointer(a.activations) + row &* a.activationRowStride
    var y = UnsafeRawPointer(a.start).loadUnaligned(fromByteOffset: row &* a.startRowStride, as: SIMD16<Float>.self)
    for group in 0..<a.groups {
      let panel = a.panel + group &* referencePanelGroupByteCount
      var sum = SIMD16<Float>(repeating: 0)
      for k in 0..<64 {
        let code = Float(x.load(fromByteOffset: group &* 64 &+ k, as: Int8.self))
        sum += panel.loadUnaligned(fromByteOffset: k &* 64, as: SIMD16<Float>.self) * code
      }
      let line = UnsafeRawPointer(a.panelScales) + group &* panelScaleGroupByteCount
      let step = line.loadUnaligned(as: SIMD16<Float>.self)
      let minimum = line.loadUnaligned(fromByteOffset: 64, as: SIMD16<Float>.self)
      let activation = activations.load(fromByteOffset: group &* 16, as: ActivationGroup.self)
      y += sum * step * activation.scale
      y += minimum * activation.offset
    }
    UnsafeMutableRawPointer(a.y).storeBytes(of: y, toByteOffset: row &* a.yRowStride, as: SIMD16<Float>.self)
  }
}

/// ``VectorArguments`` for `rows` rows at `level`: unpacks group by group and calls ``panelReference(_:)``.
func vectorReference(_ a: VectorArguments, rows: Int, _ level: Level) {
  withUnsafeTemporaryAllocation(byteCount: referencePanelGroupByteCount + panelScaleGroupByteCount, alignment: 64) {
    memory in
    guard let panel = memory.baseAddress else { return }
    let panelScales = (panel + referencePanelGroupByteCount).assumingMemoryBound(to: Float.self)
    for block in 0..<a.nBlocks {
      var start = a.start + block &* 16
      var startRowStride = a.startRowStride
      let y = a.y + block &* 16
      for group in 0..<a.groups {
        let index = block &* a.groups &+ group
        let plane = index &* 256
        unpackReference(
          UnpackArguments(
            plane0: a.plane0 + plane, plane1: a.plane1 + plane, plane2: a.plane2 + plane, plane3: a.plane3 + plane,
            scales: a.scales + block &* a.scaleRowByteCount
              + (group &>> a.groupShift) &* a.scaleKind.lineByteCount,
            panel: panel, panelScales: panelScales, groups: 1, factor: a.factor, scaleKind: a.scaleKind),
          level)
        panelReference(
          PanelArguments(
            x: a.x + group &* 64, xRowStride: a.xRowStride, panel: panel, panelScales: panelScales,
            activations: a.activations + group, activationRowStride: a.activationRowStride, start: start,
            startRowStride: startRowStride, y: y,
            yRowStride: a.yRowStride, groups: 1, rows: rows))
        start = UnsafePointer(y)
        startRowStride = a.yRowStride
      }
    }
  }
}
