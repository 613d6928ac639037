/* Several processes at once: what is atomic for one is atomic for all. */
#include "harness.h"

#include <sched.h>
#include <sys/xattr.h>

#define CONTENDERS 4
#define ROUNDS 200

/* A call that only one of several processes may succeed in; the others fail with one of two errnos. */
typedef int contest(int round);

/* Everybody waits for the slowest before each round. */
static void meet(int round)
{
	atomic_fetch_add(&counters[ROUNDS + round], 1);
	while (atomic_load(&counters[ROUNDS + round]) < CONTENDERS)
		sched_yield();
}

static void expect_one_winner(contest *call, int error, int other)
{
	PROCESSES(CONTENDERS) {
		for (int round = 0; round < ROUNDS; round++) {
			meet(round);
			if (call(round) >= 0)
				atomic_fetch_add(&counters[round], 1);
			else
				CHECK(errno == error || errno == other);
		}
	}
	for (int round = 0; round < ROUNDS; round++) {
		context("round %d", round);
		EQ(1, atomic_load(&counters[round]));
	}
}

static const char *numbered(const char *prefix, int number)
{
	static char names[4][64];
	static int turn;
	char *name = names[turn = (turn + 1) % 4];

	snprintf(name, sizeof names[0], "%s%d", prefix, number);
	return name;
}

static int create_exclusive(int round)
{
	int fd = open(numbered("f", round), O_CREAT | O_EXCL | O_WRONLY, 0644);

	return fd < 0 ? fd : close(fd);
}

CASE(create, "of several processes that make a file with O_EXCL one makes it, the others are told that it is there")
{
	expect_one_winner(create_exclusive, EEXIST, EEXIST);
	EQ(ROUNDS, entries_of("."));
}

static int make_directory(int round)
{
	return mkdir(numbered("d", round), 0755);
}

CASE(mkdir, "the same with mkdir")
{
	long links = links_of(".");

	expect_one_winner(make_directory, EEXIST, EEXIST);
	if (links != 1)
		EQ(links + ROUNDS, links_of("."));
}

static int make_symlink(int round)
{
	return symlink("x", numbered("s", round));
}

CASE(symlink, "the same with symlink")
{
	expect_one_winner(make_symlink, EEXIST, EEXIST);
}

static int make_link(int round)
{
	return link("f", numbered("l", round));
}

CASE(link, "the same with link, and the links are counted right")
{
	make_file("f");
	expect_one_winner(make_link, EEXIST, EEXIST);
	EQ(1 + ROUNDS, links_of("f"));
}

static int remove_file(int round)
{
	return unlink(numbered("f", round));
}

CASE(unlink, "of several processes that unlink a file one does, the others are told that it isn't there")
{
	for (int i = 0; i < ROUNDS; i++)
		make_file(numbered("f", i));
	expect_one_winner(remove_file, ENOENT, ENOENT);
	EQ(0, entries_of("."));
}

static int remove_directory(int round)
{
	return rmdir(numbered("d", round));
}

CASE(rmdir, "the same with rmdir")
{
	for (int i = 0; i < ROUNDS; i++)
		make_dir(numbered("d", i));
	expect_one_winner(remove_directory, ENOENT, ENOENT);
	EQ(0, entries_of("."));
}

static int rename_own(int round)
{
	return rename(numbered("f", round), numbered("to", getpid() * 1000 + round));
}

CASE(rename_from, "of several processes that rename a file one does")
{
	for (int i = 0; i < ROUNDS; i++)
		make_file(numbered("f", i));
	expect_one_winner(rename_own, ENOENT, ENOENT);
	EQ(ROUNDS, entries_of("."));
}

static int rename_if_free(int round)
{
	const char *own = numbered("own", getpid());

	close(OK(open(own, O_CREAT | O_WRONLY, 0644)));
	return renameat2(AT_FDCWD, own, AT_FDCWD, numbered("f", round), RENAME_NOREPLACE);
}

CASE(rename_no_replace, "of several processes that rename to a free name with RENAME_NOREPLACE one does")
{
	make_file("a");
	OPTIONAL_OR(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
	expect_one_winner(rename_if_free, EEXIST, EEXIST);
}

static int set_attribute(int round)
{
	return setxattr("f", numbered("user.x", round % 10), "1", 1, XATTR_CREATE);
}

CASE(attribute, "of several processes that make an extended attribute with XATTR_CREATE one does")
{
	make_file("f");
	OPTIONAL(setxattr("f", "user.probe", "1", 1, 0));
	PROCESSES(CONTENDERS) {
		for (int round = 0; round < 10; round++) {
			meet(round);
			if (set_attribute(round) == 0)
				atomic_fetch_add(&counters[round], 1);
			else
				EQ(EEXIST, errno);
		}
	}
	for (int round = 0; round < 10; round++)
		EQ(1, atomic_load(&counters[round]));
}

CASE(replacing, "while a file is replaced by rename again and again, its name is always there, and what it names is whole")
{
	enum { SIZE = 5000 };

	write_text("f.new", "");

	int first = OK(open("f", O_CREAT | O_WRONLY, 0644));

	write_pattern(first, 0, SIZE, 0);
	BESIDE {
		for (int version = 1; version <= 300; version++) {
			int fd = OK(open("f.new", O_CREAT | O_TRUNC | O_WRONLY, 0644));

			write_pattern(fd, 0, SIZE, version);
			close(fd);
			OK(rename("f.new", "f"));
		}
		reach(1);
	}
	for (int last = 0; !reached(1);) {
		static char bytes[SIZE + 1], wanted[SIZE];
		int fd = OK(open("f", O_RDONLY)), version = last;

		EQ(SIZE, OK(read(fd, bytes, sizeof bytes)));
		close(fd);
		for (;; version++) { /* an older version than before can't come back */
			CHECK(version <= 300);
			fill_pattern(wanted, 0, SIZE, version);
			if (!memcmp(wanted, bytes, SIZE))
				break;
		}
		last = version;
	}
}

CASE(exchanging, "while two directories are exchanged again and again, both names are always there")
{
	make_dir("a");
	make_dir("b");
	make_file("a/one");
	make_file("b/two");
	OPTIONAL_OR(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
	BESIDE {
		for (int round = 0; round < 500; round++)
			OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
		reach(1);
	}
	while (!reached(1)) {
		CHECK(exists("a"));
		CHECK(exists("b"));

		int fd = OK(open("a", O_RDONLY | O_DIRECTORY));

		CHECK(faccessat(fd, "one", F_OK, 0) == 0 || faccessat(fd, "two", F_OK, 0) == 0);
		close(fd);
	}
	JOIN();
	CHECK(exists("b/one"));
	CHECK(exists("a/two"));
}

CASE(crossing_directories, "two processes that move two directories into each other make no loop: one at most gets its way")
{
	for (int round = 0; round < 50; round++) {
		context("round %d", round);
		make_dir("a");
		make_dir("b");
		PROCESSES(2) {
			int result = self ? rename("a", "b/a") : rename("b", "a/b");

			CHECK(result == 0 || errno == EINVAL || errno == ENOENT);
			if (result == 0)
				atomic_fetch_add(&counters[round], 1);
		}
		EQ(1, atomic_load(&counters[round]));
		CHECK(exists("a") ? exists("a/b") : exists("b/a"));
		if (exists("a")) {
			OK(rmdir("a/b"));
			OK(rmdir("a"));
		} else {
			OK(rmdir("b/a"));
			OK(rmdir("b"));
		}
	}
}

#define RECORD "%d:%05d:some more of it...\n"

CASE(appending, "records that several processes append to a file are all there, each in one piece")
{
	enum { LENGTH = 27, RECORDS = 300 };

	close(open_new("f"));
	PROCESSES(CONTENDERS) {
		int fd = OK(open("f", O_WRONLY | O_APPEND));
		char record[64];

		for (int i = 0; i < RECORDS; i++) {
			snprintf(record, sizeof record, RECORD, self, i);
			EQ(LENGTH, OK(write(fd, record, LENGTH)));
		}
	}

	int fd = OK(open("f", O_RDONLY)), next[CONTENDERS] = {0};
	char record[64] = "", wanted[64];

	EQ(CONTENDERS * RECORDS * LENGTH, size_of("f"));
	for (int i = 0; i < CONTENDERS * RECORDS; i++) {
		EQ(LENGTH, OK(read(fd, record, LENGTH)));

		int who = record[0] - '0';

		CHECK(who >= 0 && who < CONTENDERS);
		snprintf(wanted, sizeof wanted, RECORD, who, next[who]++);
		SAME(wanted, record);
	}
}

CASE(parts_of_a_file, "several processes write parts of one file, interleaved within blocks, and all of it is there")
{
	int fd = open_new("f");

	PROCESSES(CONTENDERS) {
		int own = OK(open("f", O_RDWR));

		for (int i = self; i < 1000; i += CONTENDERS)
			write_pattern(own, i * 331, 331, 1);
	}
	EQ(331000, size_of("f"));
	expect_pattern(fd, 0, 331000, 1);
	drop_pages(fd);
	expect_pattern(fd, 0, 331000, 1);
}

CASE(one_name, "processes that make, link, rename and unlink the same few names see the errors that belong there only")
{
	PROCESSES(CONTENDERS) {
		uint32_t state = self + 1;

		for (int i = 0; i < 500; i++) {
			const char *name = numbered("f", random_below(&state, 4));
			const char *other = numbered("f", random_below(&state, 4));
			int fd;

			switch (random_below(&state, 5)) {
			case 0:
				fd = open(name, O_CREAT | O_RDWR, 0644);
				OK(fd);
				OK(pwrite(fd, "x", 1, random_below(&state, 10000)));
				close(fd);
				break;
			case 1:
				CHECK(unlink(name) == 0 || errno == ENOENT);
				break;
			case 2:
				CHECK(rename(name, other) == 0 || errno == ENOENT);
				break;
			case 3:
				CHECK(link(name, other) == 0 || errno == ENOENT || errno == EEXIST);
				break;
			default:
				fd = open(name, O_RDONLY);
				CHECK(fd >= 0 || errno == ENOENT);
				if (fd >= 0) {
					CHECK(fstat_of(fd).st_nlink <= 4);
					close(fd);
				}
			}
		}
	}
	for (int i = 0; i < 4; i++)
		CHECK(unlink(numbered("f", i)) == 0 || errno == ENOENT);
	EQ(0, entries_of("."));
}

CASE(full_directory_stays, "a directory that is removed while others make files in it is either gone or has them")
{
	PROCESSES(CONTENDERS) {
		for (int i = 0; i < ROUNDS; i++) {
			if (self == 0) {
				CHECK(mkdir("d", 0755) == 0 || errno == EEXIST);
				CHECK(rmdir("d") == 0 || errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT);
				continue;
			}

			char name[32];

			snprintf(name, sizeof name, "d/%d", self);

			int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0644);

			if (fd < 0) {
				EQ(ENOENT, errno);
				continue;
			}
			close(fd);
			OK(unlink(name));
		}
	}
	CHECK(rmdir("d") == 0 || errno == ENOENT);
}

CASE(stays_found, "a file that nobody touches is found at any time, while its directory fills and empties")
{
	write_text("stays", "contents");
	PROCESSES(CONTENDERS) {
		for (int i = 0; i < ROUNDS; i++) {
			if (self & 1) {
				SAME("contents", text_of("stays"));
				CHECK(!exists("never"));
				continue;
			}

			const char *name = numbered("f", self * 1000 + i);

			make_file(name);
			if (i % 3)
				OK(unlink(name));
		}
	}
}

CASE(separate_directories, "several processes fill a directory each, and count their own files")
{
	PROCESSES(CONTENDERS) {
		make_dir(numbered("d", self));
		OK(chdir(numbered("d", self)));
		for (int i = 0; i < 300; i++) {
			int fd = open_new(numbered("f", i));

			write_pattern(fd, 0, 100 * (i % 50), i);
			close(fd);
		}
		EQ(300, entries_of("."));
		for (int i = 0; i < 300; i++) {
			int fd = OK(open(numbered("f", i), O_RDONLY));

			EQ(100 * (i % 50), fstat_of(fd).st_size);
			expect_pattern(fd, 0, 100 * (i % 50), i);
			close(fd);
		}
	}
}

CASE(truncate_and_write, "while one process truncates and others write, nothing gets into the file but what they write")
{
	int fd = open_new("f");

	PROCESSES(3) {
		int own = OK(open("f", O_RDWR));

		for (int i = 0; i < ROUNDS; i++) {
			if (self == 0)
				OK(ftruncate(own, i * 37 % 5000));
			else
				write_pattern(own, 0, 5000 + self * 1000, 1);
		}
	}

	long size = size_of("f");

	CHECK(size <= 7000);
	for (long at = 0; at < size; at++) {
		char seen, wanted;

		OK(pread(fd, &seen, 1, at));
		fill_pattern(&wanted, at, 1, 1);
		CHECK(seen == wanted || seen == 0);
	}
}
