import Glibc

/// A pthread mutex at a fixed address. Not for the run path.
final class Mutex: @unchecked Sendable {
  private let storage: UnsafeMutablePointer<pthread_mutex_t>

  init() {
    storage = .allocate(capacity: 1)
    storage.initialize(to: pthread_mutex_t())
    pthread_mutex_init(storage, nil)
  }

  func withLock<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(storage)
    defer { pthread_mutex_unlock(storage) }
    return body()
  }

  deinit {
    pthread_mutex_destroy(storage)
    storage.deinitialize(count: 1)
    storage.deallocate()
  }
}
