import Base

/// Assigns offsets in one arena: values whose lives do not overlap share memory. First fit over the values in order of
/// birth, after the greedy-by-size family described by Pisarchyk and Lee (2020), in its simplest form.
struct ArenaPlanner {
  struct Request {
    var byteCount: Int
    /// Steps at which the value is written first and read last, inclusive.
    var birth: Int
    var death: Int
  }

  private(set) var offsets: [Int] = []
  private(set) var byteCount = 0

  init(_ requests: [Request]) throws(AdaptQError) {
    offsets = [Int](repeating: 0, count: requests.count)
    var placed: [(range: Range<Int>, request: Request)] = []
    let order = requests.indices.sorted { (requests[$0].birth, $0) < (requests[$1].birth, $1) }
    for index in order {
      let request = requests[index]
      let size = try roundedUp(max(request.byteCount, 1), to: 64)
      var candidates = placed.filter { $0.request.death >= request.birth && $0.request.birth <= request.death }
      candidates.sort { $0.range.lowerBound < $1.range.lowerBound }
      var offset = 0
      for other in candidates {
        if try checkedSum(offset, size, "arena") <= other.range.lowerBound { break }
        offset = max(offset, other.range.upperBound)
      }
      let end = try checkedSum(offset, size, "arena")
      offsets[index] = offset
      byteCount = max(byteCount, end)
      placed.append((offset..<end, request))
    }
  }
}

/// Lays trivial arrays out in one block: first sizes are summed, then addresses handed out.
struct BlockLayout {
  private(set) var byteCount = 0

  mutating func reserve<Element: BitwiseCopyable>(_ type: Element.Type, _ count: Int) throws(AdaptQError) -> Int {
    let offset = byteCount
    let size = try checkedProduct(max(count, 1), MemoryLayout<Element>.stride, "plan memory")
    byteCount = try roundedUp(try checkedSum(offset, size, "plan memory"), to: 64)
    return offset
  }
}
