#!/usr/bin/env bash
# strace_between.sh PROGRAM [ARGUMENTS]: runs it under strace and lists the system calls that any of its threads made between
# its two marks, which are failing writes: write(-1, "adaptq-begin", 12) and write(-1, "adaptq-end", 10).
# ALLOW=NAME in the environment: this system call is not counted.
# Exit: 0 none, 1 some, 2 no marks seen or the program failed, 77 strace cannot trace here.
set -uo pipefail
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
strace -qq -o /dev/null true 2>/dev/null || exit 77
strace -f -qq -o "$trace" "$@" >/dev/null || exit 2
awk -v allow="${ALLOW:-}" '
  /write\(-1, "adaptq-begin"/ { inside = 1; seen = 1; next }
  /write\(-1, "adaptq-end"/ { inside = 0; next }
  # The other half of a mark that a call of another thread interrupted.
  /<\.\.\. write resumed>.*EBADF/ { next }
  allow != "" && $0 ~ "^[0-9]* *(<... )?" allow "( resumed|\\()" { next }
  inside { calls++; if (calls <= 10) print "  " $0 }
  END { if (!seen || inside) exit 2; if (calls) { print "  " calls " system calls between the marks"; exit 1 } }
' "$trace"
