import Base

extension Model {
  /// The file of this model with other plans: the header anew, everything else byte for byte.
  ///
  /// - Parameters:
  ///   - file: the bytes that the model was read from.
  ///   - ranges: one per site, which replace those of the file; nil: these stay.
  /// - Throws: `invalidFile` if the plans do not suit the model, or what reading `file` may throw.
  public func file(
    _ file: MemoryBlock, replacingPlans plans: PlanSet, ranges: [SiteRange?]? = nil
  ) throws(AdaptQError) -> MemoryBlock {
    try plans.validate(graph, forms, uniform: levels)
    var reader = ByteReader(file.bytes)
    let length = try reader.readUInt64("header length")
    guard length <= UInt64(Safetensors.maximumHeaderByteCount), let headerCount = Int(exactly: length) else {
      throw .invalidFile("header length \(length) is above \(Safetensors.maximumHeaderByteCount)")
    }
    var members = try JSON.parse(try reader.take(headerCount, "header"), "header").asObject("header")
    var texts = [JSON.Member(Container.plansKey, .string(plans.encoded().text))]
    if let ranges {
      let text = SiteRange.encode(ranges)
      _ = try SiteRange.decode(text, siteCount: graph.sites.count)
      texts.append(JSON.Member(Container.rangesKey, .string(text.text)))
    }
    guard let index = members.firstIndex(where: { $0.key == "__metadata__" }) else {
      throw .invalidFile("header: __metadata__ is missing")
    }
    let kept = try members[index].value.asObject("__metadata__").filter { old in
      !texts.contains { $0.key == old.key }
    }
    members[index].value = .object(kept + texts)
    var header: [UInt8] = []
    JSON.object(members).write(into: &header)

    // Offsets count from the data, so it must begin at an address with the same alignment as before.
    let start = reader.offset
    let wanted = try checkedSum(8 + header.count, 63, "header")
    let newStart = wanted - (wanted - start % 64) % 64
    if newStart - 8 > Safetensors.maximumHeaderByteCount {
      throw AdaptQError(
        .outOfRange, "header of \(newStart - 8) bytes, allowed are \(Safetensors.maximumHeaderByteCount)")
    }
    let dataCount = file.byteCount - start
    let block = try MemoryBlock.allocate(byteCount: try checkedSum(newStart, dataCount, "file"), purpose: "file")
    try ContainerWriter.storeHeader(header, byteCount: newStart, at: block.base)
    (block.base + newStart).copyMemory(from: file.base + start, byteCount: dataCount)
    return block
  }
}
