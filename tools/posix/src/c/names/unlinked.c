/* Files that have no name any more and are still open: they live on until the last descriptor is closed. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/xattr.h>

CASE(goes_on, "an unlinked file can be read and written, and has no links")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);
	OK(unlink("f"));
	EQ(0, fstat_of(fd).st_nlink);
	EQ(100000, fstat_of(fd).st_size);
	expect_pattern(fd, 0, 100000, 1);
	write_pattern(fd, 50000, 100000, 2);
	drop_pages(fd);
	expect_pattern(fd, 0, 50000, 1);
	expect_pattern(fd, 50000, 100000, 2);
	EQ(150000, fstat_of(fd).st_size);
	EQ(0, entries_of("."));
}

CASE(changes, "an unlinked file can be truncated, changed in mode, owner and times, and synchronised")
{
	int fd = open_new("f");
	struct timespec times[] = {{1000, 1}, {2000, 2}};

	write_pattern(fd, 0, 10000, 1);
	OK(unlink("f"));
	OK(ftruncate(fd, 5000));
	OK(ftruncate(fd, 20000));
	OK(fchmod(fd, 0600));
	OK(fchown(fd, geteuid(), getegid()));
	OK(futimens(fd, times));
	OK(fsync(fd));
	OK(fdatasync(fd));

	struct stat status = fstat_of(fd);

	EQ(20000, status.st_size);
	MODE(0600, status.st_mode & 07777);
	EQ(2000, status.st_mtim.tv_sec);
	EQ(2, status.st_mtim.tv_nsec);
	expect_pattern(fd, 0, 5000, 1);
	expect_zeros(fd, 5000, 15000);
}

CASE(attributes, "an unlinked file keeps its extended attributes, and takes more")
{
	char value[8] = "";
	int fd = open_new("f");

	OPTIONAL(fsetxattr(fd, "user.one", "1", 1, 0));
	OK(unlink("f"));
	OK(fsetxattr(fd, "user.two", "22", 2, 0));
	EQ(1, OK(fgetxattr(fd, "user.one", value, sizeof value)));
	SAME("1", value);
	OK(fremovexattr(fd, "user.one"));
	EQ(9, OK(flistxattr(fd, NULL, 0)));
}

CASE(mapped, "a mapping keeps a file that has neither name nor descriptor")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 8192, 1);

	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), wanted[8192];

	CHECK(map != MAP_FAILED);
	OK(unlink("f"));
	close(fd);
	fill_pattern(wanted, 0, sizeof wanted, 1);
	BYTES(wanted, map, sizeof wanted);
	map[5000] = 'x';
	OK(msync(map, 8192, MS_SYNC));
	EQ('x', map[5000]);
}

CASE(in_other_process, "it lives on in a process that inherited it")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	BESIDE {
		await(1);
		expect_pattern(fd, 0, 5000, 1);
		write_pattern(fd, 5000, 5000, 1);
		expect_pattern(fd, 0, 10000, 1);
	}
	OK(unlink("f"));
	close(fd);
	reach(1);
}

CASE(name_taken, "another file that takes its name is another file")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	OK(unlink("f"));

	int other = open_new("f");

	write_pattern(other, 0, 3000, 2);
	CHECK(fstat_of(fd).st_ino != fstat_of(other).st_ino);
	expect_pattern(fd, 0, 5000, 1);
	expect_pattern(other, 0, 3000, 2);
	EQ(1, fstat_of(other).st_nlink);
}

CASE(replaced, "a file that rename replaced is one without a name")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	write_text("g", "contents");
	OK(rename("g", "f"));
	EQ(0, fstat_of(fd).st_nlink);
	expect_pattern(fd, 0, 5000, 1);
	SAME("contents", text_of("f"));
}

CASE(no_name_again, "it can't be given a name again")
{
	char path[64];
	int fd = open_new("f");

	OK(unlink("f"));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
}

CASE(other_name_left, "one name of two goes: the file stays, and has one link")
{
	int fd = open_new("f");

	OK(link("f", "g"));
	OK(unlink("f"));
	EQ(1, fstat_of(fd).st_nlink);
	OK(unlink("g"));
	EQ(0, fstat_of(fd).st_nlink);
}

CASE(many, "300 of them keep what they had, while others are made and removed under their names")
{
	int fds[300];
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%d", i % 10);
		fds[i] = open_new(name);
		write_pattern(fds[i], 0, 1000 + i, i);
		OK(unlink(name));
	}
	for (int i = 0; i < 300; i++) {
		EQ(1000 + i, fstat_of(fds[i]).st_size);
		expect_pattern(fds[i], 0, 1000 + i, i);
	}
}
