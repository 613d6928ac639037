/*
 * What a case is written with.
 *
 *     CASE(over_directory, "a file can't replace a directory")
 *     {
 *             make_file("f");
 *             make_dir("d");
 *             FAILS(EISDIR, rename("f", "d"));
 *     }
 *
 * Each case runs in a process of its own, in an empty directory of its own, which is the working directory, with mode 0755
 * and a umask of 0. The first check that doesn't hold ends the case: whoever it is that makes it, the case's process or one
 * that it started, the place, what was expected and what was seen are noted in memory that all of them share.
 *
 * A case's name is FILE/NAME, FILE being the source file without its folder and ending.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define KIB 1024L
#define MIB (1024L * KIB)
#define GIB (1024L * MIB)
#define TIB (1024L * GIB)
#define ARRAY_LENGTH(array) ((int)(sizeof(array) / sizeof(*(array))))

/* A line of a case. */
struct place {
	const char *file;
	int line;
};
#define HERE ((struct place){__FILE__, __LINE__})

/* The table of cases */

struct posix_case {
	struct place place;
	const char *name, *title;
	void (*run)(void);
};

void enter_case(const struct posix_case *entry);

/* Defines a case; its body follows. The title says what must hold. */
#define CASE(name, title)                                                                             \
	static void case_##name(void);                                                                \
	__attribute__((constructor)) static void enter_##name(void)                                   \
	{                                                                                             \
		static const struct posix_case entry = {{__FILE__, __LINE__}, #name, title, case_##name}; \
		enter_case(&entry);                                                                   \
	}                                                                                             \
	static void case_##name(void)

/* Checks (checks.c) */

/* The call succeeds: it doesn't return -1. Gives its result. */
#define OK(call) check_ok(HERE, #call, (call))
/* The call returns -1 with this errno. */
#define FAILS(error, call) check_fails(HERE, #call, error, error, (call))
/* The call returns -1 with one of two errnos, where POSIX leaves the choice. */
#define FAILS_EITHER(error, other, call) check_fails(HERE, #call, error, other, (call))
/* Two integers are equal. */
#define EQ(expected, seen) check_equal(HERE, #seen, expected, seen)
/* Two modes are equal: shown in octal. */
#define MODE(expected, seen) check_mode(HERE, #seen, expected, seen)
/* Two strings are equal. */
#define SAME(expected, seen) check_same(HERE, #seen, expected, seen)
/* `length` bytes are equal. */
#define BYTES(expected, seen, length) check_bytes(HERE, #seen, expected, seen, length)
/* `length` bytes are zero. */
#define ZEROS(seen, length) check_zeros(HERE, #seen, seen, length)
/* Anything else that must hold. */
#define CHECK(condition) check_true(HERE, #condition, condition)

/* Says what a loop is at, for the message of a check that fails in it; no_context() takes it back. */
void context(const char *format, ...) __attribute__((format(printf, 1, 2)));
void no_context(void);

/* Ends the case: it can't be run here, for this reason. */
_Noreturn void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A call that a filesystem need not have: where it fails with EOPNOTSUPP or ENOSYS, the case is skipped. Otherwise OK. */
#define OPTIONAL(call) check_optional(HERE, #call, 0, (call))
/* The same, and this errno too says that it isn't there. */
#define OPTIONAL_OR(error, call) check_optional(HERE, #call, error, (call))

long check_ok(struct place place, const char *call, long result);
void check_fails(struct place place, const char *call, int error, int other, long result);
void check_equal(struct place place, const char *what, long expected, long seen);
void check_mode(struct place place, const char *what, mode_t expected, mode_t seen);
void check_same(struct place place, const char *what, const char *expected, const char *seen);
void check_bytes(struct place place, const char *what, const void *expected, const void *seen, size_t length);
void check_zeros(struct place place, const char *what, const void *seen, size_t length);
void check_true(struct place place, const char *condition, bool holds);
long check_optional(struct place place, const char *call, int error, long result);
_Noreturn void fail(struct place place, const char *expected, const char *seen);
const char *errno_name(int error);

/* Users and processes (users.c) */

struct user {
	uid_t uid;
	gid_t gid;
	gid_t others[2]; /* supplementary groups; 0 for none */
};
extern const struct user ALICE, BOB, CAROL; /* CAROL is in ALICE's group too */

/* Skips the case unless it is run by root, with all that root may do. */
void need_root(void);
/* Skips the case unless this is root, and the mount lets other users in. */
void need_users(void);
/* Skips the case where the mount has this flag: ST_NOEXEC, ST_NODEV, ST_NOSUID, ST_NOATIME. */
void need_without(unsigned long flag, const char *name);

/*
 * Bodies that processes of their own run. Each ends where its body ends; a `break` out of the body would let the
 * process go on with the rest of the case.
 */

/* AS(ALICE) { ... }: as another user; waits for it. The case says need_users() before. */
#define AS(user) for (int is_parent_ = become(HERE, &(user)); !is_parent_; _exit(0))
/* CHILD { ... }: as oneself; waits for it. */
#define CHILD for (int is_parent_ = become(HERE, NULL); !is_parent_; _exit(0))
/* As someone who isn't root, in a working directory that he owns: ALICE if root runs this, else oneself. Waits for it. */
#define AS_ORDINARY for (int is_parent_ = become_ordinary(HERE); !is_parent_; _exit(0))
/* BESIDE { ... }: doesn't wait. The case ends when all of these have; JOIN() waits for them before. */
#define BESIDE for (int is_parent_ = go_beside(HERE); !is_parent_; _exit(0))
#define JOIN() join(HERE)
/* PROCESSES(n) { ... }: n processes begin together, `self` is 0 to n-1; waits for all. */
#define PROCESSES(count) for (int self = spread(HERE, count); self >= 0; _exit(0))

int become(struct place place, const struct user *user);
int become_ordinary(struct place place);
int go_beside(struct place place);
int spread(struct place place, int count);
void join(struct place place);

/* Processes of a case wait for each other by a number that only grows. */
void reach(int step);
void await(int step);
bool reached(int step);
/* Counters that they share, all 0 at first. */
#define COUNTERS 4096
extern atomic_int *counters;

void pause_ms(int ms);

/* Files (files.c): these make and look at them, and fail at the place that called them. */

#define make_file(path) make_file_(HERE, path, 0644)
#define make_file_mode(path, mode) make_file_(HERE, path, mode)
#define make_dir(path) make_dir_(HERE, path, 0755)
#define make_dir_mode(path, mode) make_dir_(HERE, path, mode)
/* A new file, open for reading and writing. */
#define open_new(path) open_new_(HERE, path)
/* A file with this text, and the text of a file, up to 4095 bytes. */
#define write_text(path, text) write_text_(HERE, path, text)
#define text_of(path) text_of_(HERE, path)
/* By lstat. */
#define stat_of(path) stat_of_(HERE, path)
#define inode_of(path) ((long)stat_of(path).st_ino)
#define links_of(path) ((long)stat_of(path).st_nlink)
#define size_of(path) ((long)stat_of(path).st_size)
#define mode_of(path) (stat_of(path).st_mode & 07777)
#define type_of(path) (stat_of(path).st_mode & S_IFMT)
#define fstat_of(fd) fstat_of_(HERE, fd)
#define exists(path) exists_(HERE, path)
/* Writes a pattern (a different one for each seed), all of it; checks that it is there. Neither moves the file's offset. */
#define write_pattern(fd, offset, size, seed) write_pattern_(HERE, fd, offset, size, seed)
#define expect_pattern(fd, offset, size, seed) expect_pattern_(HERE, fd, offset, size, seed)
#define expect_zeros(fd, offset, size) expect_zeros_(HERE, fd, offset, size)
/* Makes one of each type; the name of a type is in `type_names`. */
#define make_of_type(type, path) make_of_type_(HERE, type, path)
/* How many names a directory has, "." and ".." left out. */
#define entries_of(path) entries_of_(HERE, path)
/* How many bytes a name may have here: 255, or more. */
int longest_name(void);
/* Writes a file's pages to the device and drops them, so that what is read next comes from the filesystem. */
#define drop_pages(fd) drop_pages_(HERE, fd)

enum type { FILE_, DIRECTORY, SYMLINK, FIFO, SOCKET, DEVICE, TYPES };
extern const char *const type_names[TYPES];
/* The types that this process may make: DEVICE needs root. */
int types_here(void);

void make_file_(struct place place, const char *path, mode_t mode);
void make_dir_(struct place place, const char *path, mode_t mode);
int open_new_(struct place place, const char *path);
void write_text_(struct place place, const char *path, const char *text);
const char *text_of_(struct place place, const char *path);
struct stat stat_of_(struct place place, const char *path);
struct stat fstat_of_(struct place place, int fd);
bool exists_(struct place place, const char *path);
void write_pattern_(struct place place, int fd, off_t offset, size_t size, unsigned seed);
void expect_pattern_(struct place place, int fd, off_t offset, size_t size, unsigned seed);
void expect_zeros_(struct place place, int fd, off_t offset, size_t size);
void make_of_type_(struct place place, enum type type, const char *path);
int entries_of_(struct place place, const char *path);
void drop_pages_(struct place place, int fd);
void fill_pattern(void *buffer, off_t offset, size_t size, unsigned seed);

/*
 * Times: watch() notes them and waits until the clock has moved on, changed() says which of them have moved since:
 * a string of "a", "m" and "c". What has moved must now be a time in between.
 */
struct watch {
	const char *path;
	struct stat before;
	struct timespec since;
};
#define watch(path) watch_(HERE, path)
#define changed(watched) changed_(HERE, watched)
struct watch watch_(struct place place, const char *path);
const char *changed_(struct place place, const struct watch *watched);
/* Waits until a change would get another time than one made before. */
void tick(void);

/* Numbers by chance, the same ones in each run. */
uint32_t random_below(uint32_t *state, uint32_t bound);

/* What the cases share with the harness. */

enum outcome { RUNNING, OUTCOME_OK, OUTCOME_FAILED, OUTCOME_SKIPPED };

/* In memory that all processes of a case share. */
struct report {
	atomic_int outcome;
	char at[128], expected[768], seen[768], reason[512];
	atomic_int step, at_start;
	atomic_int counters[COUNTERS];
};
extern struct report *report;
extern bool is_root, users_enter;

#endif
