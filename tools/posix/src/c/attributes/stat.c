/* stat(2) and statx(2): what files say of themselves, and that it fits together. */
#include "harness.h"

#include <sys/sysmacros.h>

#define FILES 1000

static int compare(const void *left, const void *right)
{
	ino_t a = *(const ino_t *)left, b = *(const ino_t *)right;

	return a < b ? -1 : a > b;
}

CASE(inode_numbers, "a thousand files have a thousand inode numbers")
{
	static ino_t inodes[FILES];
	char name[16];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "%d", i);
		make_of_type(i % DEVICE, name);
		inodes[i] = inode_of(name);
	}
	qsort(inodes, FILES, sizeof *inodes, compare);
	for (int i = 1; i < FILES; i++)
		CHECK(inodes[i] != inodes[i - 1]);
}

CASE(stays_the_same, "asked again, by name or by descriptor, after a rename and a flush, a file says the same")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 12345, 1);

	struct stat first = stat_of("f");

	EQ(first.st_ino, fstat_of(fd).st_ino);
	OK(fsync(fd));
	OK(rename("f", "g"));

	struct stat second = stat_of("g");

	EQ(first.st_dev, second.st_dev);
	EQ(first.st_ino, second.st_ino);
	EQ(first.st_mode, second.st_mode);
	EQ(first.st_nlink, second.st_nlink);
	EQ(first.st_size, second.st_size);
	EQ(first.st_blksize, second.st_blksize);
	EQ(0, memcmp(&first.st_mtim, &second.st_mtim, sizeof first.st_mtim));
}

CASE(one_device, "all files of a directory say the same device")
{
	make_dir("d");
	for (int type = 0; type < types_here(); type++) {
		make_of_type(type, type_names[type]);
		EQ(stat_of(".").st_dev, stat_of(type_names[type]).st_dev);
	}
	EQ(stat_of(".").st_dev, stat_of("d").st_dev);
}

CASE(blocks, "a file's blocks are about as many as its bytes")
{
	int fd = open_new("f");

	write_pattern(fd, 0, MIB, 1);
	OK(fsync(fd));

	long space = fstat_of(fd).st_blocks * 512;

	CHECK(space >= MIB);
	CHECK(space <= 2 * MIB);
	CHECK(fstat_of(fd).st_blksize >= 512);
	OK(ftruncate(fd, 0));
	EQ(0, fstat_of(fd).st_blocks);
}

CASE(statx, "statx says what stat says")
{
	struct statx extended;
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &extended));

	struct stat status = stat_of("f");

	EQ(STATX_BASIC_STATS, extended.stx_mask & STATX_BASIC_STATS);
	EQ(status.st_ino, extended.stx_ino);
	EQ(status.st_mode, extended.stx_mode);
	EQ(status.st_nlink, extended.stx_nlink);
	EQ(status.st_size, extended.stx_size);
	EQ(status.st_blocks, extended.stx_blocks);
	EQ(status.st_uid, extended.stx_uid);
	EQ(status.st_gid, extended.stx_gid);
	EQ(status.st_mtim.tv_sec, extended.stx_mtime.tv_sec);
	EQ(status.st_mtim.tv_nsec, extended.stx_mtime.tv_nsec);
	EQ(status.st_dev, makedev(extended.stx_dev_major, extended.stx_dev_minor));
}

CASE(statx_forced, "AT_STATX_FORCE_SYNC and AT_STATX_DONT_SYNC see what was written")
{
	struct statx extended;
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	OK(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_SIZE, &extended));
	EQ(5000, extended.stx_size);
	write_pattern(fd, 5000, 5000, 1);
	OK(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_SIZE, &extended));
	EQ(10000, extended.stx_size);
	expect_pattern(fd, 0, 10000, 1);
}

CASE(size_of_special_files, "symlinks have the size of their text, FIFOs, sockets and devices none")
{
	for (int type = SYMLINK; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		EQ(type == SYMLINK ? 7 : 0, size_of(type_names[type]));
	}
}
