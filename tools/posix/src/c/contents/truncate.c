/* truncate(2) and ftruncate(2). */
#include "harness.h"

CASE(shorter, "a shortened file has its beginning still")
{
	static const long sizes[] = {99999, 65536, 65535, 4097, 4096, 4095, 513, 1, 0};
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);
	for (int i = 0; i < ARRAY_LENGTH(sizes); i++) {
		context("%ld bytes", sizes[i]);
		OK(ftruncate(fd, sizes[i]));
		EQ(sizes[i], size_of("f"));
		expect_pattern(fd, 0, sizes[i], 1);
		EQ(0, OK(pread(fd, (char[1]){0}, 1, sizes[i])));
	}
	EQ(0, stat_of("f").st_blocks);
}

CASE(longer, "a lengthened file ends in zeros, which take no space")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	OK(truncate("f", 5001));
	OK(truncate("f", 10 * MIB));
	drop_pages(fd);
	EQ(10 * MIB, size_of("f"));
	CHECK(stat_of("f").st_blocks * 512 < MIB);
	expect_pattern(fd, 0, 5000, 1);
	expect_zeros(fd, 5000, 10 * MIB - 5000);
}

CASE(nothing_comes_back, "what was cut off doesn't come back when the file is lengthened, written behind or mapped")
{
	static const long sizes[] = {1, 100, 4095, 4096, 4097, 70000};

	for (int i = 0; i < ARRAY_LENGTH(sizes); i++)
		for (int way = 0; way < 4; way++) {
			context("%ld bytes, way %d", sizes[i], way);

			int fd = open_new("f");

			write_pattern(fd, 0, 100000, 1);
			if (way & 1)
				drop_pages(fd);
			OK(ftruncate(fd, sizes[i]));
			if (way & 2)
				OK(ftruncate(fd, 100000));
			else
				write_pattern(fd, 99999, 1, 2);
			expect_pattern(fd, 0, sizes[i], 1);
			expect_zeros(fd, sizes[i], 99999 - sizes[i]);
			drop_pages(fd);
			expect_pattern(fd, 0, sizes[i], 1);
			expect_zeros(fd, sizes[i], 99999 - sizes[i]);
			close(fd);
			OK(unlink("f"));
		}
}

CASE(by_path, "truncate takes a path, and follows symlinks")
{
	write_text("f", "contents");
	OK(symlink("f", "s"));
	OK(truncate("s", 3));
	SAME("con", text_of("f"));
	EQ(1, size_of("s"));
}

CASE(offset_stays, "ftruncate doesn't move the offset: what is written beyond the end leaves a hole")
{
	int fd = open_new("f");

	OK(write(fd, "0123456789", 10));
	OK(ftruncate(fd, 3));
	EQ(10, OK(lseek(fd, 0, SEEK_CUR)));
	OK(write(fd, "x", 1));
	EQ(11, size_of("f"));
	expect_zeros(fd, 3, 7);
}

CASE(refusals, "negative sizes, directories, what isn't open for writing")
{
	write_text("f", "contents");
	make_dir("d");

	int fd = OK(open("f", O_RDONLY)), directory = OK(open("d", O_RDONLY));

	FAILS(EINVAL, truncate("f", -1));
	FAILS_EITHER(EINVAL, EBADF, ftruncate(fd, 0));
	FAILS(EISDIR, truncate("d", 0));
	FAILS_EITHER(EINVAL, EBADF, ftruncate(directory, 0));
	FAILS(ENOENT, truncate("missing", 0));
	SAME("contents", text_of("f"));
}

CASE(permission, "truncate needs permission to write, ftruncate needed it when the file was opened")
{
	AS_ORDINARY {
		write_text("f", "contents");

		int fd = OK(open("f", O_RDWR));

		OK(chmod("f", 0444));
		FAILS(EACCES, truncate("f", 0));
		OK(ftruncate(fd, 3));
		SAME("con", text_of("f"));
	}
}

CASE(same_size, "truncating to the size that a file has keeps its bytes")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 5000, 1);
	OK(ftruncate(fd, 5000));
	OK(truncate("f", 5000));
	expect_pattern(fd, 0, 5000, 1);
}

CASE(huge, "a file may be a terabyte of nothing, and be cut in its middle")
{
	int fd = open_new("f");

	OK(ftruncate(fd, TIB));
	EQ(TIB, size_of("f"));
	write_pattern(fd, TIB - 100, 100, 1);
	write_pattern(fd, 5 * GIB, 100, 2);
	OK(ftruncate(fd, 5 * GIB + 50));
	OK(ftruncate(fd, 2 * TIB));
	expect_pattern(fd, 5 * GIB, 50, 2);
	expect_zeros(fd, 5 * GIB + 50, 1000);
	expect_zeros(fd, TIB - 100, 1000);
	CHECK(stat_of("f").st_blocks * 512 < MIB);
}

CASE(again_and_again, "a file that grows and is emptied a hundred times is right each time")
{
	int fd = open_new("f");

	for (int round = 0; round < 100; round++) {
		context("round %d", round);
		write_pattern(fd, round * 10, 20000, round);
		expect_zeros(fd, 0, round * 10);
		expect_pattern(fd, round * 10, 20000, round);
		OK(ftruncate(fd, 0));
	}
	EQ(0, stat_of("f").st_blocks);
}
