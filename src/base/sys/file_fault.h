/* A disk in memory for tests of crash safety: it fails or tears at a chosen call, and forgets at a power cut what was not made
 * durable.
 *
 * What a power cut does, harsher than any one file system:
 *   - writes and truncations since the last good fsync of the file are each kept, dropped, torn at any byte, or leave zeros in
 *     a longer file, independently of one another and of their order;
 *   - names (creation, rename, removal) since the last fsync_dir of their directory survive as far as some point in their order,
 *     whatever was synced of the file;
 *   - what a failed fsync was to write is lost for good, though reading before the cut still shows it. */
#ifndef FN_BASE_SYS_FILE_FAULT_H
#define FN_BASE_SYS_FILE_FAULT_H

#include "base/sys/file.h"

struct fn_file_fault;

/* A disk with one empty directory, e.g. "/device". */
fn_err fn_file_fault_new(struct fn_file_fault **disk, const char *directory);
void fn_file_fault_free(struct fn_file_fault *disk);
const struct fn_files *fn_file_fault_files(const struct fn_file_fault *disk);

enum fn_fault {
    FN_FAULT_NONE,
    FN_FAULT_IO,        /* FN_E_IO; a write is torn first */
    FN_FAULT_DISK_FULL, /* FN_E_DISK_FULL; a write is torn first; calls that need no space still work */
    FN_FAULT_READ_ONLY, /* FN_E_READ_ONLY, nothing written */
    FN_FAULT_POWER,     /* the call takes effect in memory, then everything fails with FN_E_IO until the power cut is done */
};
/* The nth changing call from now (1 is the next) meets the fault; `lasting`: so does every later one. Changing calls are open
 * when it creates or truncates, write, pwrite, truncate, fsync, rename, unlink, mkdir, fsync_dir. */
void fn_file_fault_arm(struct fn_file_fault *disk, enum fn_fault kind, uint64_t nth, bool lasting);
/* Changing calls since the disk was made: run once without fault to learn how many points there are. */
uint64_t fn_file_fault_calls(const struct fn_file_fault *disk);
/* Whether the armed fault was met. */
bool fn_file_fault_met(const struct fn_file_fault *disk);

enum fn_power { FN_POWER_DROPS_ALL, FN_POWER_KEEPS_ALL, FN_POWER_MIXED };
/* Off and on again: handles and locks are gone, a fault is disarmed, `seed` decides what FN_POWER_MIXED keeps. */
void fn_file_fault_power_cut(struct fn_file_fault *disk, enum fn_power how, uint64_t seed);
/* Ends the process's handles and locks only (kill -9): everything written stays. */
void fn_file_fault_kill(struct fn_file_fault *disk);

/* Damage by hand: XORs one byte of a file. FN_E_NOT_FOUND, FN_E_TRUNCATED. */
fn_err fn_file_fault_flip(struct fn_file_fault *disk, const char *path, uint64_t offset, uint8_t mask);
/* A copy of what the disk shows now, all of it durable: an old backup to put back. */
fn_err fn_file_fault_clone(struct fn_file_fault **copy, const struct fn_file_fault *disk);

#endif
