/* utimensat(2) and futimens(3): times to the nanosecond. */
#include "harness.h"

#include <sys/time.h>

#define EXPECT_TIME(second, nanosecond, time)         \
	do {                                          \
		EQ((long)(second), (time).tv_sec);    \
		EQ((long)(nanosecond), (time).tv_nsec); \
	} while (0)

static int set_times(const char *path, long atime, long atime_ns, long mtime, long mtime_ns, int flags)
{
	struct timespec times[] = {{atime, atime_ns}, {mtime, mtime_ns}};

	return utimensat(AT_FDCWD, path, times, flags);
}

CASE(nanoseconds, "atime and mtime are kept to the nanosecond")
{
	static const long parts[] = {0, 1, 999, 1000, 123456789, 999999999};

	make_file("f");
	for (int i = 0; i < ARRAY_LENGTH(parts); i++) {
		OK(set_times("f", 1000000000 + i, parts[i], 1100000000 + i, 999999999 - parts[i], 0));
		EXPECT_TIME(1000000000 + i, parts[i], stat_of("f").st_atim);
		EXPECT_TIME(1100000000 + i, 999999999 - parts[i], stat_of("f").st_mtim);
	}
}

CASE(every_type, "what is of any type has times that can be set")
{
	for (int type = 0; type < types_here(); type++) {
		const char *name = type_names[type];

		context("%s", name);
		make_of_type(type, name);
		OK(set_times(name, 1111, 1, 2222, 2, AT_SYMLINK_NOFOLLOW));
		EXPECT_TIME(1111, 1, stat_of(name).st_atim);
		EXPECT_TIME(2222, 2, stat_of(name).st_mtim);
	}
}

CASE(epochs, "times before 1970, after 2038 and after 2106 are kept")
{
	static const long seconds[] = {-2000000000L, -1, 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 6000000000L};

	make_file("f");
	for (int i = 0; i < ARRAY_LENGTH(seconds); i++) {
		context("%ld s", seconds[i]);
		OK(set_times("f", seconds[i], 500, seconds[i], 999999999, 0));
		EXPECT_TIME(seconds[i], 500, stat_of("f").st_atim);
		EXPECT_TIME(seconds[i], 999999999, stat_of("f").st_mtim);
	}
}

/* Whether a time is the one now, as the kernel's coarse clock has it. */
static bool is_now(struct timespec time)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec - time.tv_sec <= 2 && time.tv_sec <= now.tv_sec;
}

CASE(now_and_omit, "UTIME_NOW sets the time that it is, UTIME_OMIT leaves what was")
{
	make_file("f");
	OK(set_times("f", 1000, 1, 2000, 2, 0));
	OK(set_times("f", 0, UTIME_OMIT, 0, UTIME_NOW, 0));
	EXPECT_TIME(1000, 1, stat_of("f").st_atim);
	CHECK(is_now(stat_of("f").st_mtim));
	OK(set_times("f", 3000, 3, 0, UTIME_OMIT, 0));
	EXPECT_TIME(3000, 3, stat_of("f").st_atim);
	CHECK(is_now(stat_of("f").st_mtim));
	OK(set_times("f", 0, UTIME_NOW, 4000, 4, 0));
	CHECK(is_now(stat_of("f").st_atim));
	EXPECT_TIME(4000, 4, stat_of("f").st_mtim);
	OK(set_times("f", 1000, 1, 2000, 2, 0));
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	CHECK(is_now(stat_of("f").st_atim));
	CHECK(is_now(stat_of("f").st_mtim));
}

CASE(changes_ctime, "setting times changes ctime, omitting both changes nothing")
{
	make_file("f");

	struct watch file = watch("f");

	OK(set_times("f", 0, UTIME_OMIT, 0, UTIME_OMIT, 0));
	SAME("", changed(&file));
	OK(set_times("f", 0, UTIME_NOW, 0, UTIME_OMIT, 0));
	SAME("ac", changed(&file));
	file = watch("f");
	OK(set_times("f", 0, UTIME_OMIT, 0, UTIME_NOW, 0));
	SAME("mc", changed(&file));
}

CASE(refusals, "nanoseconds must be less than a second, and the file be there")
{
	make_file("f");
	OK(set_times("f", 1000, 1, 2000, 2, 0));
	FAILS(EINVAL, set_times("f", 1, 1000000000, 1, 1, 0));
	FAILS(EINVAL, set_times("f", 1, 1, 1, -1, 0));
	FAILS(EINVAL, set_times("f", 1, 1, 1, 1, 0x10000));
	FAILS(ENOENT, set_times("missing", 1, 1, 1, 1, 0));
	FAILS(ENOENT, set_times("", 1, 1, 1, 1, 0));
	FAILS(EBADF, futimens(1000, NULL));
	EXPECT_TIME(1000, 1, stat_of("f").st_atim);
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
}

CASE(symlinks, "a symlink's own times are set with AT_SYMLINK_NOFOLLOW, else those of what it names")
{
	make_file("f");
	OK(symlink("f", "s"));
	OK(set_times("s", 1000, 1, 2000, 2, 0));
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
	CHECK(is_now(stat_of("s").st_mtim));
	OK(set_times("s", 3000, 3, 4000, 4, AT_SYMLINK_NOFOLLOW));
	EXPECT_TIME(4000, 4, stat_of("s").st_mtim);
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
}

CASE(microseconds, "utimes gives microseconds")
{
	struct timeval times[] = {{1000, 123456}, {2000, 654321}};

	make_file("f");
	OK(utimes("f", times));
	EXPECT_TIME(1000, 123456000, stat_of("f").st_atim);
	EXPECT_TIME(2000, 654321000, stat_of("f").st_mtim);
}

CASE(owner_only, "only the owner and root may set any time; who may write may set the time that it is")
{
	need_users();
	write_text("f", "contents");
	OK(chown("f", ALICE.uid, ALICE.gid));
	OK(chmod("f", 0646));
	AS(ALICE) {
		OK(set_times("f", 1000, 1, 2000, 2, 0));
	}
	AS(BOB) {
		FAILS(EPERM, set_times("f", 1, 1, 1, 1, 0));
		FAILS(EPERM, set_times("f", 0, UTIME_NOW, 0, UTIME_OMIT, 0));
		FAILS(EPERM, set_times("f", 0, UTIME_OMIT, 1, 1, 0));
		EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
		OK(utimensat(AT_FDCWD, "f", NULL, 0));
		CHECK(is_now(stat_of("f").st_mtim));
		OK(set_times("f", 0, UTIME_NOW, 0, UTIME_NOW, 0));
	}
	OK(chmod("f", 0644));
	AS(BOB) {
		FAILS(EACCES, utimensat(AT_FDCWD, "f", NULL, 0));
		FAILS(EPERM, set_times("f", 1, 1, 1, 1, 0));
	}
	OK(chmod("f", 0));
	AS(ALICE) {
		OK(set_times("f", 5000, 5, 6000, 6, 0));
		OK(utimensat(AT_FDCWD, "f", NULL, 0));
	}
}

CASE(stays_after_write, "a time that was set after a write isn't overtaken by it when it gets to the device")
{
	struct timespec times[] = {{1000, 1}, {2000, 2}};
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);
	OK(futimens(fd, times));
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
	OK(fchmod(fd, 0600));
	OK(fsync(fd));
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
	close(fd);
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
	fd = OK(open("f", O_RDONLY));
	expect_pattern(fd, 0, 100000, 1);
	drop_pages(fd);
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
}

CASE(stays_after_close, "nor when the file was closed before, or goes on to be truncated and written")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);
	close(fd);
	OK(set_times("f", 1000, 1, 2000, 2, 0));
	fd = OK(open("f", O_RDONLY));
	drop_pages(fd);
	close(fd);
	EXPECT_TIME(2000, 2, stat_of("f").st_mtim);
	fd = OK(open("f", O_WRONLY));
	write_pattern(fd, 0, 10, 2);
	CHECK(is_now(stat_of("f").st_mtim));
	close(fd);
	CHECK(is_now(stat_of("f").st_mtim));
	OK(set_times("f", 3000, 3, 4000, 4, 0));
	OK(chmod("f", 0600));
	OK(rename("f", "g"));
	EXPECT_TIME(4000, 4, stat_of("g").st_mtim);
}
