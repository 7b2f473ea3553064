import Base

/// Assigns offsets in one arena: values whose lives do not overlap share memory. First fit over the values in order of
/// birth, after the greedy family described by Pisarchyk and Lee (2020), in its simplest form.
///
/// Only the first ``reach`` places are tried before the end of the arena is taken, so a graph of n values costs
/// n log n steps however many of them live at once. Values without bytes get none.
struct ArenaPlanner {
  struct Request {
    var byteCount: Int
    /// Steps at which the value is written first and read last, inclusive.
    var birth: Int
    var death: Int
  }

  static let reach = 512

  private(set) var offsets: [Int] = []
  private(set) var byteCount = 0
  /// The arena cut into places without gaps, a list in order of address; -1 ends it.
  private var places: [Place] = []
  private var first = -1
  private var last = -1

  private struct Place {
    var offset: Int
    var size: Int
    var isFree: Bool
    var previous: Int
    var next: Int
  }

  init(_ requests: [Request]) throws(AdaptQError) {
    offsets = [Int](repeating: 0, count: requests.count)
    let real = requests.indices.filter { requests[$0].byteCount > 0 }
    let births = real.sorted { (requests[$0].birth, $0) < (requests[$1].birth, $1) }
    let deaths = real.sorted { (requests[$0].death, $0) < (requests[$1].death, $1) }
    var place = [Int](repeating: -1, count: requests.count)
    var released = 0
    for index in births {
      // Whatever is dead by now was born before, so it has a place.
      while released < deaths.count, requests[deaths[released]].death < requests[index].birth {
        release(place[deaths[released]])
        released += 1
      }
      place[index] = try take(try roundedUp(requests[index].byteCount, to: 64))
      offsets[index] = places[place[index]].offset
    }
  }

  private mutating func take(_ size: Int) throws(AdaptQError) -> Int {
    var candidate = first
    var tried = 0
    while candidate >= 0 && tried < ArenaPlanner.reach {
      if places[candidate].isFree && places[candidate].size >= size {
        split(candidate, size)
        return candidate
      }
      candidate = places[candidate].next
      tried += 1
    }
    if last < 0 || !places[last].isFree { append() }
    // The free place at the end, however small, grows.
    let end = try checkedSum(places[last].offset, max(size, places[last].size), "arena")
    places[last].size = end - places[last].offset
    byteCount = max(byteCount, end)
    let taken = last
    split(taken, size)
    return taken
  }

  private mutating func append() {
    places.append(Place(offset: byteCount, size: 0, isFree: true, previous: last, next: -1))
    if last >= 0 { places[last].next = places.count - 1 } else { first = places.count - 1 }
    last = places.count - 1
  }

  private mutating func split(_ index: Int, _ size: Int) {
    places[index].isFree = false
    let rest = places[index].size - size
    if rest == 0 { return }
    places[index].size = size
    let next = places[index].next
    places.append(
      Place(offset: places[index].offset + size, size: rest, isFree: true, previous: index, next: next))
    places[index].next = places.count - 1
    if next >= 0 { places[next].previous = places.count - 1 } else { last = places.count - 1 }
  }

  private mutating func release(_ index: Int) {
    if index < 0 { return }
    places[index].isFree = true
    let next = places[index].next
    if next >= 0 && places[next].isFree { merge(index, next) }
    let previous = places[index].previous
    if previous >= 0 && places[previous].isFree { merge(previous, index) }
  }

  /// The free place `index` takes in the free one behind it.
  private mutating func merge(_ index: Int, _ next: Int) {
    places[index].size += places[next].size
    places[index].next = places[next].next
    if places[next].next >= 0 { places[places[next].next].previous = index } else { last = index }
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
