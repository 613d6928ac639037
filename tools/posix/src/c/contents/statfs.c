/* statfs(2) and statvfs(3): the numbers fit together, and follow what is written. */
#include "harness.h"

#include <sys/statvfs.h>

static struct statvfs space_here(void)
{
	struct statvfs space;

	OK(statvfs(".", &space));
	return space;
}

CASE(fits_together, "free is not more than there is, and names may have 255 bytes, or more")
{
	struct statvfs space = space_here();

	CHECK(space.f_bsize >= 512);
	CHECK(space.f_frsize >= 512);
	CHECK(space.f_namemax >= 255);
	CHECK(space.f_bfree <= space.f_blocks);
	CHECK(space.f_bavail <= space.f_bfree);
	CHECK(space.f_ffree <= space.f_files);
	CHECK(space.f_favail <= space.f_ffree);
}

CASE(any_file, "any file and descriptor of the filesystem gives the same")
{
	struct statvfs by_file, by_descriptor;

	make_dir("d");

	int fd = open_new("d/f");

	OK(statvfs("d/f", &by_file));
	OK(fstatvfs(fd, &by_descriptor));
	EQ(by_file.f_blocks, by_descriptor.f_blocks);
	EQ(by_file.f_fsid, by_descriptor.f_fsid);
	EQ(by_file.f_fsid, space_here().f_fsid);
	EQ(by_file.f_frsize, space_here().f_frsize);
	EQ(by_file.f_flag, space_here().f_flag);
}

static long free_bytes(void)
{
	struct statvfs space = space_here();

	return space.f_bfree * space.f_frsize;
}

/* Waits until free space has risen by a good part of what was written. */
static bool comes_back(long low)
{
	for (int waited = 0; waited < 5000; waited += 50) {
		if (free_bytes() >= low + 12 * MIB)
			return true;
		pause_ms(50);
	}
	return false;
}

/* Others may write at the same time: there are five attempts. */
CASE(follows, "what is written and flushed takes space, which comes back when the file is gone")
{
	bool taken = false, given = false;

	if (space_here().f_blocks == 0)
		skip("this filesystem doesn't say how large it is");
	if (free_bytes() < 64 * MIB)
		skip("there is not enough free space to see a difference");
	for (int attempt = 0; attempt < 5 && !(taken && given); attempt++) {
		long before = free_bytes();
		int fd = open_new("f");

		write_pattern(fd, 0, 16 * MIB, 1);
		OK(fsync(fd));

		long full = free_bytes();

		taken = before - full >= 12 * MIB;
		OK(unlink("f"));
		close(fd);
		given = comes_back(full);
	}
	CHECK(taken);
	CHECK(given);
}
