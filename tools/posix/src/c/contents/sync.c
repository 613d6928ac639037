/*
 * fsync(2), fdatasync(2), syncfs(2) and their kin: they are accepted where they make sense, and don't disturb. Whether
 * they keep their promise is shown by cutting the power, not here.
 */
#include "harness.h"

#include <sys/mman.h>

CASE(file, "fsync and fdatasync work on files, also on those open for reading only")
{
	int fd = open_new("f"), reading = OK(open("f", O_RDONLY));

	write_pattern(fd, 0, 100000, 1);
	OK(fsync(fd));
	OK(fdatasync(fd));
	write_pattern(fd, 0, 100, 2);
	OK(fsync(reading));
	OK(fdatasync(reading));
	expect_pattern(reading, 0, 100, 2);
	expect_pattern(reading, 100, 99900, 1);
}

CASE(directory, "fsync works on directories")
{
	make_dir("d");
	make_file("d/f");

	int fd = OK(open("d", O_RDONLY | O_DIRECTORY));

	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(unlink("d/f"));
	OK(rmdir("d"));
	OK(fsync(fd));
}

CASE(whole_filesystem, "syncfs and sync work, with any open file")
{
	int fd = open_new("f"), directory = OK(open(".", O_RDONLY | O_DIRECTORY));

	write_pattern(fd, 0, 100000, 1);
	OK(syncfs(fd));
	OK(syncfs(directory));
	expect_pattern(fd, 0, 100000, 1);
	FAILS(EBADF, syncfs(1000));
}

CASE(range, "sync_file_range works on parts of a file")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);
	OK(sync_file_range(fd, 4096, 8192, SYNC_FILE_RANGE_WRITE));
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
	expect_pattern(fd, 0, 100000, 1);
}

CASE(refusals, "what isn't open, or isn't a file or a directory, can't be synchronised")
{
	OK(mkfifo("p", 0644));
	OK(symlink("p", "s"));

	int fifo = OK(open("p", O_RDWR)), path = OK(open("s", O_PATH | O_NOFOLLOW));

	FAILS(EINVAL, fsync(fifo));
	FAILS(EINVAL, fdatasync(fifo));
	FAILS(EBADF, fsync(path));
	FAILS(EBADF, fsync(1000));
}

CASE(many_at_once, "four processes that write and synchronise files of their own, and one together")
{
	int together = open_new("f");

	PROCESSES(4) {
		char name[16];

		snprintf(name, sizeof name, "%d", self);

		int own = open_new(name);

		for (int round = 0; round < 20; round++) {
			write_pattern(own, 5000 * round, 5000, 1);
			write_pattern(together, 20000 * round + 5000 * self, 5000, 1);
			OK(round & 1 ? fsync(own) : fdatasync(together));
		}
		expect_pattern(own, 0, 100000, 1);
	}
	expect_pattern(together, 0, 400000, 1);
}
