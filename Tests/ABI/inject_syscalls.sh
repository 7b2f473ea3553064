#!/usr/bin/env bash
# inject_syscalls.sh HOST [all | COUNT SEED]: makes every system call between HOST's marks fail, one at a time, with each error
# that suits it, under a time limit. After each the host must have ended well: a status, no signal, no leak, and the next
# attempt worked (inject_host.c says so).
#
# all: every call with every error. COUNT SEED: so many of them, chosen by the seed. Prints what failed and last a line
# "injected N, N refused with a status, N without effect, N exceptions"; exit 0 if nothing broke, 1 if something did, 77 if strace
# may not trace here.
#
# Exceptions, which are counted and not failures, each with its reason:
#   - close and munmap that fail: strace skips the call, so that the descriptor or the memory is still there
#   - brk that fails: malloc maps a megabyte instead, which it keeps
#   - mmap that malloc calls and that fails: Swift's run time ends the process when malloc returns NULL. docs/c-api.md states
#     how large such blocks are
set -uo pipefail
host=$1
mode=${2:-all}
seed=${3:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
strace -qq -o /dev/null true 2>/dev/null || exit 77

# The errors that a call may give, as strace's -e inject wants them. A retval of 0 is the end of a file, or nothing written.
errors_of() {
  case $1 in
    openat) echo error=ENOMEM error=EACCES error=EMFILE error=ENOENT ;;
    open) echo error=EACCES ;;
    read | pread64) echo error=EIO error=EINTR retval=0 ;;
    fstat | newfstatat | statx | lseek) echo error=EIO ;;
    mmap) echo error=ENOMEM error=EPERM ;;
    mprotect) echo error=ENOMEM error=EACCES ;;
    munmap) echo error=ENOMEM ;;
    madvise) echo error=EINVAL ;;
    brk) echo retval=0 ;;
    close) echo error=EIO ;;
    futex) echo error=EINTR error=EAGAIN ;;
    clone | clone3) echo error=EAGAIN error=ENOMEM ;;
    memfd_create) echo error=EMFILE error=ENOSYS ;;
    ftruncate) echo error=EIO ;;
    fallocate) echo error=ENOSPC error=EINTR error=EOPNOTSUPP ;;
    write) echo error=ENOSPC error=EINTR ;;
    fsync) echo error=EIO error=EINTR ;;
    rename | renameat | renameat2) echo error=EACCES ;;
    unlink | unlinkat) echo error=EACCES ;;
    sched_*) echo error=EPERM ;;
    getrandom | sysinfo | readlink | readlinkat | access | faccessat2 | getdents64) echo error=EIO ;;
    exit | exit_group | rt_sigreturn | restart_syscall) ;;
    *) echo error=EPERM ;;
  esac
}

# run_host LOG STRACE-OPTIONS...: its output in $folder/output; returns its status, 124 for too long.
run_host() {
  local log=$1
  shift
  timeout -s KILL 60 strace -f -qq -o "$log" "$@" "$host" >"$folder/output" 2>"$folder/errors"
}

run_host "$folder/trace" || { cat "$folder/output" "$folder/errors"; echo "the host fails by itself"; exit 1; }
# Bytes that were mapped after the first mark and are still mapped at the end.
mapped() {
  awk '
    /write\(-1, "adaptq-begin"/ { inside = 1 }
    inside && /mmap\(.*(MAP_ANONYMOUS|MAP_SHARED).*\) += 0x/ { size = $0; sub(/.*mmap\([^,]*, /, "", size); net += size }
    inside && /munmap\(.*\) += 0$/ { size = $0; sub(/.*munmap\([^,]*, /, "", size); net -= size }
    END { print net + 0 }' "$1"
}
size=$(mapped "$folder/trace")
# One line per call between the marks: name and its number among the calls of that name in its thread.
awk '
  /write\(-1, "adaptq-begin"/ { inside = 1; count[$1 " write"]++; next }
  /write\(-1, "adaptq-end"/ { inside = 0; count[$1 " write"]++; next }
  {
    if ($2 == "<..." || $2 == "---" || $2 == "+++") next
    name = $2
    sub(/\(.*/, "", name)
    n = ++count[$1 " " name]
    if (inside) print name, n
  }' "$folder/trace" | sort -u >"$folder/calls"
[ -s "$folder/calls" ] || { echo "no calls between the marks"; exit 1; }
while read -r name n; do
  for error in $(errors_of "$name"); do echo "$name $n $error"; done
done <"$folder/calls" >"$folder/cases"
if [ "$mode" != all ]; then
  shuf -n "$mode" --random-source=<(yes "$seed") "$folder/cases" >"$folder/some" && mv "$folder/some" "$folder/cases"
fi

injected=0 refused=0 without=0 exceptions=0 broken=0
fail() {
  broken=$((broken + 1))
  echo "$name number $n, $error: $1"
  sed 's/^/  /' "$folder/output" "$folder/errors" | head -5
  grep INJECTED "$folder/log" | sed 's/^/  /'
}
# Whether the call that failed was malloc's.
is_malloc() { [ "$name" = mmap ] && grep -A12 INJECTED "$folder/stack" | grep -qE 'malloc|calloc|realloc|memalign'; }
while read -r name n error; do
  run_host "$folder/log" -e trace="$name",write,mmap,munmap -e inject="$name:$error:when=$n"
  status=$?
  grep -q INJECTED "$folder/log" || { without=$((without + 1)); continue; }
  injected=$((injected + 1))
  # The number of a call may differ from run to run where threads are: what was not between the marks is no case.
  if ! awk '/adaptq-begin/ { i = 1 } /adaptq-end/ { i = 0 } /INJECTED/ { if (i) found = 1 } END { exit !found }' "$folder/log"; then
    without=$((without + 1))
    continue
  fi
  if [ $status -ge 124 ]; then
    if [ $status -ne 124 ]; then
      run_host "$folder/stack" -k -e trace="$name" -e inject="$name:$error:when=$n"
      if is_malloc; then
        exceptions=$((exceptions + 1))
        [ -n "${ADAPTQ_INJECT_VERBOSE:-}" ] && grep INJECTED "$folder/stack"
        continue
      fi
    fi
    fail "ended with status $status"
    continue
  fi
  if [ $status -ne 0 ]; then fail "the contract is broken"; continue; fi
  if grep -q '^first' "$folder/output"; then refused=$((refused + 1)); fi
  case $name in
    close | munmap | brk) exceptions=$((exceptions + 1)) ;;
    *)
      grep -q '^descriptors' "$folder/output" && fail "leaks descriptors"
      now=$(mapped "$folder/log")
      # Threads' stacks and malloc's arenas, which come and go as threads meet, hide a few buffers: exact with one thread only.
      [ "${ADAPTQ_INJECT_THREADS:-1}" = 1 ] && [ "$now" -gt "$size" ] && fail "leaks memory: $size bytes stay mapped, now $now"
      ;;
  esac
done <"$folder/cases"
echo "injected $injected, $refused refused with a status, $without without effect, $exceptions exceptions"
[ $broken -eq 0 ]
