import Glibc

/// A buffer with an inaccessible page directly behind (or before) it: one byte outside faults.
public final class GuardedBuffer<Element: BitwiseCopyable> {
  public enum Edge: CaseIterable, Sendable { case end, start }

  public let base: UnsafeMutablePointer<Element>
  public let count: Int
  private let mapping: UnsafeMutableRawPointer
  private let mappingByteCount: Int

  public init(count: Int, edge: Edge = .end) {
    let page = 4096
    let byteCount = count * MemoryLayout<Element>.stride
    let body = max((byteCount + page - 1) / page, 1) * page
    mappingByteCount = body + 2 * page
    let raw = mmap(nil, mappingByteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    precondition(raw != UnsafeMutableRawPointer(bitPattern: -1), "no memory for a test buffer")
    mapping = raw
    mprotect(raw, page, PROT_NONE)
    mprotect(raw + page + body, page, PROT_NONE)
    let start = edge == .end ? raw + page + body - byteCount : raw + page
    base = start.bindMemory(to: Element.self, capacity: max(count, 1))
    self.count = count
  }

  public convenience init(_ values: [Element], edge: Edge = .end) {
    self.init(count: values.count, edge: edge)
    for (index, value) in values.enumerated() { base[index] = value }
  }

  deinit { munmap(mapping, mappingByteCount) }

  public subscript(index: Int) -> Element {
    get { base[index] }
    set { base[index] = newValue }
  }

  public var array: [Element] { (0..<count).map { base[$0] } }
}
