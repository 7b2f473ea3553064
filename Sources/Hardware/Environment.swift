import CMachine
import Glibc

/// The value of an environment variable, or nil when it is unset.
///
/// Always nil in a program that runs with more rights than its user: the environment there belongs to the weaker side.
/// Not synchronized with a host that changes its environment meanwhile; read once, at first use.
public func environmentValue(_ name: String) -> String? {
  if cmachine_runs_secure() != 0 { return nil }
  guard let value = getenv(name) else { return nil }
  return String(cString: value)
}
