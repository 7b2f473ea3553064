// Whether a thread lost its CPU between two places, without a system call.
#ifndef ADAPTQ_CMACHINE_INTERRUPTION_H
#define ADAPTQ_CMACHINE_INTERRUPTION_H

/// Begins to watch the calling thread. One watch at a time: a second one begins anew.
///
/// The C library registers an area of every thread for restartable sequences (rseq, Linux 4.18). Whoever names a sequence there finds
/// the name gone once the kernel has taken the thread off its CPU, moved it or given it a signal outside of the sequence. The
/// sequence named here is one that no thread is ever in, so that nothing is ever restarted.
void cmachine_watch_interruption(void);

/// Ends the watch. 1: the thread lost its CPU since, for however short, or had a signal; 0: it did not; -1: nobody knows, because
/// there is no such area, or somebody else has used it meanwhile.
int cmachine_was_interrupted(void);

#endif
